"""Writes a result file while a run goes on; `hpcpinn.io.layout` says what is in it.

Rows are kept in memory until `ResultWriter.flush`, which makes them part of the file in one change
(`hpcpinn.io.change`): room for them, the columns of all ranks, the tables, and how many rows count. Between flushes the
file is closed, and sealed. Whatever ends the job, what was flushed before can be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, layout, schema, storage
from hpcpinn.io.change import Transaction, journal_path, recover
from hpcpinn.io.datasets import TYPES
from hpcpinn.io.geometry import differing, geometry_in
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.schema import Dataset
from hpcpinn.io.seal import Sealed, verified
from hpcpinn.io.stores import Block, FieldStore, RootFields, SharedFields

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

Rows = Iterable[Mapping[str, Any]]


class ResultWriter:
    """One result file, written by all ranks.

    Creating, resuming, `flush` and `close` are collective over all ranks; the methods that take
    rows only remember them. As a context manager it closes the file as complete, unless an
    exception passes: then it does nothing, since the other ranks may not come along. What was
    flushed stays.

    Attributes:
        path: The file.
        local_pieces: Pieces whose values this rank hands in, increasing. Where the geometry has no
            owners, rank 0 hands in whole frames.
        local_probes: Probes that this rank hands in, increasing: the columns of `probes`.
    """

    def __init__(
        self,
        path: str | Path,
        communicator: "Communicator",
        header: ResultHeader,
        *,
        gathered: bool | None = None,
    ):
        """Creates the file, replacing an older one and its checkpoint. Collective over all ranks.

        Args:
            path: Path of the file; missing directories are made.
            communicator: All ranks.
            header: Facts about the run, the same on every rank.
            gathered: Whether rank 0 writes for all; by default where there is one rank, this h5py cannot do
                otherwise, or rank 0 hands in all.

        Raises:
            OutputError: The file cannot be written.
        """
        self._set_up(Path(path), communicator, header)
        sealed = storage.on_root(communicator, self.path, "", _create, self.path, header, communicator.size)
        self._choose_store(sealed, gathered)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        communicator: "Communicator",
        header: ResultHeader,
        until: float,
    ) -> "ResultWriter":
        """Opens an existing file to go on from a checkpoint. Collective over all ranks.

        Args:
            path, communicator, header: File, ranks and facts as when the file was created; the number of ranks and the
                owners may be others.
            until: Time of the checkpoint; frames, probe samples and windows after it are dropped.

        Raises:
            InputError: There is no such file, or it belongs to another run or version.
            OutputError: The file cannot be written.
        """
        writer = cls.__new__(cls)
        writer._set_up(Path(path), communicator, header)
        rewound = storage.on_root(communicator, writer.path, "", _rewind, writer.path, header, communicator.size, until)
        writer._committed, writer._last_time, sealed = rewound
        writer._choose_store(sealed)
        return writer

    def _set_up(self, path: Path, communicator: "Communicator", header: ResultHeader) -> None:
        owner, is_root = header.geometry.pieces, communicator.rank == 0
        if owner is None:
            self.local_pieces = np.arange(header.n_values if is_root else 0)
        else:
            self.local_pieces = np.flatnonzero(np.asarray(owner) == communicator.rank)
        self.path = path
        places = header.geometry.probe_places(header.probes)
        if "piece" in places:
            self.local_probes = np.flatnonzero(np.isin(places["piece"], self.local_pieces))
        else:
            self.local_probes = np.arange(len(header.probes) if is_root else 0)
        self._communicator = communicator
        self._by_root = owner is None
        self._is_idle = owner is None and not is_root
        self._header = header
        self._names = tuple(field.name for field in header.fields)
        self._committed = layout.Committed()
        self._last_time: float | None = None
        self._clear()

    def _choose_store(self, sealed: Sealed, gathered: bool | None = None) -> None:
        if gathered is None:
            gathered = self._communicator.size == 1 or not storage.mpi_hdf5()
        store = RootFields if gathered or self._by_root else SharedFields
        self._store: FieldStore = store(
            self.path, self._communicator, None if self._by_root else self._columns(), sealed
        )

    def _columns(self) -> dict[str, Int[ndarray, " n"]]:
        per = self._header.geometry.values_per_piece
        columns = (self.local_pieces[:, None] * per + np.arange(per)).ravel()
        return dict.fromkeys(self._names, columns) | {f"probes/{name}": self.local_probes for name in self._names}

    def _clear(self) -> None:
        self._times: list[float] = []
        self._values: dict[str, list[ndarray]] = {name: [] for name in self._names}
        self._probe_times: list[float] = []
        self._probe_values: dict[str, list[ndarray]] = {name: [] for name in self._names}
        self._windows: list[Mapping[str, Any]] = []
        self._sweeps: list[Mapping[str, Any]] = []

    def frame(self, time: float, values: Mapping[str, Float[ndarray, "..."]]) -> None:
        """Remembers one frame.

        Args:
            time: User time.
            values: Values of this rank for each field in the order of `local_pieces`, as (pieces, values per piece) or
                flattened. Where the geometry has no owners, the whole frame on rank 0; nobody looks at what other ranks
                hand in, and they need not.
        """
        if self._is_idle:
            return
        self._times.append(float(time))
        shape = (1, len(self.local_pieces) * self._header.geometry.values_per_piece)
        for name in self._names:
            self._values[name].append(np.array(values[name], np.float64).reshape(shape))

    def probes(self, times: Float[ndarray, " k"], values: Mapping[str, Float[ndarray, "k p"]]) -> None:
        """Remembers probe samples.

        Args:
            times: User times.
            values: Samples of each field at `local_probes`, (k, p).
        """
        if self._is_idle:
            return
        times = np.asarray(times, np.float64)
        self._probe_times.extend(times.tolist())
        shape = (len(times), len(self.local_probes))
        for name in self._names:
            samples = np.array(values[name], np.float64).reshape(shape)
            self._probe_values[name].append(samples)

    def windows(self, rows: Rows) -> None:
        """Remembers what happened in windows; keys are the columns that the header names, of rank 0."""
        self._windows.extend(_checked(rows, self._header.windows))

    def sweeps(self, rows: Rows) -> None:
        """Remembers Schwarz sweeps; keys as in `schema.SWEEPS`, of rank 0."""
        self._sweeps.extend(_checked(rows, schema.SWEEPS))

    def flush(self) -> None:
        """Makes everything remembered part of the file. Collective over all ranks.

        Raises:
            OutputError: On all ranks; what was flushed before stays readable.
        """
        self._append(None)

    def _append(self, complete: bool | None) -> None:
        """Makes everything remembered part of the file, and whether the run came to its end where that is known."""
        before = self._committed
        blocks = self._blocks("", self._values, before.frames)
        blocks += self._blocks("probes/", self._probe_values, before.samples)
        tables = [
            _Table(before.frames, {"time": np.array(self._times)}),
            _Table(before.samples, {"probes/time": np.array(self._probe_times)}),
            _table("windows", self._header.windows, before.windows, self._windows),
            _table("sweeps", schema.SWEEPS, before.sweeps, self._sweeps),
        ]
        after = layout.Committed(*(table.last_row for table in tables))
        self._store.append(blocks, partial(_finish, tables, after, complete), self._kept())
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
        self._append(complete)

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


def _checked(rows: Rows, columns: tuple[Dataset, ...]) -> list[Mapping[str, Any]]:
    checked, names = list(rows), {entry.name for entry in columns}
    for row in checked:
        if row.keys() != names:
            raise ValueError(f"a row needs the keys {sorted(names)}, got {sorted(row)}")
    return checked


def _create(path: Path, header: ResultHeader, ranks: int) -> Sealed:
    def forget() -> None:
        """What belongs to the older result must not be taken for this one's."""
        for old in (*checkpoint.paths_of(path), journal_path(path)):
            storage.remove(old)

    with storage.replacing(path, first=forget) as file:
        layout.create(file, header, ranks)
    return verified(path)


