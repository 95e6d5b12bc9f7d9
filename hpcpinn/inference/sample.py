"""The whole posterior of constants by draws: chains where the model is traced, weighted draws where it is a run.

Where JAX can differentiate the model the no-U-turn sampler draws; where every evaluation is a run on all ranks, draws
from around Laplace's approximation are weighted by the posterior itself. Draws that do not represent the posterior
end the work with an error, and nothing is written.
"""

import time as clock
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from numpy import ndarray

from hpcpinn.errors import SolveError
from hpcpinn.inference import importance
from hpcpinn.inference.forward_model import Data, TracedModel, data_of, is_traced, rows_of, seen, solve
from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.inference.infer import Fitted, Inference, fitted, inferred
from hpcpinn.inference.mixing import check_mixing, mixing_of
from hpcpinn.inference.nuts import Chain, Effort, dispersed_start, log_posterior, whitened
from hpcpinn.inference.nuts import sample as chain_of
from hpcpinn.inference.problem import InverseProblem, Observed
from hpcpinn.inference.verdict import InferenceVerdict
from hpcpinn.io.draws import OF_CHAINS, Draws, NextObservation, netcdf_path, write_draws, write_netcdf
from hpcpinn.io.inference import write_inference
from hpcpinn.io.inputs import Destination
from hpcpinn.io.metrics import write_metrics
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.parallel.threads import loop_options
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.wording import counted, listed

_TOGETHER = 50
"""Draws whose likelihoods are computed at once."""
_MIDDLE = (0.025, 0.975)
"""Edges of the middle 95 %."""


@dataclass(frozen=True)
class Sampling:
    """How the posterior is drawn from.

    Attributes:
        draws: Draws that a chain keeps; or weighted draws, of which every one is a run.
        seed: Seed of the draws.
        chains: Number of chains of the no-U-turn sampler; the ranks share them.
        warmup: Steps that adapt a chain, and are thrown away.
        acceptance: Acceptance rate that its step size is adapted to.
        rhat_most: Largest R-hat of chains that mix.
        ess_least: Fewest effective draws per chain.
        shape_most: Largest Pareto shape k of the tail of weights that can be relied on.
        effective_least: Fewest effective draws of weighted ones.
    """

    draws: int = 1000
    seed: int = 0
    chains: int = 4
    warmup: int = 1000
    acceptance: float = 0.9
    rhat_most: float = 1.01
    ess_least: float = 100.0
    shape_most: float = 0.7
    effective_least: float = 100.0


@dataclass(frozen=True)
class Sampled:
    """A posterior and its cost.

    Attributes:
        inference: The most probable constants, with Laplace's intervals and the bands of the draws.
        draws: The draws.
        placement: Place and time where the next observation tells most; None where nobody asked.
        lost: Draws at which the model could not be solved; they weigh nothing.
        seconds_sampling: Wall time of the draws, compilation included.
    """

    inference: Inference
    draws: Draws
    placement: NextObservation | None
    lost: int
    seconds_sampling: float

    @property
    def verdict(self) -> InferenceVerdict:
        """What came of it, by the intervals of the draws."""
        lost = f"{self.lost} of {counted(self.draws.weight.size, 'draw')} could not be solved; they weigh nothing"
        return self.inference.judged(intervals=self.draws.interval, left=(lost,) if self.lost else ())

    @property
    def figures(self) -> dict[str, Any]:
        """The numbers of the posterior, for its file of metrics."""
        figures, draws = self.inference.figures, self.draws
        quality = draws.figures
        for i, name in enumerate(self.inference.result.names):
            of_one = {"median": float(draws.median[i]), "interval_95_draws": draws.interval[i]}
            of_one |= {key: quality[key][i] for key in ("rhat", "ess_bulk", "ess_tail") if key in quality}
            figures["parameters"][name] |= of_one
        if draws.is_weighted:
            figures["draws"] = {
                "draws": draws.weight.size,
                "effective": quality["effective"],
                "pareto_k": quality["shape"],
                "not_solved": self.lost,
                "seconds": self.seconds_sampling,
            }
        else:
            figures["chains"] = {
                "chains": draws.value.shape[0],
                "draws": draws.value.shape[1],
                "divergences": int(quality["diverging"].sum()),
                "acceptance": float(quality["acceptance"].mean()),
                "integrator_steps": int(quality["steps"].sum()),
                "seconds": self.seconds_sampling,
            }
        if self.placement is not None:
            figures["next_observation"] = {
                **dict(zip(("x", "y", "t"), self.placement.best.tolist(), strict=True)),
                "reduces_log_volume_by": self.placement.gain,
            }
        figures["verdict"] = asdict(self.verdict)
        return figures


