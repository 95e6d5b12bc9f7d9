"""Reads result files into plain arrays. Needs neither MPI nor JAX."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import layout, storage
from hpcpinn.io.describing import dataset, described, extent_of
from hpcpinn.io.layout import Cells, Committed
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.wording import counted, listed

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Probes:
    """What was recorded at points, finely in time.

    Attributes:
        name: Names of the P probes.
        piece: Row of the cable.
        fraction: Position on the piece.
        time: User time.
        calcium, calbindin: µM.
        voltage: mV.
    """

    name: tuple[str, ...]
    piece: Int[ndarray, " P"]
    fraction: Float[ndarray, " P"]
    time: Float[ndarray, " Tp"]
    calcium: Float[ndarray, "Tp P"]
    calbindin: Float[ndarray, "Tp P"]
    voltage: Float[ndarray, "Tp P"]


@dataclass(frozen=True, repr=False)
class Result:
    """A run as plain arrays.

    Attributes:
        path: The file.
        cable: The pieces.
        owner: Rank that computed each piece.
        cells_per_piece: Cells of every piece; cell k lies on piece k // cells_per_piece.
        cells: Geometry of the cells.
        time: User time of the frames.
        calcium, calbindin: Cell averages, µM.
        voltage: mV.
        probes: What was recorded at points.
        windows: Columns of `layout.WINDOW_COLUMNS`, one row per window.
        sweeps: Columns of `layout.SWEEP_COLUMNS`, one row per Schwarz sweep.
        config: The run description.
        units: Unit by array name; empty for a dimensionless run.
        attributes: Version, git commit, seed, ranks, creation date; of one member of a population its name.
        complete: Whether the run came to its end.
        members: Names of the cells of a population; empty for a run of one cell.
        member_pieces: How many pieces each of them has, one member after the other.
        member_configs: The run description of each.
    """

    path: Path
    cable: Cable
    owner: Int[ndarray, " F"]
    cells_per_piece: int
    cells: Cells
    time: Float[ndarray, " T"]
    calcium: Float[ndarray, "T N"]
    calbindin: Float[ndarray, "T N"]
    voltage: Float[ndarray, "T N"]
    probes: Probes
    windows: dict[str, ndarray]
    sweeps: dict[str, ndarray]
    config: dict[str, Any]
    units: dict[str, str]
    attributes: dict[str, Any]
    complete: bool
    members: tuple[str, ...] = ()
    member_pieces: tuple[int, ...] = ()
    member_configs: tuple[dict[str, Any], ...] = ()

    def member(self, which: int | str) -> "Result":
        """One cell of a population as a result of its own.

        Args:
            which: Its number, from 0, or its name.

        Raises:
            InputError: There is no such member.
        """
        number = self.member_number(which)
        first = sum(self.member_pieces[:number])
        pieces = np.arange(first, first + self.member_pieces[number])
        cells = np.flatnonzero(np.isin(self.cells.piece, pieces))
        probes = np.flatnonzero(np.isin(self.probes.piece, pieces))
        prefix = f"{self.members[number]}: "
        return replace(
            self,
            cable=_numbered_anew(self.cable.take(pieces)),
            owner=self.owner[pieces],
            cells=Cells(
                **{name: values[cells] - (first if name == "piece" else 0) for name, values in vars(self.cells).items()}
            ),
            **{name: getattr(self, name)[:, cells] for name in layout.FIELDS},
            probes=replace(
                self.probes,
                name=tuple(self.probes.name[i].removeprefix(prefix) for i in probes),
                piece=self.probes.piece[probes] - first,
                fraction=self.probes.fraction[probes],
                **{name: getattr(self.probes, name)[:, probes] for name in layout.FIELDS},
            ),
            config=self.member_configs[number],
            attributes=self.attributes | {"member": self.members[number]},
            members=(),
            member_pieces=(),
            member_configs=(),
        )

    def member_number(self, which: int | str) -> int:
        """The number of a member, from 0.

        Raises:
            InputError: There is no such member.
        """
        if isinstance(which, str) and which in self.members:
            return self.members.index(which)
        if isinstance(which, int) and 0 <= which < len(self.members):
            return which
        if not self.members:
            raise InputError(f"{self.path}: no member {which!r}; it holds one cell, not a population")
        listed = ", ".join(f"{number} {name!r}" for number, name in enumerate(self.members[:6]))
        more = ", …" if len(self.members) > 6 else ""
        raise InputError(f"{self.path}: no member {which!r}; it holds {listed}{more}")

    def to_xarray(self) -> "xarray.Dataset":
        """The fields as a Dataset with dimensions time and cell; ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        section = self.cable.section[self.cells.piece]
        names = np.array([s.name for s in self.cable.sections])
        coordinates: dict[str, Any] = {
            "time": ("time", self.time, self._unit("time")),
            "piece": ("cell", self.cells.piece),
            "section": ("cell", names[section]),
            "volume": ("cell", self.cells.volume, self._unit("volume")),
            "path": ("cell", self.cells.path, self._unit("path")),
            "x": ("cell", self.cells.xyz[:, 0], self._unit("xyz")),
            "y": ("cell", self.cells.xyz[:, 1], self._unit("xyz")),
            "z": ("cell", self.cells.xyz[:, 2], self._unit("xyz")),
        }
        fields = {name: (("time", "cell"), getattr(self, name), self._unit(name)) for name in layout.FIELDS}
        if self.members:
            number = np.repeat(np.arange(len(self.members)), self.cells_per_piece * np.array(self.member_pieces))
            coordinates["member"] = ("cell", np.array(self.members)[number])
        return dataset(fields, coordinates, self.attributes)

    def __repr__(self) -> str:
        end, duration = float(self.time[-1]) if len(self.time) else 0.0, self.config.get("run", {}).get("duration")
        span = extent_of(end, duration, self.complete, has_unit=self.units.get("time") == "ms")
        facts = {
            "cell": f"{counted(self.cable.n_neurite_sections, 'section')} in {counted(self.cable.n_frusta, 'piece')} "
            f"and {counted(len(self.cells.piece), 'cell')}",
            "windows": f"{len(self.windows['start'])}, computed on {counted(int(self.attributes['ranks']), 'rank')}",
        }
        if self.members:
            facts["members"] = f"{len(self.members)}: {listed([repr(name) for name in self.members])}"
        if self.probes.name:
            facts["probes"] = f"{listed(self.probes.name)}, {counted(len(self.probes.time), 'sample')} each"
        names = ("time", *layout.FIELDS)
        arrays = {name: (getattr(self, name), self.units.get(name, "")) for name in names}
        return described(f"run {self.path}: {span}", facts, arrays)

    def _unit(self, name: str) -> dict[str, str]:
        return {"units": self.units[name]} if name in self.units else {}


