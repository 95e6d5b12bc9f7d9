"""Inferences on a cell: traces at sites, from a file or made, and the model that is fitted to them."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.core import plausibility
from hpcpinn.errors import warn
from hpcpinn.inference.problem import BandPlaces, InverseProblem, Observed
from hpcpinn.io import observations as table
from hpcpinn.io.observations import AT_SITES, Observations, read_observations
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.systems.cell.build.constants import MESHED_BY, own_value
from hpcpinn.systems.cell.build.model import build_model
from hpcpinn.systems.cell.config.learnable import constant_named
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.model import AtSites, CellModel
from hpcpinn.systems.common.inverse import problem_for, starts_of
from hpcpinn.systems.common.inverse import sampling as sampling  # a part of its own of what infers

EXAMPLE = "D_c"
"""A constant that can be learned."""
_LEAST_COVERED = 0.01
"""Share of a run; data that end earlier have another unit of time."""


def check_usable(traces: Observations, duration: float, n_parameters: int, where: str) -> None:
    """Finds out that traces cannot be used. Sites are the cell's affair.

    Args:
        traces: The traces.
        duration: Duration of the run, ms.
        n_parameters: How many constants they are to determine.
        where: What messages call their source.

    Raises:
        InputError: A value that is no number, no positive noise, a time outside the run, or fewer rows than
            parameters.
    """
    table.check_usable(traces, n_parameters, where)
    table.check_within(traces, duration, where)
    last = float(traces["t"].max(initial=0.0))
    if 0.0 < last < _LEAST_COVERED * duration:
        warn(
            f"{where}: ends at t = {last:g} ms, and the run at {duration:g} (run.duration); if its times are in s, "
            "multiply them by 1000"
        )


def prepared(
    config: RunConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS
) -> tuple[InverseProblem, Observed]:
    """The inverse problem of a run description, and its data. Collective over all ranks.

    Raises:
        InputError: Data cannot be used.
        SolveError: The run with the starting, or the true, constants does not reach its tolerance.
    """
    progress.doing("setting up")
    data, n_parameters = config.data, len(config.parameter)
    if data.file is not None:
        traces = communicator.on_root(read_observations, data.file, AT_SITES)
        check_usable(traces, config.run.duration, n_parameters, data.file)
        if data.indicator is None:
            largest = float(np.abs(traces.value).max())
            plausibility.check("measured calcium", largest, f"{data.file}: the largest value")
        sites = tuple(dict.fromkeys(name.strip() for name in traces["site"]))
        return build_inverse(config, communicator, sites), Observed(traces, data.file)
    problem = build_inverse(config, communicator, tuple(name.strip() for name in data.sites))
    progress.doing("compiling, and making data")
    traces = synthesiser(config, communicator, problem)(data.seed)
    source = f"{len(traces)} synthetic observations (seed {data.seed})"
    check_usable(traces, config.run.duration, n_parameters, source)
    return problem, Observed(traces, source, truth_of(config, problem))


def build_inverse(config: RunConfig, communicator: Communicator, sites: tuple[str, ...]) -> InverseProblem:
    """Sets up an inference. Collective over all ranks; the run with the starting constants is the long part.

    Args:
        config: The run description with [[parameter]].
        communicator: All ranks.
        sites: Places where traces are, or will be, measured.

    Raises:
        InputError: What the user gave cannot be used.
        SolveError: The run with the starting constants does not reach its tolerance.
    """
    return _meshed(config, communicator, sites, starts_of(config.parameter))


def _meshed(
    config: RunConfig, communicator: Communicator, sites: tuple[str, ...], starts: Sequence[float | None]
) -> InverseProblem:
    """The problem whose windows and pieces are chosen for given constants, from which it begins. Collective."""
    names = tuple(parameter.name for parameter in config.parameter)
    model, begin = build_model(config, communicator, names, starts, sites)

    def meshed_at(z: Float[ndarray, " p"]) -> InverseProblem:
        return _meshed(config, communicator, sites, model.coordinates.values(z).tolist())

    def grouped(traces: Observations) -> tuple[ndarray, ndarray]:
        return tuple(model.at(traces))  # type: ignore[return-value]

    return problem_for(
        model,
        begin,
        config,
        unit=model.unit,
        traces=_traces(model, config.inference.band_interval, config.run.duration),
        groups=grouped,
        meshed_at=meshed_at if any(name in MESHED_BY for name in names) else None,
        over_fields=model.over_the_cell,
        bounds={name: entry.bounds for name in names if (entry := constant_named(name)) is not None},
    )


def _traces(model: CellModel, every: float, last: float) -> BandPlaces:
    """All sites of a model every so often, ms."""
    times = np.minimum(every * np.arange(int(np.ceil(last / every)) + 1), last)
    n_sites = len(model.sites)
    at = AtSites(np.repeat(np.arange(n_sites), len(times)), np.tile(times, n_sites))
    return BandPlaces(tuple(site.name for site in model.sites), times, at)


def cell_model(problem: InverseProblem) -> CellModel:
    """The model of a problem on a cell."""
    assert isinstance(problem.model, CellModel)
    return problem.model


def truth_of(config: RunConfig, problem: InverseProblem) -> dict[str, float]:
    """What synthetic data are made with, of the learned constants and of others that differ from the run's."""
    known, changes = cell_model(problem).setup.cell.constants, config.data.truth.changes
    learned = {name: own_value(config, known, name, changes) for name in problem.names}
    covered = set(problem.names)
    return learned | {name: value for name, value in changes.items() if name not in covered}


def synthesiser(
    config: RunConfig, communicator: Communicator, problem: InverseProblem
) -> Callable[[int], Observations]:
    """Makes synthetic traces of a run description from a seed. Collective over all ranks.

    Raises:
        SolveError: The model cannot be solved with the true constants.
    """
    truth, model = truth_of(config, problem), cell_model(problem)
    names, sites = tuple(truth), tuple(site.name for site in model.sites)
    if any(name in MESHED_BY for name in names):
        model, _ = build_model(config, communicator, names, list(truth.values()), sites)
    elif names != model.names:
        model = model.learning(names)
    marched = model.solve(model.coordinates.of(list(truth.values())))
    data, n_sites = config.data, len(sites)
    last = config.run.duration if data.last is None else data.last
    times = data.first + data.interval * np.arange(int((last - data.first) / data.interval * (1.0 + 1e-12)) + 1)
    at = AtSites(np.repeat(np.arange(n_sites), len(times)), np.tile(times, n_sites))
    value = model.seen(marched, at).value
    rest = model.seen(marched, AtSites(np.arange(n_sites), np.zeros(n_sites))).value
    largest = np.abs(value - rest[at.site]).reshape(n_sites, -1).max(axis=1)
    deviation = data.noise * largest[at.site]
    columns = {"site": tuple(sites[s] for s in at.site), "t": at.time}
    return partial(_noisy, Observations(value, deviation, columns, AT_SITES))


def _noisy(clean: Observations, seed: int) -> Observations:
    """Observations with errors of their noise."""
    noise = np.random.default_rng(seed).standard_normal(len(clean))
    return Observations(clean.value + clean.noise * noise, clean.noise, clean.at, clean.units)