class _Drawn(NamedTuple):
    """Draws, log likelihood of every observation under them (C, S, N), values of the bands (C·S, B), None for none."""

    draws: Draws
    log_likelihood: ndarray
    bands: ndarray | None


def sample(
    problem: InverseProblem,
    observed: Observed,
    how: Sampling = Sampling(),
    communicator: Communicator | None = None,
    progress: ProgressDisplay = NO_PROGRESS,
    *,
    output: Destination | None = None,
    began: float | None = None,
) -> Sampled:
    """Draws from the posterior and writes the result. Collective over all ranks.

    Chains are dealt to the ranks; a weighted draw is a run on all of them. Draws depend on the seed alone.

    Args:
        problem, observed, communicator, progress, output, began: Problem, data and surroundings of the run, as of
            `hpcpinn.inference.infer.infer`.
        how: Number of draws, and how good they must be.

    Raises:
        SolveError: There is no posterior, or the draws do not represent it.
        OutputError: The result cannot be written.
    """
    began, communicator = began or clock.perf_counter(), communicator or SerialCommunicator()
    found = fitted(problem, observed, progress)
    inference = inferred(found, began)
    begun = clock.perf_counter()
    model = found.problem.model
    if is_traced(model):
        drawn = _by_chains(found, model, how, communicator, progress)
    else:
        drawn = _by_weights(found, how, communicator, progress)
    seconds = clock.perf_counter() - begun
    placed = found.problem.placed
    placement = None if placed is None else communicator.on_root(placed, found)
    result = _with_bands(inference.result, drawn)
    lost = int(np.sum(~np.isfinite(drawn.draws.log_density)))
    outcome = Sampled(replace(inference, result=result), drawn.draws, placement, lost, seconds)
    if output is not None:
        named = dict(zip(result.names, result.units, strict=True))
        with stopping.unbroken(f"{output.path} is whole"):
            write_inference(output, communicator, result)
            write_draws(output.path, communicator, drawn.draws, placement)
            write_netcdf(
                netcdf_path(output.path), communicator, named, drawn.draws, drawn.log_likelihood, result.observations
            )
            write_metrics(output.path, communicator, outcome.figures)
    return outcome


def check_proper(names: tuple[str, ...], is_loose: Bool[ndarray, " p"]) -> None:
    """Finds out that there is no posterior.

    Args:
        names: Names of the constants.
        is_loose: Whether neither data nor prior say anything of each constant, (p,).

    Raises:
        SolveError: There are such constants.
    """
    loose = [name for name, open_ in zip(names, is_loose, strict=True) if open_]
    if loose:
        raise SolveError(
            f"uq: neither data nor priors determine {listed(loose)}, so there is no posterior to draw from; give a "
            "prior (parameter.prior), fix it, or give more data"
        )


