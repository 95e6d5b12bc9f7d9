"""Posterior predictive check: could this model have made these data?

Data are replicated from the posterior predictive and the model is fitted anew to every replicate (to first
order), so that the misfits of replicates and data are alike: of noise ε, what a fit leaves is (1 − H) ε. Four
ways to be wrong are looked at: misfit as a whole, of one site, at one time, and from one sample to the next
(what is left of a wrong model goes on, noise does not). The smallest of their probabilities is compared with
the smallest of every replicate, so the level holds for all four together.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.io.inference import Check

TIME_BINS = 10
STATISTICS = ("misfit", "site", "time", "neighbours")


def predictive_check(
    rows: Float[ndarray, " N"],
    jacobian: Float[ndarray, "N p"],
    precision: Float[ndarray, " p"],
    site: Int[ndarray, " N"],
    time: Float[ndarray, " N"],
    *,
    level: float,
    replicates: int,
    seed: int,
) -> Check:
    """Checks a fitted model.

    Args:
        rows: (model − data)/noise at the fit.
        jacobian: Derivatives of the rows by the logarithms, (N, p).
        precision: Precisions of the priors, (p,).
        site, time: Site and time of every observation, (N,).
        level: Probability below which the model is called wrong.
        replicates: Number of replicated data sets.
        seed: Seed of the replicates.
    """
    noise = np.random.default_rng(seed).standard_normal((replicates, len(rows)))
    information = jacobian.T @ jacobian + np.diag(precision)
    answer = np.linalg.pinv(information, rcond=1e-12, hermitian=True) @ jacobian.T
    left = noise - (noise @ answer.T) @ jacobian.T
    grouping = _groups(site, time)
    of_replicates, of_data = _statistics(left, *grouping), _statistics(rows[None], *grouping)
    greater = (of_replicates >= of_data).sum(axis=0)
    each = (1.0 + greater) / (1.0 + replicates)
    rank = np.argsort(np.argsort(-of_replicates, axis=0, kind="stable"), axis=0)
    smallest = ((1.0 + rank) / (1.0 + replicates)).min(axis=1)
    probability = (1.0 + np.sum(smallest <= each.min())) / (1.0 + replicates)
    names = dict(zip(STATISTICS, (float(p) for p in each), strict=True))
    return Check(float(probability), names, level)


def _groups(site: ndarray, time: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Observations of sites and of stretches of time as weights (rows of unit length), and neighbours."""
    sites = (site[None, :] == np.unique(site)[:, None]).astype(float)
    edges = np.quantile(time, np.linspace(0.0, 1.0, TIME_BINS + 1)[1:-1])
    bins = np.searchsorted(edges, time, side="right")
    times = (bins[None, :] == np.unique(bins)[:, None]).astype(float)
    order = np.lexsort((time, site))
    same = site[order][1:] == site[order][:-1]
    neighbours = np.stack([order[:-1][same], order[1:][same]])
    return (
        sites / np.sqrt(sites.sum(axis=1, keepdims=True)),
        times / np.sqrt(times.sum(axis=1, keepdims=True)),
        neighbours,
    )


def _statistics(rows: Float[ndarray, "R N"], sites: ndarray, times: ndarray, neighbours: ndarray) -> ndarray:
    first, second = neighbours
    return np.stack(
        [
            np.sum(rows**2, axis=1),
            np.abs(rows @ sites.T).max(axis=1),
            np.abs(rows @ times.T).max(axis=1),
            np.sum(rows[:, first] * rows[:, second], axis=1),
        ],
        axis=1,
    )
