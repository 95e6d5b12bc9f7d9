"""From traces at sites of a cell to constants with intervals, bands and a check of the model."""

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.config.learnable import unit_of
from hpcpinn.core import plausibility
from hpcpinn.errors import InputError
from hpcpinn.inference.laplace import Posterior, laplace
from hpcpinn.inference.neuron_march import Marched
from hpcpinn.inference.predictive_check import PredictiveCheck, predictive_check
from hpcpinn.inference.stepwise import StepwiseFit, minimise_stepwise
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.neuron_inference import FORMAT, NeuronInferenceResult, write_neuron_inference
from hpcpinn.io.site_observations import SiteTable, read_site_observations, refuse_unusable
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.workflows import estimates
from hpcpinn.workflows.inference_verdict import InferenceVerdict, inference_verdict
from hpcpinn.workflows.learned_values import LAID_BY, laid_for, own_value, starting_values
from hpcpinn.workflows.neuron_model import NeuronModel, Seen, build_model

_LAYINGS = 3
"""Of windows and pieces after the first."""
_STAYS = 0.05
"""Standard deviations that a fit on new windows and pieces may be away from the last."""


@dataclass(frozen=True)
class NeuronInference:
    """An inference on a cell and its cost.

    Attributes:
        result: What was inferred; also in the result file.
        posterior: Of the constants' coordinates.
        check: Whether the model could have made the data.
        misfit: Mean square of (data − model)/noise; 1 where the noise is what it is said to be.
        steps: Gauss-Newton steps.
        truth: What synthetic data were made with; empty for data from a file.
        source: What data are called.
        seconds: Wall time of the whole, and
        seconds_fit: of the fit once it is compiled.
    """

    result: NeuronInferenceResult
    posterior: Posterior
    check: PredictiveCheck
    misfit: float
    steps: int
    truth: dict[str, float]
    source: str
    seconds: float
    seconds_fit: float

    @property
    def verdict(self) -> InferenceVerdict:
        """What came of it."""
        return self.judged()

    def judged(self, **more: Any) -> InferenceVerdict:
        """What came of it, with what draws say besides."""
        check = self.check
        return inference_verdict(
            self.result, self.truth, self.misfit,
            model_is_wrong=bool(check.model_is_wrong), probability=float(check.probability), **more,
        )  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A model with its priors, ready for data sets: all that does not change from one to the next.

    Attributes:
        config: The run description.
        communicator: All ranks.
        model: Of the traces.
        start: Coordinates to begin with.
        centre, precision: Of the priors.
    """

    config: RunConfig
    communicator: Communicator
    model: NeuronModel
    start: Float[ndarray, " p"]
    centre: Float[ndarray, " p"]
    precision: Float[ndarray, " p"]

    @property
    def names(self) -> tuple[str, ...]:
        return self.model.names

    def laid_at(self, z: Float[ndarray, " p"]) -> "Study":
        """The same with windows and pieces laid for given constants, from which it begins. Collective."""
        values = self.model.coordinates.values(z).tolist()
        sites = tuple(site.name for site in self.model.sites)
        return _study(self.config, self.communicator, self.names, values, sites)

    @cached_property
    def at_start(self) -> Marched:
        """The model at the start, the same for all data sets."""
        return self.model.solved(self.start)

    def seen(self, marched: Marched, site: ndarray, time: ndarray) -> Seen:
        """What is measured at sites (by number) and times: calcium, or an indicator's fluorescence."""
        found = self.model.seen(marched, site, time)
        K = self.config.data.indicator
        if K is None:
            return found
        c = found.value
        return Seen(c / (c + K), found.slope * (K / (c + K) ** 2)[:, None])

    @property
    def band_times(self) -> Float[ndarray, " T"]:
        """Times of the bands, ms."""
        every, last = self.config.inference.band_interval, self.config.run.duration
        return np.minimum(every * np.arange(int(np.ceil(last / every)) + 1), last)

    @property
    def band_places(self) -> tuple[Int[ndarray, " ST"], Float[ndarray, " ST"]]:
        """Site (by number) and time of every value of the bands, site after site."""
        times, n_sites = self.band_times, len(self.model.sites)
        return np.repeat(np.arange(n_sites), len(times)), np.tile(times, n_sites)

    def numbers(self, table: SiteTable) -> ndarray:
        """Numbers of the sites of a table among those of the model."""
        order = {site.name: i for i, site in enumerate(self.model.sites)}
        return np.array([order[name.strip()] for name in table.site], int)

    def fitted(self, table: SiteTable, progress: ProgressDisplay = NO_PROGRESS) -> tuple[StepwiseFit, Marched]:
        """The most probable constants. Collective over all ranks.

        Raises:
            SolveError: The iteration does not come to an end, or the model cannot be solved at its start.
        """
        site = self.numbers(table)
        solved: dict[bytes, Marched] = {self.start.tobytes(): self.at_start}

        def evaluate(z: ndarray) -> tuple[ndarray, ndarray]:
            key = z.tobytes()
            if key not in solved:
                solved[key] = self.model.solved(z, next(reversed(solved.values())))
            seen = self.seen(solved[key], site, table.t)
            return (seen.value - table.value) / table.noise, seen.slope / table.noise[:, None]

        settings = self.config.inference
        fit = minimise_stepwise(
            evaluate, self.centre, self.precision, self.start,
            tolerance=settings.tolerance, max_steps=settings.max_steps,
            watch=lambda step: progress.done(step, f"step {step} of at most {settings.max_steps}"),
        )  # fmt: skip
        return fit, solved[fit.z.tobytes()]

    def checked(self, fit: StepwiseFit, table: SiteTable) -> PredictiveCheck:
        """Whether the model could have made the data."""
        settings = self.config.inference
        return predictive_check(
            fit.rows, fit.jacobian, self.precision, self.numbers(table), table.t,
            level=settings.check_level, replicates=settings.replicates, seed=self.config.run.seed,
        )  # fmt: skip

    def posterior(self, fit: StepwiseFit) -> Posterior:
        """Laplace's approximation at a fit."""
        return laplace(fit.z, fit.fisher, self.precision, undetermined_above=self.config.inference.undetermined_above)


