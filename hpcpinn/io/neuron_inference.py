"""The result file of an inference on a cell.

What `estimates` says, and
/observations/{value,site,t,noise,predicted}
/bands/{site,time}, /bands/{mean,sd} (S, T)    what is seen at the sites: posterior mean and standard deviation
/cell/{xyz,radius,time}, /cell/{mean,sd} (T, F) calcium on every piece at the ends of windows
/check/{name,probability}                      posterior predictive check; attributes probability, level
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import storage
from hpcpinn.io.datasets import text_in, write_strings
from hpcpinn.io.estimates import Estimates, estimates_in, write_estimates
from hpcpinn.io.site_observations import SiteTable

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-neuron-inference"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class NeuronInferenceResult(Estimates):
    """What was inferred.

    Attributes:
        data: The observations.
        predicted: What the model makes of them.
        unit: Of what is seen: ``uM``, or ``1`` with an indicator.
        band_sites, band_time: Of the bands; ms.
        band_mean, band_sd: Of what is seen.
        xyz, radius: Ends of all pieces, µm.
        cell_time: ms.
        cell_mean, cell_sd: Calcium on all pieces, µM.
        check: Probabilities of the predictive check by name.
        check_probability, check_level: All together, and below which the model is called wrong.
    """

    data: SiteTable
    predicted: Float[ndarray, " N"]
    unit: str
    band_sites: tuple[str, ...]
    band_time: Float[ndarray, " T"]
    band_mean: Float[ndarray, "S T"]
    band_sd: Float[ndarray, "S T"]
    xyz: Float[ndarray, "F 2 3"]
    radius: Float[ndarray, "F 2"]
    cell_time: Float[ndarray, " W"]
    cell_mean: Float[ndarray, "W F"]
    cell_sd: Float[ndarray, "W F"]
    check: Mapping[str, float]
    check_probability: float
    check_level: float


_ARRAYS = {
    "band_time": "bands/time", "band_mean": "bands/mean",
    "band_sd": "bands/sd", "xyz": "cell/xyz", "radius": "cell/radius", "cell_time": "cell/time",
    "cell_mean": "cell/mean", "cell_sd": "cell/sd", "predicted": "observations/predicted",
}  # fmt: skip
_UNITS = {
    "bands/time": "ms", "cell/time": "ms", "cell/xyz": "um", "cell/radius": "um", "cell/mean": "uM", "cell/sd": "uM",
    "observations/t": "ms",
}  # fmt: skip
_SEEN = ("observations/value", "observations/noise", "observations/predicted", "bands/mean", "bands/sd")


def write_neuron_inference(path: str | Path, communicator: "Communicator", result: NeuronInferenceResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write, Path(path), result)


def _write(path: Path, result: NeuronInferenceResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", locking=False) as file:
        write_estimates(file, FORMAT, FORMAT_VERSION, result)
        for name in ("value", "t", "noise"):
            file[f"observations/{name}"] = getattr(result.data, name)
        write_strings(file, "observations/site", list(result.data.site))
        write_strings(file, "bands/site", list(result.band_sites))
        for name, place in _ARRAYS.items():
            file[place] = getattr(result, name)
        write_strings(file, "check/name", list(result.check))
        file["check/probability"] = list(result.check.values())
        file["check"].attrs["probability"] = result.check_probability
        file["check"].attrs["level"] = result.check_level
        for place, unit in (_UNITS | dict.fromkeys(_SEEN, result.unit)).items():
            file[place].attrs["units"] = unit


def read_neuron_inference(path: str | Path) -> NeuronInferenceResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        arrays: dict[str, Any] = {name: np.asarray(file[place][:]) for name, place in _ARRAYS.items()}
        value, t, noise = (np.asarray(file[f"observations/{name}"][:]) for name in ("value", "t", "noise"))
        return NeuronInferenceResult(
            data=SiteTable(value, text_in(file, "observations/site"), t, noise),
            unit=str(file["observations/value"].attrs["units"]),
            band_sites=text_in(file, "bands/site"),
            check=dict(zip(text_in(file, "check/name"), map(float, file["check/probability"][:]), strict=True)),
            check_probability=float(file["check"].attrs["probability"]),
            check_level=float(file["check"].attrs["level"]),
            **arrays,
            **estimates_in(file),
        )
