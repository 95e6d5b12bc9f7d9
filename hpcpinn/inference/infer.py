"""From observations to constants with intervals: Gauss-Newton, Laplace, bands, and a check of the model."""

import time as clock
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import concerning
from hpcpinn.inference.estimates import check_finished, check_finite, estimates_of, figures_of, outside
from hpcpinn.inference.fits import make_profile
from hpcpinn.inference.forward_model import data_of, evaluated, is_traced, seen, solve
from hpcpinn.inference.gauss_newton import Evaluated, Fit, minimise_stepwise
from hpcpinn.inference.laplace import Posterior, laplace
from hpcpinn.inference.nuts import require_libraries
from hpcpinn.inference.predictive_check import predictive_check
from hpcpinn.inference.problem import InverseProblem, Observed
from hpcpinn.inference.verdict import InferenceVerdict, inference_verdict
from hpcpinn.io import draws as drawn
from hpcpinn.io import places
from hpcpinn.io.draws import netcdf_path
from hpcpinn.io.inference import Bands, Check, InferenceResult, write_inference
from hpcpinn.io.inputs import Destination
from hpcpinn.io.metrics import metrics_path, write_metrics
from hpcpinn.io.observations import Observations
from hpcpinn.io.schema import INFERENCE_FORMAT
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay

_LAYINGS = 3
"""Of models after the first, where the fit moves constants that decide on windows and pieces."""
_STAYS = 0.05
"""Standard deviations that a fit with a model laid anew may be away from the last."""
_ANOTHER = "name another file with --output (run.output)"


@dataclass(frozen=True)
class Fitted:
    """The most probable constants, and what was needed to find them.

    Attributes:
        problem: The problem as it was laid last.
        start: Coordinates that the iteration began with.
        observed: The data.
        fit: End of the iteration, with the whole path.
        solution: Solution of the model there, to be `seen`.
        posterior: Laplace's approximation around it.
        check: Whether the model could have made the data; None where that was not asked.
        seconds_fit: Wall time of the fit once it is compiled.
    """

    problem: InverseProblem
    start: Float[ndarray, " p"]
    observed: Observed
    fit: Fit
    solution: Any
    posterior: Posterior
    check: Check | None
    seconds_fit: float


@dataclass(frozen=True)
class Inference:
    """An inference and its cost.

    Attributes:
        result: What was inferred; also in the result file.
        posterior: Posterior of the constants' coordinates.
        misfit: Mean square of (data − model)/noise; 1 where the noise is what it is said to be.
        steps: Number of Gauss-Newton steps.
        source: What the data are called.
        seconds: Wall time of the whole.
        seconds_fit: Wall time of the fit once it is compiled.
        outside: Estimates that are outside the bounds of their constants, sentences.
    """

    result: InferenceResult
    posterior: Posterior
    misfit: float
    steps: int
    source: str
    seconds: float
    seconds_fit: float
    outside: tuple[str, ...] = ()

    @property
    def check(self) -> Check | None:
        """Whether the model could have made the data; None where that was not asked."""
        return self.result.check

    @property
    def verdict(self) -> InferenceVerdict:
        """What came of it."""
        return self.judged()

    def judged(self, **more: Any) -> InferenceVerdict:
        """What came of it, with what draws say besides (`inference_verdict`)."""
        check = self.check
        checked: dict[str, Any] = {}
        if check is not None:
            checked = {"model_is_wrong": bool(check.model_is_wrong), "probability": float(check.probability)}
        return inference_verdict(self.result, self.misfit, outside=self.outside, **checked, **more)

    @property
    def figures(self) -> dict[str, Any]:
        """The numbers of the inference, for its file of metrics; an undetermined constant has no estimate."""
        result, check = self.result, self.check
        figures: dict[str, Any] = {
            "parameters": figures_of(result),
            "correlation": self.posterior.correlation,
            "misfit": self.misfit,
        }
        if check is not None:
            figures["check"] = {"probability": check.probability, "model_is_wrong": check.model_is_wrong, **check.each}
        figures["observations"] = len(result.observations)
        if result.bands is not None:
            figures["sites"] = len(result.bands.names)
        return figures | {
            "steps": self.steps,
            "seconds": self.seconds,
            "seconds_fit": self.seconds_fit,
            "verdict": asdict(self.verdict),
        }


