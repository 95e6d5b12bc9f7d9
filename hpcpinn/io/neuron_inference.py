"""The result file of an inference on a cell.

/config                                        run description, JSON text
/parameters/{name,unit,start,estimate,low,high,sd_log,data_sd_log,determined}
/covariance (p, p)                             of the logarithms
/path (S, p)                                   constants after every step
/observations/{value,site,t,noise,predicted}
/bands/{site,time}, /bands/{mean,sd} (S, T)    what is seen at the sites: posterior mean and standard deviation
/cell/{xyz,radius,time}, /cell/{mean,sd} (T, F) calcium on every piece at the ends of windows
/check/{name,probability}                      posterior predictive check; attributes probability, level
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.io import storage
from hpcpinn.io.layout import git_revision, write_strings
from hpcpinn.io.site_observations import SiteTable

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-neuron-inference"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class NeuronInferenceResult:
    """What was inferred.

    Attributes:
        names, units: Of the constants.
        start, estimate, low, high: Where the iteration began, most probable values, and 95 % intervals.
        sd_log, data_sd_log: Standard deviations of the logarithms, priors included, and by the data alone.
        determined: Which the data determine.
        covariance: Of the logarithms.
        path: Constants after every step.
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
        config: The run description, JSON text.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    start: Float[ndarray, " p"]
    estimate: Float[ndarray, " p"]
    low: Float[ndarray, " p"]
    high: Float[ndarray, " p"]
    sd_log: Float[ndarray, " p"]
    data_sd_log: Float[ndarray, " p"]
    determined: Bool[ndarray, " p"]
    covariance: Float[ndarray, "p p"]
    path: Float[ndarray, "S p"]
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
    config: str


_PARAMETERS = ("start", "estimate", "low", "high", "sd_log", "data_sd_log", "determined")
_ARRAYS = {
    "covariance": "covariance", "path": "path", "band_time": "bands/time", "band_mean": "bands/mean",
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
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["hpcpinn"] = __version__
        file.attrs["created"] = datetime.datetime.now(datetime.UTC).isoformat()
        file.attrs["git"] = git_revision()
        file["config"] = result.config
        write_strings(file, "parameters/name", list(result.names))
        write_strings(file, "parameters/unit", list(result.units))
        for name in _PARAMETERS:
            file[f"parameters/{name}"] = getattr(result, name)
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


def is_neuron_inference(path: Path) -> bool:
    """Whether a file is the result of an inference on a cell; False too where it cannot be read."""
    try:
        with storage.open_serial(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def read_neuron_inference(path: str | Path) -> NeuronInferenceResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:

        def text(name: str) -> tuple[str, ...]:
            return tuple(entry.decode() for entry in file[name][:])

        arrays: dict[str, Any] = {name: np.asarray(file[f"parameters/{name}"][:]) for name in _PARAMETERS}
        arrays |= {name: np.asarray(file[place][:]) for name, place in _ARRAYS.items()}
        value, t, noise = (np.asarray(file[f"observations/{name}"][:]) for name in ("value", "t", "noise"))
        config = file["config"][()]
        return NeuronInferenceResult(
            names=text("parameters/name"),
            units=text("parameters/unit"),
            data=SiteTable(value, text("observations/site"), t, noise),
            unit=str(file["observations/value"].attrs["units"]),
            band_sites=text("bands/site"),
            check=dict(zip(text("check/name"), map(float, file["check/probability"][:]), strict=True)),
            check_probability=float(file["check"].attrs["probability"]),
            check_level=float(file["check"].attrs["level"]),
            config=config.decode() if isinstance(config, bytes) else str(config),
            **arrays,
        )
