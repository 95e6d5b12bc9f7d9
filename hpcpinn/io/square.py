"""The result file of a run on a square, and the reference solutions beside it.

    /config                    run description, JSON text
    /x (X,) /y (Y,) /time (T,) µm, µm, ms
    /dopamine (T, Y, X)        µM, in the middles of the output cells
    /pieces/{centre,owner}     subdomains
    /windows/*                 one row per window

Frames come in window by window; rank 0 writes them, as they are small. What was written before a job ends
can be read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.errors import OutputError
from hpcpinn.io import storage
from hpcpinn.io.datasets import growing, write_origin
from hpcpinn.io.describing import dataset, described, extent_of
from hpcpinn.io.schema import Dataset
from hpcpinn.wording import counted

if TYPE_CHECKING:
    import xarray

    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-square"
REFERENCE_FORMAT = "hpcpinn-square-reference"
FORMAT_VERSION = 1

WINDOW_COLUMNS: dict[str, type] = {
    "start": float,
    "length": float,
    "newton_steps": int,
    "sweeps": int,
    "jump": float,
    "error_estimate": float,
    "exact_error": float,
    "rejected": int,
    "seconds": float,
}


@dataclass(frozen=True)
class SquareHeader:
    """All that is known before the first frame; the same on every rank.

    Attributes:
        x, y: Middles of the output cells, µm.
        centre: Of every subdomain, µm.
        owner: Rank of every subdomain.
        config: The run description as JSON text.
        seed: Of the run.
    """

    x: Float[ndarray, " X"]
    y: Float[ndarray, " Y"]
    centre: Float[ndarray, "P 2"]
    owner: Int[ndarray, " P"]
    config: str
    seed: int


@dataclass(frozen=True, repr=False)
class SquareResult:
    """A run on a square, as read from its file.

    Attributes:
        path: The file.
        x, y: Middles of the output cells, µm.
        time: Of the frames, ms.
        dopamine: Frames, µM.
        centre, owner: Subdomains.
        windows: Columns of the windows.
        config: The run description, JSON text.
        attributes: Of the file.
    """

    path: Path
    x: Float[ndarray, " X"]
    y: Float[ndarray, " Y"]
    time: Float[ndarray, " T"]
    dopamine: Float[ndarray, "T Y X"]
    centre: Float[ndarray, "P 2"]
    owner: Int[ndarray, " P"]
    windows: dict[str, ndarray]
    config: str
    attributes: dict[str, Any]

    @property
    def complete(self) -> bool:
        return bool(self.attributes["complete"])

    def to_xarray(self) -> "xarray.Dataset":
        """The frames as a Dataset with dimensions time, y and x; ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        um = {"units": "um"}
        coordinates = {"time": ("time", self.time, {"units": "ms"}), "y": ("y", self.y, um), "x": ("x", self.x, um)}
        fields = {"dopamine": (("time", "y", "x"), self.dopamine, {"units": "uM"})}
        return dataset(fields, coordinates, self.attributes)

    def __repr__(self) -> str:
        end = float(self.time[-1]) if len(self.time) else 0.0
        span = extent_of(end, configuration(self).get("run", {}).get("duration"), self.complete)
        facts = {
            "square": f"{counted(len(self.owner), 'subdomain')} on {counted(int(self.attributes['ranks']), 'rank')}",
            "windows": str(len(self.windows["start"])),
        }
        units = {"time": "ms", "dopamine": "uM", "x": "um", "y": "um"}
        arrays = {name: (getattr(self, name), unit) for name, unit in units.items()}
        return described(f"run on a square {self.path}: {span}", facts, arrays)


@dataclass(frozen=True)
class SquareReference:
    """Other solutions at the frames of a result, µM.

    Attributes:
        exact: The closed form.
        finite_difference: By finite differences.
        deepxde: By DeepXDE; None where it was not asked.
        deepxde_figures: What DeepXDE took, for JSON; empty where it was not asked.
    """

    exact: Float[ndarray, "T Y X"]
    finite_difference: Float[ndarray, "T Y X"]
    deepxde: Float[ndarray, "T Y X"] | None = None
    deepxde_figures: dict[str, Any] = field(default_factory=dict)


def is_square(path: Path) -> bool:
    """Whether a file is the result of a run on a square; False too where it cannot be read."""
    return storage.format_of(path) == FORMAT


