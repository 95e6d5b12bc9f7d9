"""The inverse problem of whatever says what would be observed: `parameters` and `predict(parameters, at)`.

    problem = inverse_problem(system, [LearnedConstant("tau", prior=10.0), LearnedConstant("rest")])
    infer(problem, Observed(observations))       # hpcpinn.inference.infer: Gauss-Newton, Laplace
    sample(problem, Observed(observations))      # hpcpinn.inference.sample: draws

`predict` is traced by JAX: what depends on the constants is made by jax.numpy, not by NumPy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.parameters import LOGARITHM, REAL, Bounds, Constants, learnable, unknown, value_at, with_values
from hpcpinn.errors import InputError, concerning
from hpcpinn.inference.estimates import prior_of
from hpcpinn.inference.forward_model import At, NamedModel
from hpcpinn.inference.problem import FitSettings, InverseProblem


@runtime_checkable
class Predicting(Protocol):
    """What says what would be observed."""

    @property
    def parameters(self) -> Any:
        """Constants: declared ones (`hpcpinn.core.parameters`), or a mapping of numbers by name."""
        ...

    def predict(self, parameters: Any, at: At) -> Float[Array, " N"]:
        """What would be observed without noise. Traceable.

        Args:
            parameters: Constants of the problem, some of them traced.
            at: Columns of places and times of the observations by name.
        """
        ...


@dataclass(frozen=True)
class LearnedConstant:
    """A constant that is to be inferred.

    Attributes:
        name: Name of the constant, such as ``D`` or ``gates[0].half``.
        start: Value where the iteration begins; None: its prior's median, or the problem's own value.
        prior: Median of its prior; None for none.
        prior_width: Standard deviation of the prior of its coordinate: of its logarithm, or of it over its measure.
        unit: Unit of a constant that is not declared.
        measure: Step that one that is not declared is counted in; 0 for a positive one, which is its logarithm.
    """

    name: str
    start: float | None = None
    prior: float | None = None
    prior_width: float = math.log(3.0)
    unit: str = "1"
    measure: float = 0.0


def inverse_problem(
    problem: Predicting,
    learn: Sequence[LearnedConstant],
    *,
    settings: FitSettings = FitSettings(),  # noqa: B008
    unit: str = "1",
    description: str = "{}",
) -> InverseProblem:
    """The inverse problem of a system.

    Args:
        problem: The system.
        learn: Constants that are learned.
        settings: Settings of the fit.
        unit: Unit of what is observed.
        description: Run description, JSON text, for the result file.

    Raises:
        InputError: There is no such constant, or it begins, or is expected, where it cannot be.
    """
    if not learn:
        raise InputError("nothing is learned; name at least one constant")
    names = tuple(one.name for one in learn)
    declared = []
    for number, one in enumerate(learn):
        with concerning("parameter", number, "name"):
            if one.name in names[:number]:
                raise InputError(f"{one.name!r} is learned twice; leave one away")
            declared.append(_declared(problem.parameters, one))
    for number, (one, entry) in enumerate(zip(learn, declared, strict=True)):
        for key in ("start", "prior"):
            with concerning("parameter", number, key):
                _check(getattr(one, key), one.name, entry)
    units, measure = tuple(entry.unit for entry in declared), tuple(entry.measure for entry in declared)

    def predicted(values: Mapping[str, Array], at: At) -> Float[Array, " N"]:
        return problem.predict(_with_values(problem.parameters, values), at)

    model = NamedModel(names, units, measure, predicted)
    starts = []
    for one, entry in zip(learn, declared, strict=True):
        starts.append(next(x for x in (one.start, one.prior, entry.value) if x is not None))
        if entry.measure == LOGARITHM and starts[-1] <= 0.0:
            raise InputError(f"{one.name} begins at {starts[-1]:g}, which has no logarithm; give a start above 0")
    return InverseProblem(
        model,
        model.coordinates.of(starts),
        prior_of([(one.prior, one.prior_width) for one in learn], model.coordinates),
        settings,
        description,
        unit,
        bounds={one.name: entry.bounds for one, entry in zip(learn, declared, strict=True)},
    )


class _Entry(NamedTuple):
    """What is known of a constant.

    Attributes:
        unit: Unit of the constant.
        measure: Step that it is counted in, in its unit; 0 for its logarithm.
        value: Value of the problem.
        bounds: Values that it may have.
    """

    unit: str
    measure: float
    value: float
    bounds: Bounds


def _check(value: float | None, name: str, entry: _Entry) -> None:
    """Finds out that a constant cannot begin somewhere, or be expected there.

    Raises:
        InputError: That is so.
    """
    if value is None:
        return
    if entry.measure == LOGARITHM and value <= 0.0:
        raise InputError(f"{name} begins at {value:g}, which has no logarithm; give a start above 0")
    if refusal := entry.bounds.refusal(name, value):
        raise InputError(refusal)


def _declared(parameters: Any, one: LearnedConstant) -> _Entry:
    """What is known of a constant.

    Raises:
        InputError: There is none of that name.
    """
    if isinstance(parameters, Constants):
        found = learnable(parameters)
        if one.name not in found:
            raise InputError(unknown(one.name, found))
        entry = found[one.name]
        return _Entry(entry.plain_unit, entry.measure, float(value_at(parameters, one.name)), entry.bounds)
    if one.name not in parameters:
        raise InputError(unknown(one.name, parameters))
    return _Entry(one.unit, one.measure, float(np.asarray(parameters[one.name])), REAL)


def _with_values(parameters: Any, values: Mapping[str, Array]) -> Any:
    if isinstance(parameters, Constants):
        return with_values(parameters, values)  # type: ignore[type-var]
    return {**parameters, **values}