def check_places(output: str, inputs: Mapping[str, Path], *, draws: bool = False, kind: str = INFERENCE_FORMAT) -> None:
    """Finds out before the work starts that a result cannot, or must not, be written.

    Args:
        output: The result file.
        inputs: Files that are read, by what a person calls them.
        draws: Whether draws are to be written beside it, too.
        kind: ``format`` of an older result that may be replaced.

    Raises:
        InputError: It is an input, a directory or a file of another kind, or cannot be made; or, for draws, the extra
            ``uq`` is not installed.
    """
    with concerning("run", "output"):
        places.check_usable(Path(output), inputs, _ANOTHER, kind)
        places.check_usable(metrics_path(output), inputs, f"the metrics go there: {_ANOTHER}")
    if draws:
        require_libraries()
        with concerning("run", "output"):
            places.check_usable(
                netcdf_path(output),
                {**inputs, "the result": Path(output)},
                f"the draws go there: {_ANOTHER}",
                drawn.FORMAT,
            )


def fit_once(
    problem: InverseProblem, observations: Observations, progress: ProgressDisplay = NO_PROGRESS
) -> tuple[Fit, Any]:
    """The most probable constants of a problem as it is laid, and the model there. Collective over all ranks.

    Raises:
        SolveError: The model cannot be solved at the start, or predicts no numbers there.
    """
    model, settings = problem.model, problem.settings
    if is_traced(model):
        fit = jax.block_until_ready(problem.fitting(data_of(model, observations), jnp.asarray(problem.start)))
        check_finite(model, np.asarray(fit.z), np.asarray(fit.rows), np.asarray(fit.jacobian), observations)
        return fit, fit.z
    at, steps = model.at(observations), settings.max_steps
    solved: dict[bytes, Any] = {problem.start.tobytes(): problem.at_start}

    def evaluate(z: ndarray) -> Evaluated:
        key = z.tobytes()
        if key not in solved:
            solved[key] = solve(model, z, next(reversed(solved.values())))
        found = evaluated(seen(model, solved[key], at), observations)
        check_finite(model, z, *found, observations)
        return found

    fit = minimise_stepwise(
        evaluate,
        problem.prior,
        problem.start,
        tolerance=settings.tolerance,
        max_steps=steps,
        watch=lambda step: progress.done(step, f"step {step} of at most {steps}"),
    )
    return fit, solved[fit.z.tobytes()]


def settled(
    problem: InverseProblem, observations: Observations, progress: ProgressDisplay = NO_PROGRESS
) -> tuple[InverseProblem, Fit, Any]:
    """The most probable constants, with a model that is laid for them. Collective over all ranks.

    A fit follows the constants with the model (windows, pieces) of its start. Where it moves those that the model is
    laid by, it is done again from where it ended, on a new one, until it stays.

    Returns:
        The problem as it was laid last, the fit with the whole path, and the model there.

    Raises:
        SolveError: A model cannot be solved at its start.
    """
    fit, solution = fit_once(problem, observations, progress)
    path = [fit.way]
    for _ in range(_LAYINGS):
        if problem.meshed_at is None:
            break
        before = np.asarray(fit.z)
        problem = problem.meshed_at(before)
        progress.doing("fitting again, with windows and pieces laid anew")
        fit, solution = fit_once(problem, observations, progress)
        path.append(fit.way[1:])
        if np.all(np.abs(fit.z - before) < _STAYS * posterior_of(problem, fit).sd):
            break
    whole = np.concatenate(path)
    return problem, fit._replace(path=whole, steps=len(whole) - 1), solution


def posterior_of(problem: InverseProblem, fit: Fit, observations: Observations | None = None) -> Posterior:
    """Laplace's approximation at a fit.

    Args:
        problem: The problem.
        fit: End of the iteration.
        observations: The data, for the profile likelihood of a traced model; None: without.
    """
    model, settings, profile = problem.model, problem.settings, None
    if observations is not None and is_traced(model):
        make = make_profile(
            model, settings.undetermined_factor, tolerance=settings.tolerance, max_steps=settings.max_steps
        )
        profile = np.asarray(make(data_of(model, observations), jnp.asarray(fit.z)))
    return laplace(
        np.asarray(fit.z),
        np.asarray(fit.fisher),
        np.asarray(problem.prior.precision),
        profile,
        settings.undetermined_above,
    )


