"""Directions of a uniform field in a file."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.csv_rows import UNREADABLE, rows_of

_COLUMNS = (("ex", "ey", "ez"), ("x", "y", "z"))


def read_directions(path: Path) -> Float[ndarray, "n 3"]:
    """Reads directions from a CSV file with columns Ex, Ey, Ez (or x, y, z) among others.

    Raises:
        InputError: A missing or malformed file, a direction that is none; one line with the place.
    """
    try:
        rows = rows_of(path)
    except UNREADABLE as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path}: cannot be read ({why}); give a CSV file with columns Ex, Ey, Ez") from None
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    chosen = next((names for names in _COLUMNS if set(names) <= set(header)), None)
    if chosen is None:
        raise InputError(f"{path}: no columns Ex, Ey, Ez (or x, y, z) in the first line; they hold the directions")
    found = []
    for line, cells in rows[1:]:
        try:
            vector = [float(cells[header.index(name)]) for name in chosen]
        except (ValueError, IndexError):
            raise InputError(
                f"{path}:{line}: {', '.join(cells)!r} holds no three numbers {', '.join(chosen)}"
            ) from None
        if not np.all(np.isfinite(vector)) or not np.any(vector):
            raise InputError(f"{path}:{line}: a direction is three finite numbers that are not all zero")
        found.append(vector)
    if not found:
        raise InputError(f"{path}: no rows of numbers; give at least one direction")
    return np.array(found)
