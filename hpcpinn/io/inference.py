"""The result file of an inference, which `hpcpinn.io.schema` declares part by part."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import datasets, layout, schema, storage
from hpcpinn.io.estimates import Estimates, estimates_in
from hpcpinn.io.geometry import Geometry, geometry_in
from hpcpinn.io.inputs import Destination, KeptInputs, write_inputs
from hpcpinn.io.observations import Observations
from hpcpinn.io.schema import INFERENCE_FORMAT as FORMAT
from hpcpinn.io.schema import INFERENCE_FORMAT_VERSION as FORMAT_VERSION
from hpcpinn.io.schema import Dataset, Variable

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


@dataclass(frozen=True)
class Bands:
    """What is seen at places over time, and how well it is known.

    Attributes:
        names: Names of the S places.
        time: T times, ms.
        mean: Posterior mean, in the unit of what is seen.
        sd: Standard deviation of what is seen by Laplace's approximation, in its unit.
        low, high: Ends of the middle 95 % of draws; None where there are none.
    """

    names: tuple[str, ...]
    time: Float[ndarray, " T"]
    mean: Float[ndarray, "S T"]
    sd: Float[ndarray, "S T"]
    low: Float[ndarray, "S T"] | None = None
    high: Float[ndarray, "S T"] | None = None


@dataclass(frozen=True)
class FieldBands:
    """A field on its geometry over time, and how well it is known.

    Attributes:
        geometry: Geometry that the N values of the field are on.
        field: Name and unit of the field.
        time: T times, ms.
        mean: Posterior mean, in the unit of the field.
        sd: Standard deviation of the field by Laplace's approximation, in its unit.
    """

    geometry: Geometry
    field: Variable
    time: Float[ndarray, " T"]
    mean: Float[ndarray, "T ..."]
    sd: Float[ndarray, "T ..."]


@dataclass(frozen=True)
class Check:
    """Outcome of a posterior predictive check.

    Attributes:
        probability: Probability of data as far from the model as these, if the model is right.
        each: Probability of every statistic by itself, by name.
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
        field_bands: A field on its geometry over time; None where nobody asked.
        check: Whether the model could have made the data; None where that was not asked.
    """

    observations: Observations
    predicted: Float[ndarray, " N"]
    unit: str
    bands: Bands | None = None
    field_bands: FieldBands | None = None
    check: Check | None = None

    @property
    def _arrays(self) -> dict[str, tuple[ndarray, str]]:
        return super()._arrays | {"observations": (self.observations.value, self.unit)}


def write_inference(to: Destination, communicator: "Communicator", result: InferenceResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(to.path), "", _write, Path(to.path), result, to.inputs)


def _write(path: Path, result: InferenceResult, inputs: KeptInputs) -> None:
    declared = (*schema.ESTIMATES, *schema.OBSERVATIONS, *_columns(result.observations), *schema.BANDS, *schema.CHECK)
    with storage.replacing(path) as file:
        datasets.write_origin(file, FORMAT, FORMAT_VERSION)
        datasets.write(file, schema.in_unit(declared, result.unit), _content(result))
        write_inputs(file, inputs)
        if result.field_bands is not None:
            _write_field_bands(file, result.field_bands)


def _columns(seen: Observations) -> list[Dataset]:
    """Declarations of where and when."""
    is_text = {name: isinstance(column, tuple) for name, column in seen.at.items()}
    return [
        replace(schema.COLUMN, name=f"observations/{name}", unit=seen.unit(name), kind=str if is_text[name] else float)
        for name in seen.at
    ]


def _content(result: InferenceResult) -> dict[str, Any]:
    seen, bands, check = result.observations, result.bands, result.check
    content = result.content() | {f"observations/{name}": seen[name] for name in seen.columns}
    content["observations/predicted"] = result.predicted
    if bands is not None:
        content |= {"bands/site": bands.names} | {f"bands/{name}": getattr(bands, name) for name in _BANDS}
    if check is not None:
        content |= {"check/name": tuple(check.each), "check/each": tuple(check.each.values())}
        content |= {"check/probability": check.probability, "check/level": check.level}
    return content


_BANDS = ("time", "mean", "sd", "low", "high")
"""Of bands at places; a field has the first three."""


def _write_field_bands(file: h5py.File, bands: FieldBands) -> None:
    layout.write_geometry(file, bands.geometry)
    datasets.write(file, schema.FIELDS, layout.fields_content((bands.field,)))
    content = {f"field_bands/{name}": getattr(bands, name) for name in _BANDS[:3]}
    datasets.write(file, schema.in_unit(schema.FIELD_BANDS, bands.field.unit), content)


def read_inference(path: str | Path) -> InferenceResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        return InferenceResult(
            observations=_observations_in(file),
            predicted=np.asarray(file["observations/predicted"][:]),
            unit=str(file["observations/value"].attrs.get("units", "")),
            bands=_bands_in(file),
            field_bands=_field_bands_in(file),
            check=_check_in(file),
            **estimates_in(file),
        )


def _observations_in(file: h5py.File) -> Observations:
    found: dict[str, Any] = {}
    units: dict[str, str | None] = {}
    for name, column in file["observations"].items():
        is_text = column.dtype.kind == "S"
        found[name] = datasets.text_in(file, f"observations/{name}") if is_text else np.asarray(column[:])
        units[name] = None if is_text else str(column.attrs.get("units", ""))
    at = {name: column for name, column in found.items() if name not in ("value", "noise", "predicted")}
    units.pop("predicted")
    return Observations(found["value"], found["noise"], at, units)


def _bands_in(file: h5py.File) -> Bands | None:
    found = datasets.read(file, schema.BANDS)
    names = found.pop("bands/site", None)
    arrays = {name.removeprefix("bands/"): values for name, values in found.items()}
    return None if names is None else Bands(names=names, **arrays)


def _field_bands_in(file: h5py.File) -> FieldBands | None:
    found = datasets.read(file, schema.FIELD_BANDS)
    arrays = {name.removeprefix("field_bands/"): values for name, values in found.items()}
    return FieldBands(geometry_in(file), layout.fields_in(file)[0], **arrays) if arrays else None


def _check_in(file: h5py.File) -> Check | None:
    found = datasets.read(file, schema.CHECK)
    if not found:
        return None
    each = dict(zip(found["check/name"], map(float, found["check/each"]), strict=True))
    return Check(float(found["check/probability"]), each, float(found["check/level"]))
