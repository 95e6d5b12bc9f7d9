"""What a result file holds: names, shapes and units, independent of the number of ranks.

Pieces are rows of the refined `Cable`, in its order; cells are equal parts of the axial length
of a piece, `cells_per_piece` of them, piece after piece. N = pieces × cells_per_piece.

    /config                    run description, JSON text
    /sections/{name,kind,parent}
    /pieces/{section,kind,node,start,length,radius,er_radius,xyz,path,swc_id,owner}
    /cells/{piece,fraction,volume,path,xyz}
    /time (T,)                 user time
    /calcium /calbindin /voltage (T, N)
    /probes/{name,piece,fraction,time,calcium,calbindin,voltage}
    /windows/*  /sweeps/*      one row per accepted window, one per Schwarz sweep
    /members/{name,first_piece,pieces,config}   where a run holds several cells
    /committed (4,)            how many frames, probe samples, windows and sweeps count
"""

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.morphology.cable import Cable

FORMAT = "hpcpinn-result"
FORMAT_VERSION = 1

FIELDS = ("calcium", "calbindin", "voltage")
"""Recorded quantities, in the order in which they are written."""

PIECE_ARRAYS = (
    "section",
    "kind",
    "node",
    "start",
    "length",
    "radius",
    "er_radius",
    "xyz",
    "path",
    "swc_id",
)

WINDOW_COLUMNS: dict[str, type] = {
    "start": float,
    "length": float,
    "newton_steps": int,
    "sweeps": int,
    "jump": float,
    "error_estimate": float,
    "balance": float,
    "rejected": int,
    "seconds_train": float,
    "seconds_exchange": float,
    "seconds_io": float,
}
SWEEP_COLUMNS: dict[str, type] = {"window": int, "newton": int, "sweep": int, "jump": float}

FRAMES_PER_CHUNK = 16
CELLS_PER_CHUNK = 2048
ROWS_PER_CHUNK = 256


class Committed(NamedTuple):
    """How many rows of each table count; rows beyond are the traces of a job that died."""

    frames: int = 0
    samples: int = 0
    windows: int = 0
    sweeps: int = 0


@dataclass(frozen=True)
class ProbeSite:
    """A point of the tree that is recorded finely in time.

    Attributes:
        name: What the user called it.
        piece: Row of the refined cable.
        fraction: Position on the piece, 0 at its start, 1 at its end.
    """

    name: str
    piece: int
    fraction: float


@dataclass(frozen=True)
class MemberEntry:
    """One cell of a run that holds several.

    Attributes:
        name: What tells it from the others.
        pieces: Number of its pieces; members lie one after the other.
        config: Its own run description as JSON text.
    """

    name: str
    pieces: int
    config: str


@dataclass(frozen=True)
class ResultHeader:
    """All that is known before the first frame; the same on every rank.

    Attributes:
        cable: The refined cable, one row per piece.
        owner: Rank that computes each piece.
        cells_per_piece: Output cells of every piece.
        probes: The recorded points.
        config: The run description as JSON text.
        seed: Random seed of the run.
        dimensionless: True for the `seed` preset, which has no units.
        members: Of a population; empty for one cell.
    """

    cable: Cable
    owner: Int[ndarray, " F"]
    cells_per_piece: int
    probes: tuple[ProbeSite, ...] = ()
    config: str = "{}"
    seed: int = 0
    dimensionless: bool = False
    members: tuple[MemberEntry, ...] = ()

    @property
    def n_cells(self) -> int:
        return self.cable.n_frusta * self.cells_per_piece


@dataclass(frozen=True)
class Cells:
    """The output cells as arrays over all N of them.

    Attributes:
        piece: Row of the cable that holds the cell.
        fraction: Where on the piece the cell starts and ends.
        volume: Cytosolic volume, µm³.
        path: Distance of its middle from the root along the tree, µm.
        xyz: Position of its middle, µm.
    """

    piece: Int[ndarray, " N"]
    fraction: Float[ndarray, "N 2"]
    volume: Float[ndarray, " N"]
    path: Float[ndarray, " N"]
    xyz: Float[ndarray, "N 3"]


def equal_cells(cable: Cable, cells_per_piece: int) -> Cells:
    """Cuts every piece into parts of equal axial length; volumes are exact for frusta."""
    inner = np.arange(1, cells_per_piece) / cells_per_piece
    cut = cable.split([inner] * cable.n_frusta)
    edges = np.arange(cells_per_piece + 1) / cells_per_piece
    return Cells(
        piece=np.repeat(np.arange(cable.n_frusta), cells_per_piece),
        fraction=np.tile(np.stack([edges[:-1], edges[1:]], axis=1), (cable.n_frusta, 1)),
        volume=cut.volume,
        path=cut.path.mean(axis=1),
        xyz=cut.xyz.mean(axis=1),
    )


def create(path: Path, header: ResultHeader, ranks: int) -> None:
    """Writes a result file without frames: header, geometry and empty tables. Serial.

    Args:
        path: Where; an existing file is replaced.
        header: What is known of the run.
        ranks: Number of ranks, for the record.

    Raises:
        OSError: The file cannot be written.
    """
    with h5py.File(path, "w") as file:
        _write_provenance(file, header, ranks)
        _write_geometry(file, header)
        _create_tables(file, header)
        if header.members:
            _write_members(file, header.members)