def refuse_unusable_places(config: RunConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a result cannot, or must not, be written.

    Raises:
        InputError: It is an input, a directory or a file of another kind, or cannot be made.
    """
    given = {
        "the job file": job,
        "the data file (data.file)": config.data.file,
        "the voltage (voltage.file)": config.voltage.file,
    }
    estimates.refuse_unusable_places(config.run.output, given, FORMAT)


def build_study(config: RunConfig, communicator: Communicator, sites: tuple[str, ...]) -> Study:
    """Sets up an inference. Collective over all ranks; the run with the starting constants is the long part.

    Args:
        config: The run description with [[parameter]].
        communicator: All ranks.
        sites: Where traces are, or will be, measured.

    Raises:
        InputError: What the user gave cannot be used.
        SolveError: The run with the starting constants does not reach its tolerance.
    """
    names = tuple(parameter.name for parameter in config.parameter)
    if not names:
        raise InputError("[[parameter]]: none is given, so there is nothing to infer; name at least one, such as D_c")
    starts = [p.prior if p.start is None else p.start for p in config.parameter]
    return _study(config, communicator, names, starts, sites)


def _study(
    config: RunConfig, communicator: Communicator, names: tuple[str, ...], starts: Sequence[float | None],
    sites: tuple[str, ...],
) -> Study:  # fmt: skip
    laid = laid_for(config, {name: value for name, value in zip(names, starts, strict=True) if value is not None})
    model = build_model(laid, communicator, names, starts, sites)
    begin = starting_values(laid, model.problem.cell.constants, names, starts)
    prior = estimates.prior_of(config.parameter, model.coordinates)
    return Study(config, communicator, model, model.coordinates.of(begin), *prior)


def truth_of(study: Study) -> dict[str, float]:
    """What synthetic data are made with, of the learned constants and of others that differ from the run's."""
    known, changes = study.model.problem.cell.constants, study.config.data.truth.changes
    learned = {name: own_value(study.config, known, name, changes) for name in study.names}
    covered = set(study.names)
    return learned | {name: value for name, value in changes.items() if name not in covered}


def synthesiser(study: Study) -> Callable[[int], SiteTable]:
    """Makes synthetic traces of a run description from a seed. Collective over all ranks.

    Raises:
        SolveError: The model cannot be solved with the true constants.
    """
    config, truth = study.config, truth_of(study)
    names = tuple(truth)
    if any(name in LAID_BY for name in names):
        sites = tuple(site.name for site in study.model.sites)
        model = build_model(laid_for(config, truth), study.communicator, names, list(truth.values()), sites)
    else:
        model = study.model if names == study.names else study.model.learning(names)
    marched = model.solved(model.coordinates.of(list(truth.values())))
    seeing = replace(study, model=model)
    data = config.data
    last = config.run.duration if data.last is None else data.last
    times = data.first + data.interval * np.arange(int((last - data.first) / data.interval * (1.0 + 1e-12)) + 1)
    n_sites = len(study.model.sites)
    site, t = np.repeat(np.arange(n_sites), len(times)), np.tile(times, n_sites)
    value = seeing.seen(marched, site, t).value
    rest = seeing.seen(marched, np.arange(n_sites), np.zeros(n_sites)).value
    largest = np.abs(value - rest[site]).reshape(n_sites, -1).max(axis=1)
    deviation = data.noise * largest[site]
    labels = tuple(study.model.sites[s].name for s in site)

    def made(seed: int) -> SiteTable:
        noise = np.random.default_rng(seed).standard_normal(len(value))
        return SiteTable(value + deviation * noise, labels, t, deviation)

    return made


@dataclass(frozen=True)
class FittedCell:
    """The most probable constants of a run description, and what was needed to find them.

    Attributes:
        study: On the last windows and pieces.
        start: Coordinates that the iteration began with.
        table: The data.
        truth, source: As in `NeuronInference`.
        fit: Where the iteration ended.
        marched: The model there.
        posterior: Around it.
        check: Whether the model could have made the data.
        seconds_fit: Wall time of the fit once it is compiled.
    """

    study: Study
    start: Float[ndarray, " p"]
    table: SiteTable
    truth: dict[str, float]
    source: str
    fit: StepwiseFit
    marched: Marched
    posterior: Posterior
    check: PredictiveCheck
    seconds_fit: float


def fitted_on_cell(
    config: RunConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS
) -> FittedCell:
    """Finds the most probable constants of a run description. Collective over all ranks.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: The iteration does not come to an end.
    """
    progress.doing("setting up")
    table: SiteTable | None = None
    sites = tuple(name.strip() for name in config.data.sites)
    if config.data.file is not None:
        table = communicator.on_root(read_site_observations, config.data.file)
        refuse_unusable(table, config.run.duration, len(config.parameter), config.data.file)
        if config.data.indicator is None:
            largest = float(np.abs(table.value).max())
            plausibility.check("measured calcium", largest, f"{config.data.file}: the largest value")
        sites = tuple(dict.fromkeys(name.strip() for name in table.site))
    study = build_study(config, communicator, sites)
    truth: dict[str, float] = {}
    source = config.data.file or ""
    if table is None:
        progress.doing("compiling, and making data")
        table, truth = synthesiser(study)(config.data.seed), truth_of(study)
        source = f"{len(table.value)} synthetic observations (seed {config.data.seed})"
        refuse_unusable(table, config.run.duration, len(config.parameter), source)
    progress.doing("compiling")
    _ = study.at_start  # compiles
    progress.doing("fitting")
    begun, start = clock.perf_counter(), study.start
    study, fit, marched = settled(study, table, progress)
    seconds_fit = clock.perf_counter() - begun
    posterior = study.posterior(fit)
    estimates.refuse_unfinished(fit.converged, posterior, fit.steps, config.inference.tolerance)
    progress.doing("checking the model against the data")
    check = study.checked(fit, table)
    return FittedCell(study, start, table, truth, source, fit, marched, posterior, check, seconds_fit)


def infer_on_cell(
    config: RunConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS
) -> NeuronInference:
    """Infers the constants of a run description and writes the result. Collective over all ranks.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: The iteration does not come to an end.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    outcome = inferred_on_cell(fitted_on_cell(config, communicator, progress), began)
    write_neuron_inference(config.run.output, communicator, outcome.result)
    write_metrics(config.run.output, communicator, figures(outcome))
    return outcome


def inferred_on_cell(found: FittedCell, began: float) -> NeuronInference:
    """What is reported of a fit. Collective over all ranks.

    Args:
        found: The fit.
        began: When the work began, on the clock of `time.perf_counter`.
    """
    result = _result(found)
    return NeuronInference(
        result, found.posterior, found.check, float(np.mean(found.fit.rows**2)), found.fit.steps, found.truth,
        found.source, clock.perf_counter() - began, found.seconds_fit,
    )  # fmt: skip


def settled(
    study: Study, table: SiteTable, progress: ProgressDisplay = NO_PROGRESS
) -> tuple[Study, StepwiseFit, Marched]:
    """The most probable constants, with windows and pieces laid for them. Collective over all ranks.

    A fit follows the constants on the windows and pieces of its start. Where it moves those that windows and
    pieces are laid by, it is done again from where it ended, on new ones, until it stays.

    Returns:
        The study on the last windows and pieces, and the fit with the whole path.

    Raises:
        SolveError: A fit does not come to an end.
    """
    fit, marched = study.fitted(table, progress)
    path = [fit.path]
    for _ in range(_LAYINGS if any(name in LAID_BY for name in study.names) else 0):
        before = fit.z
        study = study.laid_at(before)
        progress.doing("fitting again, on windows and pieces laid anew")
        fit, marched = study.fitted(table, progress)
        path.append(fit.path[1:])
        if np.all(np.abs(fit.z - before) < _STAYS * study.posterior(fit).sd):
            break
    steps = sum(len(part) for part in path) - 1
    return study, replace(fit, path=np.concatenate(path), steps=steps), marched


def _result(found: FittedCell) -> NeuronInferenceResult:
    study, fit, marched, table = found.study, found.fit, found.marched, found.table
    config, model = study.config, study.model
    # A direction of which nothing is known has no influence either: the bands leave it out.
    spread = np.linalg.pinv(fit.fisher + np.diag(study.precision), rcond=1e-12, hermitian=True)
    n_sites, times = len(model.sites), study.band_times
    seen = study.seen(marched, *study.band_places)
    sd = np.sqrt(np.einsum("np,pq,nq->n", seen.slope, spread, seen.slope))
    cell_time, mean, cell_sd = model.over_the_cell(marched, spread)
    pieces = model.problem.cell.pieces.cable
    return NeuronInferenceResult(
        data=table,
        predicted=table.value + fit.rows * table.noise,
        unit="uM" if config.data.indicator is None else "1",
        band_sites=tuple(site.name for site in model.sites),
        band_time=times,
        band_mean=seen.value.reshape(n_sites, -1),
        band_sd=sd.reshape(n_sites, -1),
        xyz=pieces.xyz,
        radius=pieces.radius,
        cell_time=cell_time,
        cell_mean=mean,
        cell_sd=cell_sd,
        check=found.check.each,
        check_probability=found.check.probability,
        check_level=found.check.level,
        truth=estimates.known_truth(study.names, found.truth),
        **estimates.estimates_of(
            found.posterior, study.names, tuple(unit_of(name) for name in study.names), found.start, fit.path,
            config.to_json(), model.coordinates,
        ),
    )  # fmt: skip


def figures(outcome: NeuronInference) -> dict[str, Any]:
    """The numbers of an inference, for its file of metrics; an undetermined constant has no estimate."""
    result = outcome.result
    return {
        "parameters": estimates.figures_of(result, outcome.truth),
        "correlation": outcome.posterior.correlation,
        "misfit": outcome.misfit,
        "check": {
            "probability": outcome.check.probability,
            "model_is_wrong": outcome.check.model_is_wrong,
            **outcome.check.each,
        },
        "observations": len(result.data.value),
        "sites": len(result.band_sites),
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "seconds_fit": outcome.seconds_fit,
        "verdict": asdict(outcome.verdict),
    }
