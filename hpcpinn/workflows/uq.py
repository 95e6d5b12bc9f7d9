"""The whole posterior of constants: Laplace, draws by the no-U-turn sampler, and where to measure next."""

import time as clock
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from numpy import ndarray

from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import SolveError, concerning
from hpcpinn.inference.mixing import mixing_of, refuse_unmixed
from hpcpinn.inference.nuts import (
    Chain,
    Effort,
    dispersed_start,
    log_posterior,
    require_libraries,
    sample,
    whitened,
)
from hpcpinn.inference.placement import next_observation
from hpcpinn.inference.square_fit import Seen, by_networks, rows_of
from hpcpinn.io import draws as drawn
from hpcpinn.io import places
from hpcpinn.io.draws import Draws, Placement, netcdf_path, write_draws, write_netcdf
from hpcpinn.io.inference import write_inference
from hpcpinn.io.metrics import write_metrics
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.threads import loop_options
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.workflows import infer
from hpcpinn.workflows.estimates import ANOTHER
from hpcpinn.workflows.infer import Fitted, Inference
from hpcpinn.workflows.inference_verdict import InferenceVerdict, inference_verdict

_TOGETHER = 50
"""Draws whose likelihoods are computed at once."""


@dataclass(frozen=True)
class Uncertainty:
    """A posterior and its cost.

    Attributes:
        inference: The most probable constants, with Laplace's intervals.
        draws: Of the posterior.
        placement: Where the next observation tells most.
        seconds_sampling: Wall time of the chains, compilation included.
    """

    inference: Inference
    draws: Draws
    placement: Placement
    seconds_sampling: float

    @property
    def verdict(self) -> InferenceVerdict:
        """What came of it, by the intervals of the draws."""
        found = self.inference
        return inference_verdict(found.result, found.truth, found.misfit, intervals=self.draws.interval())


def refuse_unusable_places(config: SquareConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a library is missing or a result cannot, or must not, be written.

    Raises:
        InputError: The extra ``uq`` is not installed, or a place is unusable.
    """
    infer.refuse_unusable_places(config, job)
    refuse_unusable_draws(config.run.output, {"the job file": job, "the data file (data.file)": config.data.file})


def refuse_unusable_draws(output: str, given: Mapping[str, Path | str | None]) -> None:
    """Finds out before the work starts that draws cannot, or must not, be written beside a result.

    Args:
        output: The result file.
        given: What was given as input, by what messages call it.

    Raises:
        InputError: The extra ``uq`` is not installed, or their place is unusable.
    """
    require_libraries()
    inputs = {name: Path(file) for name, file in {**given, "the result": output}.items() if file is not None}
    with concerning("run", "output"):
        places.refuse_unusable(netcdf_path(output), inputs, f"the draws go there: {ANOTHER}", drawn.FORMAT)


def quantify(config: SquareConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Uncertainty:
    """Draws from the posterior of a run description and writes the result. Collective over all ranks.

    The chains are dealt to the ranks; a chain depends on its number and run.seed alone.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: There is no posterior, or the chains have not converged.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    found = infer.fitted(config, communicator, progress)
    _refuse_improper(found)
    inference = infer.inferred(config, found, began)
    begun = clock.perf_counter()
    chains = _all_chains(config, communicator, found, progress)
    seconds = clock.perf_counter() - begun
    progress.doing("judging the draws, and where to measure next")
    draws = communicator.on_root(_checked, config, found.names, chains)
    placement = communicator.on_root(_placed, config, found)
    likelihood = communicator.on_root(_log_likelihood, found, chains.z)
    output = config.run.output
    write_inference(output, communicator, inference.result)
    write_draws(output, communicator, draws, placement)
    write_netcdf(
        netcdf_path(output), communicator, found.names, inference.result.units, draws, likelihood,
        inference.result.observations,
    )  # fmt: skip
    outcome = Uncertainty(inference, draws, placement, seconds)
    write_metrics(output, communicator, figures(outcome))
    return outcome


def _refuse_improper(found: Fitted) -> None:
    """Finds out that there is no posterior: neither data nor prior say anything of a constant."""
    loose = [
        name
        for name, known, precision in zip(
            found.names, found.posterior.determined, np.asarray(found.prior.precision), strict=True
        )
        if not known and precision == 0.0
    ]
    if loose:
        raise SolveError(
            f"uq: the data do not determine {', '.join(loose)}, so there is no posterior to draw from; give a prior "
            "(parameter.prior), fix it, or give more data"
        )


def make_chain(found: Fitted, effort: Effort, centre: Float[ndarray, " p"], root: Float[ndarray, "p p"]) -> Any:
    """A compiled chain of the logarithms, from observations and a key.

    Args:
        found: Model, prior and constants that are learned.
        effort: How long it is.
        centre, root: Of Laplace's approximation, whose standard deviations are the chain's units.
    """
    model, middle, spread = by_networks(found.model), jnp.asarray(centre), jnp.asarray(root)

    def run(seen: Seen, key: Key[Array, ""]) -> Chain:
        for_start, for_chain = jax.random.split(key)
        density = whitened(log_posterior(rows_of(model, found.names, seen), found.prior), middle, spread)
        chain = sample(density, dispersed_start(for_start, len(centre)), for_chain, effort)
        return chain._replace(z=middle + chain.z @ spread.T)

    return jax.jit(run, compiler_options=loop_options(len(found.table.value)))


def _all_chains(config: SquareConfig, communicator: Communicator, found: Fitted, progress: ProgressDisplay) -> Chain:
    """Every chain, on every rank, one after another along a first axis. Collective over all ranks."""
    settings = config.uq
    effort = Effort(settings.warmup, settings.draws, settings.acceptance)
    centre, root = communicator.broadcast((found.posterior.centre, np.linalg.cholesky(found.posterior.covariance)))
    run, seed = make_chain(found, effort, centre, root), jax.random.key(config.run.seed)
    # One at a time: a chain then is the same program, with the same round-off, on any number of ranks.
    mine, numbers = {}, range(communicator.rank, settings.chains, communicator.size)
    progress.doing("sampling, the first chain with its compilation", len(numbers), "chains of this rank")
    for done, number in enumerate(numbers, start=1):
        mine[number] = jax.tree.map(np.asarray, run(found.seen, jax.random.fold_in(seed, number)))
        progress.done(done)
    every = {number: chain for share in communicator.share(mine) for number, chain in share.items()}
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(every[number] for number in range(settings.chains)))


