"""Fits of a square's constants to observations: one, or many data sets and starts together."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.inference.gauss_newton import Fit, Prior, Rows, minimise
from hpcpinn.inference.square_model import SquareModel
from hpcpinn.io.observations import Table
from hpcpinn.physics.dopamine import DopamineConstants, exact


class Seen(NamedTuple):
    """Observations as a model needs them; many sets have a leading axis.

    Attributes:
        value, noise: Measured, and its standard deviation, µM.
        t: When, ms.
        at: What the model makes of the places.
    """

    value: Float[Array, " N"]
    noise: Float[Array, " N"]
    t: Float[Array, " N"]
    at: Any


_PINNED = 1e12
"""Precision with which a constant is held."""

Model = Callable[[dict[str, Array], Seen], Float[Array, " N"]]
"""Dopamine at the places and times of observations, from the learned constants by name."""


def seen_by_networks(model: SquareModel, table: Table) -> Seen:
    """The places as features of the trunks."""
    at = np.asarray(model.observed_at(table.x)), np.asarray(model.observed_at(table.y))
    return Seen(*jax.device_put((table.value, table.noise, table.t, at)))


def by_networks(model: SquareModel) -> Model:
    """The model of the networks."""

    def predicted(values: dict[str, Array], seen: Seen) -> Array:
        at_x, at_y = seen.at
        return model.predicted(values, at_x, at_y, seen.t)

    return predicted


def seen_exactly(table: Table) -> Seen:
    """The places themselves."""
    return Seen(*jax.device_put((table.value, table.noise, table.t, (table.x, table.y))))


def by_closed_form(constants: DopamineConstants) -> Model:
    """The closed form, which other models are held against; it can learn D and k."""

    def predicted(values: dict[str, Array], seen: Seen) -> Array:
        x, y = seen.at
        return exact(x, y, seen.t, constants, values.get("D"), values.get("k"))

    return predicted


def make_fit(
    model: Model, names: tuple[str, ...], prior: Prior, *, tolerance: float = 1e-6, max_steps: int = 60
) -> Callable[[Seen, Float[Array, " p"]], Fit]:
    """A compiled fit of observations from starting logarithms.

    Args:
        model: Of the data.
        names: What is learned.
        prior: Of its logarithms.
        tolerance, max_steps: As in `minimise`.
    """
    return jax.jit(partial(_fit, model, names, prior, tolerance, max_steps))


def make_many_fits(
    model: Model, names: tuple[str, ...], prior: Prior, *, tolerance: float = 1e-6, max_steps: int = 60
) -> Callable[[Seen, Float[Array, "B p"]], Fit]:
    """As `make_fit`, of many data sets and starts together (a leading axis of both)."""
    return jax.jit(jax.vmap(partial(_fit, model, names, prior, tolerance, max_steps)))


def _fit(
    model: Model, names: tuple[str, ...], prior: Prior, tolerance: float, max_steps: int, seen: Seen, start: Array
) -> Fit:
    return minimise(rows_of(model, names, seen), prior, start, tolerance=tolerance, max_steps=max_steps)


def rows_of(model: Model, names: tuple[str, ...], seen: Seen) -> Rows:
    """Misfits over noise, as a function of the logarithms."""

    def rows(z: Array) -> Array:
        values = dict(zip(names, jnp.exp(z), strict=True))
        return (model(values, seen) - seen.value) / seen.noise

    return rows


def make_profile(
    model: Model, names: tuple[str, ...], factor: float, *, tolerance: float = 1e-6, max_steps: int = 60
) -> Callable[[Seen, Float[Array, " p"]], Float[Array, "p 2"]]:
    """How much worse data are fitted where one constant is `factor` times smaller and larger.

    The profile of the likelihood (Raue et al. 2009, doi:10.1093/bioinformatics/btp358): the other constants
    are fitted again, without priors. Of a constant that data determine, both values are excluded.

    Returns:
        Compiled: by how much the negative log likelihood rises, from observations and the best logarithms.
    """
    pins = np.log(factor) * np.array([[-1.0, 1.0]] * len(names))

    def run(seen: Seen, z: Array) -> Array:
        rows = rows_of(model, names, seen)

        def misfit(z: Array) -> Array:
            row = rows(z)
            return 0.5 * row @ row

        def pinned(number: Array, shift: Array) -> Array:
            start = z.at[number].add(shift)
            prior = Prior(start, jnp.zeros_like(z).at[number].set(_PINNED))
            return misfit(minimise(rows, prior, start, tolerance=tolerance, max_steps=max_steps).z)

        many = jax.vmap(jax.vmap(pinned, in_axes=(None, 0)))
        return many(jnp.arange(len(names)), pins) - misfit(z)

    return jax.jit(run)


def stacked(sets: list[Seen]) -> Seen:
    """Many data sets of equal size, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *sets)
