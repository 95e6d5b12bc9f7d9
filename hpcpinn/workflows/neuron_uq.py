"""The posterior of a cell's constants by weighted draws, and what is seen under it."""

import time as clock
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.errors import SolveError
from hpcpinn.inference import importance
from hpcpinn.io.draws import netcdf_path
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.neuron_draws import NeuronDraws, write_neuron_draws, write_neuron_netcdf
from hpcpinn.io.neuron_inference import write_neuron_inference
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.wording import counted
from hpcpinn.workflows import neuron_inference
from hpcpinn.workflows.inference_verdict import InferenceVerdict
from hpcpinn.workflows.neuron_inference import FittedCell, NeuronInference
from hpcpinn.workflows.uq import refuse_unusable_draws

_MIDDLE = (0.025, 0.975)
"""Edges of the middle 95 %."""


@dataclass(frozen=True)
class NeuronUncertainty:
    """A posterior and its cost.

    Attributes:
        inference: The most probable constants, with Laplace's intervals.
        draws: Of the posterior.
        lost: Draws at which the model could not be solved; they weigh nothing.
        seconds_drawing: Wall time of the draws.
    """

    inference: NeuronInference
    draws: NeuronDraws
    lost: int
    seconds_drawing: float

    @property
    def verdict(self) -> InferenceVerdict:
        """What came of it, by the intervals of the draws."""
        lost = f"{self.lost} of {counted(len(self.draws.weight), 'draw')} could not be solved; they weigh nothing"
        return self.inference.judged(intervals=self.draws.interval, left=(lost,) if self.lost else ())


def refuse_unusable_places(config: RunConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a library is missing or a result cannot, or must not, be written.

    Raises:
        InputError: The extra ``uq`` is not installed, or a place is unusable.
    """
    neuron_inference.refuse_unusable_places(config, job)
    inputs = {
        "the job file": job,
        "the data file (data.file)": config.data.file,
        "the voltage (voltage.file)": config.voltage.file,
    }
    refuse_unusable_draws(config.run.output, inputs)


def quantify_cell(
    config: RunConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS
) -> NeuronUncertainty:
    """Draws from the posterior of a run description and writes the result. Collective over all ranks.

    Every draw is a march of the whole cell on all ranks; draws depend on run.seed alone.

    Args:
        config: The run description with [[parameter]].
        communicator: All ranks.
        progress: Told what is being done, and after every draw.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: There is no posterior, or the draws do not represent it.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    found = neuron_inference.fitted_on_cell(config, communicator, progress)
    _refuse_improper(found)
    inference = neuron_inference.inferred_on_cell(found, began)
    begun = clock.perf_counter()
    settings = config.uq
    proposals = communicator.on_root(
        importance.propose, found.posterior.centre, found.posterior.covariance, settings.draws, config.run.seed
    )
    density, likelihood, bands = _weighed(found, proposals.z, progress)
    weighted = communicator.on_root(importance.weigh, proposals, density)
    communicator.on_root(
        lambda: importance.refuse_unreliable(
            weighted, shape_most=settings.shape_most, effective_least=settings.effective_least
        )
    )
    draws = _summarised(found, weighted, bands, config.run.seed)
    output, result = config.run.output, inference.result
    write_neuron_inference(output, communicator, result)
    write_neuron_draws(output, communicator, draws, result.unit)
    write_neuron_netcdf(netcdf_path(output), communicator, result.names, result.units, draws, likelihood, found.table)
    lost = int(np.sum(~np.isfinite(density)))
    outcome = NeuronUncertainty(inference, draws, lost, clock.perf_counter() - begun)
    write_metrics(output, communicator, figures(outcome))
    return outcome


def _refuse_improper(found: FittedCell) -> None:
    """Finds out that there is no posterior: neither data nor prior say anything of a constant."""
    loose = [n for n, sd in zip(found.study.names, found.posterior.sd, strict=True) if not np.isfinite(sd)]
    if loose:
        raise SolveError(
            f"uq: neither data nor priors determine {', '.join(loose)}, so there is no posterior to draw from; give a "
            "prior (parameter.prior), fix it, or give more data"
        )


def _weighed(
    found: FittedCell, z: Float[ndarray, "N p"], progress: ProgressDisplay
) -> tuple[Float[ndarray, " N"], Float[ndarray, "N O"], Float[ndarray, "N ST"]]:
    """Log density of the posterior, log likelihood of every observation and the bands' values, draw by draw.

    Collective over all ranks. Where the model cannot be solved the density is −∞ and the rest zero.
    """
    study, table = found.study, found.table
    site, (band_site, band_time) = study.numbers(table), study.band_places
    constant = np.log(table.noise) + 0.5 * np.log(2.0 * np.pi)
    density = np.full(len(z), -np.inf)
    likelihood, bands = np.zeros((len(z), len(table.value))), np.zeros((len(z), len(band_site)))
    progress.doing("solving for draws", len(z), "draws")
    for number, here in enumerate(z):
        progress.done(number, _lost(density[:number]))
        try:
            marched = study.model.solved(here, found.marched, slopes=False)
        except SolveError:
            continue  # on all ranks alike
        missed = (study.seen(marched, site, table.t).value - table.value) / table.noise
        likelihood[number] = -0.5 * missed**2 - constant
        density[number] = likelihood[number].sum() - 0.5 * np.sum(study.precision * (here - study.centre) ** 2)
        bands[number] = study.seen(marched, band_site, band_time).value
    progress.done(len(z), _lost(density))
    return density, likelihood, bands


def _lost(density: Float[ndarray, " N"]) -> str:
    """How many draws could not be solved, in words; nothing where all could."""
    lost = int(np.sum(~np.isfinite(density)))
    return f"{lost} of them could not be solved" if lost else ""


def _summarised(
    found: FittedCell, weighted: importance.Weighted, bands: Float[ndarray, "N ST"], seed: int
) -> NeuronDraws:
    value = np.asarray(found.study.model.coordinates.values(weighted.z))
    low, high = importance.quantiles(bands, weighted.weight, _MIDDLE).reshape(2, len(found.study.model.sites), -1)
    first, median, last = importance.quantiles(value, weighted.weight, (_MIDDLE[0], 0.5, _MIDDLE[1]))
    return NeuronDraws(
        value=value, weight=weighted.weight, log_density=weighted.log_density,
        equal=importance.resampled(weighted.weight, seed), low=low, high=high,
        interval=np.stack([first, last], axis=1), median=median, shape=weighted.shape, effective=weighted.effective,
    )  # fmt: skip


def figures(outcome: NeuronUncertainty) -> dict[str, Any]:
    """The numbers of a posterior, for its file of metrics."""
    told = neuron_inference.figures(outcome.inference)
    draws = outcome.draws
    for i, name in enumerate(outcome.inference.result.names):
        told["parameters"][name] |= {"median": float(draws.median[i]), "interval_95_draws": draws.interval[i]}
    told["draws"] = {
        "draws": len(draws.weight),
        "effective": draws.effective,
        "pareto_k": draws.shape,
        "not_solved": outcome.lost,
        "seconds": outcome.seconds_drawing,
    }
    told["verdict"] = asdict(outcome.verdict)
    return told
