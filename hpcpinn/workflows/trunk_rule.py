"""The rule by which a run trains its trunk, whatever its pieces are: early, and again when the error estimate asks."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt

PAUSE = 20
"""Accepted windows between two trainings: a trunk that does not help must not be trained for ever."""


@dataclass
class TrunkRule:
    """When the trunk of a run is trained, where its description asks for it.

    Attributes:
        optimiser: How; None: never.
        last: Number of the window before which the trunk was trained last; negative: never.
    """

    optimiser: LevenbergMarquardt | None
    last: int = -1

    @classmethod
    def of_trainer(cls, trainer: str, optimiser: LevenbergMarquardt) -> Self:
        """The rule of a run with this `training.trainer`, whose trunk would be trained like this."""
        return cls(optimiser if trainer == "levenberg-marquardt" else None)

    def asks(self, error: float, lively: bool, tolerance: float, windows: int) -> bool:
        """Whether the trunk should learn from a window.

        Args:
            error: The window's error estimate with the trunk so far.
            lively: Whether there is anything to learn from it.
            tolerance: Of the error estimate.
            windows: Windows accepted so far.
        """
        if self.optimiser is None or not np.isfinite(error):
            return False
        if self.last < 0:
            return lively
        return error > tolerance and windows >= self.last + PAUSE
