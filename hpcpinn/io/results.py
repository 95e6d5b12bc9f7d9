"""Writes a result file while a run goes on; `hpcpinn.io.layout` says what is in it.

Rows are kept in memory until `ResultWriter.flush`, which makes them part of the file: rank 0 makes
room, all ranks write their columns, rank 0 writes the tables and, when all that is on its way to
disk, how many rows count. Between flushes the file is closed. Whatever ends the job, what was
flushed before can be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import layout, storage
from hpcpinn.io.fields import Block, FieldStore, PartFields, SharedFields, grow
from hpcpinn.io.layout import FIELDS, SWEEP_COLUMNS, WINDOW_COLUMNS, ProbeSite, ResultHeader

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

__all__ = ["ProbeSite", "ResultHeader", "ResultWriter"]

Rows = Iterable[Mapping[str, Any]]


class ResultWriter:
    """One result file, written by all ranks.

    Creating, resuming, `flush` and `close` are collective over all ranks; the methods that take
    rows only remember them. As a context manager it closes the file as complete, unless an
    exception passes: then it does nothing, since the other ranks may not come along. What was
    flushed stays.

    Attributes:
        path: The file.
        local_pieces: Pieces whose values this rank hands in, in the order of its rows.
        local_probes: Probes on those pieces, increasing: the columns of `probes`.
    """

    def __init__(
        self,
        path: str | Path,
        communicator: "Communicator",
        header: ResultHeader,
        *,
        pieces: Int[ndarray, " n"] | None = None,
        parts: bool | None = None,
    ):
        """Creates the file, replacing an older one. Collective over all ranks.

        Args:
            path: Where; missing directories are made.
            communicator: All ranks.
            header: The same on every rank.
            pieces: Pieces of this rank, in the order in which it will hand in their values;
                by default those that `header.owner` gives it, increasing.
            parts: True for one file per rank joined by virtual datasets, False for one file;
                by default what this h5py can do.

        Raises:
            OutputError: The file cannot be written.
        """
        self._set_up(Path(path), communicator, header, pieces)
        if parts is None:
            parts = communicator.size > 1 and not storage.mpi_hdf5()
        self._choose_store(parts)
        on_root = (communicator, self.path, "")
        storage.on_root(*on_root, _make_directory, self.path.parent)
        storage.on_root(*on_root, layout.create, self.path, header, communicator.size)
        self._store.create()

    @classmethod
    def resume(
        cls,
        path: str | Path,
        communicator: "Communicator",
        header: ResultHeader,
        until: float,
        *,
        pieces: Int[ndarray, " n"] | None = None,
    ) -> "ResultWriter":
        """Opens an existing file to go on from a checkpoint. Collective over all ranks.

        Args:
            path, communicator, header, pieces: As when the file was created; the number of ranks
                and the owners may be others, unless the file is made of one file per rank.
            until: Time of the checkpoint; frames, probe samples and windows after it are dropped.

        Raises:
            InputError: There is no such file, or it belongs to another run or version.
            OutputError: The file cannot be written.
        """
        writer = cls.__new__(cls)
        writer._set_up(Path(path), communicator, header, pieces)
        rewound = storage.on_root(communicator, writer.path, "", _rewind, writer.path, header, communicator.size, until)
        writer._committed, writer._last_time, parts = rewound
        writer._choose_store(parts)
        return writer

    def _set_up(
        self,
        path: Path,
        communicator: "Communicator",
        header: ResultHeader,
        pieces: Int[ndarray, " n"] | None,
    ) -> None:
        if pieces is None:
            pieces = np.flatnonzero(np.asarray(header.owner) == communicator.rank)
        self.path = path
        self.local_pieces = np.asarray(pieces, np.int64)
        probe_piece = np.array([probe.piece for probe in header.probes], np.int64)
        self.local_probes = np.flatnonzero(np.isin(probe_piece, self.local_pieces))
        self._communicator = communicator
        self._order = np.argsort(self.local_pieces)
        self._cells_per_piece = header.cells_per_piece
        self._committed = layout.Committed()
        self._last_time: float | None = None
        self._clear()

    def _choose_store(self, parts: bool) -> None:
        store = PartFields if parts else SharedFields
        self._store: FieldStore = store(self.path, self._communicator, self._columns())

    def _columns(self) -> dict[str, Int[ndarray, " n"]]:
        within = np.arange(self._cells_per_piece)
        sorted_pieces = self.local_pieces[self._order]
        cells = (sorted_pieces[:, None] * self._cells_per_piece + within).ravel()
        return dict.fromkeys(FIELDS, cells) | {f"probes/{name}": self.local_probes for name in FIELDS}

    def _clear(self) -> None:
        self._times: list[float] = []
        self._values: dict[str, list[ndarray]] = {name: [] for name in FIELDS}
        self._probe_times: list[float] = []
        self._probe_values: dict[str, list[ndarray]] = {name: [] for name in FIELDS}
        self._windows: list[Mapping[str, Any]] = []
        self._sweeps: list[Mapping[str, Any]] = []

    def frame(self, time: float, values: Mapping[str, Float[ndarray, "..."]]) -> None:
        """Remembers one frame.

        Args:
            time: User time.
            values: For each of calcium, calbindin (µM) and voltage (mV) this rank's cell
                averages, shape (pieces, cells_per_piece) or the same flattened.
        """
        self._times.append(float(time))
        shape = (len(self.local_pieces), self._cells_per_piece)
        for name in FIELDS:
            ordered = np.asarray(values[name], np.float64).reshape(shape)[self._order]
            self._values[name].append(ordered.reshape(1, -1))

    def probes(self, times: Float[ndarray, " k"], values: Mapping[str, Float[ndarray, "k p"]]) -> None:
        """Remembers probe samples.

        Args:
            times: User times.
            values: For each of calcium, calbindin (µM) and voltage (mV) the samples at
                `local_probes`.
        """
        times = np.asarray(times, np.float64)
        self._probe_times.extend(times.tolist())
        shape = (len(times), len(self.local_probes))
        for name in FIELDS:
            samples = np.array(values[name], np.float64).reshape(shape)
            self._probe_values[name].append(samples)

    def windows(self, rows: Rows) -> None:
        """Remembers what happened in windows; keys as in `layout.WINDOW_COLUMNS`, of rank 0."""
        self._windows.extend(_checked(rows, WINDOW_COLUMNS))

    def sweeps(self, rows: Rows) -> None:
        """Remembers Schwarz sweeps; keys as in `layout.SWEEP_COLUMNS`, of rank 0."""
        self._sweeps.extend(_checked(rows, SWEEP_COLUMNS))

    def flush(self) -> None:
        """Makes everything remembered part of the file. Collective over all ranks.

        Raises:
            OutputError: On all ranks; what was flushed before stays readable.
        """
        kept = self._kept()
        before = self._committed
        blocks = self._blocks("", self._values, before.frames)
        blocks += self._blocks("probes/", self._probe_values, before.samples)
        if blocks:
            self._store.append(blocks, kept)
        tables = [
            _Table(before.frames, {"time": np.array(self._times)}),
            _Table(before.samples, {"probes/time": np.array(self._probe_times)}),
            _table("windows", WINDOW_COLUMNS, before.windows, self._windows),
            _table("sweeps", SWEEP_COLUMNS, before.sweeps, self._sweeps),
        ]
        after = layout.Committed(*(table.last_row for table in tables))
        storage.on_root(self._communicator, self.path, kept, _commit, self.path, tables, after)
        self._committed = self._communicator.broadcast(after)
        if self._times:
            self._last_time = self._times[-1]
        self._clear()

    def _blocks(self, prefix: str, values: dict[str, list[ndarray]], first_row: int) -> list[Block]:
        return [Block(prefix + name, first_row, np.concatenate(rows)) for name, rows in values.items() if rows]

    def _kept(self) -> str:
        if self._last_time is None:
            return ""
        return f" (everything up to time {self._last_time:g} is kept)"

    def close(self, *, complete: bool = True) -> None:
        """Flushes and says whether the run came to its end. Collective over all ranks.

        Raises:
            OutputError: On all ranks; what was flushed before stays readable.
        """
        self.flush()
        storage.on_root(self._communicator, self.path, self._kept(), _set_complete, self.path, complete)

    def __enter__(self) -> "ResultWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()


def _checked(rows: Rows, columns: dict[str, type]) -> list[Mapping[str, Any]]:
    checked = list(rows)
    for row in checked:
        if row.keys() != columns.keys():
            raise ValueError(f"a row needs the keys {sorted(columns)}, got {sorted(row)}")
    return checked


def _make_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class _Table:
    """Rows to append to columns of equal length."""

    first_row: int
    columns: dict[str, ndarray]

    @property
    def last_row(self) -> int:
        return self.first_row + len(next(iter(self.columns.values())))


def _table(group: str, kinds: dict[str, type], first_row: int, rows: list[Mapping[str, Any]]) -> _Table:
    columns: dict[str, ndarray] = {
        f"{group}/{name}": np.array([row[name] for row in rows], kind) for name, kind in kinds.items()
    }
    return _Table(first_row, columns)


def _commit(path: Path, tables: list[_Table], after: layout.Committed) -> None:
    grow(path, {name: table.last_row for table in tables for name in table.columns})
    with storage.open_serial(path) as file:
        for table in tables:
            for name, values in table.columns.items():
                file[name][table.first_row : table.last_row] = values
    with storage.open_serial(path) as file:
        file["committed"][:] = after


def _set_complete(path: Path, complete: bool) -> None:
    with storage.open_serial(path) as file:
        file.attrs["complete"] = complete


def _rewind(path: Path, header: ResultHeader, ranks: int, until: float) -> tuple[layout.Committed, float | None, bool]:
    """Drops what is later than `until`.

    Returns:
        How many rows stay, the time of the last frame, and whether the fields lie in one file
        per rank.
    """
    with storage.open_existing(path, layout.FORMAT, layout.FORMAT_VERSION) as file:
        _check_same_run(path, file, header)
        parts = file["calcium"].is_virtual
        if ranks > 1 or parts:
            _check_layout(path, file, header, ranks, parts)
        stay, last_time = _until(file, until)
    with storage.open_serial(path) as file:
        file["committed"][:] = stay
        for group, rows in zip(("/", "probes", "windows", "sweeps"), stay, strict=True):
            _truncate(file[group], rows)
        file["pieces/owner"][:] = header.owner
        file.attrs["ranks"] = ranks
        file.attrs["complete"] = False
    return stay, last_time, parts


def _until(file: h5py.File, until: float) -> tuple[layout.Committed, float | None]:
    """How many of the rows that count belong to times up to `until`, and the last frame's time."""
    late = until + 1e-9 * max(1.0, abs(until))
    before = layout.Committed(*file["committed"][:].tolist())
    time = file["time"][: before.frames]
    end = file["windows/start"][: before.windows] + file["windows/length"][: before.windows]
    windows = int(np.sum(end <= late))
    stay = layout.Committed(
        frames=int(np.sum(time <= late)),
        samples=int(np.sum(file["probes/time"][: before.samples] <= late)),
        windows=windows,
        sweeps=int(np.sum(file["sweeps/window"][: before.sweeps] < windows)),
    )
    return stay, float(time[stay.frames - 1]) if stay.frames else None


