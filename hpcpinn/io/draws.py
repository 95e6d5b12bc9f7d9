"""Draws from a posterior: in the result file of an inference, and as ArviZ InferenceData in netCDF beside it.

/draws/value (C, S, p)                                           constants, chain by chain
/draws/{log_density,diverging,acceptance,energy,steps} (C, S)    of every draw
/draws/step_size (C,)
/draws/{rhat,ess_bulk,ess_tail} (p,)
/placement/{x,y,t,over_places,over_times,best,gain}              where the next observation tells most
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.io import storage
from hpcpinn.io.inference import FORMAT as INFERENCE_FORMAT
from hpcpinn.io.inference import FORMAT_VERSION as INFERENCE_VERSION

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-draws"
"""Of the netCDF file."""


@dataclass(frozen=True)
class Draws:
    """Draws of all chains, and how good they are.

    Attributes:
        value: The constants.
        log_density: Of the logarithms, up to a constant.
        diverging: The integrator lost the energy on the way there.
        acceptance: Mean acceptance probability of the trajectory.
        energy: Of the trajectory.
        steps: Of the integrator.
        step_size: Of every chain.
        rhat: Rank-normalised, of every constant.
        ess_bulk, ess_tail: Effective draws of all chains together.
    """

    value: Float[ndarray, "C S p"]
    log_density: Float[ndarray, "C S"]
    diverging: Bool[ndarray, "C S"]
    acceptance: Float[ndarray, "C S"]
    energy: Float[ndarray, "C S"]
    steps: Int[ndarray, "C S"]
    step_size: Float[ndarray, " C"]
    rhat: Float[ndarray, " p"]
    ess_bulk: Float[ndarray, " p"]
    ess_tail: Float[ndarray, " p"]

    @property
    def together(self) -> Float[ndarray, "CS p"]:
        """The constants of all chains."""
        return self.value.reshape(-1, self.value.shape[-1])

    def interval(self, probability: float = 0.95) -> Float[ndarray, "p 2"]:
        """Central intervals of the constants."""
        tail = 0.5 - 0.5 * probability
        return np.quantile(self.together, [tail, 1.0 - tail], axis=0).T


@dataclass(frozen=True)
class Placement:
    """What one more observation would tell, where and when: by how much it shrinks the log-volume of the posterior.

    Attributes:
        x, y: Places that were tried, µm.
        t: Times, ms.
        over_places: Gain at every place at the best time.
        over_times: Gain at every time in the best place.
        best: x, y, t of the largest gain.
        gain: There.
    """

    x: Float[ndarray, " X"]
    y: Float[ndarray, " Y"]
    t: Float[ndarray, " T"]
    over_places: Float[ndarray, "Y X"]
    over_times: Float[ndarray, " T"]
    best: Float[ndarray, "3"]
    gain: float


_DRAWS = tuple(Draws.__dataclass_fields__)
_PLACEMENT = tuple(Placement.__dataclass_fields__)
_UNITS = {"x": "um", "y": "um", "t": "ms"}


def netcdf_path(result: str | Path) -> Path:
    """Where the draws of a result lie as netCDF: ``run.h5`` → ``run.nc``."""
    return storage.beside(result, "nc")


def write_draws(path: str | Path, communicator: "Communicator", draws: Draws, placement: Placement) -> None:
    """Adds draws to the result of an inference. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when they cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write_draws, Path(path), draws, placement)


def _write_draws(path: Path, draws: Draws, placement: Placement) -> None:
    with storage.open_serial(path) as file:
        for group, names, owner in (("draws", _DRAWS, draws), ("placement", _PLACEMENT, placement)):
            for name in names:
                file[f"{group}/{name}"] = getattr(owner, name)
        for name, unit in _UNITS.items():
            file[f"placement/{name}"].attrs["units"] = unit


def read_draws(path: str | Path) -> tuple[Draws, Placement] | None:
    """The draws of an inference; None where it has none. Serial.

    Raises:
        InputError: The file is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), INFERENCE_FORMAT, INFERENCE_VERSION) as file:
        if "draws" not in file:
            return None
        draws = Draws(**{name: file[f"draws/{name}"][()] for name in _DRAWS})
        found: dict[str, Any] = {name: file[f"placement/{name}"][()] for name in _PLACEMENT}
        return draws, Placement(**found | {"gain": float(found["gain"])})


def write_netcdf(
    path: str | Path,
    communicator: "Communicator",
    names: tuple[str, ...],
    units: tuple[str, ...],
    draws: Draws,
    log_likelihood: Float[ndarray, "C S N"],
    observations: Mapping[str, Float[ndarray, " N"]],
) -> None:
    """Writes ArviZ InferenceData as netCDF, replacing an older one atomically. Collective over all ranks.

    Groups: posterior, sample_stats (with ArviZ's names), log_likelihood, observed_data, and constant_data with
    places, times and noise of the observations. Needs ArviZ, on rank 0.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    arguments = (Path(path), names, units, draws, log_likelihood, observations)
    storage.on_root(communicator, Path(path), "", _write_netcdf, *arguments)


def _write_netcdf(
    path: Path,
    names: tuple[str, ...],
    units: tuple[str, ...],
    draws: Draws,
    log_likelihood: ndarray,
    observations: Mapping[str, ndarray],
) -> None:
    arviz = import_arviz()
    data = arviz.from_dict(
        posterior={name: draws.value[..., i] for i, name in enumerate(names)},
        sample_stats={
            "lp": draws.log_density, "diverging": draws.diverging, "acceptance_rate": draws.acceptance,
            "energy": draws.energy, "n_steps": draws.steps,
            "step_size": np.broadcast_to(draws.step_size[:, None], draws.energy.shape),
        },
        log_likelihood={"value": log_likelihood},
        observed_data={"value": observations["value"]},
        constant_data={name: observations[name] for name in ("x", "y", "t", "noise")},
        dims={name: ["observation"] for name in ("value", "x", "y", "t", "noise")},
        attrs={"format": FORMAT, "hpcpinn": __version__},
    )  # fmt: skip
    for name, unit in zip(names, units, strict=True):
        data.posterior[name].attrs["units"] = unit
    for name, unit in _UNITS.items():
        data.constant_data[name].attrs["units"] = unit
    save_netcdf(data, path)


def save_netcdf(data: Any, path: Path) -> None:
    """Writes InferenceData, replacing an older file atomically. Needs ArviZ."""
    temporary = path.with_name(path.name + ".new")
    data.to_netcdf(str(temporary), engine="h5netcdf")
    os.replace(temporary, path)


def import_arviz() -> Any:
    """ArviZ, without what it says to everybody who loads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    return arviz
