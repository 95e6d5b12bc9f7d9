"""What every inference asks of a model: what its constants make of what is observed, and how fast that changes.

There are two kinds. A traced model (`TracedModel`) is a function that JAX can differentiate, compile and run for many
data sets at once. A stepped model (`SteppedModel`) solves a run for every set of constants, on all ranks: it is solved
once, and then seen at as many places and times as are wanted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeGuard, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from hpcpinn.coordinates import Coordinates
from hpcpinn.inference.gauss_newton import Evaluated, Rows
from hpcpinn.io.observations import Observations

At = Any
"""Where and when something is observed, as a model wants to know it: arrays, or containers of them."""


class Seen(NamedTuple):
    """What a model says at places and times, the same on every rank.

    Attributes:
        value: Values that would be observed, in the unit of the observations, (N,).
        slope: Derivatives by the coordinates of the constants, (N, p); of no columns where they were not wanted.
    """

    value: Float[ndarray, " N"]
    slope: Float[ndarray, "N p"]


@runtime_checkable
class ForwardModel(Protocol):
    """What constants make of what is observed, of either kind."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants that are learned."""
        ...

    @property
    def units(self) -> tuple[str, ...]:
        """Their units; 1 for a plain number."""
        ...

    @property
    def coordinates(self) -> Coordinates:
        """How the constants are iterated on."""
        ...

    def at(self, observations: Observations) -> At:
        """Where and when observations are made, as the model wants to know it."""
        ...


@runtime_checkable
class TracedModel(ForwardModel, Protocol):
    """A model that JAX can trace."""

    def predict(self, z: Float[Array, " p"], at: At) -> Float[Array, " N"]:
        """What would be observed without noise, at coordinates z of the constants. Traceable in both."""
        ...


@runtime_checkable
class SteppedModel(ForwardModel, Protocol):
    """A model that solves a run for every set of constants. Collective over all ranks."""

    def solve(self, z: Float[ndarray, " p"], near: Any = None, *, slopes: bool = True) -> Any:
        """The run at coordinates z of the constants.

        Args:
            z: The coordinates.
            near: The run at others nearby, to begin with.
            slopes: Whether derivatives are wanted.

        Raises:
            SolveError: It cannot be solved there.
        """
        ...

    def seen(self, solution: Any, at: At) -> Seen:
        """What is observed of a run, the same on every rank."""
        ...


def is_traced(model: ForwardModel) -> TypeGuard[TracedModel]:
    """Whether a model is of the kind that JAX can trace."""
    return isinstance(model, TracedModel)


def solve(model: ForwardModel, z: Float[ndarray, " p"], near: Any = None, *, slopes: bool = True) -> Any:
    """A model at coordinates of its constants, to be `seen`; of a traced one, these. Collective over all ranks.

    Raises:
        SolveError: It cannot be solved there.
    """
    if isinstance(model, SteppedModel):
        return model.solve(z, near, slopes=slopes)
    return jnp.asarray(z)


def seen(model: ForwardModel, solution: Any, at: At) -> Seen:
    """What is observed of a model that was solved, with derivatives where it has them. Collective over all ranks."""
    if isinstance(model, SteppedModel):
        return model.seen(solution, at)
    assert is_traced(model)

    def predicted(z: Array) -> tuple[Array, Array]:
        return (model.predict(z, at),) * 2

    slope, value = jax.jit(jax.jacfwd(predicted, has_aux=True))(solution)
    return Seen(np.asarray(value), np.asarray(slope))


class Data(NamedTuple):
    """Observations as compiled code needs them; many sets have a leading axis.

    Attributes:
        value: Measured values, (N,).
        noise: Standard deviation of the error of each, (N,).
        at: Places and times of the observations, see `ForwardModel.at`.
    """

    value: Float[Array, " N"]
    noise: Float[Array, " N"]
    at: At


def data_of(model: ForwardModel, observations: Observations) -> Data:
    """Observations as compiled code of a model needs them."""
    return Data(*jax.device_put((observations.value, observations.noise, model.at(observations))))


def stacked(sets: list[Data]) -> Data:
    """Many data sets of equal size, one after another along a new first axis."""
    together: Data = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *sets)
    return together


def rows_of(model: TracedModel, data: Data) -> Rows:
    """Misfits over noise, as a function of the coordinates. Traceable."""
    return lambda z: (model.predict(z, data.at) - data.value) / data.noise


def evaluated(found: Seen, observations: Observations) -> Evaluated:
    """Misfits over noise and their derivatives, of what a model says at the observations."""
    return Evaluated((found.value - observations.value) / observations.noise, found.slope / observations.noise[:, None])


def columns_of(observations: Observations) -> At:
    """The columns of places and times by their names: what models want to know that ask for nothing else."""
    return {name: np.asarray(column, float) for name, column in observations.at.items()}


@dataclass(frozen=True)
class NamedModel:
    """A traced model made of a function of constants by their names.

    Attributes:
        names: Names of the constants that are learned.
        units: Units of these constants.
        measure: Step that a constant of either sign is counted in, in its unit; 0 for a positive one, its logarithm.
        predicted: Makes what would be observed of the learned constants by name, and of `at`. Traceable.
        places: Makes `at` of observations.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    measure: tuple[float, ...]
    predicted: Callable[[Mapping[str, Float[Array, ""]], At], Float[Array, " N"]]
    places: Callable[[Observations], At] = columns_of

    @cached_property
    def coordinates(self) -> Coordinates:
        """How the constants are iterated on."""
        return Coordinates(self.measure)

    def at(self, observations: Observations) -> At:
        """Where and when observations are made."""
        return self.places(observations)

    def predict(self, z: Float[Array, " p"], at: At) -> Float[Array, " N"]:
        """What would be observed without noise. Traceable."""
        return self.predicted(dict(zip(self.names, self.coordinates.values(z, jnp), strict=True)), at)
