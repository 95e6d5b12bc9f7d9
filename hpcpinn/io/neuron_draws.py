"""Weighted draws from the posterior of a cell's constants: in the result of the inference, and as netCDF beside it.

/draws/value (N, p)                  constants
/draws/{weight,log_density} (N,)     attributes shape, effective
/bands/{low,high} (S, T)             of what is seen, the middle 95 % of the draws
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.io import storage
from hpcpinn.io.draws import FORMAT as DRAWS_FORMAT
from hpcpinn.io.draws import import_arviz, save_netcdf
from hpcpinn.io.neuron_inference import FORMAT, FORMAT_VERSION
from hpcpinn.io.site_observations import SiteTable

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


@dataclass(frozen=True)
class NeuronDraws:
    """Draws with weights, and what is seen under them.

    Attributes:
        value: The constants.
        weight: Of every draw; their sum is 1.
        log_density: Of the coordinates, up to a constant.
        equal: Numbers of draws that may stand for the posterior with equal weights.
        low, high: The middle 95 % of what is seen at the sites and times of the bands.
        interval: The middle 95 % of the constants.
        median: Of the constants.
        shape, effective: Shape k of the tail of the weights, and effective number of draws.
    """

    value: Float[ndarray, "N p"]
    weight: Float[ndarray, " N"]
    log_density: Float[ndarray, " N"]
    equal: Int[ndarray, " N"]
    low: Float[ndarray, "S T"]
    high: Float[ndarray, "S T"]
    interval: Float[ndarray, "p 2"]
    median: Float[ndarray, " p"]
    shape: float
    effective: float

    @property
    def together(self) -> Float[ndarray, "N p"]:
        """Draws of equal weight."""
        return self.value[self.equal]


_ARRAYS = {
    "value": "draws/value", "weight": "draws/weight", "log_density": "draws/log_density", "equal": "draws/equal",
    "interval": "draws/interval", "median": "draws/median", "low": "bands/low", "high": "bands/high",
}  # fmt: skip


def write_neuron_draws(path: str | Path, communicator: "Communicator", draws: NeuronDraws, unit: str) -> None:
    """Adds draws to the result of an inference on a cell. Collective over all ranks.

    Args:
        path: The result.
        communicator: All ranks.
        draws: The draws.
        unit: Of what is seen.

    Raises:
        OutputError: On all ranks, when they cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write, Path(path), draws, unit)


def _write(path: Path, draws: NeuronDraws, unit: str) -> None:
    with storage.open_serial(path) as file:
        for name, place in _ARRAYS.items():
            file[place] = getattr(draws, name)
        for name in ("shape", "effective"):
            file["draws"].attrs[name] = getattr(draws, name)
        for place in ("bands/low", "bands/high"):
            file[place].attrs["units"] = unit


def read_neuron_draws(path: str | Path) -> NeuronDraws | None:
    """The draws of an inference on a cell; None where it has none. Serial.

    Raises:
        InputError: The file is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        if "draws" not in file:
            return None
        figures: dict[str, Any] = {name: float(file["draws"].attrs[name]) for name in ("shape", "effective")}
        arrays: dict[str, Any] = {name: np.asarray(file[place][()]) for name, place in _ARRAYS.items()}
        return NeuronDraws(**arrays, **figures)


def write_neuron_netcdf(
    path: str | Path,
    communicator: "Communicator",
    names: tuple[str, ...],
    units: tuple[str, ...],
    draws: NeuronDraws,
    log_likelihood: Float[ndarray, "N O"],
    data: SiteTable,
) -> None:
    """Writes ArviZ InferenceData as netCDF, replacing an older one atomically. Collective over all ranks.

    Groups: posterior and log_likelihood of the draws of equal weight, one chain; sample_stats with ``lp``;
    observed_data, and constant_data with sites, times and noise. Needs ArviZ, on rank 0.

    Raises:
        OutputError: On all ranks, when they cannot be written.
    """
    arguments = (Path(path), names, units, draws, log_likelihood, data)
    storage.on_root(communicator, Path(path), "", _write_netcdf, *arguments)


def _write_netcdf(
    path: Path, names: tuple[str, ...], units: tuple[str, ...], draws: NeuronDraws, log_likelihood: ndarray,
    data: SiteTable,
) -> None:  # fmt: skip
    found = import_arviz().from_dict(
        posterior={name: draws.together[None, :, i] for i, name in enumerate(names)},
        sample_stats={"lp": draws.log_density[draws.equal][None]},
        log_likelihood={"value": log_likelihood[draws.equal][None]},
        observed_data={"value": data.value},
        constant_data={"site": np.array(data.site, dtype=object), "t": data.t, "noise": data.noise},
        dims={name: ["observation"] for name in ("value", "site", "t", "noise")},
        attrs={
            "format": DRAWS_FORMAT, "hpcpinn": __version__, "pareto_k": draws.shape, "effective_draws": draws.effective
        },
    )  # fmt: skip
    for name, unit in zip(names, units, strict=True):
        found.posterior[name].attrs["units"] = unit
    found.constant_data["t"].attrs["units"] = "ms"
    save_netcdf(found, path)
