"""The rule by which a run trains its trunk, whatever its pieces are: early, and again when the error estimate asks."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self

import numpy as np
from jaxtyping import Float

from hpcpinn.core.system import Attempt
from hpcpinn.marching.march import P
from hpcpinn.parallel import stopping
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

PAUSE = 20
"""Accepted windows between two trainings: a trunk that does not help must not be trained for ever."""


def heeding(communicator: "Communicator") -> Callable[[Any, float], bool]:
    """What watches a training: after each of its steps a signal can stop the work. Collective over all ranks."""

    def watch(parameters: Any, value: float) -> bool:
        stopping.heed(communicator)
        return False

    return watch


@dataclass
class TrunkRule(Generic[P]):
    """When the trunk of a run is trained: an `Improvement` of the march. Collective over all ranks.

    Attributes:
        optimiser: How the trunk is trained; None: never.
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
            tolerance: Tolerance of the error estimate.
            windows: Windows accepted so far.
        """
        if self.optimiser is None or not np.isfinite(error):
            return False
        if self.last < 0:
            return lively
        return error > tolerance and windows >= self.last + PAUSE

    def improved(self, problem: P, state: Any, attempt: Attempt[Any, Any], windows: int) -> tuple[P, Attempt[Any, Any]]:
        """Problem and attempt with a trunk trained on the window where it is due; unchanged if it is no better."""
        if not self.asks(attempt.error, self.is_lively(state, attempt), problem.rule.tolerance, windows):
            return problem, attempt
        assert self.optimiser is not None  # `asks` has said so
        candidate = self.trained(self.optimiser, problem, state, attempt)
        again = candidate.attempt(state, attempt.length, None)
        self.last = windows  # not before: a run that a signal stops on the way trains again when it goes on
        return (candidate, again) if again.error < attempt.error else (problem, attempt)

    def is_lively(self, state: Any, attempt: Attempt[Any, Any]) -> bool:
        """Whether there is anything to learn from a window."""
        return True

    @abstractmethod
    def trained(self, optimiser: LevenbergMarquardt, problem: P, state: Any, attempt: Attempt[Any, Any]) -> P:
        """The problem with a trunk that has learned from the window."""

    @abstractmethod
    def weights(self, problem: P) -> Float[np.ndarray, " n"]:
        """All that training changes, in one vector."""

    @abstractmethod
    def with_weights(self, problem: P, weights: Float[np.ndarray, " n"]) -> P:
        """The problem with the trunk of `weights`."""

    def scalars(self, problem: P) -> Mapping[str, Any]:
        """What a checkpoint must keep."""
        return {} if self.optimiser is None else {"last": self.last, "trunk": self.weights(problem)}

    def restored(self, problem: P, scalars: Mapping[str, Any]) -> P:
        """The problem with the trunk of a checkpoint."""
        if self.optimiser is None:
            return problem
        self.last = int(scalars["last"])
        return self.with_weights(problem, scalars["trunk"])
