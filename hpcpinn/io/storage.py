"""HDF5 shared by many ranks: rows and columns that each rank writes for itself, and free space.

Every step that changes the structure of a file is made by rank 0 alone with the serial driver;
the collective steps write raw data into places that exist already. A job that dies therefore
leaves a file that opens.
"""

import contextlib
import errno
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError, OutputError
from hpcpinn.files import check_regular
from hpcpinn.io import refusals
from hpcpinn.io.change import composed, journal_path, look
from hpcpinn.io.disk import replace
from hpcpinn.io.owner import owner_of
from hpcpinn.io.seal import DamagedError, UnsealedError, seal_file, verified
from hpcpinn.parallel import stopping

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

_FIXES = {
    errno.ENOSPC: "free space, or write to another disk",
    errno.EDQUOT: "free space, or write to another disk",
    errno.EFBIG: "raise the limit on file size, or write to another file system",
    errno.EACCES: "write to a directory that is yours",
    errno.EPERM: "write to a directory that is yours",
    errno.EROFS: "write to a directory that is yours",
    errno.EISDIR: "give a file name",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a part of the path is a file",
}


UNREADABLE = (
    OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, MemoryError, OverflowError,
)  # fmt: skip
"""What HDF5 raises on files that are not as they should be, and what becomes of such contents."""

NO_CHECKPOINT = " (there is no checkpoint yet)"
"""End of a message where nothing was there that could be kept."""

_ATTEMPTS, _PAUSE = 60, 0.05
"""A file that is being written is looked at so often, with seconds between, before it is called damaged."""

_SMALL, _DEEPEST = 4096, 8
"""Bytes that every dataset may claim, and levels of groups that are looked at."""

_MOST_DEFLATED = 1032
"""No byte of deflate's becomes more (zlib's documentation)."""


def mpi_hdf5() -> bool:
    """Whether this h5py was built against MPI."""
    return bool(h5py.get_config().mpi)


@contextmanager
def open_serial(path: Path, mode: str = "r+") -> Iterator[h5py.File]:
    """Opens a file for one process, without a lock: someone looking at it must not stop a run."""
    with h5py.File(path, mode, locking=False) if mode == "r" else composed(path, mode) as file:
        yield file


@contextmanager
def open_existing(path: Path, kind: str, version: int) -> Iterator[h5py.File]:
    """Opens a file of hpcpinn for reading. Serial.

    Args:
        path: The file.
        kind: What its attribute ``format`` must say.
        version: What its attribute ``format_version`` must say.

    Raises:
        InputError: It does not exist, is damaged, or is something else.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give the path of an {kind} file")
    check_regular(path)
    if not path.is_file():
        meant = refusals.meant(path) if kind == "hpcpinn-result" else ""
        raise InputError(f"{path}: no such file; {meant}give the path of an {kind} file")
    try:
        with open_whole(path) as file:
            found = file.attrs.get("format", "nothing")
            found_version = file.attrs.get("format_version", 0)
            if found != kind:
                raise InputError(refusals.of_another_kind(path, kind, found))
            if found_version != version:
                raise InputError(refusals.of_another_version(path, kind, found_version, version))
            check_self_contained(path, file)
            yield file
    except UnsealedError as error:
        raise InputError(refusals.of_unsealed(path, kind, version)) from error
    except UNREADABLE as error:
        raise InputError(refusals.what_is_wrong(path, kind, error)) from error


@contextmanager
def open_whole(path: Path) -> Iterator[h5py.File]:
    """Opens a sealed file that is what it was when it was sealed, or as it was then while it is written. Serial.

    Raises:
        UnsealedError: It has no seal.
        DamagedError: It is something else by now.
        OSError: It cannot be read.
    """
    image = _image_of(path)
    with open_serial(path, "r") if image is None else h5py.File(io.BytesIO(image), "r") as file:
        yield file


def _image_of(path: Path) -> bytes | None:
    """All of a file that is being written, as it was when it was whole; None where the file itself is whole."""
    for left in reversed(range(_ATTEMPTS)):
        is_written = owner_of(path) is not None or journal_path(path).exists()
        try:
            if is_written:
                return look(path)
            verified(path)
        except (DamagedError, UnsealedError):
            if not left or not (is_written or owner_of(path) is not None or journal_path(path).exists()):
                raise
            time.sleep(_PAUSE)
        else:
            return None
    raise AssertionError  # the last attempt has raised


def check_self_contained(path: Path, file: h5py.File) -> None:
    """Looks at every part of a file before anything of it is read.

    Raises:
        InputError: A part lies in another file, or claims to be larger than it is.
    """
    for name, link in _links(file):
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{path}: /{name} is a link to {_target(link)}, which is not followed; copy what it holds")
        part = file[name]
        if not isinstance(part, h5py.Dataset):
            continue
        if part.is_virtual or part.external:
            raise InputError(f"{path}: /{name} lies in another file, which is not read; copy what it holds into it")
        at_most = part.id.get_storage_size() * (_MOST_DEFLATED if part.compression == "gzip" else 1)
        if part.shape and part.nbytes > max(at_most, _SMALL):
            raise InputError(
                f"{path}: /{name} claims {part.nbytes} bytes and holds {part.id.get_storage_size()}: damaged; restore "
                "it from a copy, or run the job again"
            )


def _links(group: h5py.Group, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every name in a file, with what it leads to."""
    for name in group:
        link = group.get(name, getlink=True)
        yield f"{prefix}{name}", link
        if isinstance(link, h5py.HardLink) and depth < _DEEPEST and isinstance(inside := group[name], h5py.Group):
            yield from _links(inside, f"{prefix}{name}/", depth + 1)