class SquareWriter:
    """Writes a result while a run goes on. All methods are collective over all ranks.

    Args:
        path: Where; an older file is replaced, missing directories are made.
        communicator: All ranks.
        header: What is known before the first frame.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: str | Path, communicator: "Communicator", header: SquareHeader):
        self.path = Path(path)
        self._communicator = communicator
        self._on_root(_create, self.path, header, communicator.size)

    def append(
        self, times: Float[ndarray, " n"], frames: Float[ndarray, "n Y X"] | None, row: Mapping[str, Any] | None
    ) -> None:
        """Adds frames and a window; what rank 0 hands in counts."""
        self._on_root(_append, self.path, times, frames, row)

    def close(self, *, complete: bool = True) -> None:
        """Says whether the run came to its end."""
        self._on_root(_set_complete, self.path, complete)

    def _on_root(self, function: Any, *arguments: Any) -> None:
        storage.on_root(self._communicator, self.path, "", function, *arguments)


def _create(path: Path, header: SquareHeader, ranks: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", locking=False) as file:
        write_origin(file, FORMAT, FORMAT_VERSION)
        file.attrs["seed"] = header.seed
        file.attrs["ranks"] = ranks
        file.attrs["complete"] = False
        file["config"] = header.config
        for name in ("x", "y"):
            file[name] = getattr(header, name)
            file[name].attrs["units"] = "um"
        file["pieces/centre"] = header.centre
        file["pieces/centre"].attrs["units"] = "um"
        file["pieces/owner"] = header.owner
        shape = (len(header.y), len(header.x))
        growing(file, Dataset("time", "", "", "ms"))
        growing(file, Dataset("dopamine", "", "", "uM"), shape)
        for name, kind in WINDOW_COLUMNS.items():
            unit = "ms" if name in ("start", "length") else "s" if name == "seconds" else None
            growing(file, Dataset(f"windows/{name}", "", "", unit or "", kind))
        for axis, name in enumerate(("time", "y", "x")):
            file[name].make_scale(name)
            file["dopamine"].dims[axis].attach_scale(file[name])


def _append(path: Path, times: ndarray, frames: ndarray | None, row: Mapping[str, Any] | None) -> None:
    columns = {f"windows/{name}": np.array([value]) for name, value in (row or {}).items()}
    if frames is not None:
        columns |= {"dopamine": frames, "time": times}
    with storage.open_serial(path) as file:
        for name, values in columns.items():
            dataset = file[name]
            before = len(dataset)
            dataset.resize(before + len(values), axis=0)
            dataset[before:] = values


def _set_complete(path: Path, complete: bool) -> None:
    with storage.open_serial(path) as file:
        file.attrs["complete"] = complete


def read_square(path: str | Path) -> SquareResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    path = Path(path)
    with storage.open_existing(path, FORMAT, FORMAT_VERSION) as file:
        config = file["config"][()]
        n_frames = min(len(file["time"]), len(file["dopamine"]))
        return SquareResult(
            path=path,
            x=file["x"][:],
            y=file["y"][:],
            time=file["time"][:n_frames],
            dopamine=file["dopamine"][:n_frames],
            centre=file["pieces/centre"][:],
            owner=file["pieces/owner"][:],
            windows={name: file[f"windows/{name}"][:] for name in WINDOW_COLUMNS},
            config=config.decode() if isinstance(config, bytes) else str(config),
            attributes=dict(file.attrs),
        )


def configuration(result: SquareResult) -> dict[str, Any]:
    """The run description of a result as plain values."""
    content: dict[str, Any] = json.loads(result.config)
    return content


def square_reference_path(result: str | Path) -> Path:
    """Where the reference solutions of a result lie."""
    return storage.beside(result, "reference.h5")


def write_square_reference(result: SquareResult, reference: SquareReference) -> Path:
    """Keeps reference solutions beside the result that they belong to. Serial.

    Raises:
        OutputError: They cannot be written.
    """
    path = square_reference_path(result.path)
    frames = {
        "exact": reference.exact,
        "finite_difference": reference.finite_difference,
        "deepxde": reference.deepxde,
    }
    try:
        with h5py.File(path, "w", locking=False) as file:
            file.attrs["format"] = REFERENCE_FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["hpcpinn"] = __version__
            file.attrs["result_created"] = result.attributes["created"]
            for name, values in frames.items():
                if values is not None:
                    file[name] = values
                    file[name].attrs["units"] = "uM"
            if reference.deepxde is not None:
                file["deepxde"].attrs["figures"] = json.dumps(reference.deepxde_figures)
    except OSError as error:
        raise OutputError(f"{path}: cannot write the reference: {' '.join(str(error).split())}") from error
    return path


def read_square_reference(result: SquareResult) -> SquareReference | None:
    """The reference solutions of a result; None where there are none, of an earlier run, or of fewer frames.

    Raises:
        InputError: The file is damaged or of another version.
    """
    path = square_reference_path(result.path)
    if not path.is_file():
        return None
    with storage.open_existing(path, REFERENCE_FORMAT, FORMAT_VERSION) as file:
        if file.attrs["result_created"] != result.attributes["created"]:
            return None
        if file["exact"].shape != result.dopamine.shape:  # kept while the run went on
            return None
        exact, finite_difference = file["exact"][:], file["finite_difference"][:]
        if "deepxde" not in file:
            return SquareReference(exact, finite_difference)
        deepxde = file["deepxde"]
        return SquareReference(exact, finite_difference, deepxde[:], json.loads(deepxde.attrs["figures"]))