def _truncate(group: h5py.Group, rows: int) -> None:
    for dataset in group.values():
        grows = isinstance(dataset, h5py.Dataset) and dataset.chunks is not None
        if grows and len(dataset) > rows:
            dataset.resize(rows, axis=0)


def _check_same_run(path: Path, file: h5py.File, header: ResultHeader) -> None:
    cable = header.cable
    pairs = {
        "cells_per_piece": (file.attrs["cells_per_piece"], header.cells_per_piece),
        "number of pieces": (len(file["pieces/length"]), cable.n_frusta),
        "probes": (len(file["probes/name"]), len(header.probes)),
    }
    for what, (found, wanted) in pairs.items():
        if found != wanted:
            raise InputError(
                f"{path}: {what} is {found} in the file and {wanted} in this run; resume with the "
                "run description that made it, or set run.output to another file"
            )
    if not np.array_equal(file["pieces/length"][:], cable.length):
        raise InputError(
            f"{path}: the pieces have other lengths than in this run; resume with the run "
            "description that made it, or set run.output to another file"
        )


def _check_layout(path: Path, file: h5py.File, header: ResultHeader, ranks: int, parts: bool) -> None:
    before = int(file.attrs["ranks"])
    same_ranks = before == ranks and np.array_equal(file["pieces/owner"][:], header.owner)
    if parts and not same_ranks:
        raise InputError(
            f"{path}: was written as one file per rank by {before} ranks, which other ranks cannot "
            f"continue; resume on {before} ranks with the same partition, or start without --resume"
        )
    if not parts and not storage.mpi_hdf5():
        raise InputError(
            f"{path}: was written as one file, which {ranks} ranks cannot continue without an h5py "
            "built with MPI; resume on 1 rank, or run scripts/setup.sh"
        )
