"""Reads result files into plain arrays. Needs neither MPI nor JAX."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import layout, schema, storage
from hpcpinn.io.datasets import columns_in, plain, text_in
from hpcpinn.io.describing import dataset, described, extent_of
from hpcpinn.io.geometry import Box, Cells, Geometry, Tree, geometry_in
from hpcpinn.io.layout import Committed
from hpcpinn.io.schema import Variable
from hpcpinn.morphology.cable import Cable
from hpcpinn.wording import counted, listed

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, repr=False)
class Probes:
    """What was recorded at points, finely in time; a field is an attribute too, ``probes.calcium``.

    Attributes:
        name: Names of the P probes.
        places: Columns that say where they are: piece and fraction on a tree, else x, y and z, µm.
        time: User time of the samples.
        fields: Samples by field, (Tp, P).
    """

    name: tuple[str, ...]
    places: dict[str, Shaped[ndarray, " p"]]
    time: Float[ndarray, " Tp"]
    fields: dict[str, Float[ndarray, "Tp P"]]

    def __getattr__(self, name: str) -> Shaped[ndarray, "..."]:
        found = vars(self).get("fields", {}) | vars(self).get("places", {})
        if name not in found:
            raise AttributeError(f"no field {name!r} was recorded at probes; there are {listed(list(found))}")
        values: ndarray = found[name]
        return values

    def __repr__(self) -> str:
        samples = counted(len(self.time), "sample")
        return f"<probes {listed(self.name)}: {samples} of {', '.join(self.fields)}>" if self.name else "<no probes>"

    def take(self, which: Int[ndarray, " p"]) -> "Probes":
        """Some of them."""
        return replace(
            self,
            name=tuple(self.name[i] for i in which),
            places={name: values[which] for name, values in self.places.items()},
            fields={name: values[:, which] for name, values in self.fields.items()},
        )


@dataclass(frozen=True, repr=False)
class Result:
    """A run as plain arrays; a field is an attribute too, ``run.calcium``.

    Attributes:
        path: The file.
        geometry: What the fields live on.
        time: User time of the frames.
        fields: Values by field, one row per frame.
        declared: Name, unit and description of the fields.
        probes: What was recorded at points.
        windows: Columns of what happened in windows, one row per window.
        sweeps: Columns of `schema.SWEEPS`, one row per Schwarz sweep.
        config: The run description.
        units: Unit by array name; empty for a dimensionless run.
        attributes: Version, git commit, seed, ranks, creation date; of one member of a population its name.
        complete: Whether the run came to its end.
        members: Names of the cells of a population; empty for a run of one cell.
        member_pieces: How many pieces each of them has, one member after the other.
        member_configs: The run description of each.
    """

    path: Path
    geometry: Geometry
    time: Float[ndarray, " T"]
    fields: dict[str, Float[ndarray, "T ..."]]
    declared: tuple[Variable, ...]
    probes: Probes
    windows: dict[str, Shaped[ndarray, " W"]]
    sweeps: dict[str, Shaped[ndarray, " S"]]
    config: dict[str, Any]
    units: dict[str, str]
    attributes: dict[str, Any]
    complete: bool
    members: tuple[str, ...] = ()
    member_pieces: tuple[int, ...] = ()
    member_configs: tuple[dict[str, Any], ...] = ()

    def __getattr__(self, name: str) -> Float[ndarray, "T ..."]:
        fields = vars(self).get("fields", {})
        if name not in fields:
            raise AttributeError(f"a result has no {name!r}; its fields are {listed(list(fields))}")
        values: ndarray = fields[name]
        return values

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.fields]

    def field(self, name: str) -> Variable:
        """What is declared of a field.

        Raises:
            InputError: There is none of that name.
        """
        for field in self.declared:
            if field.name == name:
                return field
        raise InputError(f"{self.path}: has no field {name!r}; it holds {listed(list(self.fields))}")

    @property
    def tree(self) -> Tree:
        """The geometry of a run on a branched cell.

        Raises:
            InputError: It has another.
        """
        if not isinstance(self.geometry, Tree):
            raise InputError(f"{self.path}: is a run on a {self.geometry.kind}, not on a cell")
        return self.geometry

    @property
    def box(self) -> Box:
        """The geometry of a run on a box.

        Raises:
            InputError: It has another.
        """
        if not isinstance(self.geometry, Box):
            raise InputError(f"{self.path}: is a run on a {self.geometry.kind}, not on a box")
        return self.geometry

    @property
    def cable(self) -> Cable:
        """The pieces of a cell."""
        return self.tree.cable

    @property
    def owner(self) -> Int[ndarray, " F"]:
        """Rank that computed each piece of a cell."""
        return self.tree.owner

    @property
    def cells(self) -> Cells:
        """Geometry of the output cells of a cell."""
        return self.tree.cells

    @property
    def cells_per_piece(self) -> int:
        """Output cells of every piece; cell k lies on piece k // cells_per_piece."""
        return self.tree.cells_per_piece

    def member(self, which: int | str) -> "Result":
        """One cell of a population as a result of its own.

        Args:
            which: Number of the cell, from 0, or its name.

        Raises:
            InputError: There is no such member.
        """
        number = self.member_number(which)
        first, count = sum(self.member_pieces[:number]), self.member_pieces[number]
        geometry, columns = self.geometry.part(first, count)
        return replace(
            self,
            geometry=geometry,
            fields={name: values[:, columns] for name, values in self.fields.items()},
            probes=self._member_probes(number, first, count),
            config=self.member_configs[number],
            attributes=self.attributes | {"member": self.members[number]},
            members=(),
            member_pieces=(),
            member_configs=(),
        )

    def _member_probes(self, number: int, first: int, count: int) -> Probes:
        if not self.probes.name:
            return self.probes
        piece, prefix = self.probes.piece, f"{self.members[number]}: "
        own = self.probes.take(np.flatnonzero((piece >= first) & (piece < first + count)))
        return replace(
            own,
            name=tuple(name.removeprefix(prefix) for name in own.name),
            places=own.places | {"piece": own.piece - first},
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
        """The fields as a Dataset with dimensions time and those of the geometry; ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        axes = self.geometry.axes
        coordinates: dict[str, Any] = {"time": ("time", self.time, self._unit("time"))}
        for name, (along, values, unit) in self.geometry.coordinates().items():
            has_unit = unit and "time" in self.units
            coordinates[name] = (along, values, {"units": unit} if has_unit else {})
        if self.members:
            count = np.array(self.member_pieces) * self.geometry.values_per_piece
            coordinates["member"] = (axes[0], np.repeat(np.array(self.members), count))
        fields = {
            field.name: (("time", *axes), self.fields[field.name], self._unit(field.name) | _described(field))
            for field in self.declared
        }
        return dataset(fields, coordinates, self.attributes)

    def __repr__(self) -> str:
        end, duration = float(self.time[-1]) if len(self.time) else 0.0, self.config.get("run", {}).get("duration")
        span = extent_of(end, duration, self.complete, has_unit=self.units.get("time") == "ms")
        ranks = int(self.attributes["ranks"])
        facts = self.geometry.facts(ranks)
        facts["windows"] = f"{len(self.windows['start'])}, computed on {counted(ranks, 'rank')}"
        if self.members:
            facts["members"] = f"{len(self.members)}: {listed([repr(name) for name in self.members])}"
        if self.probes.name:
            facts["probes"] = f"{listed(self.probes.name)}, {counted(len(self.probes.time), 'sample')} each"
        shown = {"time": self.time} | self.fields
        arrays = {name: (values, self.units.get(name, "")) for name, values in shown.items()}
        return described(f"run {self.path}: {span}", facts, arrays)

    def _unit(self, name: str) -> dict[str, str]:
        return {"units": self.units[name]} if name in self.units else {}


def _described(field: Variable) -> dict[str, str]:
    return {"description": field.description} if field.description else {}


def read(path: str | Path) -> Result:
    """Reads a result file, also one that is still being written or was cut short by a crash.

    Args:
        path: The file.

    Raises:
        InputError: It does not exist, is damaged, of another version, or no result.
    """
    path = Path(path)
    with storage.open_existing(path, schema.FORMAT, schema.FORMAT_VERSION) as file:
        return _result(path, file)


def _result(path: Path, file: h5py.File) -> Result:
    committed = Committed(*file["committed"][:].tolist())
    frames, declared = committed.frames, layout.fields_in(file)
    attributes = {name: plain(value) for name, value in file.attrs.items()}
    fields = {field.name: file[field.name][:frames] for field in declared}
    if any(len(values) < frames for values in fields.values()):
        raise InputError(f"{path}: has fewer frames than times; are the .rank files it refers to beside it?")
    geometry = geometry_in(file)
    return Result(
        path=path,
        geometry=geometry,
        time=file["time"][:frames],
        fields=fields,
        declared=declared,
        probes=_probes(file["probes"], committed.samples, tuple(fields)),
        windows=columns_in(file["windows"], committed.windows),
        sweeps=columns_in(file["sweeps"], committed.sweeps),
        config=json.loads(file["config"].asstr()[()]),
        units=_units(file, geometry, tuple(fields)),
        attributes=attributes,
        complete=bool(attributes["complete"]),
        **_members(file),
    )


def _members(file: h5py.File) -> dict[str, Any]:
    if "members" not in file:
        return {}
    return {
        "members": text_in(file, "members/name"),
        "member_pieces": tuple(file["members/pieces"][:].tolist()),
        "member_configs": tuple(json.loads(text) for text in text_in(file, "members/config")),
    }


def _probes(group: h5py.Group, samples: int, fields: tuple[str, ...]) -> Probes:
    places = [name for name in group if name not in ("name", "time", *fields)]
    return Probes(
        name=tuple(group["name"].asstr()[:]),
        places={name: group[name][:] for name in places},
        time=group["time"][:samples],
        fields={name: group[name][:samples] for name in fields},
    )


def _units(file: h5py.File, geometry: Geometry, fields: tuple[str, ...]) -> dict[str, str]:
    named: Mapping[str, h5py.Dataset] = {name: file[name] for name in ("time", *fields)}
    found = {name: str(values.attrs["units"]) for name, values in named.items() if "units" in values.attrs}
    if "time" not in found:
        return found
    places = {entry.name.removeprefix("cells/"): entry.unit for entry in geometry.declared if entry.unit}
    return found | {name: unit for name, unit in places.items() if "/" not in name}
