"""Places to write to: found unusable before the work starts, and never at the cost of an input."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, draws, flow_map_file, refusals, schema, storage

REPLACEABLE = {
    schema.FORMAT: "result",
    checkpoint.FORMAT: "checkpoint",
    schema.REFERENCE_FORMAT: "reference",
    flow_map_file.FORMAT: "flow map",
    schema.INFERENCE_FORMAT: "inference",
    schema.STUDY_FORMAT: "study",
    draws.FORMAT: "file of draws",
}
"""Kinds of files that a newer one may replace, and what a person calls them."""

HDF5_SUFFIXES = ("", ".h5", ".hdf5", ".hdf")
"""Of files that are HDF5, in small letters; a name may go without."""
NETCDF_SUFFIXES = (".nc",)
"""Of draws, which are netCDF and named by us."""


def check_usable(path: Path, inputs: Mapping[str, Path], fix: str, kind: str | None = None) -> None:
    """Finds out before the work starts that a file cannot, or must not, be written. Leaves nothing behind.

    Args:
        path: The file that will be written.
        inputs: What is read, by what a person calls it; none of it may be written over.
        fix: Words on how to choose another place, for the end of the message.
        kind: ``format`` of the files that may be replaced: one of `REPLACEABLE`; None: any file.

    Raises:
        InputError: The place is an input, a directory, another kind of file, ends like one, or its directory
            cannot be made or written to.
    """
    for name, source in inputs.items():
        if same_file(path, source):
            raise InputError(f"{path} is {name}, which would be lost; {fix}")
    if path.is_dir():
        raise InputError(f"{path} is a directory; {fix}")
    _check_writable(path, fix)
    if kind is not None and path.exists() and not _may_be_replaced(path, kind):
        raise InputError(
            f"{path} is there already and is no hpcpinn {REPLACEABLE[kind]}, so it stays as it is; "
            f"move it away, or {fix}"
        )
    if kind is not None and path.suffix.lower() not in (NETCDF_SUFFIXES if kind == draws.FORMAT else HDF5_SUFFIXES):
        raise InputError(
            f"{path} ends in {path.suffix}, but an hpcpinn {REPLACEABLE[kind]} is HDF5, which programs tell by .h5; "
            f"write {path.with_suffix('.h5')}"
        )


def check_folder(folder: Path, fix: str) -> None:
    """The same for a directory that will be made where there is none.

    Raises:
        InputError: It is a file, or it cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a directory; {fix}")
    _check_writable(folder / "any", fix)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, through links too; False where one of them is not there."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _check_writable(path: Path, fix: str) -> None:
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be written in {folder} ({error.strerror}); {fix}") from None


def _may_be_replaced(path: Path, kind: str) -> bool:
    """Whether a file is empty, or of the given kind."""
    if not path.is_file():
        return False
    if path.stat().st_size == 0:
        return True
    found = storage.attributes_of(path).get("format", "nothing")
    return refusals.FORMER.get(found, found) == kind
