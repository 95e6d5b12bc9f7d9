"""Draws from a posterior: the no-U-turn sampler of blackjax with window adaptation.

Blackjax, because its samplers are functions of a log density: a chain is traced, and hundreds of chains of as many
data sets are compiled as one program. It is an extra (``pip install 'hpcpinn[uq]'``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hpcpinn.errors import lacking
from hpcpinn.inference.gauss_newton import Prior, Rows

LIBRARIES = ("blackjax", "arviz", "h5netcdf")
"""What the extra ``uq`` installs."""

LogDensity = Callable[[Float[Array, " p"]], Float[Array, ""]]


@dataclass(frozen=True)
class Effort:
    """How long a chain is.

    Attributes:
        warmup: Steps that adapt step size and metric, and are thrown away.
        draws: Steps that are kept.
        acceptance: Acceptance rate that the step size is adapted to.
    """

    warmup: int = 1000
    draws: int = 1000
    acceptance: float = 0.9


class Chain(NamedTuple):
    """One chain, or many with a leading axis.

    Attributes:
        z: Positions, (S, p).
        log_density: Log density at the positions, up to a constant, (S,).
        diverging: Whether the integrator lost the energy on the way to each, (S,).
        acceptance: Mean acceptance probability of each trajectory, (S,).
        energy: Energy of each trajectory, (S,).
        steps: Steps of the integrator in each trajectory, (S,).
        step_size: Step of the integrator after adaptation.
    """

    z: Float[Array, "S p"]
    log_density: Float[Array, " S"]
    diverging: Bool[Array, " S"]
    acceptance: Float[Array, " S"]
    energy: Float[Array, " S"]
    steps: Int[Array, " S"]
    step_size: Float[Array, ""]


def require_libraries() -> None:
    """Finds out before the work starts that the extra is not installed.

    Raises:
        InputError: A library is missing.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise lacking("uq", missing, "uq")


def log_posterior(rows: Rows, prior: Prior) -> LogDensity:
    """What `minimise` minimises, with the other sign."""

    def log_density(z: Array) -> Array:
        row = rows(z)
        return -0.5 * (row @ row + jnp.sum(prior.precision * (z - prior.centre) ** 2))

    return log_density


def whitened(log_density: LogDensity, centre: Float[Array, " p"], root: Float[Array, "p p"]) -> LogDensity:
    """The density of u, z = centre + root u: near 0 and of unit size where `root` is that of Laplace's covariance."""
    return lambda u: log_density(centre + root @ u)


def sample(log_density: LogDensity, start: Float[Array, " p"], key: Key[Array, ""], effort: Effort) -> Chain:
    """One chain. Traceable.

    Args:
        log_density: Log density up to a constant; of a size that steps of order one suit.
        start: Position where the chain begins, (p,).
        key: Key of the chain's random numbers.
        effort: Lengths of warm-up and chain.
    """
    import blackjax

    for_warmup, for_draws = jax.random.split(key)
    adaptation = blackjax.window_adaptation(
        blackjax.nuts, log_density, target_acceptance_rate=effort.acceptance, adaptation_info_fn=_nothing
    )
    (state, parameters), _ = adaptation.run(for_warmup, start, effort.warmup)
    sampler = blackjax.nuts(log_density, parameters["step_size"], parameters["inverse_mass_matrix"])

    def step(state: Any, key: Array) -> tuple[Any, tuple[Array, ...]]:
        state, seen = sampler.step(key, state)
        kept = (
            state.position, state.logdensity, seen.is_divergent, seen.acceptance_rate, seen.energy,
            seen.num_integration_steps,
        )  # fmt: skip
        return state, kept

    _, kept = jax.lax.scan(step, state, jax.random.split(for_draws, effort.draws))
    return Chain(*(*kept, jnp.asarray(parameters["step_size"])))


def dispersed_start(key: Key[Array, ""], size: int) -> Float[Array, " p"]:
    """Where a chain of a whitened density begins: twice as far off as its draws will be, so that R-hat can tell."""
    return 2.0 * jax.random.normal(key, (size,))


def _nothing(*_: Any) -> None:
    """What is kept of the steps of the adaptation."""
