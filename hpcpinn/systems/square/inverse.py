"""Inferences on a square: its model of the observations, where these come from, and what is asked besides."""

from collections.abc import Callable, Mapping
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from hpcpinn.core.parameters import learnable_in, with_values
from hpcpinn.errors import InputError
from hpcpinn.inference.forward_model import At, NamedModel, is_traced
from hpcpinn.inference.infer import Fitted
from hpcpinn.inference.placement import Candidates, next_observation
from hpcpinn.inference.problem import InverseProblem, Observed
from hpcpinn.inference.study import DataSets, Synthesis
from hpcpinn.io import observations as table
from hpcpinn.io.draws import NextObservation
from hpcpinn.io.observations import IN_A_PLANE, Observations, read_observations
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import DopamineConstants, exact
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.systems.common.inverse import problem_for, starts_of
from hpcpinn.systems.common.inverse import sampling as sampling  # a part of its own of what infers
from hpcpinn.systems.square.build import constants_of
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.systems.square.model import SquareModel, make_square_model

EXAMPLE = "D"
"""A constant that can be learned."""
UNITS = {name: entry.plain_unit for name, entry in learnable_in(DopamineConstants).items()}
"""Of the constants that can be learned."""


def by_networks(square: SquareModel, names: tuple[str, ...]) -> NamedModel:
    """The model of the networks: places are features of the trunks."""

    def predicted(values: Mapping[str, Array], at: At) -> Float[Array, " N"]:
        return square.predicted(values, *at)

    def places(seen: Observations) -> At:
        return square.observed_at(seen["x"]), square.observed_at(seen["y"]), seen["t"]

    return _model(names, predicted, places)


def by_closed_form(constants: DopamineConstants, names: tuple[str, ...]) -> NamedModel:
    """The closed form, which other models are held against."""

    def predicted(values: Mapping[str, Array], at: At) -> Float[Array, " N"]:
        x, y, t = at
        return exact(x, y, t, with_values(constants, values))

    return _model(names, predicted, lambda seen: (seen["x"], seen["y"], seen["t"]))


def _model(
    names: tuple[str, ...],
    predicted: Callable[[Mapping[str, Array], At], Float[Array, " N"]],
    places: Callable[[Observations], At],
) -> NamedModel:
    return NamedModel(names, tuple(UNITS[name] for name in names), (0.0,) * len(names), predicted, places)


def synthesised(
    constants: DopamineConstants, *, count: int, noise: float, first: float, last: float, seed: int
) -> Observations:
    """Observations of the closed form at uniformly random places and times.

    Args:
        constants: The truth.
        count: Number of observations.
        noise: Standard deviation of their errors over the peak of the release.
        first, last: First and last time at which they are made, ms.
        seed: Seed of places, times and noise.
    """
    rng = np.random.default_rng(seed)
    a = constants.half_width
    x, y = rng.uniform(-a, a, (2, count))
    t = rng.uniform(first, last, count)
    deviation = np.full(count, noise * constants.C0)
    value = np.asarray(exact(x, y, t, constants)) + deviation * rng.standard_normal(count)
    return Observations(value, deviation, {"x": x, "y": y, "t": t}, IN_A_PLANE)


def check_usable(seen: Observations, half_width: float | None, n_parameters: int, where: str) -> None:
    """Finds out that observations cannot be used.

    Args:
        seen: The observations.
        half_width: Half of the square's side, µm; None where it is not known.
        n_parameters: How many constants they are to determine.
        where: What messages call their source.

    Raises:
        InputError: One lies outside the square or before the release, has no positive noise, or there are
            fewer than parameters.
    """
    table.check_usable(seen, n_parameters, where)
    for axis in ("x", "y"):
        values = seen[axis]
        reach = np.finfo(float).max if half_width is None else half_width * (1.0 + 1e-12)
        for row in np.flatnonzero(~(np.abs(values) <= reach)):
            bounds = f"lies outside the square (-{half_width:g} to {half_width:g} um)" if half_width else "is no place"
            raise InputError(f"{seen.place(row, where)}: {axis} = {values[row]:g} um {bounds}")
    for row in np.flatnonzero(seen["t"] < 0.0):
        raise InputError(f"{seen.place(row, where)}: t = {seen['t'][row]:g} ms is before the release at 0")


