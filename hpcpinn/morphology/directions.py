"""Directions in a cell's frame by two angles, as publications on thresholds give them."""

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError

_GOLDEN = 180.0 * (3.0 - math.sqrt(5.0))
"""Angle from one point of the spiral to the next, degrees."""


def direction_of(polar: float, azimuth: float) -> tuple[float, float, float]:
    """The unit vector at an angle to +y, turned about +y by the right hand from +x; degrees.

    The angles are θ and φ of A. S. Aberra et al., Brain Stimulation 13 (2020) 175, on cells whose apical dendrite is
    along +y: (sin θ cos φ, cos θ, −sin θ sin φ).
    """
    across, along = _sine_and_cosine(polar)
    aside, ahead = _sine_and_cosine(azimuth)
    return across * ahead, along, -across * aside


def directions_of(polar: Float[ndarray, " n"], azimuth: Float[ndarray, " n"]) -> Float[ndarray, "n 3"]:
    """Unit vectors of many angles, as `direction_of`."""
    return np.array([direction_of(*both) for both in zip(polar.tolist(), azimuth.tolist(), strict=True)])


def angles_of(directions: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Polar angle (0 to 180) and azimuth (0 to 360) of directions of any length, degrees: the inverse."""
    x, y, z = np.moveaxis(directions / np.linalg.norm(directions, axis=-1, keepdims=True), -1, 0)
    return np.degrees(np.arccos(np.clip(y, -1.0, 1.0))), np.degrees(np.arctan2(-z, x)) % 360.0


def evenly_spread(count: int) -> Float[ndarray, "n 3"]:
    """Unit vectors on a spiral from +y to −y, each for the same solid angle.

    Raises:
        InputError: There is to be none.
    """
    if count < 1:
        raise InputError(f"directions = {count}; give 1 or more")
    y = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    return directions_of(np.degrees(np.arccos(y)), _GOLDEN * np.arange(count))


def _sine_and_cosine(degrees: float) -> tuple[float, float]:
    """Both, exact at right angles."""
    quarters, rest = divmod(degrees, 90.0)
    sine, cosine = math.sin(math.radians(rest)), math.cos(math.radians(rest))
    for _ in range(int(quarters) % 4):
        sine, cosine = cosine, -sine
    return sine + 0.0, cosine + 0.0
