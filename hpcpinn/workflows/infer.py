"""From noisy measurements to constants with intervals: joint Gauss-Newton, Laplace, Fisher information."""

import time as clock
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.square import ParameterConfig, SquareConfig
from hpcpinn.coordinates import Coordinates
from hpcpinn.core.parameters import learnable_in
from hpcpinn.errors import InputError
from hpcpinn.inference import observations
from hpcpinn.inference.gauss_newton import Fit, Prior
from hpcpinn.inference.laplace import Posterior, laplace
from hpcpinn.inference.square_fit import Seen, by_networks, make_fit, make_profile, seen_by_networks
from hpcpinn.inference.square_model import SquareModel, make_square_model
from hpcpinn.io.inference import FORMAT, InferenceResult, write_inference
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.observations import Table, read_observations
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import DopamineConstants
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.workflows import estimates
from hpcpinn.workflows.inference_verdict import InferenceVerdict, inference_verdict
from hpcpinn.workflows.square_problem import constants_of

UNITS = {name: entry.plain_unit for name, entry in learnable_in(DopamineConstants).items()}
"""Of the constants that can be learned."""


@dataclass(frozen=True)
class Inference:
    """An inference and its cost.

    Attributes:
        result: What was inferred; also in the result file.
        posterior: Of the logarithms.
        misfit: Mean square of (data − model)/noise; 1 where the noise is what it is said to be.
        steps: Gauss-Newton steps.
        truth: What synthetic data were made with; empty for data from a file.
        source: What data are called.
        seconds: Wall time of the whole, and
        seconds_fit: of the fit once it is compiled.
    """

    result: InferenceResult
    posterior: Posterior
    misfit: float
    steps: int
    truth: dict[str, float]
    source: str
    seconds: float
    seconds_fit: float

    @property
    def verdict(self) -> InferenceVerdict:
        """What came of it."""
        return inference_verdict(self.result, self.truth, self.misfit)