def truth_of(config: SquareConfig) -> DopamineConstants:
    """What synthetic data are made with."""
    return constants_of(config).replace(**config.data.truth.changes)


def prepared(
    config: SquareConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS
) -> tuple[InverseProblem, Observed]:
    """The inverse problem of a run description, and its data. Collective over all ranks.

    The model is small: every rank computes the same.

    Raises:
        InputError: Data cannot be used.
    """
    progress.doing("setting up")
    return problem_of(config), communicator.on_root(_observed, config)


def problem_of(config: SquareConfig) -> InverseProblem:
    """The model of a run description, its priors and where it begins."""
    constants, names = constants_of(config), tuple(parameter.name for parameter in config.parameter)
    square = make_square_model(constants, config.inference.features, config.run.seed, learns_size="half_width" in names)
    starts = zip(names, starts_of(config.parameter), strict=True)
    return problem_for(
        by_networks(square, names),
        [float(getattr(constants, name)) if given is None else given for name, given in starts],
        config,
        unit="uM",
        placed=partial(_placed, constants.half_width),
        bounds={name: entry.bounds for name, entry in learnable_in(DopamineConstants).items()},
    )


def _observed(config: SquareConfig) -> Observed:
    data, constants = config.data, constants_of(config)
    names = [parameter.name for parameter in config.parameter]
    truth: dict[str, float] = {}
    if data.file is not None:
        seen, source = read_observations(data.file), data.file
    else:
        made_with = truth_of(config)
        seen = synthesised(
            made_with, count=data.count, noise=data.noise, first=data.first, last=data.last, seed=data.seed
        )
        source = f"{data.count} synthetic observations (seed {data.seed})"
        truth = {name: float(getattr(made_with, name)) for name in names}
    check_usable(seen, None if "half_width" in names else constants.half_width, len(names), source)
    return Observed(seen, source, truth)


def _placed(half_width: float, found: Fitted) -> NextObservation:
    """Made with the noise that is usual among the observations, no later than the last of them."""
    model, seen = found.problem.model, found.observed.observations
    assert is_traced(model)
    best = dict(zip(model.names, np.exp(found.posterior.centre), strict=True))

    def predicted(z: Array, x: ndarray, y: ndarray, t: ndarray) -> Array:
        at = model.at(Observations(t, t, {"x": x, "y": y, "t": t}))
        return model.predict(z, tuple(map(jnp.asarray, at)))

    a = float(best.get("half_width", half_width))
    among = Candidates.within([(-a, a), (-a, a)], last=float(seen["t"].max()))
    noise = float(np.median(seen.noise))
    return next_observation(predicted, found.posterior.centre, found.posterior.covariance, noise, among)


def studied(config: SquareConfig) -> tuple[InverseProblem, Synthesis, DataSets]:
    """What a study fits, what its data are made with, and which these are.

    Raises:
        InputError: Data come from a file.
    """
    if config.data.file is not None:
        raise InputError(
            f"data.file = {config.data.file!r}: a study makes its own data, of known truth; leave it away",
            ("data", "file"),
        )
    data, truth = config.data, truth_of(config)

    def drawn(count: int, number: int) -> tuple[Observations, ndarray]:
        seen = synthesised(truth, count=count, noise=1.0, first=data.first, last=data.last, seed=data.seed + number)
        return seen, np.asarray(exact(seen["x"], seen["y"], seen["t"], truth))

    true_z = np.log([float(getattr(truth, parameter.name)) for parameter in config.parameter])
    sets = DataSets(config.study.noise, config.study.observations, config.study.draws)
    return problem_of(config), Synthesis(true_z, truth.C0, drawn), sets
