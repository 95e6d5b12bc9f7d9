"""Inputs travel with a result: small files whole, of large ones what identifies them."""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcpinn.config.inputs import digest_of
from hpcpinn.errors import InputError
from hpcpinn.io import datasets, schema, storage
from hpcpinn.wording import bytes_of

MOST_KEPT = 1 << 25
"""Bytes of a file that is kept whole."""


@dataclass(frozen=True)
class KeptInput:
    """A file that a run has read.

    Attributes:
        key: Dotted key of the description that names it.
        name: Name of the file, as the description has it.
        digest: Digest of its contents.
        size: Size of it, bytes.
        start: Place of its contents among those of all files that are kept whole, bytes; −1 where it is not.
    """

    key: str
    name: str
    digest: str
    size: int
    start: int


def write_inputs(file: h5py.File, names: Mapping[str, str]) -> None:
    """Keeps the files that a description names, by dotted key. Serial.

    Raises:
        OSError: One cannot be read.
    """
    kept, contents, end = [], [], 0
    for key, name in names.items():
        path = Path(name).expanduser()
        size = path.stat().st_size
        is_whole = size <= MOST_KEPT
        kept.append(KeptInput(key, name, digest_of(path) or "", size, end if is_whole else -1))
        if is_whole:
            contents.append(np.frombuffer(path.read_bytes(), np.uint8))
            end += size
    columns = {f"inputs/{column}": [getattr(one, column) for one in kept] for column in KeptInput.__dataclass_fields__}
    datasets.write(file, schema.INPUTS, columns)
    if end:
        file.create_dataset(schema.CONTENTS.name, data=np.concatenate(contents), compression="gzip", shuffle=True)
        datasets.describe(file[schema.CONTENTS.name], schema.CONTENTS)


def inputs_in(file: h5py.File) -> list[KeptInput]:
    """What is kept of the files that a run has read; nothing in results of older versions."""
    columns = datasets.read(file, schema.INPUTS)
    rows = zip(*(columns.get(entry.name, ()) for entry in schema.INPUTS), strict=True)
    return [KeptInput(key, name, digest, int(size), int(start)) for key, name, digest, size, start in rows]


@contextmanager
def restored(path: Path, document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The description of a result whose files are those that the run has read, while it lasts. Serial.

    Args:
        path: Path of the result.
        document: Description that it holds, as plain values.

    Raises:
        InputError: A file that is not kept whole is gone, or another one by now.
    """
    changed = deepcopy(dict(document))
    with tempfile.TemporaryDirectory(prefix="hpcpinn-") as folder:
        for key, place in put_back(path, Path(folder)).items():
            *above, last = (int(part) if part.isdecimal() else part for part in key.split("."))
            holder: Any = changed
            for part in above:
                holder = holder[part]
            holder[last] = str(place)
        yield changed


def put_back(path: Path, folder: Path, keys: Collection[str] | None = None) -> dict[str, Path]:
    """Places where the files lie that a run has read: those that its result keeps, in a folder. Serial.

    Args:
        path: Path of the result.
        folder: Folder for the files.
        keys: Dotted keys of those that are wanted; None for all.

    Returns:
        Places by dotted key.

    Raises:
        InputError: A file that is not kept whole is gone, or another one by now.
    """
    places = {}
    with storage.open_existing(path, schema.FORMAT, schema.FORMAT_VERSION) as file:
        for number, one in enumerate(inputs_in(file)):
            if keys is not None and one.key not in keys:
                continue
            if one.start < 0:
                _check_unchanged(path, one)
                continue
            place = folder / str(number) / Path(one.name).name
            place.parent.mkdir(parents=True, exist_ok=True)
            whole = one.start + one.size
            contents: bytes = file[schema.CONTENTS.name][one.start : whole].tobytes() if one.size else b""
            unfinished = place.with_name(f"{place.name}.{os.getpid()}")  # every rank may do so
            unfinished.write_bytes(contents)
            os.replace(unfinished, place)
            places[one.key] = place
    return places


def _check_unchanged(path: Path, one: KeptInput) -> None:
    now = Path(one.name).expanduser()
    if digest_of(now) != one.digest:
        found = "has changed since the run" if now.is_file() else "is not there"
        raise InputError(
            f"{path}: {one.name} ({one.key}; {bytes_of(one.size)}, too large to be kept whole) {found}; restore it"
        )
