"""The result file of an inference.

What `estimates` says, and
/observations/{value,noise,predicted} and every column of places and times
/bands/{site,time}, /bands/{mean,sd} (S, T)     what is seen at places: posterior mean and standard deviation
/bands/{low,high} (S, T)                        added by draws: the middle 95 % of them
/cell/{xyz,radius,time}, /cell/{mean,sd} (T, F)  calcium on every piece at the ends of windows
/check/{name,probability}                       posterior predictive check; attributes probability, level
The last three where the system has them.
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
from hpcpinn.io.observations import Observations

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-inference"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Bands:
    """What is seen at places over time, and how well it is known.

    Attributes:
        names: Names of the S places.
        time: T times, ms.
        mean: Posterior mean, in the unit of what is seen.
        sd: Its standard deviation by Laplace's approximation.
        low, high: The middle 95 % of draws; None where there are none.
    """

    names: tuple[str, ...]
    time: Float[ndarray, " T"]
    mean: Float[ndarray, "S T"]
    sd: Float[ndarray, "S T"]
    low: Float[ndarray, "S T"] | None = None
    high: Float[ndarray, "S T"] | None = None


@dataclass(frozen=True)
class CellBands:
    """Calcium on all pieces of a cell over time, and how well it is known.

    Attributes:
        xyz: Ends of all F pieces, µm.
        radius: Radii there, µm.
        time: T times, ms.
        mean: Posterior mean, µM.
        sd: Its standard deviation by Laplace's approximation, µM.
    """

    xyz: Float[ndarray, "F 2 3"]
    radius: Float[ndarray, "F 2"]
    time: Float[ndarray, " T"]
    mean: Float[ndarray, "T F"]
    sd: Float[ndarray, "T F"]


@dataclass(frozen=True)
class Check:
    """Outcome of a posterior predictive check.

    Attributes:
        probability: Probability of data as far from the model as these, if the model is right.
        each: The same of every statistic by itself, by name.
        level: Probability below which the model is called wrong.
    """

    probability: float
    each: Mapping[str, float]
    level: float

    @property
    def model_is_wrong(self) -> bool:
        """Whether the model could hardly have made the data."""
        return self.probability < self.level


@dataclass(frozen=True, kw_only=True, repr=False)
class InferenceResult(Estimates):
    """What was inferred.

    Attributes:
        observations: The data.
        predicted: What the most probable model makes of them, in their unit.
        unit: Unit of what is seen; 1 for a plain number.
        bands: What is seen at places over time; None where nobody asked.
        cell: Calcium on all pieces; None where there is no cell.
        check: Whether the model could have made the data; None where that was not asked.
    """

    observations: Observations
    predicted: Float[ndarray, " N"]
    unit: str
    bands: Bands | None = None
    cell: CellBands | None = None
    check: Check | None = None

    @property
    def _arrays(self) -> dict[str, tuple[ndarray, str]]:
        return super()._arrays | {"observations": (self.observations.value, self.unit)}


_CELL = {"xyz": "um", "radius": "um", "time": "ms", "mean": "uM", "sd": "uM"}
"""Datasets of /cell and their units."""
_BANDS = ("mean", "sd", "low", "high")


def write_inference(path: str | Path, communicator: "Communicator", result: InferenceResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write, Path(path), result)


def _write(path: Path, result: InferenceResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", locking=False) as file:
        write_estimates(file, FORMAT, FORMAT_VERSION, result)
        seen = result.observations
        for name in seen.columns:
            unit = result.unit if name in ("value", "noise") else seen.unit(name)
            _put(file, f"observations/{name}", seen[name], unit)
        _put(file, "observations/predicted", result.predicted, result.unit)
        if result.bands is not None:
            write_strings(file, "bands/site", list(result.bands.names))
            _put(file, "bands/time", result.bands.time, "ms")
            for name in _BANDS:
                if getattr(result.bands, name) is not None:
                    _put(file, f"bands/{name}", getattr(result.bands, name), result.unit)
        if result.cell is not None:
            for name, unit in _CELL.items():
                _put(file, f"cell/{name}", getattr(result.cell, name), unit)
        if result.check is not None:
            write_strings(file, "check/name", list(result.check.each))
            file["check/probability"] = list(result.check.each.values())
            file["check"].attrs["probability"] = result.check.probability
            file["check"].attrs["level"] = result.check.level


def _put(file: h5py.File, place: str, values: Any, unit: str) -> None:
    """Writes a column: text as such, numbers with their unit."""
    if isinstance(values, tuple):
        write_strings(file, place, list(values))
        return
    file[place] = values
    file[place].attrs["units"] = unit


def read_inference(path: str | Path) -> InferenceResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        return InferenceResult(
            observations=_observations_in(file),
            predicted=np.asarray(file["observations/predicted"][:]),
            unit=str(file["observations/value"].attrs["units"]),
            bands=_bands_in(file),
            cell=CellBands(**{name: np.asarray(file[f"cell/{name}"][:]) for name in _CELL}) if "cell" in file else None,
            check=_check_in(file),
            **estimates_in(file),
        )


def _observations_in(file: h5py.File) -> Observations:
    found: dict[str, Any] = {}
    units: dict[str, str | None] = {}
    for name, column in file["observations"].items():
        is_text = "units" not in column.attrs
        found[name] = text_in(file, f"observations/{name}") if is_text else np.asarray(column[:])
        units[name] = None if is_text else str(column.attrs["units"])
    at = {name: column for name, column in found.items() if name not in ("value", "noise", "predicted")}
    units.pop("predicted")
    return Observations(found["value"], found["noise"], at, units)


def _bands_in(file: h5py.File) -> Bands | None:
    if "bands" not in file:
        return None
    arrays = {name: np.asarray(file[f"bands/{name}"][:]) for name in ("time", *_BANDS) if name in file["bands"]}
    return Bands(names=text_in(file, "bands/site"), **arrays)


def _check_in(file: h5py.File) -> Check | None:
    if "check" not in file:
        return None
    each = dict(zip(text_in(file, "check/name"), map(float, file["check/probability"][:]), strict=True))
    return Check(float(file["check"].attrs["probability"]), each, float(file["check"].attrs["level"]))
