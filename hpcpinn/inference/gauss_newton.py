"""Gauss-Newton on the logarithms of constants, with data weighted by their noise and log-normal priors.

Minimises half of |(data − model)/noise|² + |(z − prior)/width|² over z = log constants: the negative
logarithm of the posterior. Levenberg-Marquardt's damping makes starts far off converge. All of it is traced,
so that many data sets and starts are solved together.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Rows = Callable[[Float[Array, " p"]], Float[Array, " N"]]
"""(model − data)/noise at logarithms z."""


class Prior(NamedTuple):
    """Log-normal priors of all constants.

    Attributes:
        centre: Logarithms of the medians.
        precision: One over the squared widths; 0 where there is no prior.
    """

    centre: Float[Array, " p"]
    precision: Float[Array, " p"]


class Fit(NamedTuple):
    """Where the iteration ended.

    Attributes:
        z: Logarithms of the constants.
        cost: What was minimised.
        fisher: Information of the data alone on z, JᵀJ, (p, p).
        steps: Accepted and rejected steps.
        converged: The last step was shorter than the tolerance.
        path: z after every step, NaN after the last, (max_steps + 1, p).
    """

    z: Float[Array, " p"]
    cost: Float[Array, ""]
    fisher: Float[Array, "p p"]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]
    path: Float[Array, "S p"]


class _State(NamedTuple):
    z: Array
    cost: Array
    damping: Array
    steps: Array
    done: Array
    path: Array


def minimise(rows: Rows, prior: Prior, start: Float[Array, " p"], *, tolerance: float, max_steps: int) -> Fit:
    """Finds the most probable logarithms. Traceable.

    Args:
        rows: Weighted residuals.
        prior: Of the logarithms.
        start: Logarithms to begin with.
        tolerance: Length of a step in standard deviations at which to stop.
        max_steps: Most steps, rejected ones included.
    """

    def cost_at(z: Array) -> Array:
        row = rows(z)
        return 0.5 * (row @ row + jnp.sum(prior.precision * (z - prior.centre) ** 2))

    def body(state: _State) -> _State:
        row, jacobian = rows(state.z), jax.jacfwd(rows)(state.z)
        gradient = jacobian.T @ row + prior.precision * (state.z - prior.centre)
        curvature = jacobian.T @ jacobian + jnp.diag(prior.precision)
        diagonal = jnp.diag(curvature)
        floor = 1e-12 * jnp.max(diagonal) + 1e-300
        damped = curvature + jnp.diag(state.damping * jnp.maximum(diagonal, floor) + floor)
        step = -jnp.linalg.solve(damped, gradient)
        step = step / jnp.maximum(1.0, jnp.max(jnp.abs(step)))  # at most a factor e at a time
        trial = state.z + step
        cost = cost_at(trial)
        better = cost <= state.cost
        length = jnp.sqrt(jnp.maximum(step @ curvature @ step, 0.0))
        # Round-off may refuse the last steps, which are shorter than matters.
        done = length < tolerance
        z = jnp.where(better, trial, state.z)
        damping = jnp.where(better, state.damping / 5.0, state.damping * 4.0)
        steps = state.steps + 1
        return _State(
            z, jnp.where(better, cost, state.cost), jnp.clip(damping, 1e-12, 1e12), steps, done,
            state.path.at[steps].set(z),
        )  # fmt: skip

    def unfinished(state: _State) -> Array:
        return ~state.done & (state.steps < max_steps)

    path = jnp.full((max_steps + 1, start.shape[0]), jnp.nan).at[0].set(start)
    none = jnp.zeros((), int)
    state = _State(start, cost_at(start), jnp.asarray(1e-2), none, jnp.asarray(False), path)
    state = jax.lax.while_loop(unfinished, body, state)
    jacobian = jax.jacfwd(rows)(state.z)
    converged = state.done & jnp.isfinite(state.cost)
    return Fit(state.z, state.cost, jacobian.T @ jacobian, state.steps, converged, state.path)
