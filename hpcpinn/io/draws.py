"""Draws from a posterior: in the result file of an inference, and as ArviZ InferenceData in netCDF beside it.

`schema.DRAWS` and `schema.PLACEMENT` say what is in the file.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.io import datasets, storage
from hpcpinn.io.disk import replace
from hpcpinn.io.names import beside
from hpcpinn.io.observations import Observations
from hpcpinn.io.schema import DRAWS, INFERENCE_FORMAT, INFERENCE_FORMAT_VERSION, PLACEMENT
from hpcpinn.io.seal import seal_file

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT, FORMAT_VERSION = "hpcpinn-draws", 1
"""Of the netCDF file."""

OF_CHAINS = ("diverging", "acceptance", "energy", "steps", "step_size", "rhat", "ess_bulk", "ess_tail")
"""Figures of chains of the no-U-turn sampler: of draws (C, S), of chains (C,), the last three of constants (p,)."""
OF_WEIGHTS = ("shape", "effective")
"""Figures of weighted draws: shape k of the tail of the weights, and the effective number of draws."""


@dataclass(frozen=True)
class Draws:
    """Draws from a posterior: of C chains of S, all alike, or one set with weights of their own.

    Attributes:
        value: Values of the constants, (C, S, p).
        weight: Weight of every draw; their sum is 1.
        log_density: Log density of the coordinates, up to a constant.
        equal: Numbers of draws, over all chains, that may stand for the posterior with equal weights.
        median: Medians of the constants.
        interval: Ends of the middle 95 % of the constants, (p, 2).
        figures: Figures by name that say how good the draws are: `OF_CHAINS` or `OF_WEIGHTS`.
    """

    value: Float[ndarray, "C S p"]
    weight: Float[ndarray, "C S"]
    log_density: Float[ndarray, "C S"]
    equal: Int[ndarray, " N"]
    median: Float[ndarray, " p"]
    interval: Float[ndarray, "p 2"]
    figures: Mapping[str, Any]

    @property
    def together(self) -> Float[ndarray, "N p"]:
        """Constants of draws of equal weight."""
        drawn: Float[ndarray, "N p"] = self.flat[self.equal]
        return drawn

    @property
    def flat(self) -> Float[ndarray, "CS p"]:
        """Constants of all chains, one after another."""
        return self.value.reshape(-1, self.value.shape[-1])

    @property
    def is_weighted(self) -> bool:
        """Whether draws have weights of their own, instead of coming from chains."""
        return "shape" in self.figures


@dataclass(frozen=True)
class NextObservation:
    """What one more observation would tell, where and when: by how much it shrinks the log-volume of the posterior.

    Attributes:
        x, y: Places that were tried, µm.
        t: Times, ms.
        over_places: Gain at every place at the best time.
        over_times: Gain at every time in the best place.
        best: Place x, y and time t of the largest gain.
        gain: The largest gain.
    """

    x: Float[ndarray, " X"]
    y: Float[ndarray, " Y"]
    t: Float[ndarray, " T"]
    over_places: Float[ndarray, "Y X"]
    over_times: Float[ndarray, " T"]
    best: Float[ndarray, "3"]
    gain: float


_ARRAYS = ("value", "weight", "log_density", "equal", "median", "interval")


def netcdf_path(result: str | Path) -> Path:
    """Where the draws of a result lie as netCDF: ``run.h5`` → ``run.nc``."""
    return beside(result, "nc")


def write_draws(
    path: str | Path, communicator: "Communicator", draws: Draws, placement: NextObservation | None
) -> None:
    """Adds draws to the result of an inference. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when they cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write_draws, Path(path), draws, placement)


def _write_draws(path: Path, draws: Draws, placement: NextObservation | None) -> None:
    content = {f"draws/{name}": getattr(draws, name) for name in _ARRAYS}
    content |= {f"draws/{name}": figure for name, figure in draws.figures.items()}
    content |= {} if placement is None else {f"placement/{name}": value for name, value in vars(placement).items()}
    with storage.replacing(path, changes=True) as file:
        datasets.write(file, (*DRAWS, *PLACEMENT), content)