def _write_members(file: h5py.File, members: tuple[MemberEntry, ...]) -> None:
    counts = np.array([member.pieces for member in members], np.int64)
    file["members/pieces"] = counts
    file["members/first_piece"] = np.cumsum(counts) - counts
    write_strings(file, "members/name", [member.name for member in members])
    write_strings(file, "members/config", [member.config for member in members])


def _write_provenance(file: h5py.File, header: ResultHeader, ranks: int) -> None:
    write_origin(file, FORMAT, FORMAT_VERSION)
    file.attrs["seed"] = header.seed
    file.attrs["ranks"] = ranks
    file.attrs["cells_per_piece"] = header.cells_per_piece
    file.attrs["complete"] = False
    # A dataset, because HDF5 limits an attribute to 64 KiB.
    file["config"] = header.config


def _write_geometry(file: h5py.File, header: ResultHeader) -> None:
    sections = header.cable.sections
    write_strings(file, "sections/name", [s.name for s in sections])
    file["sections/kind"] = np.array([s.kind for s in sections], np.int64)
    file["sections/parent"] = np.array([s.parent for s in sections], np.int64)
    for name in PIECE_ARRAYS:
        file[f"pieces/{name}"] = getattr(header.cable, name)
    file["pieces/owner"] = np.asarray(header.owner, np.int64)
    cells = equal_cells(header.cable, header.cells_per_piece)
    for name, values in vars(cells).items():
        file[f"cells/{name}"] = values
    write_strings(file, "probes/name", [p.name for p in header.probes])
    file["probes/piece"] = np.array([p.piece for p in header.probes], np.int64)
    file["probes/fraction"] = np.array([p.fraction for p in header.probes], np.float64)
    if not header.dimensionless:
        for name in ("start", "length", "radius", "er_radius", "xyz", "path"):
            file[f"pieces/{name}"].attrs["units"] = "um"
        for name, unit in {"volume": "um3", "path": "um", "xyz": "um"}.items():
            file[f"cells/{name}"].attrs["units"] = unit


def _create_tables(file: h5py.File, header: ResultHeader) -> None:
    units = {} if header.dimensionless else field_units()
    cell_chunk = (FRAMES_PER_CHUNK, min(header.n_cells, CELLS_PER_CHUNK))
    probe_chunk = (ROWS_PER_CHUNK, max(1, len(header.probes)))
    # Its 32 bytes are rewritten in one go: a flush counts wholly or not at all.
    file["committed"] = np.array(Committed(), np.int64)
    growing(file, "time", (), (ROWS_PER_CHUNK,), float, units.get("time"))
    growing(file, "probes/time", (), (ROWS_PER_CHUNK,), float, units.get("time"))
    for name in FIELDS:
        growing(file, name, (header.n_cells,), cell_chunk, float, units.get(name))
        growing(file, f"probes/{name}", (len(header.probes),), probe_chunk, float, units.get(name))
    for group, columns in {"windows": WINDOW_COLUMNS, "sweeps": SWEEP_COLUMNS}.items():
        for name, kind in columns.items():
            timed = name in ("start", "length") and "time" in units
            unit = units["time"] if timed else "s" if name.startswith("seconds") else None
            growing(file, f"{group}/{name}", (), (ROWS_PER_CHUNK,), kind, unit)


def growing(
    file: h5py.File,
    name: str,
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    kind: type,
    unit: str | None = None,
) -> h5py.Dataset:
    """An empty dataset that grows along its first axis; `shape` is the shape of one row."""
    dataset = file.create_dataset(
        name,
        shape=(0, *shape),
        maxshape=(None,) * (1 + len(shape)),
        dcpl=_growing_properties(chunk),
        dtype=np.float64 if kind is float else np.int64,
    )
    if unit is not None:
        dataset.attrs["units"] = unit
    return dataset


def _growing_properties(chunk: tuple[int, ...]) -> h5py.h5p.PropDCID:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(chunk)
    # Chunks get their place when the root grows the dataset, so that the collective write that
    # follows changes nothing but raw data; rows are never read before they are written.
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return properties


def field_units() -> dict[str, str]:
    """Units of what grows with time, in the physical presets."""
    return {"time": "ms", "calcium": "uM", "calbindin": "uM", "voltage": "mV"}


def write_strings(file: h5py.File, name: str, values: list[str]) -> None:
    """Strings as fixed-length UTF-8, which every HDF5 reader and driver takes."""
    encoded = [value.encode() for value in values]
    width = max([1, *(len(value) for value in encoded)])
    file[name] = np.array(encoded, h5py.string_dtype("utf-8", width))


def write_origin(file: h5py.File, kind: str, version: int) -> None:
    """Writes what kind of file it is, and by what and when it was made."""
    file.attrs["format"] = kind
    file.attrs["format_version"] = version
    file.attrs["hpcpinn"] = __version__
    file.attrs["created"] = datetime.datetime.now(datetime.UTC).isoformat()
    file.attrs["git"] = git_revision()


def git_revision() -> str:
    """Commit of the checkout that runs ("+" appended when it has changes); "" if there is none."""
    here = Path(__file__).parent
    describe = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run([*describe, "--dirty=+"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
