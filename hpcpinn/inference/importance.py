"""A posterior by importance sampling from around its Laplace approximation, for models that take long to solve.

Draws from a Student distribution with Laplace's centre and covariance are weighted by the posterior itself. The
largest weights are smoothed by the tail they suggest (Pareto-smoothed importance sampling, Vehtari, Simpson,
Gelman, Yao, Gabry, JMLR 25 (2024) 72), whose shape k also says whether the weights can be relied on: up to 0.7.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import gammaln

from hpcpinn.errors import SolveError
from hpcpinn.io.draws import import_arviz

FREEDOM = 8.0
"""Degrees of freedom of the proposals: tails heavier than those of any posterior that Laplace comes near."""


@dataclass(frozen=True)
class Proposals:
    """Draws that are still to be weighted.

    Attributes:
        z: Coordinates of the constants, (N, p).
        log_density: Log density of the distribution that they are drawn from, (N,).
    """

    z: Float[ndarray, "N p"]
    log_density: Float[ndarray, " N"]


@dataclass(frozen=True)
class Weighted:
    """Draws of the posterior with weights.

    Attributes:
        z: Coordinates of the constants, (N, p).
        weight: Weight of every draw, (N,); their sum is 1.
        log_density: Log density of the posterior, up to a constant, (N,); −∞ where the model could not be solved.
        shape: k of the tail of the weights.
        effective: Effective number of draws, 1 / Σ weight².
    """

    z: Float[ndarray, "N p"]
    weight: Float[ndarray, " N"]
    log_density: Float[ndarray, " N"]
    shape: float
    effective: float


def propose(centre: Float[ndarray, " p"], covariance: Float[ndarray, "p p"], count: int, seed: int) -> Proposals:
    """Draws from around a mode.

    Args:
        centre: The mode.
        covariance: Covariance of Laplace's approximation, finite, (p, p).
        count: Number of draws.
        seed: Seed of the draws.
    """
    rng, p = np.random.default_rng(seed), len(centre)
    root = np.linalg.cholesky(covariance)
    normal = rng.standard_normal((count, p))
    stretch = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, count))
    unit = normal * stretch[:, None]
    constant = gammaln(0.5 * (FREEDOM + p)) - gammaln(0.5 * FREEDOM) - 0.5 * p * np.log(FREEDOM * np.pi)
    constant -= np.log(np.diag(root)).sum()
    log_density = constant - 0.5 * (FREEDOM + p) * np.log1p(np.sum(unit**2, axis=1) / FREEDOM)
    return Proposals(centre + unit @ root.T, log_density)


def weigh(proposals: Proposals, log_density: Float[ndarray, " N"]) -> Weighted:
    """Weights of draws by the posterior. Needs ArviZ.

    Args:
        proposals: The draws.
        log_density: Log density of the posterior at the draws, up to a constant, (N,); −∞ where there is none.

    Raises:
        SolveError: The posterior is nowhere to be had.
    """
    solved = np.isfinite(log_density)
    if not np.any(solved):
        raise SolveError("uq: the model could not be solved at a single draw; lower window.tolerance")
    logs = log_density[solved] - proposals.log_density[solved]
    smooth, shape = import_arviz().psislw(logs)
    weight = np.zeros(len(log_density))
    weight[solved] = np.exp(np.asarray(smooth))
    weight /= weight.sum()
    return Weighted(proposals.z, weight, log_density, float(shape), float(1.0 / np.sum(weight**2)))


def check_reliability(draws: Weighted, *, shape_most: float, effective_least: float) -> None:
    """Finds out that weighted draws must not be summarised.

    Args:
        draws: The draws.
        shape_most: Largest shape k of the tail of their weights.
        effective_least: Fewest effective draws.

    Raises:
        SolveError: One of the figures fails; NaN fails.
    """
    failed = []
    if not draws.shape <= shape_most:
        failed.append(f"the tail of their weights has shape k = {draws.shape:.2f} (uq.shape_most = {shape_most:g})")
    if not draws.effective >= effective_least:
        failed.append(
            f"{draws.effective:.0f} of {len(draws.weight)} are effective (uq.effective_least = {effective_least:g})"
        )
    if failed:
        raise SolveError(
            f"uq: draws from Laplace's approximation do not represent the posterior: {'; '.join(failed)}. No summary "
            "is given; raise uq.draws, give priors, or learn fewer constants"
        )


def quantiles(
    values: Float[ndarray, "N ..."], weight: Float[ndarray, " N"], probabilities: tuple[float, ...]
) -> Float[ndarray, "q ..."]:
    """Quantiles of weighted values along their first axis, linear between the middles of the weights."""
    flat = values.reshape(len(values), -1)
    order = np.argsort(flat, axis=0)
    ranked, share = np.take_along_axis(flat, order, axis=0), weight[order]
    middle = np.cumsum(share, axis=0) - 0.5 * share
    found = [
        [np.interp(p, middle[:, column], ranked[:, column]) for column in range(flat.shape[1])] for p in probabilities
    ]
    return np.array(found).reshape(len(probabilities), *values.shape[1:])


def resampled(weight: Float[ndarray, " N"], seed: int) -> Int[ndarray, " N"]:
    """Numbers of as many draws of equal weight, systematically drawn and shuffled."""
    rng, count = np.random.default_rng(seed), len(weight)
    edges = np.cumsum(weight)
    points = (np.arange(count) + rng.uniform()) / count
    return rng.permutation(np.minimum(np.searchsorted(edges, points), count - 1))
