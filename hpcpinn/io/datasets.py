"""Writes and reads what `hpcpinn.io.schema` declares, dataset by dataset, with units and descriptions."""

import datetime
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.io.schema import SECONDS, Dataset

FRAMES_PER_CHUNK = 16
VALUES_PER_CHUNK = 2048
"""Of a frame."""
ROWS_PER_CHUNK = 256

TYPES: dict[type, Any] = {float: np.float64, int: np.int64, bool: np.bool_}


def write(file: h5py.File, declared: Iterable[Dataset], values: Mapping[str, Any], *, has_units: bool = True) -> None:
    """Writes what is declared and given.

    Args:
        file: HDF5 file, open for writing.
        declared: Datasets that there may be.
        values: Values by the name of the dataset; what is missing or None is left out.
        has_units: False for a dimensionless run.

    Raises:
        ValueError: There is a value that nobody declared.
    """
    declared = tuple(declared)
    if strange := values.keys() - {entry.name for entry in declared}:
        raise ValueError(f"not declared: {', '.join(sorted(strange))}")
    for entry in declared:
        value = values.get(entry.name)
        if value is None:
            continue
        if entry.kind is str and entry.axes:
            _write_strings(file, entry.name, list(value))
        else:
            file[entry.name] = value if entry.kind is str else np.asarray(value, TYPES[entry.kind])
        describe(file[entry.name], entry, has_units=has_units)


def read(file: h5py.File, declared: Iterable[Dataset]) -> dict[str, Any]:
    """What a file has of the declared datasets, by name: arrays, tuples of strings, or a text."""
    return {entry.name: _value(file[entry.name], entry) for entry in declared if entry.name in file}


def _value(dataset: h5py.Dataset, entry: Dataset) -> Any:
    if entry.kind is not str:
        return np.asarray(dataset[()])
    return tuple(dataset.asstr()[:]) if entry.axes else str(dataset.asstr()[()])


def describe(dataset: h5py.Dataset, entry: Dataset, *, has_units: bool = True) -> None:
    """Says beside a dataset what it is and in which unit."""
    if entry.unit and (has_units or entry.unit == SECONDS):
        dataset.attrs["units"] = entry.unit
    if entry.what:
        dataset.attrs["description"] = entry.what


def growing(file: h5py.File, entry: Dataset, shape: tuple[int, ...] = (), *, has_units: bool = True) -> h5py.Dataset:
    """An empty dataset that grows along its first axis; `shape` is the shape of one row."""
    rows = FRAMES_PER_CHUNK if shape and "/" not in entry.name else ROWS_PER_CHUNK
    dataset = file.create_dataset(
        entry.name,
        shape=(0, *shape),
        maxshape=(None,) * (1 + len(shape)),
        chunks=(rows, *chunk_of(shape)),
        dcpl=_growing_properties(),
        dtype=TYPES[entry.kind],
    )
    describe(dataset, entry, has_units=has_units)
    return dataset


def chunk_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The part of a row that lies together on disk: the last axes, as far as a chunk goes, in equal parts."""
    chunk: list[int] = []
    left = VALUES_PER_CHUNK
    for extent in reversed(shape):
        parts = max(1, -(-extent // max(1, left)))
        chunk.insert(0, max(1, -(-extent // parts)))
        left //= chunk[0]
    return tuple(chunk)


def _growing_properties() -> h5py.h5p.PropDCID:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    # Chunks get their place when the root grows the dataset, so that the collective write that
    # follows changes nothing but raw data; rows are never read before they are written.
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return properties


def _write_strings(file: h5py.File, name: str, values: list[str]) -> None:
    """Strings as fixed-length UTF-8, which every HDF5 reader and driver takes."""
    encoded = [value.encode() for value in values]
    width = max([1, *(len(value) for value in encoded)])
    file[name] = np.array(encoded, h5py.string_dtype("utf-8", width))


def text_in(file: h5py.File, name: str) -> tuple[str, ...]:
    """The strings of a dataset."""
    return tuple(file[name].asstr()[:])


def write_origin(file: h5py.File, kind: str, version: int) -> None:
    """Writes what kind of file it is, and by what and when it was made."""
    file.attrs["format"] = kind
    file.attrs["format_version"] = version
    file.attrs["hpcpinn"] = __version__
    file.attrs["created"] = datetime.datetime.now(datetime.UTC).isoformat()
    file.attrs["git"] = git_revision()


def git_revision(folder: Path = Path(__file__).parent) -> str:
    """Commit of a checkout, the one that runs ("+" appended when it has changes); "" if there is none.

    Nothing is written there: `git describe --dirty` takes the index's lock, and leaves it on a full disk.
    """
    status = ["git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(
            [*status, "--untracked-files=no"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    is_changed = any(not line.startswith("#") for line in lines)
    return "" if commit == "(initial)" else commit + "+" * is_changed


def plain(value: Any) -> Any:
    """An attribute as a Python value."""
    return value.item() if isinstance(value, np.generic) else value


def columns_in(group: h5py.Group, rows: int) -> dict[str, Shaped[ndarray, " rows"]]:
    """The first rows of all columns of a table."""
    return {name: column[:rows] for name, column in group.items()}
