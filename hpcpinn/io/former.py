"""Results of an older version, written anew as this one writes them. Serial."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import storage
from hpcpinn.io.datasets import columns_in
from hpcpinn.io.layout import Committed, ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel import stopping

_AT_ONCE = 256
"""Frames that are copied together."""
_KEPT = ("hpcpinn", "git", "created", "ranks")
"""Attributes that say by what a run was computed, and when."""


@dataclass(frozen=True)
class Former:
    """What an open result of an older version holds.

    Attributes:
        header: What it knew before its first frame, as if one rank had computed it.
        owners: Ranks that computed the parts, by the names of today's datasets.
        committed: Rows that count; frames are datasets of the names of fields, as today.
    """

    header: ResultHeader
    owners: Mapping[str, Int[ndarray, " n"]]
    committed: Committed


def convert(old: Path, new: Path, read: Callable[[h5py.File], Former]) -> None:
    """Writes a result anew.

    Args:
        old: Result of an older version; left as it is.
        new: Place of the new one, where there is none yet.
        read: Reads what the old one holds.

    Raises:
        InputError: The old one is damaged or lies in several files, or there is something in the place of the new one.
        OutputError: The new one cannot be written.
    """
    if new.exists():
        raise InputError(f"{new}: is there already; give a name that is free")
    stopping.keeping(f"{old} is as it was, and {new} is not there")
    unfinished = new.with_name(f"{new.name}.unfinished")
    with stopping.leaving(partial(storage.remove, unfinished)):
        _convert(old, unfinished, read)
        os.replace(unfinished, new)


def _convert(old: Path, new: Path, read: Callable[[h5py.File], Former]) -> None:
    try:
        with storage.open_serial(old, "r") as file:
            storage.check_self_contained(old, file)
            former = read(file)
            _copy(file, former, new)
            attributes = {name: file.attrs[name] for name in _KEPT if name in file.attrs}
    except storage.UNREADABLE as error:
        storage.remove(new)
        raise InputError(f"{old}: cannot be converted, it is truncated or damaged; restore it from a copy") from error
    with storage.replacing(new, changes=True) as file:
        file.attrs.update(attributes)
        for name, values in former.owners.items():
            file[name][:] = values


def _copy(file: h5py.File, former: Former, new: Path) -> None:
    from hpcpinn.parallel.communicator import SerialCommunicator  # loads JAX

    header, rows = former.header, former.committed
    names = [field.name for field in header.fields]
    writer = ResultWriter(new, SerialCommunicator(), header)
    for first in range(0, rows.frames, _AT_ONCE):
        times = file["time"][first : min(first + _AT_ONCE, rows.frames)]
        values = {name: file[name][first : first + len(times)] for name in names}
        for number, time in enumerate(times):
            writer.frame(float(time), {name: of_field[number] for name, of_field in values.items()})
        writer.flush()
    if header.probes:
        samples = {name: file[f"probes/{name}"][: rows.samples] for name in names}
        writer.probes(file["probes/time"][: rows.samples], samples)
    writer.windows(_rows(file, "windows", rows.windows))
    if "sweeps" in file:
        writer.sweeps(_rows(file, "sweeps", rows.sweeps))
    writer.close(complete=bool(file.attrs["complete"]))


def _rows(file: h5py.File, table: str, count: int) -> list[dict[str, float]]:
    columns = columns_in(file[table], count)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
