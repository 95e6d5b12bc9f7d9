"""Constants of any system that says what would be observed: Gauss-Newton, Laplace and draws from three things.

    problem         has `parameters` (declared constants, or a mapping of numbers) and `predict(parameters, at)`
    observations    values with noise, and columns of where and when
    learn           which constants, with starts and priors

`predict` is traced by JAX: what depends on the constants is made by jax.numpy, not by NumPy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Constants, learnable, value_at, with_values
from hpcpinn.errors import InputError
from hpcpinn.inference import infer as inferring
from hpcpinn.inference import sample as sampling
from hpcpinn.inference.estimates import prior_of
from hpcpinn.inference.forward_model import At, NamedModel
from hpcpinn.inference.infer import Inference
from hpcpinn.inference.problem import FitSettings, InverseProblem, Observed
from hpcpinn.inference.sample import Sampled, Sampling
from hpcpinn.io.observations import Observations, refuse_unusable
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay


class Predicting(Protocol):
    """What says what would be observed."""

    @property
    def parameters(self) -> Any:
        """Constants: declared ones (`hpcpinn.core.parameters`), or a mapping of numbers by name."""
        ...

    def predict(self, parameters: Any, at: At) -> Float[Array, " N"]:
        """What would be observed without noise. Traceable.

        Args:
            parameters: As `parameters`, some of them traced.
            at: Columns of places and times of the observations by name.
        """
        ...


@dataclass(frozen=True)
class Learned:
    """A constant that is to be inferred.

    Attributes:
        name: Name of the constant, such as ``D`` or ``gates[0].half``.
        start: Where the iteration begins; None: at its prior's median, or the problem's own value.
        prior: Median of its prior; None for none.
        prior_width: Standard deviation of the prior of its coordinate: of its logarithm, or of it over its measure.
        unit: Unit of a constant that is not declared.
        measure: What one that is not declared is counted in; 0 for a positive one, which is its logarithm.
    """

    name: str
    start: float | None = None
    prior: float | None = None
    prior_width: float = math.log(3.0)
    unit: str = "1"
    measure: float = 0.0


def inverse_problem(
    problem: Predicting,
    learn: Sequence[Learned],
    *,
    settings: FitSettings = FitSettings(),  # noqa: B008
    unit: str = "1",
    description: str = "{}",
) -> InverseProblem:
    """The inverse problem of a system.

    Args:
        problem: The system.
        learn: Which constants are learned.
        settings: How.
        unit: Unit of what is observed.
        description: Run description, JSON text, for the result file.

    Raises:
        InputError: There is no such constant, or it begins where it has no logarithm.
    """
    if not learn:
        raise InputError("nothing is learned; name at least one constant")
    names = tuple(one.name for one in learn)
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise InputError(f"{twice[0]!r} is learned twice; leave one away")
    units, measure, own = zip(*(_declared(problem.parameters, one) for one in learn), strict=True)

    def predicted(values: Mapping[str, Array], at: At) -> Float[Array, " N"]:
        return problem.predict(_with_values(problem.parameters, values), at)

    model = NamedModel(names, units, measure, predicted)
    starts = [
        next(x for x in (one.start, one.prior, value) if x is not None) for one, value in zip(learn, own, strict=True)
    ]
    for name, start, plain in zip(names, starts, model.coordinates.is_logarithm, strict=True):
        if plain and start <= 0.0:
            raise InputError(f"{name} begins at {start:g}, which has no logarithm; give a start above 0")
    return InverseProblem(
        model, model.coordinates.of(starts), prior_of(learn, model.coordinates), settings, description, unit
    )


def infer(
    problem: Predicting,
    observations: Observations,
    learn: Sequence[Learned],
    *,
    settings: FitSettings = FitSettings(),  # noqa: B008
    communicator: Communicator | None = None,
    progress: ProgressDisplay = NO_PROGRESS,
    output: str | None = None,
    truth: Mapping[str, float] | None = None,
) -> Inference:
    """Infers constants of a system from observations. Collective over all ranks, which all compute the same.

    Args:
        problem: The system.
        observations: The data.
        learn: Which constants are learned.
        settings: How.
        communicator: All ranks; None for one.
        progress: Told what is being done.
        output: The result file; None writes none.
        truth: What synthetic data were made with.

    Raises:
        InputError: There is no such constant, or the data cannot be used.
        SolveError: The iteration does not come to an end.
        OutputError: The result cannot be written.
    """
    what = _prepared(problem, observations, learn, settings, truth)
    return inferring.infer(*what, communicator or SerialCommunicator(), progress, output=output)


def sample(
    problem: Predicting,
    observations: Observations,
    learn: Sequence[Learned],
    how: Sampling = Sampling(),  # noqa: B008
    *,
    settings: FitSettings = FitSettings(),  # noqa: B008
    communicator: Communicator | None = None,
    progress: ProgressDisplay = NO_PROGRESS,
    output: str | None = None,
    truth: Mapping[str, float] | None = None,
) -> Sampled:
    """Draws from the posterior of constants of a system. Collective over all ranks, which share the chains.

    Args:
        problem, observations, learn, settings, communicator, progress, output, truth: As of `infer`.
        how: How many draws, and how good they must be.

    Raises:
        InputError: There is no such constant, or the data cannot be used.
        SolveError: There is no posterior, or the draws do not represent it.
        OutputError: The result cannot be written.
    """
    what = _prepared(problem, observations, learn, settings, truth)
    return sampling.sample(*what, how, communicator or SerialCommunicator(), progress, output=output)


def _prepared(
    problem: Predicting,
    observations: Observations,
    learn: Sequence[Learned],
    settings: FitSettings,
    truth: Mapping[str, float] | None,
) -> tuple[InverseProblem, Observed]:
    source = f"{len(observations)} observations"
    refuse_unusable(observations, len(learn), source)
    inverse = inverse_problem(problem, learn, settings=settings, unit=observations.unit("value") or "1")
    return inverse, Observed(observations, source, truth or {})


def _declared(parameters: Any, one: Learned) -> tuple[str, float, float]:
    """Unit, measure and own value of a constant.

    Raises:
        InputError: There is none of that name.
    """
    if isinstance(parameters, Constants):
        found = learnable(parameters)
        if one.name not in found:
            raise InputError(f"{one.name!r} is no constant that can be inferred; there are {', '.join(found)}")
        return found[one.name].plain_unit, found[one.name].measure, float(value_at(parameters, one.name))
    if one.name not in parameters:
        raise InputError(f"{one.name!r} is no constant that can be inferred; there are {', '.join(parameters)}")
    return one.unit, one.measure, float(np.asarray(parameters[one.name]))


def _with_values(parameters: Any, values: Mapping[str, Array]) -> Any:
    if isinstance(parameters, Constants):
        return with_values(parameters, values)  # type: ignore[type-var]
    return {**parameters, **values}