def make_chain(
    model: TracedModel, prior: Prior, effort: Effort, centre: Float[ndarray, " p"], root: Float[ndarray, "p p"]
) -> Any:
    """A chain of the coordinates, from observations and a key. Traceable.

    Args:
        model, prior: Model of the data, and priors of its coordinates.
        effort: How long it is.
        centre, root: Mode and root of the covariance of Laplace's approximation, the chain's units.
    """

    def run(data: Data, key: Key[Array, ""]) -> Chain:
        middle, spread = jnp.asarray(centre), jnp.asarray(root)
        for_start, for_chain = jax.random.split(key)
        density = whitened(log_posterior(rows_of(model, data), prior), middle, spread)
        chain = chain_of(density, dispersed_start(for_start, len(middle)), for_chain, effort)
        return chain._replace(z=middle + chain.z @ spread.T)

    return run


def _by_chains(
    found: Fitted, model: TracedModel, how: Sampling, communicator: Communicator, progress: ProgressDisplay
) -> _Drawn:
    """Draws of the no-U-turn sampler. Collective over all ranks."""
    precision = np.asarray(found.problem.prior.precision)
    # A flat prior is improper where the likelihood is bounded nowhere.
    check_proper(model.names, ~found.posterior.determined & (precision == 0.0))
    data = data_of(model, found.observed.observations)
    chains = _all_chains(found, model, data, how, communicator, progress)
    progress.doing("judging the draws, and where to measure next")
    draws = communicator.on_root(_judged, model, chains, how)
    z, traces = np.asarray(chains.z), found.problem.traces
    bands = None if traces is None else _in_turn(lambda z: model.predict(z, traces.at), z)
    missed = _in_turn(rows_of(model, data), z)
    return _Drawn(draws, _log_likelihood(missed, found).reshape(*z.shape[:2], -1), bands)


def _all_chains(
    found: Fitted, model: TracedModel, data: Data, how: Sampling, communicator: Communicator, progress: ProgressDisplay
) -> Chain:
    """Every chain, on every rank, one after another along a first axis. Collective over all ranks."""
    effort = Effort(how.warmup, how.draws, how.acceptance)
    posterior = found.posterior
    centre, root = communicator.broadcast((posterior.centre, np.linalg.cholesky(posterior.covariance)))
    run = jax.jit(
        make_chain(model, found.problem.prior, effort, centre, root),
        compiler_options=loop_options(len(found.observed.observations)),
    )
    # One at a time: a chain then is the same program, with the same round-off, on any number of ranks.
    mine, numbers = {}, range(communicator.rank, how.chains, communicator.size)
    progress.doing("sampling, the first chain with its compilation", len(numbers), "chains of this rank")
    for done, number in enumerate(numbers, start=1):
        mine[number] = jax.tree.map(np.asarray, run(data, jax.random.fold_in(jax.random.key(how.seed), number)))
        progress.done(done)
    every = {number: chain for share in communicator.share(mine) for number, chain in share.items()}
    in_turn = (every[number] for number in range(how.chains))
    chains: Chain = jax.tree.map(lambda *leaves: np.stack(leaves), *in_turn)
    return chains


def _judged(model: TracedModel, chains: Chain, how: Sampling) -> Draws:
    z = np.asarray(chains.z)
    mixing = mixing_of(z)
    check_mixing(model.names, mixing, np.asarray(chains.diverging), rhat_most=how.rhat_most, ess_least=how.ess_least)
    kept = chains._asdict() | asdict(mixing)
    value = np.asarray(model.coordinates.values(z))
    together = value.reshape(-1, value.shape[-1])
    return Draws(
        value=value,
        weight=np.full(z.shape[:2], 1.0 / len(together)),
        log_density=np.asarray(chains.log_density),
        equal=np.arange(len(together)),
        median=np.median(together, axis=0),
        interval=np.quantile(together, _MIDDLE, axis=0).T,
        figures={name: np.asarray(kept[name]) for name in OF_CHAINS},
    )


def _in_turn(made: Any, z: Float[ndarray, "C S p"]) -> Float[ndarray, "CS N"]:
    """What a traceable function makes of draws, some of them at a time."""
    every = jnp.asarray(z.reshape(-1, z.shape[-1]))
    return np.asarray(jax.jit(lambda z: jax.lax.map(made, z, batch_size=_TOGETHER))(every))


