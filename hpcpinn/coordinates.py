"""Learned constants as numbers that an iteration may move freely.

A positive constant is its logarithm. One that may have either sign, such as a voltage, is counted in a measure
of its own: a step, or a standard deviation, of one is then as much as a factor e of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Coordinates:
    """Of some constants.

    Attributes:
        measure: What a constant is counted in, in its own unit; 0 for one that is its logarithm.
    """

    measure: tuple[float, ...]

    @classmethod
    def logarithms(cls, count: int) -> "Coordinates":
        """Of positive constants."""
        return cls((0.0,) * count)

    @property
    def is_logarithm(self) -> Bool[np.ndarray, " p"]:
        """Which constants are logarithms."""
        at_zero: Bool[np.ndarray, " p"] = np.array(self.measure, float) == 0.0
        return at_zero

    def values(self, z: Any, library: Any = np) -> Any:
        """The constants at given coordinates, (..., p).

        Args:
            z: The coordinates.
            library: NumPy, or what has the same functions for arrays that are traced.
        """
        plain, measure = self.is_logarithm, np.array(self.measure, float)
        logarithm, counted = library.where(plain, z, 0.0), library.where(plain, 0.0, z)
        with np.errstate(over="ignore"):
            return library.where(plain, library.exp(logarithm), counted * measure)

    def of(self, values: Sequence[float] | Float[np.ndarray, "... p"]) -> Float[np.ndarray, "... p"]:
        """The coordinates of given constants, of which those that are logarithms are positive."""
        plain, given = self.is_logarithm, np.asarray(values, float)
        measured = given / np.where(plain, 1.0, np.array(self.measure, float))
        return np.where(plain, np.log(np.where(plain, given, 1.0)), measured)

    def per_unit(self, values: Float[np.ndarray, "... p"]) -> Float[np.ndarray, "... p"]:
        """How fast the constants change with their coordinates, at given constants."""
        return np.where(self.is_logarithm, values, np.array(self.measure, float))
