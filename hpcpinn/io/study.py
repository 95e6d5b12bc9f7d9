"""The result file of a study: estimates of every draw, and what they say by noise and number of observations.

/config                                                        run description, JSON text
/noise (n,), /observations (m,)                                the cells; with
/draw (draws,), /constant (p,)                                 numbers from 0: scales of what follows
/parameters/{name,unit,truth,start} (p,)
/draws/{estimate,sd_log,data_sd_log,bound_log} (n, m, draws, p)   of every draw
/draws/converged (n, m, draws)
/cells/{ratio,ratio_low,ratio_high,bound,coverage,...} (n, m, p)  of every cell
/cells/converged (n, m)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.io import storage
from hpcpinn.io.datasets import text_in, write_origin, write_strings
from hpcpinn.io.describing import dataset, described
from hpcpinn.wording import listed

if TYPE_CHECKING:
    import xarray

    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-study"
FORMAT_VERSION = 1
_PARAMETERS = ("truth", "start")


@dataclass(frozen=True, repr=False)
class StudyResult:
    """What a study found.

    Attributes:
        names, units: Of the constants.
        truth, start: What data were made with, and where fits began.
        noise: Levels, over the peak of the release.
        observations: Numbers of them.
        draws: Of every draw: estimate, sd_log, data_sd_log, bound_log, (n, m, draws, p), and
            converged, (n, m, draws).
        cells: The fields of `hpcpinn.inference.study.Cell`, (n, m, p), converged (n, m).
        config: The run description, JSON text.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    truth: Float[ndarray, " p"]
    start: Float[ndarray, " p"]
    noise: Float[ndarray, " n"]
    observations: Int[ndarray, " m"]
    draws: Mapping[str, ndarray]
    cells: Mapping[str, ndarray]
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


def write_study(path: str | Path, communicator: "Communicator", result: StudyResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write, Path(path), result)


def _write(path: Path, result: StudyResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", locking=False) as file:
        write_origin(file, FORMAT, FORMAT_VERSION)
        file["config"] = result.config
        write_strings(file, "parameters/name", list(result.names))
        write_strings(file, "parameters/unit", list(result.units))
        for name in _PARAMETERS:
            file[f"parameters/{name}"] = getattr(result, name)
        scales = {
            "noise": result.noise, "observations": result.observations,
            "draw": np.arange(result.n_draws), "constant": np.arange(len(result.names)),
        }  # fmt: skip
        for name, values in scales.items():
            file[name] = values
            file[name].make_scale(name)
        cell = ("noise", "observations")
        for group, content, axes in (("draws", result.draws, (*cell, "draw")), ("cells", result.cells, cell)):
            for name, values in content.items():
                written = file.create_dataset(f"{group}/{name}", data=values)
                # xarray refuses datasets of which some axes have a scale and others have none.
                for axis, scale in enumerate((*axes, "constant")[: values.ndim]):
                    written.dims[axis].attach_scale(file[scale])


def read_study(path: str | Path) -> StudyResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        config = file["config"][()]
        return StudyResult(
            names=text_in(file, "parameters/name"),
            units=text_in(file, "parameters/unit"),
            **{name: np.asarray(file[f"parameters/{name}"][:]) for name in _PARAMETERS},
            noise=file["noise"][:],
            observations=file["observations"][:],
            draws={name: values[:] for name, values in file["draws"].items()},
            cells={name: values[:] for name, values in file["cells"].items()},
            config=config.decode() if isinstance(config, bytes) else str(config),
        )