@dataclass(frozen=True)
class _Table:
    """Rows to append to columns of equal length."""

    first_row: int
    columns: dict[str, ndarray]

    @property
    def last_row(self) -> int:
        return self.first_row + len(next(iter(self.columns.values())))


def _table(group: str, declared: tuple[Dataset, ...], first_row: int, rows: list[Mapping[str, Any]]) -> _Table:
    columns: dict[str, ndarray] = {
        f"{group}/{entry.name}": np.array([row[entry.name] for row in rows], TYPES[entry.kind]) for entry in declared
    }
    return _Table(first_row, columns)


def _finish(tables: list[_Table], after: layout.Committed, complete: bool | None, file: h5py.File) -> None:
    for table in tables:
        for name, values in table.columns.items():
            if len(values):
                file[name].resize(table.last_row, axis=0)
                file[name][table.first_row : table.last_row] = values
    file["committed"][:] = after
    if complete is not None:
        file.attrs["complete"] = complete


def _rewind(
    path: Path, header: ResultHeader, ranks: int, until: float
) -> tuple[layout.Committed, float | None, Sealed]:
    """Drops what is later than `until`.

    Returns:
        How many rows stay, the time of the last frame, and the file as it is left.
    """
    if path.is_file():
        recover(path)
    with storage.open_existing(path, schema.FORMAT, schema.FORMAT_VERSION) as file:
        _check_same_run(path, file, header)
        stay, last_time = _until(path, file, until)
    change = Transaction(path, verified(path))
    try:
        with change.edit() as file:
            file["committed"][:] = stay
            for group, rows in zip(("/", "probes", "windows", "sweeps"), stay, strict=True):
                _truncate(file[group], rows)
            for name, values in header.geometry.owners.items():
                if name in file:
                    file[name][:] = values
            layout.redescribe(file, header)
            file.attrs["ranks"] = ranks
            file.attrs["complete"] = False
        return stay, last_time, change.commit()
    except BaseException:
        change.undo()
        raise


def _until(path: Path, file: h5py.File, until: float) -> tuple[layout.Committed, float | None]:
    """How many of the rows that count belong to times up to `until`, and the last frame's time.

    Raises:
        InputError: The file ends before.
    """
    rounding = 1e-9 * max(1.0, abs(until))
    late = until + rounding
    before = layout.Committed(*file["committed"][:].tolist())
    time = file["time"][: before.frames]
    end = file["windows/start"][: before.windows] + file["windows/length"][: before.windows]
    windows = int(np.sum(end <= late))
    reached = float(end[windows - 1]) if windows else 0.0
    if reached < until - rounding:
        raise InputError(
            f"{path}: ends at {reached:g}, before its checkpoint at {until:g}; restore the two together, or start "
            "without --resume"
        )
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
    found = geometry_in(file).difference(header.geometry) or differing({
        "fields": (_listed(field.name for field in layout.fields_in(file)), _listed(f.name for f in header.fields)),
        "columns of windows": (_listed(sorted(file["windows"])), _listed(sorted(w.name for w in header.windows))),
        "probes": (len(file["probes/name"]), len(header.probes)),
    })  # fmt: skip
    if found:
        raise InputError(
            f"{path}: {found}; resume with the run description that made it, or set run.output to another file"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
