"""How large a result will be, from its layout, and whether the disk has room for it."""

import os
import shutil
from pathlib import Path

from hpcpinn.errors import warn
from hpcpinn.io.layout import (
    CELLS_PER_CHUNK,
    FIELDS,
    FRAMES_PER_CHUNK,
    PIECE_ARRAYS,
    ROWS_PER_CHUNK,
    SWEEP_COLUMNS,
    WINDOW_COLUMNS,
    ResultHeader,
)
from hpcpinn.wording import bytes_of

_NUMBER = 8
"""Bytes of every number."""

_OF_FILE, _OF_CHUNK = 250_000, 1_000
"""Bytes that HDF5 itself takes, about: for its tables, and for every chunk."""

_WIDE = {"node": 2, "radius": 2, "er_radius": 2, "xyz": 6, "path": 2}
_PER_PIECE = sum(_WIDE.get(name, 1) for name in PIECE_ARRAYS) + 1
_PER_CELL = 1 + 2 + 1 + 1 + 3
"""Numbers of the geometry for every piece, its owner among them, and for every cell."""


def result_bytes(header: ResultHeader, *, frames: int, samples: int, windows: int = 0, sweeps: int = 0) -> int:
    """Size of a result file with so many rows; rows are stored in whole chunks.

    Args:
        header: What is known before the first frame.
        frames, samples, windows, sweeps: Rows of its tables.
    """
    cells = header.n_cells
    wide = min(cells, CELLS_PER_CHUNK)
    fields = _whole(frames, FRAMES_PER_CHUNK) * _whole(cells, wide) * len(FIELDS)
    probes = _whole(samples, ROWS_PER_CHUNK) * max(1, len(header.probes)) * len(FIELDS)
    times = _whole(frames, ROWS_PER_CHUNK) + _whole(samples, ROWS_PER_CHUNK)
    tables = _whole(windows, ROWS_PER_CHUNK) * len(WINDOW_COLUMNS) + _whole(sweeps, ROWS_PER_CHUNK) * len(SWEEP_COLUMNS)
    geometry = header.cable.n_frusta * _PER_PIECE + cells * _PER_CELL
    chunks = len(FIELDS) * (-(-frames // FRAMES_PER_CHUNK) * -(-cells // wide) + -(-samples // ROWS_PER_CHUNK))
    own = _OF_FILE + _OF_CHUNK * chunks + len(header.config)
    return own + _NUMBER * (fields + probes + times + tables + geometry)


def _whole(rows: int, chunk: int) -> int:
    """Rows in whole chunks."""
    return -(-rows // chunk) * chunk


def free_bytes(path: str | Path) -> int:
    """Free space where a file will lie; an older file of the name makes room."""
    path = Path(path)
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    old = path.stat().st_size if path.is_file() else 0
    return shutil.disk_usage(folder).free + old


def warn_of_space(output: str, size: int, free: int) -> None:
    """Says that a result will not fit where it is to lie."""
    if size > free:
        warn(
            f"{output} will take {bytes_of(size)}, and {bytes_of(free)} are free there; write to another disk "
            "(--output), or raise run.output_interval and run.probe_interval"
        )