def _target(link: Any) -> str:
    return f"{getattr(link, 'filename', '')}:{link.path}".lstrip(":")


@contextmanager
def replacing(path: Path, *, changes: bool = False, first: Callable[[], None] | None = None) -> Iterator[h5py.File]:
    """A new file, written beside its name, sealed, and then put in the place of an older one. Serial.

    Args:
        path: Path of the file; through a link, of what that leads to. Missing folders are made.
        changes: Whether the new file begins as a copy of the old one.
        first: Function that is called when the new file is whole, before it takes the place of the old one.

    Raises:
        OSError: It cannot be written; an older one stays.
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if changes:
            shutil.copyfile(path, temporary)
        with open_serial(temporary, "r+" if changes else "w") as file:
            yield file
        seal_file(temporary)
        if first is not None:
            first()
        replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def remove(path: Path) -> None:
    """Removes a file, if it is there and may be removed."""
    with contextlib.suppress(OSError):
        path.unlink()


@contextmanager
def open_shared(path: Path, communicator: "Communicator") -> Iterator[h5py.File]:
    """Opens a file for writing by all ranks. Collective over all ranks."""
    if communicator.size == 1:
        with open_serial(path) as file:
            yield file
    else:
        with h5py.File(path, "r+", driver="mpio", comm=communicator.mpi) as file:
            yield file


def write_columns(
    dataset: h5py.Dataset, first_row: int, columns: Int[ndarray, " n"], values: Shaped[ndarray, "rows n"]
) -> None:
    """Writes this rank's columns of some rows. Collective over all ranks that have the file open.

    Args:
        dataset: Two-dimensional, large enough.
        first_row: Row of the dataset where `values[0]` goes.
        columns: Increasing; may be empty, since a collective call needs every rank.
        values: Shape (rows, n).
    """
    corners = [(first_row, start) for start, _ in runs(columns)]
    extents = [(len(values), count) for _, count in runs(columns)]
    _write_blocks(dataset, corners, extents, values)


def write_rows(dataset: h5py.Dataset, rows: Int[ndarray, " n"], values: Shaped[ndarray, "n ..."]) -> None:
    """Writes this rank's rows. Collective over all ranks that have the file open.

    Args:
        dataset: One or more dimensions, large enough.
        rows: Increasing; may be empty, since a collective call needs every rank.
        values: Shape (n, ...), the trailing shape of the dataset.
    """
    across = dataset.shape[1:]
    corners = [(start, *(0 for _ in across)) for start, _ in runs(rows)]
    extents = [(count, *across) for _, count in runs(rows)]
    _write_blocks(dataset, corners, extents, values)


def _write_blocks(
    dataset: h5py.Dataset,
    corners: Sequence[tuple[int, ...]],
    extents: Sequence[tuple[int, ...]],
    values: ndarray,
) -> None:
    values = np.ascontiguousarray(values, dataset.dtype)
    file_space = dataset.id.get_space()
    file_space.select_none()
    if values.size:
        for corner, extent in zip(corners, extents, strict=True):
            file_space.select_hyperslab(corner, extent, op=h5py.h5s.SELECT_OR)
        memory_space = h5py.h5s.create_simple(values.shape)
    else:
        # h5py skips an empty write, and the ranks that do write would wait for ever.
        values = np.zeros(1, dataset.dtype)
        memory_space = h5py.h5s.create_simple((1,))
        memory_space.select_none()
    transfer = h5py.h5p.create(h5py.h5p.DATASET_XFER)
    if dataset.file.driver == "mpio":
        transfer.set_dxpl_mpio(h5py.h5fd.MPIO_COLLECTIVE)
    dataset.id.write(memory_space, file_space, values, dxpl=transfer)


def runs(indices: Int[ndarray, " n"]) -> list[tuple[int, int]]:
    """Increasing indices as (start, count) of their consecutive runs."""
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(indices, breaks) if len(run)]


def format_of(path: Path) -> str | None:
    """What kind of file of ours it is; None where it is none or cannot be read."""
    return attributes_of(path).get("format")


def system_of(path: Path) -> str | None:
    """Name of the system that a result is of; None where the file names none or cannot be read."""
    return attributes_of(path).get("system")


def attributes_of(path: Path) -> dict[str, str]:
    """What a file says of itself, as text; nothing where it cannot be read.

    A file without a seal is opened by another process: HDF5 may crash on what is damaged.
    """
    if not path.is_file():
        return {}  # a pipe would be waited for
    try:
        with open_whole(path) as file:
            return {name: str(file.attrs[name]) for name in refusals.PEEKED if name in file.attrs}
    except UnsealedError:
        return refusals.peeked(path) or {}
    except UNREADABLE:
        return {}


def on_root(communicator: "Communicator", path: Path, kept: str, action: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a serial file operation on rank 0. Collective over all ranks.

    Args:
        communicator: All ranks.
        path: The file, for the message.
        kept: What the user still has, for the end of the message.
        action: Called with `arguments`.

    Raises:
        OutputError: On all ranks, when the operation failed.
    """
    return communicator.on_root(_reporting, path, kept, action, *arguments)


def together(communicator: "Communicator", path: Path, kept: str, action: Callable[..., Any], *arguments: Any) -> None:
    """Runs a file operation on every rank; arguments as for `on_root`. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when the operation failed on one of them.
    """
    error = None
    try:
        _reporting(path, kept, action, *arguments)
    except OutputError as caught:
        error = caught
    communicator.agree(error)


def _reporting(path: Path, kept: str, action: Callable[..., Any], *arguments: Any) -> Any:
    try:
        with stopping.unbroken():
            return action(*arguments)
    except (OSError, RuntimeError) as error:  # h5py raises both
        number = _error_number(error)
        reason = os.strerror(number) if number else " ".join(str(error).split())
        fix = f"; {_FIXES[number]}" if number in _FIXES else ""
        if kept not in ("", NO_CHECKPOINT) and not path.exists():
            kept = f" ({path} is gone, and nothing of it is kept)"
        raise OutputError(f"{path}: cannot write: {reason}{fix}{kept}") from error


def _error_number(error: Exception) -> int:
    """The errno of an error; HDF5 mentions it somewhere in its text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    mentioned = re.search(r"errno = (\d+)", str(error))
    return int(mentioned.group(1)) if mentioned else 0
