"""How far estimates are from the truth over many data sets, by noise and number of observations, against the bound.

A cell of a study is one level of noise and one number of observations, with many draws of places, times and
noise. Draws are fitted in batches of equal size, one compiled program for all cells of as many observations, which the
ranks share.
"""

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy import ndarray
from scipy.special import ndtri

from hpcpinn.errors import SolveError
from hpcpinn.inference.estimates import check_finite
from hpcpinn.inference.fits import make_many_fits
from hpcpinn.inference.forward_model import Data, data_of, is_traced, stacked
from hpcpinn.inference.gauss_newton import Fit, Prior
from hpcpinn.inference.laplace import laplace
from hpcpinn.inference.problem import InverseProblem
from hpcpinn.io.inputs import Destination
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.observations import Observations
from hpcpinn.io.study import StudyResult, write_study
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay

BATCH = 20
"""Data sets that are fitted at once, so that large ones fit into memory and caches."""
_LITTLE = 1e-3
"""Noise that data without any are said to have, over the peak."""
_RESAMPLED = 4000
"""Times that draws are drawn anew for the interval of a ratio."""
_REACH = float(ndtri(0.975))
"""Half of a 95 % interval, in standard deviations of a normal law."""


@dataclass(frozen=True)
class Synthesis:
    """What the data of a study are made with.

    Attributes:
        truth: Coordinates of the true constants.
        peak: What noise is counted in, in the unit of the observations.
        drawn: Makes a data set of a number of observations from its own number: observations with errors as large as
            the peak, and their values without any.
    """

    truth: Float[ndarray, " p"]
    peak: float
    drawn: Callable[[int, int], tuple[Observations, Float[ndarray, " N"]]]


@dataclass(frozen=True)
class DataSets:
    """What data sets a study makes.

    Attributes:
        noise: Levels of noise, over the peak; 0 for none.
        observations: Numbers of observations.
        draws: Number of data sets of every level and number.
    """

    noise: tuple[float, ...]
    observations: tuple[int, ...]
    draws: int


@dataclass(frozen=True)
class Outcomes:
    """Fits of draws of one combination of noise and number of observations.

    Attributes:
        z: Coordinates of the estimates.
        sd_log: Standard deviations of the coordinates by Laplace, priors included, (n, p).
        data_sd_log: Standard deviations of the coordinates by the data alone, (n, p).
        bound_log: The Cramér-Rao bound: standard deviations by the data alone at the truth.
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
        problem: What is fitted, with a traced model.
        experiment: What data are made with.
    """

    def __init__(self, problem: InverseProblem, experiment: Synthesis):
        model, settings = problem.model, problem.settings
        assert is_traced(model)
        self.problem, self.experiment = problem, experiment
        flat = Prior(*(np.zeros(len(model.names)) for _ in range(2)))
        self._fit = make_many_fits(model, problem.prior, tolerance=settings.tolerance, max_steps=settings.max_steps)
        self._at_truth = make_many_fits(model, flat, max_steps=0)

    def batch(self, observations: int, first: int, noises: tuple[float, ...]) -> list[Outcomes]:
        """Outcomes of `BATCH` draws from number `first` on, one entry per noise.

        A draw has the same places, times and normal numbers whatever its noise.

        Args:
            observations: Number of observations of every draw.
            first: Number of the first draw.
            noises: Standard deviations of the noise over the peak; 0 for none.

        Raises:
            SolveError: The model predicts no numbers.
        """
        drawn, clean = zip(
            *(self.experiment.drawn(observations, first + number) for number in range(BATCH)), strict=True
        )
        data = stacked([data_of(self.problem.model, one) for one in drawn])
        peak = self.experiment.peak
        return [self._outcomes(_with_noise(data, jnp.stack(clean), noise, peak), drawn) for noise in noises]

    def _outcomes(self, data: Data, drawn: Sequence[Observations]) -> Outcomes:
        start, truth = (jnp.tile(jnp.asarray(z), (BATCH, 1)) for z in (self.problem.start, self.experiment.truth))
        fit, at_truth = (Fit(*map(np.asarray, one)) for one in (self._fit(data, start), self._at_truth(data, truth)))
        for one in (fit, at_truth):
            for z, rows, jacobian, observed in zip(one.z, one.rows, one.jacobian, drawn, strict=True):
                check_finite(self.problem.model, z, rows, jacobian, observed)
        precision = np.asarray(self.problem.prior.precision)
        around = [laplace(*one, precision) for one in zip(np.asarray(fit.z), np.asarray(fit.fisher), strict=True)]
        bound = [laplace(*one, precision).data_sd for one in zip(truth, np.asarray(at_truth.fisher), strict=True)]
        return Outcomes(
            z=np.asarray(fit.z),
            sd_log=np.array([posterior.sd for posterior in around]),
            data_sd_log=np.array([posterior.data_sd for posterior in around]),
            bound_log=np.array(bound),
            converged=np.asarray(fit.converged),
        )


