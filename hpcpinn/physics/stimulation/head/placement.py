"""Where a cell lies in a head: a rigid map between the cell's frame (µm) and the head's (mm).

The cell's depth axis (+y of its file, towards the pia) is turned onto an axis of the head by the smallest turn that
does so, as NeMo-TMS does (S. Shirinpour et al., Brain Stimulation 14 (2021) 1470), and the cell is then turned about
that axis by its azimuth, by the right hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError

_UM_PER_MM = 1e3


@dataclass(frozen=True)
class HeadPlacement:
    """A rigid map: no stretching, no mirror image; there and back to round-off.

    Attributes:
        origin: Point of the cell that is placed, µm in the cell's frame.
        position: Place of that point in the head, mm.
        rotation: Turn from the cell's frame into the head's.
    """

    origin: Float[ndarray, " 3"]
    position: Float[ndarray, " 3"]
    rotation: Float[ndarray, "3 3"]

    def to_head(self, xyz: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Places in the head, mm, of places in the cell, µm."""
        return np.asarray(self.position + (xyz - self.origin) / _UM_PER_MM @ self.rotation.T)

    def to_cell(self, places: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Places in the cell, µm, of places in the head, mm."""
        return np.asarray(self.origin + _UM_PER_MM * ((places - self.position) @ self.rotation))

    def turned_into_cell(self, vectors: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Vectors of the head as the cell's frame has them."""
        return np.asarray(vectors @ self.rotation)

    def turned_into_head(self, vectors: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Vectors of the cell's frame as the head has them."""
        return np.asarray(vectors @ self.rotation.T)


def turn(cell_axis: Sequence[float], axis: Sequence[float], azimuth: float) -> Float[ndarray, "3 3"]:
    """The rotation that takes an axis of the cell to one of the head, and turns about that one.

    Args:
        cell_axis: Depth axis in the cell's frame, of any length.
        axis: Direction of it in the head, of any length.
        azimuth: Turn about it, degrees, by the right hand.

    Raises:
        InputError: An axis of no length.
    """
    start, end = unit_vector(cell_axis, "cell axis"), unit_vector(axis, "axis")
    across = end - (end @ start) * start
    across -= (across @ start) * start  # once more: of the first, round-off is left near half a turn
    if not np.any(across):  # no turn, or half a turn about any axis at right angles
        across = np.cross(start, np.eye(3)[np.argmin(np.abs(start))])
    # Two mirrors half the angle apart turn by the angle; of two such pairs, the one in which nothing cancels.
    mirrors = (start + end, start) if start @ end >= 0.0 else (end - start, across)
    smallest = _mirror(unit_vector(mirrors[0], "axis")) @ _mirror(unit_vector(mirrors[1], "axis"))
    angle = np.radians(azimuth)
    about = np.eye(3) + np.sin(angle) * _skew(end) + (1.0 - np.cos(angle)) * (_skew(end) @ _skew(end))
    # Products of rotations are orthogonal to round-off; the nearest rotation is so to the last bit that matters.
    left, _, right = np.linalg.svd(about @ smallest)
    nearest: Float[ndarray, "3 3"] = left @ right
    return nearest


def unit_vector(vector: Sequence[float] | Float[ndarray, " 3"], what: str) -> Float[ndarray, " 3"]:
    """The vector at length 1.

    Raises:
        InputError: It is not three finite numbers, or all are zero.
    """
    along = np.asarray(vector, float)
    if along.shape != (3,) or not np.all(np.isfinite(along)) or not np.any(along):
        shown = ", ".join(f"{value:g}" for value in np.atleast_1d(along))
        raise InputError(f"{what} [{shown}]: give three numbers that are not all zero")
    scaled = along / np.abs(along).max()
    return np.asarray(scaled / np.linalg.norm(scaled))


def _mirror(normal: Float[ndarray, " 3"]) -> Float[ndarray, "3 3"]:
    return np.asarray(np.eye(3) - 2.0 * np.outer(normal, normal))


def _skew(v: Float[ndarray, " 3"]) -> Float[ndarray, "3 3"]:
    """The matrix of v × ·."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
