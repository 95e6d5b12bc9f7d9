"""Space on a disk, claimed before it is needed, and bytes that are there for good."""

import errno
import os
from pathlib import Path


def claim(descriptor: int, start: int, n_bytes: int) -> None:
    """Claims disk space for a part of a file, which is longer then if it was shorter. Serial.

    HDF5 that runs out of space in the middle of a change leaves a file that no longer opens, so space is claimed first.

    Raises:
        OSError: No space, over quota, or over the limit on file size.
    """
    if n_bytes <= 0:
        return
    try:
        os.posix_fallocate(descriptor, start, n_bytes)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
        free = os.fstatvfs(descriptor)
        if free.f_bavail * free.f_frsize < n_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        os.ftruncate(descriptor, max(start + n_bytes, os.fstat(descriptor).st_size))


def force_to_disk(path: Path) -> None:
    """Returns when what was written to a file, or the names in a folder, survive a loss of power. Serial."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(temporary: Path, path: Path) -> None:
    """Gives a file that is whole its name, in the place of an older one. Serial."""
    force_to_disk(temporary)
    os.replace(temporary, path)
    force_to_disk(path.parent)


def write_all(descriptor: int, data: bytes | bytearray | memoryview, start: int) -> None:
    """Writes all of some bytes at a place of a file.

    Raises:
        OSError: They cannot be written, or not all of them.
    """
    left = memoryview(data)
    while left:
        done = os.pwrite(descriptor, left, start)
        left, start = left[done:], start + done
