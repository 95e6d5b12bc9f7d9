"""Directions of a uniform field, and their angles in the frame of a cell whose y axis points to the surface.

The polar angle is that from +y; the azimuth goes about +y from +x towards −z, as in the published maps of thresholds
(A. S. Aberra et al., Brain Stimul. 13 (2020) 175).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.csv_rows import UNREADABLE, rows_of

_COLUMNS = (("ex", "ey", "ez"), ("x", "y", "z"))
_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))
"""Angle from one point of the spiral to the next."""


def evenly_spread(count: int) -> Float[ndarray, "n 3"]:
    """Unit vectors on a spiral from +y to −y, each for the same solid angle.

    Raises:
        InputError: There is to be none.
    """
    if count < 1:
        raise InputError(f"directions = {count}; give 1 or more")
    y = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    return along(np.degrees(np.arccos(y)), np.degrees(_GOLDEN * np.arange(count)))


def along(polar: Float[ndarray, " n"], azimuth: Float[ndarray, " n"]) -> Float[ndarray, "n 3"]:
    """Unit vectors of polar angle and azimuth, degrees."""
    theta, phi = np.radians(polar), np.radians(azimuth)
    return np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), -np.sin(theta) * np.sin(phi)], axis=-1)


def angles(directions: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Polar angle (0 to 180) and azimuth (0 to 360) of directions of any length, degrees."""
    x, y, z = np.moveaxis(directions / np.linalg.norm(directions, axis=-1, keepdims=True), -1, 0)
    return np.degrees(np.arccos(np.clip(y, -1.0, 1.0))), np.degrees(np.arctan2(-z, x)) % 360.0


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
