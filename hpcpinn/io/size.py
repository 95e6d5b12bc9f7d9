"""How large a result will be, from its layout, and whether the disk has room for it."""

import math
import os
import shutil
from pathlib import Path

import numpy as np

from hpcpinn.errors import warn
from hpcpinn.io.datasets import FRAMES_PER_CHUNK, ROWS_PER_CHUNK, chunk_of
from hpcpinn.io.layout import ResultHeader
from hpcpinn.wording import bytes_of

_NUMBER = 8
"""Bytes of every number."""

_OF_DATASET, _OF_CHUNK = 3_500, 100
"""Bytes that HDF5 itself takes, about: for every dataset that grows, and for every chunk."""


def result_bytes(header: ResultHeader, *, frames: int, samples: int, windows: int = 0, sweeps: int = 0) -> int:
    """Size of a result file with so many rows; rows are stored in whole chunks.

    Args:
        header: What is known before the first frame.
        frames, samples, windows, sweeps: Rows of its tables.
    """
    shape, count = header.geometry.shape, len(header.fields)
    chunk = chunk_of(shape)
    in_chunks = [-(-extent // part) for extent, part in zip(shape, chunk, strict=True)]
    wide = math.prod(chunk) * math.prod(in_chunks)
    fields = _whole(frames, FRAMES_PER_CHUNK) * wide * count
    probes = _whole(samples, ROWS_PER_CHUNK) * max(1, len(header.probes)) * count
    times = _whole(frames, ROWS_PER_CHUNK) + _whole(samples, ROWS_PER_CHUNK)
    rows = {"windows": windows, "sweeps": sweeps}
    tables = sum(_whole(rows[name], ROWS_PER_CHUNK) * len(columns) for name, columns in header.tables.items())
    geometry = sum(np.size(values) for values in header.geometry.content().values() if values is not None)
    chunks = count * (-(-frames // FRAMES_PER_CHUNK) * math.prod(in_chunks) + -(-samples // ROWS_PER_CHUNK))
    growing = 2 + 2 * count + sum(len(columns) for columns in header.tables.values())
    own = _OF_DATASET * growing + _OF_CHUNK * chunks + len(header.config)
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
