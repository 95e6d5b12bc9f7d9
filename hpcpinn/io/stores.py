"""Three ways to keep what the ranks record: one shared file, a file per rank under a virtual one, or rank 0 alone.

All append blocks of rows to datasets whose columns belong to ranks; how many rows count is for
`hpcpinn.io.results` to say.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.io import datasets, storage
from hpcpinn.io.schema import Dataset

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


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
    """Where the recorded fields go. All methods are collective over all ranks."""

    @abstractmethod
    def create(self) -> None:
        """Prepares the fields in a main file that exists already."""

    @abstractmethod
    def append(self, blocks: list[Block], kept: str) -> None:
        """Writes rows; `kept` ends the message when that fails (`storage.on_root`).

        Raises:
            OutputError: On all ranks; rows written before are safe.
        """


@dataclass(frozen=True)
class SharedFields(FieldStore):
    """All ranks write into the main file, through MPI where there are several.

    Attributes:
        path: The main file.
        communicator: All ranks.
        columns: Increasing columns that this rank owns, by dataset.
    """

    path: Path
    communicator: "Communicator"
    columns: dict[str, Int[ndarray, " n"]]

    def create(self) -> None:
        """Nothing to prepare: `layout.create` made the datasets."""

    def append(self, blocks: list[Block], kept: str) -> None:
        extents = {block.name: block.last_row for block in blocks}
        storage.on_root(self.communicator, self.path, kept, grow, self.path, extents)
        storage.together(self.communicator, self.path, kept, self._write, blocks)

    def _write(self, blocks: list[Block]) -> None:
        with storage.open_shared(self.path, self.communicator) as file:
            for block in blocks:
                columns = self.columns[block.name]
                storage.write_columns(file[block.name], block.first_row, columns, block.values)


@dataclass(frozen=True)
class RootFields(FieldStore):
    """Rank 0 writes whole frames into the main file; other ranks have nothing to hand in.

    Attributes:
        path: The main file.
        communicator: All ranks.
    """

    path: Path
    communicator: "Communicator"

    def create(self) -> None:
        """Nothing to prepare: `layout.create` made the datasets."""

    def append(self, blocks: list[Block], kept: str) -> None:
        storage.on_root(self.communicator, self.path, kept, self._write, blocks)

    def _write(self, blocks: list[Block]) -> None:
        if not blocks:
            return
        grow(self.path, {block.name: block.last_row for block in blocks})
        with storage.open_serial(self.path) as file:
            for block in blocks:
                dataset = file[block.name]
                dataset[block.first_row : block.last_row] = block.values.reshape(-1, *dataset.shape[1:])


@dataclass(frozen=True)
class PartFields(FieldStore):
    """Each rank writes its own file; the main file joins them as virtual datasets.

    Attributes:
        path: The main file.
        communicator: All ranks.
        columns: Increasing columns that this rank owns, by dataset.
    """

    path: Path
    communicator: "Communicator"
    columns: dict[str, Int[ndarray, " n"]]

    def create(self) -> None:
        storage.together(self.communicator, self.path, "", self._create_part)
        columns = self.communicator.share(self.columns)
        storage.on_root(self.communicator, self.path, "", _join_parts, self.path, columns)

    def append(self, blocks: list[Block], kept: str) -> None:
        storage.together(self.communicator, self.path, kept, self._write, blocks)

    def _create_part(self) -> None:
        with h5py.File(part_path(self.path, self.communicator.rank), "w") as file:
            for name, columns in self.columns.items():
                datasets.growing(file, Dataset(name, "", ""), (len(columns),))

    def _write(self, blocks: list[Block]) -> None:
        part = part_path(self.path, self.communicator.rank)
        grow(part, {block.name: block.last_row for block in blocks})
        with storage.open_serial(part) as file:
            for block in blocks:
                columns = np.arange(block.values.shape[1])
                storage.write_columns(file[block.name], block.first_row, columns, block.values)


def part_path(path: Path, rank: int) -> Path:
    """File that holds the fields of one rank, beside the main file."""
    return path.with_name(f"{path.stem}.rank{rank:05d}{path.suffix}")


def grow(path: Path, extents: dict[str, int]) -> None:
    """Makes room for so many rows in each of the named datasets, on disk first. Serial.

    Raises:
        OSError: No room; the file is as it was.
    """
    with storage.open_serial(path, "r") as file:
        needed = sum(storage.growth_bytes(file[name], rows) for name, rows in extents.items())
    storage.reserve(path, needed)
    with storage.open_serial(path) as file:
        for name, rows in extents.items():
            file[name].resize(rows, axis=0)


def _join_parts(path: Path, columns: list[dict[str, Int[ndarray, " n"]]]) -> None:
    with storage.open_serial(path) as file:
        for name in columns[0]:
            width = file[name].shape[1]
            units = dict(file[name].attrs)
            joined = h5py.VirtualLayout((1, width), np.float64, maxshape=(None, width))
            for rank, owned in enumerate(columns):
                _map_part(joined, part_path(path, rank).name, name, owned[name])
            del file[name]
            file.create_virtual_dataset(name, joined, fillvalue=np.nan).attrs.update(units)


def _map_part(joined: h5py.VirtualLayout, part: str, name: str, columns: Int[ndarray, " n"]) -> None:
    # One row is declared, since HDF5 takes an empty selection for one that never grows.
    source = h5py.VirtualSource(part, name, (1, len(columns)), maxshape=(None, len(columns)))
    unlimited = h5py.h5s.UNLIMITED
    first = 0
    for start, count in storage.runs(columns):
        joined[:unlimited, start : start + count] = source[:unlimited, first : first + count]
        first += count