def checked(problem: InverseProblem, fit: Fit, observations: Observations) -> Check | None:
    """Whether the model could have made the data; None where nobody says how these are grouped."""
    if problem.groups is None:
        return None
    settings = problem.settings
    return predictive_check(
        np.asarray(fit.rows),
        np.asarray(fit.jacobian),
        np.asarray(problem.prior.precision),
        *problem.groups(observations),
        level=settings.check_level,
        replicates=settings.replicates,
        seed=settings.seed,
    )


def fitted(problem: InverseProblem, observed: Observed, progress: ProgressDisplay = NO_PROGRESS) -> Fitted:
    """Finds the most probable constants. Collective over all ranks.

    Raises:
        SolveError: The iteration does not come to an end.
    """
    observations, start = observed.observations, problem.start
    progress.doing("compiling")
    if is_traced(problem.model):
        fit_once(problem, observations)
    _ = problem.at_start
    progress.doing("fitting")
    begun = clock.perf_counter()
    problem, fit, solution = settled(problem, observations, progress)
    seconds_fit = clock.perf_counter() - begun
    progress.doing("looking for what the data do not determine")
    posterior = posterior_of(problem, fit, observations)
    check_finished(bool(fit.converged), posterior, int(fit.steps), problem.settings.tolerance)
    progress.doing("checking the model against the data")
    check = checked(problem, fit, observations)
    return Fitted(problem, start, observed, fit, solution, posterior, check, seconds_fit)


def infer(
    problem: InverseProblem,
    observed: Observed,
    communicator: Communicator | None = None,
    progress: ProgressDisplay = NO_PROGRESS,
    *,
    output: Destination | None = None,
    began: float | None = None,
) -> Inference:
    """Infers constants and writes the result. Collective over all ranks.

    Args:
        problem: The model, its priors and where it begins.
        observed: The data.
        communicator: All ranks; None for one.
        progress: Display that is told what is being done.
        output: The result file, with what is kept of inputs; None writes none.
        began: Start of the work on the clock of `time.perf_counter`; now if left out.

    Raises:
        SolveError: The iteration does not come to an end.
        OutputError: The result cannot be written.
    """
    began, communicator = began or clock.perf_counter(), communicator or SerialCommunicator()
    outcome = inferred(fitted(problem, observed, progress), began)
    if output is not None:
        with stopping.unbroken(f"{output.path} is whole"):
            write_inference(output, communicator, outcome.result)
            write_metrics(output.path, communicator, outcome.figures)
    return outcome


def inferred(found: Fitted, began: float) -> Inference:
    """What is reported of a fit. Collective over all ranks.

    Args:
        found: The fit.
        began: Start of the work on the clock of `time.perf_counter`.
    """
    rows, result = np.asarray(found.fit.rows), _result(found)
    return Inference(
        result=result,
        posterior=found.posterior,
        misfit=float(np.mean(rows**2)),
        steps=int(found.fit.steps),
        source=found.observed.source,
        seconds=clock.perf_counter() - began,
        seconds_fit=found.seconds_fit,
        outside=tuple(outside(result, found.problem.bounds)),
    )


def _result(found: Fitted) -> InferenceResult:
    problem, fit, observations = found.problem, found.fit, found.observed.observations
    # A direction of which nothing is known has no influence either: the bands leave it out.
    information = np.asarray(fit.fisher) + np.diag(np.asarray(problem.prior.precision))
    spread = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    return InferenceResult(
        observations=observations,
        predicted=observations.value + np.asarray(fit.rows) * observations.noise,
        unit=problem.unit,
        bands=_bands(found, spread),
        field_bands=None if problem.over_fields is None else problem.over_fields(found.solution, spread),
        check=found.check,
        config=problem.description,
        **estimates_of(found.posterior, problem.model, found.start, fit.way, found.observed.truth),
    )


def _bands(found: Fitted, spread: Float[ndarray, "p p"]) -> Bands | None:
    traces = found.problem.traces
    if traces is None:
        return None
    said = seen(found.problem.model, found.solution, traces.at)
    sd = np.sqrt(np.einsum("np,pq,nq->n", said.slope, spread, said.slope))
    n = len(traces.names)
    return Bands(traces.names, traces.time, said.value.reshape(n, -1), sd.reshape(n, -1))
