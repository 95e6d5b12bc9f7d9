"""Files that users name: whether they can be read at all, before a reader waits for ever."""

import os
import stat
from pathlib import Path

from hpcpinn.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def check_regular(path: str | Path, fix: str = "write what it holds to a file, and name that") -> None:
    """Refuses what is no file on a disk: reading a pipe or a device may never end.

    What is not there, and a directory, is left to the reader, who knows what was wanted.

    Args:
        path: What is to be read.
        fix: What to do instead.

    Raises:
        InputError: It is a pipe, a device or a socket.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except (OSError, ValueError):
        return
    if kind in _KINDS:
        raise InputError(f"{path}: is not a regular file but {_KINDS[kind]}; {fix}")
