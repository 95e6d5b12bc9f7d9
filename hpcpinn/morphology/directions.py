"""Directions in a cell's frame by two angles, as publications on thresholds give them."""

import math


def direction_of(polar: float, azimuth: float) -> tuple[float, float, float]:
    """The unit vector at an angle to +y, turned about +y by the right hand from +x; degrees.

    The angles are θ and φ of A. S. Aberra et al., Brain Stimulation 13 (2020) 175, on cells whose apical dendrite is
    along +y: (sin θ cos φ, cos θ, −sin θ sin φ).
    """
    across, along = _sine_and_cosine(polar)
    aside, ahead = _sine_and_cosine(azimuth)
    return across * ahead, along, -across * aside


def _sine_and_cosine(degrees: float) -> tuple[float, float]:
    """Both, exact at right angles."""
    quarters, rest = divmod(degrees, 90.0)
    sine, cosine = math.sin(math.radians(rest)), math.cos(math.radians(rest))
    for _ in range(int(quarters) % 4):
        sine, cosine = cosine, -sine
    return sine + 0.0, cosine + 0.0
