"""Estimates of constants as every inference has them, which `schema.ESTIMATES` declares."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn.coordinates import Coordinates
from hpcpinn.io import datasets
from hpcpinn.io.describing import dataset, described
from hpcpinn.io.schema import ESTIMATES
from hpcpinn.wording import counted

if TYPE_CHECKING:
    import xarray

COLUMNS = ("start", "estimate", "low", "high", "sd_log", "data_sd_log", "determined", "measure", "truth")
"""What is known of every constant, by the name of the attribute and the dataset."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Estimates:
    """What was inferred of constants.

    Attributes:
        names, units: Names and units of the constants.
        start, estimate: Values where the iteration began, and the most probable values, (p,).
        low, high: 95 % intervals by Laplace's approximation.
        sd_log: Standard deviations of the coordinates, priors included: of logarithms, or over the measure.
        data_sd_log: Standard deviations of the coordinates by the data alone, (p,).
        determined: Whether the data alone determine each constant, (p,).
        measure: What constants of either sign are counted in; 0 for those whose logarithm is.
        covariance: Covariance of the coordinates, (p, p).
        path: Constants after every step.
        config: The run description, JSON text.
        truth: Values that synthetic data were made with, (p,); nan where nobody knows.
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
    measure: Float[ndarray, " p"]
    covariance: Float[ndarray, "p p"]
    path: Float[ndarray, "S p"]
    config: str
    truth: Float[ndarray, " p"]

    @property
    def coordinates(self) -> Coordinates:
        """How the constants were iterated on."""
        return Coordinates(tuple(self.measure.tolist()))

    def to_xarray(self) -> "xarray.Dataset":
        """What is known of every constant as a Dataset with dimension constant; ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        columns = {name: ("constant", np.asarray(getattr(self, name))) for name in COLUMNS}
        columns["determined"] = ("constant", self.determined.astype(int))
        fields = columns | {
            "covariance": (("constant", "other"), self.covariance),
            "path": (("step", "constant"), self.path),
        }
        named = {"constant": list(self.names), "other": list(self.names), "unit": ("constant", list(self.units))}
        return dataset(fields, named, {"config": self.config})

    def __repr__(self) -> str:
        facts = {}
        for i, name in enumerate(self.names):
            unit = "" if self.units[i] == "1" else f" {self.units[i]}"
            within = f"{self.estimate[i]:.4g}{unit}, 95 % {self.low[i]:.4g} to {self.high[i]:.4g}"
            facts[name] = within if self.determined[i] else "not determined by the data"
        return described(f"inference of {counted(len(self.names), 'constant')}", facts, self._arrays)

    @property
    def _arrays(self) -> dict[str, tuple[ndarray, str]]:
        """What ``repr`` names besides."""
        return {"covariance": (self.covariance, ""), "path": (self.path, "")}

    def content(self) -> dict[str, Any]:
        """What is written, by name of the dataset."""
        return {
            "config": self.config,
            "parameters/name": self.names,
            "parameters/unit": self.units,
            **{f"parameters/{name}": getattr(self, name) for name in COLUMNS},
            "covariance": self.covariance,
            "path": self.path,
        }


def estimates_in(file: h5py.File) -> dict[str, Any]:
    """The fields of `Estimates` that a file holds."""
    found = datasets.read(file, ESTIMATES)
    return {
        "names": found["parameters/name"],
        "units": found["parameters/unit"],
        **{name: found[f"parameters/{name}"] for name in COLUMNS},
        **{name: found[name] for name in ("covariance", "path", "config")},
    }