def _checked(config: SquareConfig, names: tuple[str, ...], chains: Chain) -> Draws:
    settings = config.uq
    mixing = mixing_of(np.asarray(chains.z))
    refuse_unmixed(
        names, mixing, np.asarray(chains.diverging), rhat_most=settings.rhat_most, ess_least=settings.ess_least
    )
    kept: dict[str, Any] = {name: np.asarray(leaf) for name, leaf in chains._asdict().items() if name != "z"}
    return Draws(value=np.exp(chains.z), **kept, rhat=mixing.rhat, ess_bulk=mixing.ess_bulk, ess_tail=mixing.ess_tail)


def _placed(config: SquareConfig, found: Fitted) -> Placement:
    """Made with the noise that is usual among the observations, no later than the last of them."""
    model = found.model

    def predicted(z: Array, x: ndarray, y: ndarray, t: ndarray) -> Array:
        values = dict(zip(found.names, jnp.exp(z), strict=True))
        at_x, at_y = (jnp.asarray(model.observed_at(places)) for places in (x, y))
        return model.predicted(values, at_x, at_y, jnp.asarray(t))

    best = dict(zip(found.names, np.exp(found.posterior.centre), strict=True))
    return next_observation(
        predicted, found.posterior.centre, found.posterior.covariance, noise=float(np.median(found.table.noise)),
        half_width=best.get("half_width", model.constants.half_width), last=float(found.table.t.max()),
    )  # fmt: skip


def _log_likelihood(found: Fitted, z: Float[ndarray, "C S p"]) -> Float[ndarray, "C S N"]:
    """Of every observation under every draw."""
    rows = rows_of(by_networks(found.model), found.names, found.seen)
    missed = np.asarray(jax.jit(lambda z: jax.lax.map(rows, z, batch_size=_TOGETHER))(z.reshape(-1, z.shape[-1])))
    constant = np.log(found.table.noise) + 0.5 * np.log(2.0 * np.pi)
    return (-0.5 * missed**2 - constant).reshape(*z.shape[:2], -1)


def figures(outcome: Uncertainty) -> dict[str, Any]:
    """The numbers of a posterior, for its file of metrics."""
    told = infer.figures(outcome.inference)
    draws, placement = outcome.draws, outcome.placement
    for i, name in enumerate(outcome.inference.result.names):
        told["parameters"][name] |= {
            "median": float(np.median(draws.together[:, i])),
            "interval_95_draws": draws.interval()[i],
            "rhat": draws.rhat[i],
            "ess_bulk": draws.ess_bulk[i],
            "ess_tail": draws.ess_tail[i],
        }
    told["chains"] = {
        "chains": draws.value.shape[0],
        "draws": draws.value.shape[1],
        "divergences": int(draws.diverging.sum()),
        "acceptance": float(draws.acceptance.mean()),
        "integrator_steps": int(draws.steps.sum()),
        "seconds": outcome.seconds_sampling,
    }
    told["next_observation"] = {
        **dict(zip(("x", "y", "t"), placement.best.tolist(), strict=True)),
        "reduces_log_volume_by": placement.gain,
    }
    told["verdict"] = asdict(outcome.verdict)
    return told