def _log_likelihood(missed: Float[ndarray, "... N"], found: Fitted) -> Float[ndarray, "... N"]:
    """Of every observation, from (model − data)/noise of one draw, or of several."""
    constant = np.log(found.observed.observations.noise) + 0.5 * np.log(2.0 * np.pi)
    likelihood: Float[ndarray, "... N"] = -0.5 * missed**2 - constant
    return likelihood


def _by_weights(found: Fitted, how: Sampling, communicator: Communicator, progress: ProgressDisplay) -> _Drawn:
    """Draws from around Laplace's approximation, each a run, with weights. Collective over all ranks."""
    posterior, model = found.posterior, found.problem.model
    check_proper(model.names, ~np.isfinite(posterior.sd))
    proposals = communicator.on_root(importance.propose, posterior.centre, posterior.covariance, how.draws, how.seed)
    density, likelihood, bands = _weighed(found, proposals.z, progress)
    weighted = communicator.on_root(importance.weigh, proposals, density)
    communicator.on_root(
        lambda: importance.check_reliability(weighted, shape_most=how.shape_most, effective_least=how.effective_least)
    )
    value = np.asarray(model.coordinates.values(weighted.z))
    first, median, last = importance.quantiles(value, weighted.weight, (_MIDDLE[0], 0.5, _MIDDLE[1]))
    draws = Draws(
        value=value[None],
        weight=weighted.weight[None],
        log_density=weighted.log_density[None],
        equal=importance.resampled(weighted.weight, how.seed),
        median=median,
        interval=np.stack([first, last], axis=1),
        figures={"shape": weighted.shape, "effective": weighted.effective},
    )
    return _Drawn(draws, likelihood[None], bands)


def _weighed(
    found: Fitted, z: Float[ndarray, "N p"], progress: ProgressDisplay
) -> tuple[Float[ndarray, " N"], Float[ndarray, "N O"], Float[ndarray, "N B"] | None]:
    """Log density of the posterior, log likelihood of every observation and the bands' values, draw by draw.

    Collective over all ranks. Where the model cannot be solved the density is −∞ and the rest zero.
    """
    problem, observations = found.problem, found.observed.observations
    model, prior, at = problem.model, problem.prior, problem.model.at(observations)
    density, likelihood = np.full(len(z), -np.inf), np.zeros((len(z), len(observations)))
    bands: list[Any] = [0.0] * len(z)
    progress.doing("solving for draws", len(z), "draws")
    for number, here in enumerate(z):
        progress.done(number, _lost(density[:number]))
        try:
            solution = solve(model, here, found.solution, slopes=False)
        except SolveError:
            continue  # on all ranks alike
        missed = (seen(model, solution, at).value - observations.value) / observations.noise
        likelihood[number] = _log_likelihood(missed, found)
        density[number] = likelihood[number].sum() - 0.5 * np.sum(prior.precision * (here - prior.centre) ** 2)
        if problem.traces is not None:
            bands[number] = seen(model, solution, problem.traces.at).value
    progress.done(len(z), _lost(density))
    return density, likelihood, None if problem.traces is None else np.stack(np.broadcast_arrays(*bands))


def _lost(density: Float[ndarray, " N"]) -> str:
    """How many draws could not be solved, in words; nothing where all could."""
    lost = int(np.sum(~np.isfinite(density)))
    return f"{lost} of them could not be solved" if lost else ""


def _with_bands(result: Any, drawn: _Drawn) -> Any:
    """A result whose bands hold the middle 95 % of the draws, too."""
    if drawn.bands is None or result.bands is None:
        return result
    weight = drawn.draws.weight.ravel()
    low, high = importance.quantiles(drawn.bands, weight, _MIDDLE).reshape(2, *result.bands.mean.shape)
    return replace(result, bands=replace(result.bands, low=low, high=high))