def read(path: str | Path) -> Result:
    """Reads a result file, also one that is still being written or was cut short by a crash.

    Args:
        path: The file.

    Raises:
        InputError: It does not exist, is damaged, of another version, or no result.
    """
    path = Path(path)
    with storage.open_existing(path, layout.FORMAT, layout.FORMAT_VERSION) as file:
        return _result(path, file)


def _result(path: Path, file: h5py.File) -> Result:
    committed = Committed(*file["committed"][:].tolist())
    frames = committed.frames
    attributes = {name: _plain(value) for name, value in file.attrs.items()}
    fields = {name: file[name][:frames] for name in layout.FIELDS}
    if any(len(values) < frames for values in fields.values()):
        raise InputError(f"{path}: has fewer frames than times; are the .rank files it refers to beside it?")
    return Result(
        path=path,
        cable=cable_in(file),
        owner=file["pieces/owner"][:],
        cells_per_piece=attributes["cells_per_piece"],
        cells=Cells(**{name: dataset[:] for name, dataset in file["cells"].items()}),
        time=file["time"][:frames],
        **fields,
        probes=_probes(file["probes"], committed.samples),
        windows=_table(file["windows"], committed.windows),
        sweeps=_table(file["sweeps"], committed.sweeps),
        config=json.loads(file["config"].asstr()[()]),
        units=_units(file),
        attributes=attributes,
        complete=bool(attributes["complete"]),
        **_members(file),
    )


def _members(file: h5py.File) -> dict[str, Any]:
    if "members" not in file:
        return {}
    group = file["members"]
    return {
        "members": tuple(group["name"].asstr()[:]),
        "member_pieces": tuple(group["pieces"][:].tolist()),
        "member_configs": tuple(json.loads(text) for text in group["config"].asstr()[:]),
    }


def _numbered_anew(cable: Cable) -> Cable:
    """A cable that was taken out of a forest, with its own numbers of sections and nodes."""
    first = int(cable.section.min())
    own = cable.sections[first : int(cable.section.max()) + 1]
    sections = tuple(replace(s, parent=s.parent - first if s.parent >= 0 else -1) for s in own)
    return replace(cable, sections=sections, section=cable.section - first, node=cable.node - int(cable.node.min()))


def cable_in(file: h5py.File) -> Cable:
    """The pieces of an open result."""
    sections = file["sections"]
    columns = zip(sections["name"].asstr()[:], sections["kind"][:], sections["parent"][:], strict=True)
    return Cable(
        sections=tuple(Section(name, int(kind), int(parent)) for name, kind, parent in columns),
        **{name: file[f"pieces/{name}"][:] for name in layout.PIECE_ARRAYS},
    )


def _probes(group: h5py.Group, samples: int) -> Probes:
    return Probes(
        name=tuple(group["name"].asstr()[:]),
        piece=group["piece"][:],
        fraction=group["fraction"][:],
        time=group["time"][:samples],
        **{name: group[name][:samples] for name in layout.FIELDS},
    )


def _table(group: h5py.Group, rows: int) -> dict[str, ndarray]:
    return {name: column[:rows] for name, column in group.items()}


def _units(file: h5py.File) -> dict[str, str]:
    named = {**file["cells"], **{name: file[name] for name in ("time", *layout.FIELDS)}}
    return {name: dataset.attrs["units"] for name, dataset in named.items() if "units" in dataset.attrs}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