def _with_noise(data: Data, clean: Float[Array, "B N"], noise: float, peak: float) -> Data:
    """Observations whose errors, now as large as the peak, are `noise` times that."""
    values = clean + noise * (data.value - clean)
    return data._replace(value=values, noise=jnp.full_like(clean, (noise or _LITTLE) * peak))


@dataclass(frozen=True)
class Study:
    """A study and its cost.

    Attributes:
        result: What was found; also in the result file.
        with_prior: Names of the constants that have priors.
        seconds: Wall time of the whole, compilation included.
    """

    result: StudyResult
    with_prior: tuple[str, ...]
    seconds: float

    @property
    def figures(self) -> dict[str, Any]:
        """The numbers of the study, for its file of metrics."""
        result = self.result
        return {
            "parameters": list(result.names),
            "noise": result.noise,
            "observations": result.observations,
            "draws": result.n_draws,
            "cells": dict(result.cells),
            "seconds": self.seconds,
        }


def study(
    problem: InverseProblem,
    experiment: Synthesis,
    sets: DataSets,
    communicator: Communicator,
    progress: ProgressDisplay = NO_PROGRESS,
    *,
    output: Destination | None = None,
) -> Study:
    """Studies estimates over many data sets and writes the result. Collective over all ranks.

    Batches of draws are dealt to the ranks; a draw depends on its number alone.

    Args:
        problem: What is fitted, with a traced model.
        experiment: What data are made with.
        sets: Noises and numbers of the data sets.
        communicator: All ranks.
        progress: Display that is told how many of a rank's batches are done, on every rank.
        output: The result file, with what is kept of inputs; None writes none.

    Raises:
        SolveError: The model predicts no numbers.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    outcomes = _all_outcomes(Fitter(problem, experiment), sets, communicator, progress)
    with_prior = tuple(np.array(problem.names)[np.asarray(problem.prior.precision) > 0.0].tolist())
    done = Study(_result(problem, experiment, sets, outcomes), with_prior, clock.perf_counter() - began)
    if output is not None:
        with stopping.unbroken(f"{output.path} is whole"):
            write_study(output, communicator, done.result)
            write_metrics(output.path, communicator, done.figures)
    return done


def _all_outcomes(
    fitter: Fitter, sets: DataSets, communicator: Communicator, progress: ProgressDisplay
) -> dict[tuple[int, int], Outcomes]:
    """Of every noise and number of observations, on every rank. Collective over all ranks."""
    # The largest first, so that ranks end together.
    batches = list(product(sorted(sets.observations, reverse=True), range(0, sets.draws, BATCH)))
    mine = batches[communicator.rank :: communicator.size]
    found, failed = {}, None
    progress.doing("fitting data sets", len(mine), "batches of this rank")
    try:
        for number, (observations, first) in enumerate(mine):
            found[observations, first] = fitter.batch(observations, first, sets.noise)
            progress.done(number + 1)
    except SolveError as error:
        failed = error
    communicator.agree(failed)
    every = {place: outcomes for share in communicator.share(found) for place, outcomes in share.items()}
    return {
        (n, m): joined([every[observations, first][n] for first in range(0, sets.draws, BATCH)]).first(sets.draws)
        for n, (m, observations) in product(range(len(sets.noise)), enumerate(sets.observations))
    }


def _result(
    problem: InverseProblem, experiment: Synthesis, sets: DataSets, outcomes: dict[tuple[int, int], Outcomes]
) -> StudyResult:
    model, above = problem.model, problem.settings.undetermined_above

    def gathered(entries: dict[tuple[int, int], Any], name: str) -> Any:
        every = product(range(len(sets.noise)), range(len(sets.observations)))
        values = np.array([getattr(entries[place], name) for place in every])
        return values.reshape(len(sets.noise), len(sets.observations), *values.shape[1:])

    said = {(n, m): summarised(one, experiment.truth, sets.noise[n], above) for (n, m), one in outcomes.items()}
    draws = {field.name: gathered(outcomes, field.name) for field in fields(Outcomes)}
    values = model.coordinates.values
    return StudyResult(
        names=model.names,
        units=model.units,
        truth=values(experiment.truth),
        start=values(problem.start),
        noise=np.array(sets.noise),
        observations=np.array(sets.observations),
        draws={"estimate": values(draws.pop("z"))} | draws,
        cells={field.name: gathered(said, field.name) for field in fields(Combination)},
        config=problem.description,
    )


@dataclass(frozen=True)
class Combination:
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
) -> Combination:
    """The figures of a combination.

    Args:
        outcomes: Fits of all its draws.
        true_log: Logarithms of the truth, (p,).
        noise: Noise of its data; at 0 there is no bound to compare with.
        undetermined_above: Standard deviation of a logarithm, by the data alone, from which on it is open.
    """
    error = np.expm1(outcomes.z - true_log)
    missed, bound = np.abs(outcomes.z - true_log), outcomes.bound_log
    ratio, interval = _ratio(error, bound) if noise else (np.full(error.shape[1], np.nan),) * 2
    low, median, high = np.percentile(error, [2.5, 50.0, 97.5], axis=0)
    return Combination(
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
