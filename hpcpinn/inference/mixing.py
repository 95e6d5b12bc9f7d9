"""Whether chains have converged: rank-normalised R-hat, effective draws, divergences (Vehtari et al. 2021)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn.errors import SolveError
from hpcpinn.io.draws import import_arviz


@dataclass(frozen=True)
class Mixing:
    """Of every constant; NaN where chains do not move (doi:10.1214/20-BA1221).

    Attributes:
        rhat: Rank-normalised, the larger of split and folded.
        ess_bulk, ess_tail: Effective draws of all chains together.
    """

    rhat: Float[ndarray, " p"]
    ess_bulk: Float[ndarray, " p"]
    ess_tail: Float[ndarray, " p"]


def mixing_of(z: Float[ndarray, "C S p"]) -> Mixing:
    """The figures of draws. Needs ArviZ."""
    arviz = import_arviz()
    columns = [np.asarray(z[..., i]) for i in range(z.shape[-1])]
    return Mixing(
        np.array([float(arviz.rhat(column, method="rank")) for column in columns]),
        np.array([float(arviz.ess(column, method="bulk")) for column in columns]),
        np.array([float(arviz.ess(column, method="tail")) for column in columns]),
    )


def check_mixing(
    names: tuple[str, ...],
    mixing: Mixing,
    diverging: Bool[ndarray, "C S"],
    *,
    rhat_most: float,
    ess_least: float,
) -> None:
    """Finds out that draws must not be summarised.

    Args:
        names: Names of the constants.
        mixing: Figures of the draws.
        diverging: Whether each draw diverged, (C, S).
        rhat_most: Largest R-hat.
        ess_least: Fewest effective draws per chain.

    Raises:
        SolveError: One of the figures fails; NaN fails.
    """
    failed = []
    if np.any(diverging):
        failed.append(f"{np.sum(diverging)} of {diverging.size} draws diverged (raise uq.acceptance)")
    least = ess_least * len(diverging)
    enough = f"at least {least:g}, uq.ess_least"
    for what, values, good, limit in (
        ("R-hat", mixing.rhat, mixing.rhat <= rhat_most, f"at most {rhat_most:g}, uq.rhat_most"),
        ("effective draws", mixing.ess_bulk, mixing.ess_bulk >= least, enough),
        ("effective draws in the tails", mixing.ess_tail, mixing.ess_tail >= least, enough),
    ):  # fmt: skip
        wrong = [f"{name} {value:.4g}" for name, value, fine in zip(names, values, good, strict=True) if not fine]
        if wrong:
            failed.append(f"{what} of {', '.join(wrong)} ({limit})")
    if failed:
        raise SolveError(
            f"uq: the chains have not converged: {'; '.join(failed)}; no result is written: raise uq.warmup and "
            "uq.draws, give priors (parameter.prior), or learn fewer"
        )