def read_draws(path: str | Path) -> Draws | None:
    """The draws of an inference; None where it has none. Serial.

    Raises:
        InputError: The file is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), INFERENCE_FORMAT, INFERENCE_FORMAT_VERSION) as file:
        found = datasets.read(file, DRAWS)
    if not found:
        return None
    named = {name.removeprefix("draws/"): values for name, values in found.items()}
    figures = {name: named[name] for name in OF_CHAINS if name in named}
    figures |= {name: float(named[name]) for name in OF_WEIGHTS if name in named}
    return Draws(**{name: named[name] for name in _ARRAYS}, figures=figures)


def read_placement(path: str | Path) -> NextObservation | None:
    """Where the next observation tells most, by the draws of an inference; None where it has none. Serial.

    Raises:
        InputError: The file is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), INFERENCE_FORMAT, INFERENCE_FORMAT_VERSION) as file:
        found = datasets.read(file, PLACEMENT)
    named: dict[str, Any] = {name.removeprefix("placement/"): values for name, values in found.items()}
    return NextObservation(**named | {"gain": float(named["gain"])}) if named else None


def write_netcdf(
    path: str | Path,
    communicator: "Communicator",
    named: Mapping[str, str],
    draws: Draws,
    log_likelihood: Float[ndarray, "C S N"],
    observations: Observations,
) -> None:
    """Writes ArviZ InferenceData as netCDF, replacing an older one atomically. Collective over all ranks.

    Groups: posterior and log_likelihood (of weighted draws as many of equal weight, one chain), sample_stats (with
    ArviZ's names), observed_data, and constant_data with places, times and noise of the observations. Needs ArviZ, on
    rank 0.

    Args:
        path: The file.
        communicator: All ranks.
        named: Units of the constants by their names.
        draws: The draws.
        log_likelihood: Log likelihood of every observation under every draw.
        observations: The data.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    arguments = (Path(path), named, draws, log_likelihood, observations)
    storage.on_root(communicator, Path(path), "", _write_netcdf, *arguments)


def _write_netcdf(
    path: Path, named: Mapping[str, str], draws: Draws, log_likelihood: ndarray, observations: Observations
) -> None:
    def of_equal_weight(values: ndarray) -> ndarray:
        """Draws of a first axis C and a second S: all of chains, those of equal weight where they have weights."""
        return values.reshape(1, -1, *values.shape[2:])[:, draws.equal] if draws.is_weighted else values

    value, columns = of_equal_weight(draws.value), ("value", *observations.at, "noise")
    at = {n: np.array(c, dtype=object) if isinstance(c, tuple) else c for n, c in observations.at.items()}
    figures = draws.figures
    attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, "hpcpinn": __version__}
    if draws.is_weighted:
        attributes |= {"pareto_k": figures["shape"], "effective_draws": figures["effective"]}
    data = import_arviz().from_dict(
        posterior={name: value[..., i] for i, name in enumerate(named)},
        sample_stats={"lp": of_equal_weight(draws.log_density)} | ({} if draws.is_weighted else _stats(figures)),
        log_likelihood={"value": of_equal_weight(log_likelihood)},
        observed_data={"value": observations.value},
        constant_data={**at, "noise": observations.noise},
        dims={name: ["observation"] for name in columns},
        attrs=attributes,
    )
    for name, unit in named.items():
        data.posterior[name].attrs["units"] = unit
    for name in at:
        if observations.unit(name):
            data.constant_data[name].attrs["units"] = observations.unit(name)
    temporary = path.with_name(path.name + ".new")
    data.to_netcdf(str(temporary), engine="h5netcdf")
    seal_file(temporary)
    replace(temporary, path)


def _stats(figures: Mapping[str, ndarray]) -> dict[str, ndarray]:
    """Figures of every draw of chains, by ArviZ's names."""
    named = {"diverging": "diverging", "acceptance": "acceptance_rate", "energy": "energy", "steps": "n_steps"}
    stats = {theirs: figures[ours] for ours, theirs in named.items()}
    return stats | {"step_size": np.broadcast_to(figures["step_size"][:, None], figures["energy"].shape)}


def import_arviz() -> Any:
    """ArviZ, without what it says to everybody who loads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    return arviz
