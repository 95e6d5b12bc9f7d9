"""How far estimates are from the truth over many data sets, by noise and number of observations, against the bound.

A cell of a study is one level of noise and one number of observations, with many draws of places, times and
noise. Draws are fitted in batches of equal size, one compiled program for all cells of as many observations.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy import ndarray
from scipy.special import ndtri

from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.inference.laplace import laplace
from hpcpinn.inference.observations import synthesised
from hpcpinn.inference.square_fit import Seen, by_networks, make_many_fits, seen_by_networks, stacked
from hpcpinn.inference.square_model import SquareModel
from hpcpinn.physics.dopamine import DopamineConstants, exact

BATCH = 20
"""Data sets that are fitted at once, so that large ones fit into memory and caches."""
_LITTLE = 1e-3
"""Noise that data without any are said to have, over the peak of the release."""
_RESAMPLED = 4000
"""Times that draws are drawn anew for the interval of a ratio."""
_REACH = float(ndtri(0.975))
"""Half of a 95 % interval, in standard deviations of a normal law."""


@dataclass(frozen=True)
class Setting:
    """What is studied.

    Attributes:
        truth: What data are made with.
        model: Of the data, which is fitted.
        names: Constants that are learned.
        start: Logarithms that every fit begins with.
        prior: Of the logarithms.
        first, last: When observations are made, ms.
        seed: Of the first draw; the next have the next.
        tolerance, max_steps: Of the fits.
    """

    truth: DopamineConstants
    model: SquareModel
    names: tuple[str, ...]
    start: Float[ndarray, " p"]
    prior: Prior
    first: float
    last: float
    seed: int = 0
    tolerance: float = 1e-6
    max_steps: int = 60

    @property
    def true_log(self) -> Float[ndarray, " p"]:
        """Logarithms of the truth."""
        return np.log([float(getattr(self.truth, name)) for name in self.names])


@dataclass(frozen=True)
class Outcomes:
    """Fits of draws of one cell.

    Attributes:
        z: Logarithms of the estimates.
        sd_log: Their standard deviations by Laplace, priors included.
        data_sd_log: By the data alone.
        bound_log: By the data alone at the truth: the Cramér-Rao bound.
        converged: Whether the fit came to its end.
    """

    z: Float[ndarray, "n p"]
    sd_log: Float[ndarray, "n p"]
    data_sd_log: Float[ndarray, "n p"]
    bound_log: Float[ndarray, "n p"]
    converged: Bool[ndarray, " n"]

    def first(self, count: int) -> "Outcomes":
        """The first draws only."""
        return Outcomes(**{name: values[:count] for name, values in vars(self).items()})


def joined(parts: list[Outcomes]) -> Outcomes:
    """Draws of several batches, one after another."""
    return Outcomes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


class Fitter:
    """Fits batches of draws. What is compiled for a number of observations is kept.

    Args:
        setting: What is studied.
    """

    def __init__(self, setting: Setting):
        self.setting = setting
        model, flat = by_networks(setting.model), Prior(*(jnp.zeros(len(setting.names)) for _ in range(2)))
        self._fit = make_many_fits(
            model, setting.names, setting.prior, tolerance=setting.tolerance, max_steps=setting.max_steps
        )
        self._at_truth = make_many_fits(model, setting.names, flat, max_steps=0)

    def batch(self, observations: int, first: int, noises: tuple[float, ...]) -> list[Outcomes]:
        """Outcomes of `BATCH` draws from number `first` on, one entry per noise.

        A draw has the same places, times and normal numbers whatever its noise.

        Args:
            observations: Of every draw.
            first: Number of the first draw.
            noises: Standard deviations of the noise over the peak of the release; 0 for none.
        """
        setting = self.setting
        drawn = [
            synthesised(
                setting.truth, count=observations, noise=1.0, first=setting.first, last=setting.last,
                seed=setting.seed + first + number,
            )
            for number in range(BATCH)
        ]  # fmt: skip
        clean = jnp.stack([exact(table.x, table.y, table.t, setting.truth) for table in drawn])
        seen = stacked([seen_by_networks(setting.model, table) for table in drawn])
        return [self._outcomes(_with_noise(seen, clean, noise, setting.truth.C0)) for noise in noises]

    def _outcomes(self, seen: Seen) -> Outcomes:
        start, truth = (jnp.tile(jnp.asarray(z), (BATCH, 1)) for z in (self.setting.start, self.setting.true_log))
        fit, at_truth = self._fit(seen, start), self._at_truth(seen, truth)
        precision = np.asarray(self.setting.prior.precision)
        around = [laplace(*one, precision) for one in zip(np.asarray(fit.z), np.asarray(fit.fisher), strict=True)]
        bound = [laplace(*one, precision).data_sd for one in zip(truth, np.asarray(at_truth.fisher), strict=True)]
        return Outcomes(
            z=np.asarray(fit.z),
            sd_log=np.array([posterior.sd for posterior in around]),
            data_sd_log=np.array([posterior.data_sd for posterior in around]),
            bound_log=np.array(bound),
            converged=np.asarray(fit.converged),
        )


def _with_noise(seen: Seen, clean: Float[Array, "B N"], noise: float, peak: float) -> Seen:
    """Observations whose errors, now as large as the peak, are `noise` times that."""
    values = clean + noise * (seen.value - clean)
    return seen._replace(value=values, noise=jnp.full_like(clean, (noise or _LITTLE) * peak))


@dataclass(frozen=True)
class Cell:
    """What many draws of one noise and one number of observations say of every constant.

    Attributes:
        ratio: Root-mean-square error over the Cramér-Rao bound; NaN without noise.
        ratio_low, ratio_high: 95 % interval of it, by resampling the draws.
        bound: Root-mean-square bound, relative to the constant.
        coverage: Share of 95 % intervals that hold the truth.
        error_low, error_median, error_high: 2.5, 50 and 97.5 % of the relative errors.
        error_largest: Largest of them, without sign.
        open: Share of draws whose data leave the constant undetermined.
        converged: Share of fits that came to their end.
    """

    ratio: Float[ndarray, " p"]
    ratio_low: Float[ndarray, " p"]
    ratio_high: Float[ndarray, " p"]
    bound: Float[ndarray, " p"]
    coverage: Float[ndarray, " p"]
    error_low: Float[ndarray, " p"]
    error_median: Float[ndarray, " p"]
    error_high: Float[ndarray, " p"]
    error_largest: Float[ndarray, " p"]
    open: Float[ndarray, " p"]
    converged: float


def summarised(
    outcomes: Outcomes, true_log: Float[ndarray, " p"], noise: float, undetermined_above: float = 1.0
) -> Cell:
    """The figures of a cell.

    Args:
        outcomes: Of all its draws.
        true_log: Logarithms of the truth.
        noise: Of the cell; at 0 there is no bound to compare with.
        undetermined_above: Standard deviation of a logarithm, by the data alone, from which on it is open.
    """
    error = np.expm1(outcomes.z - true_log)
    missed, bound = np.abs(outcomes.z - true_log), outcomes.bound_log
    ratio, interval = _ratio(error, bound) if noise else (np.full(error.shape[1], np.nan),) * 2
    low, median, high = np.percentile(error, [2.5, 50.0, 97.5], axis=0)
    return Cell(
        ratio=ratio,
        ratio_low=interval[0] if noise else ratio,
        ratio_high=interval[1] if noise else ratio,
        bound=np.sqrt(np.mean(bound**2, axis=0)) if noise else np.zeros_like(ratio),
        coverage=np.mean(missed <= _REACH * outcomes.sd_log, axis=0),
        error_low=low,
        error_median=median,
        error_high=high,
        error_largest=np.abs(error).max(axis=0),
        open=np.mean(outcomes.data_sd_log > undetermined_above, axis=0),
        converged=float(outcomes.converged.mean()),
    )


def _ratio(error: Float[ndarray, "n p"], bound: Float[ndarray, "n p"]) -> tuple[Any, Any]:
    """Of root mean squares, and its 95 % interval by resampling the draws, (2, p)."""
    rows = np.random.default_rng(0).integers(len(error), size=(_RESAMPLED, len(error)))
    ratios = np.sqrt(np.mean(error[rows] ** 2, axis=1) / np.mean(bound[rows] ** 2, axis=1))
    ratio = np.sqrt(np.mean(error**2, axis=0) / np.mean(bound**2, axis=0))
    return ratio, np.percentile(ratios, [2.5, 97.5], axis=0)
