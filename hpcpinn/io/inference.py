"""The result file of an inference.

/config                                        run description, JSON text
/parameters/{name,unit,start,estimate,low,high,sd_log,data_sd_log,determined}
/covariance (p, p)                             of the logarithms
/path (S, p)                                   constants after every step
/observations/{value,noise,x,y,t,predicted}
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.io import storage
from hpcpinn.io.layout import git_revision, write_strings

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-inference"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class InferenceResult:
    """What was inferred.

    Attributes:
        names, units: Of the constants.
        start, estimate: Where the iteration began, and the most probable values.
        low, high: 95 % intervals by Laplace's approximation.
        sd_log: Standard deviations of the logarithms, priors included.
        data_sd_log: By the data alone.
        determined: Which the data determine.
        covariance: Of the logarithms.
        path: Constants after every step.
        observations: value, noise, x, y, t, predicted.
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
    observations: Mapping[str, Float[ndarray, " N"]]
    config: str


_ARRAYS = ("start", "estimate", "low", "high", "sd_log", "data_sd_log", "determined")
_UNITS = {"value": "uM", "noise": "uM", "predicted": "uM", "x": "um", "y": "um", "t": "ms"}


def write_inference(path: str | Path, communicator: "Communicator", result: InferenceResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write, Path(path), result)


def _write(path: Path, result: InferenceResult) -> None:
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
        for name in _ARRAYS:
            file[f"parameters/{name}"] = getattr(result, name)
        file["covariance"], file["path"] = result.covariance, result.path
        for name, values in result.observations.items():
            file[f"observations/{name}"] = values
            file[f"observations/{name}"].attrs["units"] = _UNITS[name]


def is_inference(path: Path) -> bool:
    """Whether a file is the result of an inference; False too where it cannot be read."""
    try:
        with storage.open_serial(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def read_inference(path: str | Path) -> InferenceResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:

        def text(name: str) -> tuple[str, ...]:
            return tuple(entry.decode() for entry in file[name][:])

        arrays: dict[str, Any] = {name: file[f"parameters/{name}"][:] for name in _ARRAYS}
        config = file["config"][()]
        return InferenceResult(
            names=text("parameters/name"),
            units=text("parameters/unit"),
            **arrays,
            covariance=file["covariance"][:],
            path=file["path"][:],
            observations={name: file[f"observations/{name}"][:] for name in _UNITS},
            config=config.decode() if isinstance(config, bytes) else str(config),
        )


