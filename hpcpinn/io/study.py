"""The result file of a study: estimates of every draw, and what they say by noise and number of observations.

`schema.STUDY` says what is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.io import datasets, storage
from hpcpinn.io.describing import dataset, described
from hpcpinn.io.inputs import Destination, KeptInputs, write_inputs
from hpcpinn.io.schema import STUDY
from hpcpinn.io.schema import STUDY_FORMAT as FORMAT
from hpcpinn.io.schema import STUDY_FORMAT_VERSION as FORMAT_VERSION
from hpcpinn.wording import listed

if TYPE_CHECKING:
    import xarray

    from hpcpinn.parallel.communicator import Communicator


@dataclass(frozen=True, repr=False)
class StudyResult:
    """What a study found.

    Attributes:
        names, units: Names and units of the constants.
        truth, start: Values that data were made with, and values that fits began from, (p,).
        noise: Levels of noise, over the peak of the release, (n,).
        observations: Numbers of observations, (m,).
        draws: Figures of every draw: estimate, sd_log, data_sd_log, bound_log, (n, m, draws, p), and converged, (n, m,
            draws).
        cells: The fields of `hpcpinn.inference.study.Combination`, (n, m, p), converged (n, m).
        config: The run description, JSON text.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    truth: Float[ndarray, " p"]
    start: Float[ndarray, " p"]
    noise: Float[ndarray, " n"]
    observations: Int[ndarray, " m"]
    draws: Mapping[str, Shaped[ndarray, "..."]]
    cells: Mapping[str, Shaped[ndarray, "..."]]
    config: str

    @property
    def n_draws(self) -> int:
        """Of every cell."""
        return int(self.draws["converged"].shape[2])

    def to_xarray(self) -> "xarray.Dataset":
        """Estimates of every draw and what they say, with dimensions noise, observations, draw and constant.

        What is said of the draws of a line begins with ``cell_``. ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        axes = ("noise", "observations", "draw", "constant")
        cell = ("noise", "observations", "constant")
        fields = {name: (axes[: values.ndim], _plain(values)) for name, values in self.draws.items()}
        fields |= {f"cell_{name}": (cell[: values.ndim], _plain(values)) for name, values in self.cells.items()}
        coordinates = {
            "noise": self.noise, "observations": self.observations, "draw": np.arange(self.n_draws),
            "constant": list(self.names), "unit": ("constant", list(self.units)), "truth": ("constant", self.truth),
        }  # fmt: skip
        return dataset(fields, coordinates, {"config": self.config})

    def __repr__(self) -> str:
        facts = {
            "noise": ", ".join(f"{100.0 * x:g} %" for x in self.noise),
            "observations": ", ".join(map(str, self.observations)),
            "data sets": f"{self.n_draws} for each of them",
        }
        return described(f"study of {listed(self.names)}", facts, {n: (x, "") for n, x in self.draws.items()})


def _plain(values: ndarray) -> ndarray:
    """netCDF has no truth values."""
    return values.astype(int) if values.dtype == bool else values


def write_study(to: Destination, communicator: "Communicator", result: StudyResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(to.path), "", _write, Path(to.path), result, to.inputs)


def _write(path: Path, result: StudyResult, inputs: KeptInputs) -> None:
    values = {
        "config": result.config,
        "noise": result.noise,
        "observations": result.observations,
        "draw": np.arange(result.n_draws),
        "constant": np.arange(len(result.names)),
        "parameters/name": result.names,
        "parameters/unit": result.units,
        "parameters/truth": result.truth,
        "parameters/start": result.start,
        **{f"draws/{name}": x for name, x in result.draws.items()},
        **{f"cells/{name}": x for name, x in result.cells.items()},
    }
    cell = ("noise", "observations")
    with storage.replacing(path) as file:
        datasets.write_origin(file, FORMAT, FORMAT_VERSION)
        datasets.write(file, STUDY, values)
        write_inputs(file, inputs)
        for name in (*cell, "draw", "constant"):
            file[name].make_scale(name)
        for group, axes in (("draws", (*cell, "draw")), ("cells", cell)):
            for written in file[group].values():
                # xarray refuses datasets of which some axes have a scale and others have none.
                for axis, scale in enumerate((*axes, "constant")[: written.ndim]):
                    written.dims[axis].attach_scale(file[scale])


def read_study(path: str | Path) -> StudyResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        found = datasets.read(file, STUDY)
    parts = {
        group: {name.removeprefix(f"{group}/"): x for name, x in found.items() if name.startswith(f"{group}/")}
        for group in ("draws", "cells")
    }
    return StudyResult(
        names=found["parameters/name"],
        units=found["parameters/unit"],
        truth=found["parameters/truth"],
        start=found["parameters/start"],
        noise=found["noise"],
        observations=found["observations"],
        draws=parts["draws"],
        cells=parts["cells"],
        config=found["config"],
    )
