"""Two ways to keep what the ranks record: rank 0 writes for all, or all write one file together through MPI.

Both append blocks of rows to datasets whose columns belong to ranks, as one change that is made wholly or not at all;
how many rows count is for `hpcpinn.io.results` to say.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import OutputError
from hpcpinn.io import storage
from hpcpinn.io.change import Transaction
from hpcpinn.io.owner import check_kept
from hpcpinn.io.seal import Sealed

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

Finish = Callable[[h5py.File], None]
"""What rank 0 writes besides, in the same change."""
Columns = Mapping[str, Int[ndarray, " n"]]


@dataclass(frozen=True)
class Block:
    """Rows to append to one dataset, as far as this rank owns its columns.

    Attributes:
        name: Path of the dataset, such as ``calcium`` or ``probes/calcium``.
        first_row: First row of the dataset that they fill.
        values: Columns of the rows that this rank owns.
    """

    name: str
    first_row: int
    values: Float[ndarray, "rows n"]

    @property
    def last_row(self) -> int:
        return self.first_row + len(self.values)


class FieldStore(ABC):
    """Where the recorded fields go. All methods are collective over all ranks.

    Attributes:
        path: Path of the file.
        communicator: Ranks of the job.
        columns: Increasing columns that this rank owns, by dataset; None where rank 0 hands in whole rows.
        sealed: Seal and digests of the file as it was left; on rank 0 alone.
    """

    def __init__(
        self, path: Path, communicator: "Communicator", columns: Columns | None, sealed: Sealed | None
    ) -> None:
        self.path, self.communicator, self.columns, self.sealed = path, communicator, columns, sealed

    @abstractmethod
    def append(self, blocks: Sequence[Block], finish: Finish, kept: str) -> None:
        """Writes rows, and what `finish` does; `kept` ends the message when that fails (`storage.on_root`).

        Raises:
            OutputError: On all ranks; the file is as it was.
        """

    def _begun(self) -> Transaction:
        assert self.sealed is not None
        check_kept(self.path)
        return Transaction(self.path, self.sealed)


class RootFields(FieldStore):
    """Rank 0 writes what all ranks hand in."""

    def append(self, blocks: Sequence[Block], finish: Finish, kept: str) -> None:
        shares = [(self.columns, blocks)] if self.columns is None else self.communicator.gather((self.columns, blocks))
        storage.on_root(self.communicator, self.path, kept, self._write, shares, finish)

    def _write(self, shares: list[tuple[Columns | None, Sequence[Block]]], finish: Finish) -> None:
        change = self._begun()
        try:
            with change.edit() as file:
                grow(file, shares[0][1])
                for columns, blocks in shares:
                    for block in blocks:
                        _write_block(file[block.name], block, columns)
                finish(file)
            self.sealed = change.commit()
        except BaseException:
            change.undo()
            raise


class SharedFields(FieldStore):
    """All ranks write into the file, through MPI."""

    _change: Transaction | None = None

    def append(self, blocks: Sequence[Block], finish: Finish, kept: str) -> None:
        arguments = (self.communicator, self.path, kept)
        try:
            storage.on_root(*arguments, self._grow, blocks)
            if blocks:
                storage.together(*arguments, self._write, blocks)
            storage.on_root(*arguments, self._finish, finish)
        except OutputError:
            self.communicator.on_root(self._undo)
            raise

    def _grow(self, blocks: Sequence[Block]) -> None:
        self._change = self._begun()
        if not blocks:
            return
        with self._change.edit() as file:
            grow(file, blocks)
            places = [place for block in blocks for place in _places(file[block.name], block)]
        self._change.expose(places)

    def _write(self, blocks: Sequence[Block]) -> None:
        assert self.columns is not None
        with storage.open_shared(self.path, self.communicator) as file:
            for block in blocks:
                _write_block(file[block.name], block, self.columns)

    def _finish(self, finish: Finish) -> None:
        assert self._change is not None
        with self._change.edit() as file:
            finish(file)
        self.sealed, self._change = self._change.commit(), None

    def _undo(self) -> None:
        if self._change is not None:
            self._change.undo()
            self._change = None


def grow(file: h5py.File, blocks: Sequence[Block]) -> None:
    """Makes room for the rows of blocks."""
    for block in blocks:
        file[block.name].resize(block.last_row, axis=0)


def _write_block(dataset: h5py.Dataset, block: Block, columns: Columns | None) -> None:
    if columns is None:
        dataset[block.first_row : block.last_row] = block.values.reshape(-1, *dataset.shape[1:])
    else:
        storage.write_columns(dataset, block.first_row, columns[block.name], block.values)


def _places(dataset: h5py.Dataset, block: Block) -> Iterator[tuple[int, int]]:
    """Where in the file the rows of a block lie: start and number of bytes, chunk by chunk."""
    rows, across = dataset.chunks
    row_bytes = across * dataset.dtype.itemsize
    for above in range(block.first_row // rows * rows, block.last_row, rows):
        first, last = max(block.first_row - above, 0), min(block.last_row - above, rows)
        for left in range(0, dataset.shape[1], across):
            chunk = dataset.id.get_chunk_info_by_coord((above, left))
            yield chunk.byte_offset + first * row_bytes, (last - first) * row_bytes