def refuse_unusable_places(config: SquareConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a result cannot, or must not, be written.

    Raises:
        InputError: It is an input, a directory or a file of another kind, or cannot be made.
    """
    given = {"the job file": job, "the data file (data.file)": config.data.file}
    estimates.refuse_unusable_places(config.run.output, given, FORMAT)


def truth_of(config: SquareConfig) -> DopamineConstants:
    """What synthetic data are made with."""
    return constants_of(config).replace(**config.data.truth.changes)


def observed(config: SquareConfig) -> tuple[Table, str]:
    """The observations of a run description, checked, and what they are called.

    Raises:
        InputError: They cannot be used.
    """
    data, constants = config.data, constants_of(config)
    if data.file is not None:
        table, source = read_observations(data.file), data.file
    else:
        table = observations.synthesised(
            truth_of(config), count=data.count, noise=data.noise, first=data.first, last=data.last, seed=data.seed
        )
        source = f"{data.count} synthetic observations (seed {data.seed})"
    half_width = None if learns_size(config) else constants.half_width
    observations.refuse_unusable(table, half_width, len(config.parameter), source)
    return table, source


def learns_size(config: SquareConfig) -> bool:
    """Whether the size of the square is one of the constants that are learned."""
    return any(parameter.name == "half_width" for parameter in config.parameter)


def square_model(config: SquareConfig) -> SquareModel:
    """The model that a run description's inference is made with."""
    constants, settings = constants_of(config), config.inference
    return make_square_model(constants, settings.features, config.run.seed, learns_size=learns_size(config))


def starts_and_prior(config: SquareConfig) -> tuple[Float[ndarray, " p"], Prior]:
    """Logarithms to begin with, and the priors."""
    constants = constants_of(config)
    parameters = config.parameter

    def start(parameter: ParameterConfig) -> float:
        return parameter.start or parameter.prior or float(getattr(constants, parameter.name))

    z = np.log([start(parameter) for parameter in parameters])
    return z, Prior(*map(jax.device_put, estimates.prior_of(parameters, Coordinates.logarithms(len(parameters)))))


@dataclass(frozen=True)
class Fitted:
    """The most probable constants of a run description, and what was needed to find them.

    Attributes:
        names: What is learned.
        start: Logarithms that the iteration began with.
        prior: Of the logarithms.
        table: The observations.
        source: What they are called.
        model: Of the square.
        seen: The observations as the model needs them.
        fit: Where the iteration ended.
        posterior: Around it.
        seconds_fit: Wall time of the fit once it is compiled.
    """

    names: tuple[str, ...]
    start: Float[ndarray, " p"]
    prior: Prior
    table: Table
    source: str
    model: SquareModel
    seen: Seen
    fit: Fit
    posterior: Posterior
    seconds_fit: float


def fitted(config: SquareConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Fitted:
    """Finds the most probable constants of a run description. Collective over all ranks.

    The model is small: every rank computes the same.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: The iteration does not come to an end.
    """
    if not config.parameter:
        raise InputError("[[parameter]]: none is given, so there is nothing to infer; name at least one, such as D")
    progress.doing("setting up")
    table, source = communicator.on_root(observed, config)
    model = square_model(config)
    names = tuple(parameter.name for parameter in config.parameter)
    start, prior = starts_and_prior(config)
    settings = config.inference
    fitting = make_fit(by_networks(model), names, prior, tolerance=settings.tolerance, max_steps=settings.max_steps)
    seen = seen_by_networks(model, table)
    progress.doing("compiling the fit")
    jax.block_until_ready(fitting(seen, jnp.asarray(start)))
    progress.doing("fitting")
    begun = clock.perf_counter()
    fit: Fit = jax.block_until_ready(fitting(seen, jnp.asarray(start)))
    seconds_fit = clock.perf_counter() - begun
    progress.doing("looking for what the data do not determine")
    profile = make_profile(
        by_networks(model), names, settings.undetermined_factor, tolerance=settings.tolerance,
        max_steps=settings.max_steps,
    )(seen, fit.z)  # fmt: skip
    posterior = laplace(
        np.asarray(fit.z), np.asarray(fit.fisher), np.asarray(prior.precision), np.asarray(profile),
        settings.undetermined_above,
    )  # fmt: skip
    estimates.refuse_unfinished(bool(fit.converged), posterior, int(fit.steps), settings.tolerance)
    return Fitted(names, start, prior, table, source, model, seen, fit, posterior, seconds_fit)


def infer(config: SquareConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Inference:
    """Infers the constants of a run description and writes the result. Collective over all ranks.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: The iteration does not come to an end.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    outcome = inferred(config, fitted(config, communicator, progress), began)
    write_inference(config.run.output, communicator, outcome.result)
    write_metrics(config.run.output, communicator, figures(outcome))
    return outcome


def inferred(config: SquareConfig, found: Fitted, began: float) -> Inference:
    """What is reported of a fit.

    Args:
        config: The run description.
        found: The fit.
        began: When the work began, on the clock of `time.perf_counter`.
    """
    table, names = found.table, found.names
    result = _result(config, found)
    misses = (np.asarray(result.observations["predicted"]) - table.value) / table.noise
    return Inference(
        result=result,
        posterior=found.posterior,
        misfit=float(np.mean(misses**2)),
        steps=int(found.fit.steps),
        truth=_known_truth(config, names),
        source=found.source,
        seconds=clock.perf_counter() - began,
        seconds_fit=found.seconds_fit,
    )


def _known_truth(config: SquareConfig, names: tuple[str, ...]) -> dict[str, float]:
    """What synthetic data are made with; empty for data from a file."""
    return {} if config.data.file else {name: float(getattr(truth_of(config), name)) for name in names}


def _result(config: SquareConfig, found: Fitted) -> InferenceResult:
    table = found.table
    estimate = np.exp(np.asarray(found.fit.z))
    values = dict(zip(found.names, estimate, strict=True))
    predicted = jax.jit(by_networks(found.model))(values, found.seen)
    path = np.asarray(found.fit.path)
    return InferenceResult(
        observations={
            "value": table.value, "noise": table.noise, "x": table.x, "y": table.y, "t": table.t,
            "predicted": np.asarray(predicted),
        },
        truth=estimates.known_truth(found.names, _known_truth(config, found.names)),
        **estimates.estimates_of(
            found.posterior, found.names, tuple(UNITS[name] for name in found.names), found.start,
            path[np.isfinite(path).all(axis=1)], config.to_json(), Coordinates.logarithms(len(found.names)),
        ),
    )  # fmt: skip


def figures(outcome: Inference) -> dict[str, Any]:
    """The numbers of an inference, for its file of metrics; an undetermined constant has no estimate."""
    result = outcome.result
    return {
        "parameters": estimates.figures_of(result, outcome.truth),
        "correlation": outcome.posterior.correlation,
        "misfit": outcome.misfit,
        "observations": len(result.observations["value"]),
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "seconds_fit": outcome.seconds_fit,
        "verdict": asdict(outcome.verdict),
    }
