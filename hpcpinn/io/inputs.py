"""Inputs travel with a result: small files whole, of large ones what was taken from them and what identifies them."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcpinn.config.inputs import as_taken, digest_of
from hpcpinn.config.load import Origin, put
from hpcpinn.errors import InputError
from hpcpinn.io import datasets, schema, storage
from hpcpinn.wording import bytes_of

MOST_KEPT = 1 << 25
"""Bytes of a file that is kept whole."""
MOST_NEEDED = 1 << 28
"""Bytes of a file that is kept whole where nothing less would do; compressed, as all are."""


@dataclass(frozen=True)
class KeptInput:
    """A file that has been read for a result.

    Attributes:
        key: Dotted key of the description that names it.
        name: Name of the file, as the description has it.
        digest: Digest of its contents.
        size: Size of it, bytes.
        start: Place of what is kept among what is kept of all, bytes; −1 where nothing is.
        kept: Size of what is kept: all of the file, or a small file in its place, bytes.
    """

    key: str
    name: str
    digest: str
    size: int
    start: int
    kept: int

    @property
    def is_whole(self) -> bool:
        """Whether all of it is kept."""
        return self.start >= 0 and self.kept == self.size


@dataclass(frozen=True)
class KeptInputs:
    """Files that have been read for a result.

    Attributes:
        files: What is known of each.
        contents: What is kept of all, one after the other.
    """

    files: tuple[KeptInput, ...] = ()
    contents: bytes = b""


def _all_of_it(key: str) -> None:
    """Nothing less would do."""


@dataclass(frozen=True)
class InputFiles:
    """Files that a description names.

    Attributes:
        names: Names by dotted key.
        taken: Makes of a large file, by its key, a small text file (with comments after #) that serves in its place;
            None where all of it is needed.
        most: Size up to which a file is kept whole, bytes.
        most_needed: Size up to which it is kept where all of it is needed, bytes.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    taken: Callable[[str], bytes | None] = _all_of_it
    most: int = field(default_factory=lambda: MOST_KEPT)
    most_needed: int = field(default_factory=lambda: MOST_NEEDED)

    def read(self) -> KeptInputs:
        """What is to be kept of them, as they are now. Serial.

        Raises:
            OSError: One cannot be read.
        """
        files, parts, end = [], list[bytes](), 0
        for key, name in self.names.items():
            path = Path(name).expanduser()
            size, digest = path.stat().st_size, digest_of(path) or ""
            taken = None if size <= self.most else self.taken(key)
            if taken is not None:
                kept: bytes | None = as_taken(taken, digest)
            else:
                kept = path.read_bytes() if size <= max(self.most, self.most_needed) else None
            if kept is None:
                files.append(KeptInput(key, name, digest, size, -1, 0))
                continue
            files.append(KeptInput(key, name, digest, size, end, len(kept)))
            parts.append(kept)
            end += len(kept)
        return KeptInputs(tuple(files), b"".join(parts))


@dataclass(frozen=True)
class Destination:
    """Where a result goes that is written once, at the end of the work.

    Attributes:
        path: The result file.
        inputs: Files that were read for it.
    """

    path: str | Path
    inputs: KeptInputs = KeptInputs()


def write_inputs(file: h5py.File, inputs: KeptInputs) -> None:
    """Keeps in a result what is to be kept. Serial."""
    names = KeptInput.__dataclass_fields__
    datasets.write(
        file, schema.INPUTS, {f"inputs/{name}": [getattr(one, name) for one in inputs.files] for name in names}
    )
    if inputs.contents:
        bytes_ = np.frombuffer(inputs.contents, np.uint8)
        file.create_dataset(schema.CONTENTS.name, data=bytes_, compression="gzip", shuffle=True)
        datasets.describe(file[schema.CONTENTS.name], schema.CONTENTS)


def inputs_in(file: h5py.File) -> list[KeptInput]:
    """What is known of the files that were read for a result; nothing in results of older versions."""
    columns = datasets.read(file, schema.INPUTS)
    if columns and "inputs/kept" not in columns:  # only whole ones were kept
        columns["inputs/kept"] = np.where(columns["inputs/start"] < 0, 0, columns["inputs/size"])
    rows = zip(*(columns.get(entry.name, ()) for entry in schema.INPUTS), strict=True)
    return [KeptInput(key, name, digest, *map(int, numbers)) for key, name, digest, *numbers in rows]


@contextmanager
def restored(path: Path, document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The description of a result whose files are those that were read for it, while it lasts. Serial.

    Args:
        path: Path of the result.
        document: Description that it holds, as plain values.

    Raises:
        InputError: A file of which nothing is kept is gone, or another one by now.
    """
    changed = deepcopy(dict(document))
    with tempfile.TemporaryDirectory(prefix="hpcpinn-") as folder:
        for key, place in put_back(path, Path(folder)).items():
            put(
                changed,
                tuple(int(part) if part.isdecimal() else part for part in key.split(".")),
                str(place),
                Origin(),
                "",
            )
        yield changed


def put_back(path: Path, folder: Path, wanted: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Places where the files lie that were read for a result: those that it keeps, in a folder. Serial.

    Args:
        path: Path of the result.
        folder: Folder for the files.
        wanted: Names of those that are wanted by dotted key, in whatever folder they are said to be: a file of another
            name was never read. None for all.

    Returns:
        Places by dotted key.

    Raises:
        InputError: A file of which nothing is kept is gone, or another one by now.
    """
    places = {}
    kind = storage.format_of(path)
    kind = kind if kind in schema.RESULTS else schema.FORMAT
    with storage.open_existing(path, kind, schema.RESULTS[kind]) as file:
        for number, one in enumerate(inputs_in(file)):
            if wanted is not None and Path(wanted.get(one.key, "")).name != Path(one.name).name:
                continue
            if one.start < 0:
                _check_unchanged(path, one)
                continue
            place = folder / str(number) / Path(one.name).name
            place.parent.mkdir(parents=True, exist_ok=True)
            end = one.start + one.kept
            contents: bytes = file[schema.CONTENTS.name][one.start : end].tobytes() if one.kept else b""
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
