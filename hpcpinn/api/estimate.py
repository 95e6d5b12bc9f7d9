"""Constants that were inferred, and draws of them: what an inference wrote."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hpcpinn.api.stored import Stored
from hpcpinn.errors import InputError
from hpcpinn.io.draws import Draws, read_draws
from hpcpinn.io.inference import InferenceResult, read_inference
from hpcpinn.wording import listed

if TYPE_CHECKING:
    from numpy import ndarray


@dataclass(frozen=True)
class ConstantEstimate:
    """What is known of a constant.

    Attributes:
        name: Name of the constant in the run description.
        value: The most probable value, in `unit`.
        low, high: Ends of the 95 % interval, in `unit`: of the draws where there are any, else by Laplace.
        unit: The unit; ``1`` for none.
        determined: Whether the data alone determine it.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    determined: bool


class Estimate(Stored):
    """Constants that were inferred, as their result file has them.

    ``estimate["D_c"]`` is what is known of one; the arrays of the result are attributes: ``estimate.covariance``.
    """

    @cached_property
    def result(self) -> InferenceResult:
        """The inference as plain arrays.

        Raises:
            InputError: The file does not exist, is damaged, of another version, or no inference.
        """
        return read_inference(self.path)

    @cached_property
    def draws(self) -> Draws:
        """Draws from the posterior.

        Raises:
            InputError: There are none, or the file is damaged.
        """
        if self._drawn is None:
            raise InputError(f"{self.path}: holds no draws; hpcpinn.sample, or hpcpinn uq, makes some")
        return self._drawn

    @cached_property
    def _drawn(self) -> Draws | None:
        return read_draws(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants."""
        return self.result.names

    def __getitem__(self, name: str) -> ConstantEstimate:
        if name not in self.names:
            raise InputError(f"{self.path}: {name!r} was not inferred; there are {listed(self.names)}")
        i, result = self.names.index(name), self.result
        low, high = self._intervals[i]
        return ConstantEstimate(
            name, float(result.estimate[i]), float(low), float(high), result.units[i], bool(result.determined[i])
        )

    @property
    def _intervals(self) -> "list[tuple[float, float]] | ndarray":
        draws = self._drawn
        if draws is None:
            return list(zip(self.result.low, self.result.high, strict=True))
        return draws.interval
