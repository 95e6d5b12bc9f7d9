"""An inverse problem: a model with priors and a start, which many data sets may be put to, and what is observed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.core.parameters import Bounds
from hpcpinn.inference.fits import Fitting, make_fit
from hpcpinn.inference.forward_model import At, ForwardModel, is_traced, solve
from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.io.draws import NextObservation
from hpcpinn.io.inference import FieldBands
from hpcpinn.io.observations import Observations

if TYPE_CHECKING:
    from hpcpinn.inference.infer import Fitted


@dataclass(frozen=True)
class FitSettings:
    """How constants are inferred.

    Attributes:
        tolerance: Length of a step, in standard deviations, at which the iteration stops.
        max_steps: Most Gauss-Newton steps.
        undetermined_above: Standard deviation of a coordinate, by the data alone, above which its constant counts as
            undetermined.
        undetermined_factor: So does one that, this many times smaller or larger, fits the data as well (profile
            likelihood; traced models alone, of others it would take too long).
        check_level: Probability of data as far from the model as these, below which the model is called wrong.
        replicates: Number of replicated data sets of that check.
        seed: Seed of the replicates.
    """

    tolerance: float = 1e-6
    max_steps: int = 200
    undetermined_above: float = 1.0
    undetermined_factor: float = 10.0
    check_level: float = 0.01
    replicates: int = 4000
    seed: int = 0


@dataclass(frozen=True)
class BandPlaces:
    """Where what is seen is wanted besides the data, for predictive bands.

    Attributes:
        names: Names of S places.
        time: T times, ms.
        at: All S · T of them as the model wants to know it, place after place.
    """

    names: tuple[str, ...]
    time: Float[ndarray, " T"]
    at: At


Groups = Callable[[Observations], tuple[Int[ndarray, " N"], Float[ndarray, " N"]]]
"""Number of the place, and time, of every observation: how the predictive check groups them."""


@dataclass(frozen=True)
class InverseProblem:
    """What does not change from one data set to the next.

    Attributes:
        model: Model of what is observed.
        start: Coordinates of the constants to begin with.
        prior: Priors of the coordinates.
        settings: Settings of fit, check and bands.
        description: Run description, JSON text, for the result file.
        unit: Unit of what is seen.
        traces: Places where predictive bands are wanted; None for none.
        groups: Groups of observations in the predictive check; None: the model is not checked.
        meshed_at: Makes the problem anew, its model laid (windows, pieces) for the constants at given coordinates,
            from which it begins; None where no learned constant decides on that. Collective over all ranks.
        over_fields: Makes means and standard deviations of a field on its geometry, of a solution and the covariance of
            the coordinates; None for none. Collective over all ranks.
        placed: Finds where the next observation tells most; None where nobody asks.
        bounds: Values that the constants may have, by name; the fit does not know them, and what it finds outside is
            warned of.
    """

    model: ForwardModel
    start: Float[ndarray, " p"]
    prior: Prior
    settings: FitSettings = FitSettings()
    description: str = "{}"
    unit: str = "1"
    traces: BandPlaces | None = None
    groups: Groups | None = None
    meshed_at: "Callable[[Float[ndarray, ' p']], InverseProblem] | None" = None
    over_fields: Callable[[Any, Float[ndarray, "p p"]], FieldBands] | None = None
    placed: "Callable[[Fitted], NextObservation] | None" = None
    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants that are learned."""
        return self.model.names

    @cached_property
    def at_start(self) -> Any:
        """The model solved at the start, the same for all data sets. Collective over all ranks."""
        return solve(self.model, self.start)

    @cached_property
    def fitting(self) -> Fitting:
        """The compiled fit of a traced model, the same for all data sets of as many observations."""
        assert is_traced(self.model)
        settings = self.settings
        return make_fit(self.model, self.prior, tolerance=settings.tolerance, max_steps=settings.max_steps)


@dataclass(frozen=True)
class Observed:
    """A data set.

    Attributes:
        observations: The measurements.
        source: What messages call them.
        truth: Constants that synthetic data were made with; empty for data from a file.
    """

    observations: Observations
    source: str = "observations"
    truth: Mapping[str, float] = field(default_factory=dict)
