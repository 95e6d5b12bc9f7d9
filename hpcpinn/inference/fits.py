"""Fits of traced models to observations, compiled: one, or many data sets and starts together."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.inference.forward_model import Data, TracedModel, rows_of
from hpcpinn.inference.gauss_newton import Fit, Prior, minimise

_PINNED = 1e12
"""Precision with which a constant is held."""

Fitting = Callable[[Data, Float[Array, "... p"]], Fit]
"""A compiled fit: of observations, from coordinates to begin with."""


def make_fit(model: TracedModel, prior: Prior, *, tolerance: float = 1e-6, max_steps: int = 60) -> Fitting:
    """A compiled fit of observations from starting coordinates.

    Args:
        model: Model of the data.
        prior: Priors of its coordinates.
        tolerance, max_steps: Length of a step at which the fit ends, and most steps, as in `minimise`.
    """
    return jax.jit(partial(_fit, model, prior, tolerance, max_steps))


def make_many_fits(model: TracedModel, prior: Prior, *, tolerance: float = 1e-6, max_steps: int = 60) -> Fitting:
    """As `make_fit`, of many data sets and starts together (a leading axis of both)."""
    return jax.jit(jax.vmap(partial(_fit, model, prior, tolerance, max_steps)))


def _fit(model: TracedModel, prior: Prior, tolerance: float, max_steps: int, data: Data, start: Array) -> Fit:
    return minimise(rows_of(model, data), prior, start, tolerance=tolerance, max_steps=max_steps)


def make_profile(
    model: TracedModel, factor: float, *, tolerance: float = 1e-6, max_steps: int = 60
) -> Callable[[Data, Float[Array, " p"]], Float[Array, "p 2"]]:
    """How much worse data are fitted where one constant is `factor` times smaller and larger.

    A constant of either sign is moved by as much in units of its measure as a logarithm is. The profile of the
    likelihood (Raue et al. 2009, doi:10.1093/bioinformatics/btp358): the other constants are fitted again, without
    priors. Of a constant that data determine, both values are excluded.

    Returns:
        Compiled: by how much the negative log likelihood rises, from observations and the best coordinates.
    """
    pins = np.log(factor) * np.array([[-1.0, 1.0]] * len(model.names))

    def run(data: Data, z: Array) -> Array:
        rows = rows_of(model, data)

        def misfit(z: Array) -> Array:
            row = rows(z)
            return 0.5 * row @ row

        def pinned(number: Array, shift: Array) -> Array:
            start = z.at[number].add(shift)
            prior = Prior(start, jnp.zeros_like(z).at[number].set(_PINNED))
            return misfit(minimise(rows, prior, start, tolerance=tolerance, max_steps=max_steps).z)

        many = jax.vmap(jax.vmap(pinned, in_axes=(None, 0)))
        return many(jnp.arange(len(model.names)), pins) - misfit(z)

    return jax.jit(run)
