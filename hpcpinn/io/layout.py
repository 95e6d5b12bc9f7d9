"""What is known of a run before its first frame, and the file that this makes; `hpcpinn.io.schema` declares it.

Files are the same on any number of ranks.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import h5py
import numpy as np

from hpcpinn.io import datasets, schema
from hpcpinn.io.geometry import Geometry, Probe, Tree
from hpcpinn.io.inputs import InputFiles, write_inputs
from hpcpinn.io.schema import Dataset, Variable
from hpcpinn.morphology.cable import Cable


class Committed(NamedTuple):
    """How many rows of each table count; rows beyond are the traces of a job that died."""

    frames: int = 0
    samples: int = 0
    windows: int = 0
    sweeps: int = 0


@dataclass(frozen=True)
class MemberEntry:
    """One cell of a run that holds several.

    Attributes:
        name: What tells it from the others.
        pieces: Number of its pieces; members lie one after the other.
        config: Run description of the cell as JSON text.
    """

    name: str
    pieces: int
    config: str


@dataclass(frozen=True, kw_only=True)
class ResultHeader:
    """All that is known before the first frame; the same on every rank.

    Attributes:
        system: Name of the system that is solved, such as ``cell``.
        geometry: Geometry that the fields live on.
        fields: The recorded quantities, in the order in which they are written.
        probes: The recorded points.
        windows: Columns of windows, those that all systems share among them.
        config: The run description as JSON text.
        seed: Random seed of the run.
        dimensionless: Whether the run has no units.
        members: Cells of a population; empty for one cell.
        inputs: Files that the run reads.
    """

    system: str
    geometry: Geometry
    fields: tuple[Variable, ...]
    probes: tuple[Probe, ...] = ()
    windows: tuple[Dataset, ...] = schema.WINDOWS
    config: str = "{}"
    seed: int = 0
    dimensionless: bool = False
    members: tuple[MemberEntry, ...] = ()
    inputs: InputFiles = InputFiles()

    @property
    def n_values(self) -> int:
        """Values of a frame."""
        return int(np.prod(self.geometry.shape))

    @property
    def cable(self) -> Cable:
        """The pieces of a run on a tree."""
        assert isinstance(self.geometry, Tree)
        return self.geometry.cable

    @property
    def field_datasets(self) -> tuple[Dataset, ...]:
        """One dataset of frames for every field."""
        axes = " × ".join(("T", *(name.upper() if len(name) == 1 else "N" for name in self.geometry.axes)))
        return tuple(Dataset(f.name, axes, f.description, f.unit) for f in self.fields)

    @property
    def probe_datasets(self) -> tuple[Dataset, ...]:
        """One dataset of samples for every field."""
        return tuple(Dataset(f"probes/{f.name}", "samples × probes", f.description, f.unit) for f in self.fields)

    @property
    def tables(self) -> dict[str, tuple[Dataset, ...]]:
        """Columns of the tables that grow, by name."""
        return {"windows": self.windows, "sweeps": schema.SWEEPS}


def create(file: h5py.File, header: ResultHeader, ranks: int) -> None:
    """Writes a result without frames: header, geometry and empty tables. Serial.

    Args:
        file: File, open for writing.
        header: What is known of the run.
        ranks: Number of ranks, for the record.
    """
    has_units = not header.dimensionless
    _write_provenance(file, header, ranks)
    datasets.write(file, schema.FIELDS, fields_content(header.fields, has_units=has_units))
    write_geometry(file, header.geometry, has_units=has_units)
    places = {f"probes/{name}": values for name, values in header.geometry.probe_places(header.probes).items()}
    names = {"probes/name": [probe.name for probe in header.probes]}
    datasets.write(file, schema.PROBES, names | places, has_units=has_units)
    _create_tables(file, header)
    write_inputs(file, header.inputs.read())
    if header.members:
        datasets.write(file, schema.MEMBERS, _members(header.members))


def write_geometry(file: h5py.File, geometry: Geometry, *, has_units: bool = True) -> None:
    """Writes what fields live on, for `geometry_in`."""
    file.attrs.update({"geometry": geometry.kind, **geometry.attributes})
    datasets.write(file, geometry.declared, geometry.content(), has_units=has_units)


def _write_provenance(file: h5py.File, header: ResultHeader, ranks: int) -> None:
    datasets.write_origin(file, schema.FORMAT, schema.FORMAT_VERSION)
    file.attrs["system"] = header.system
    file.attrs.update({"seed": header.seed, "ranks": ranks, "complete": False})
    # Datasets, because HDF5 limits an attribute to 64 KiB, and since the 32 bytes of the counts are rewritten in
    # one go: a flush counts wholly or not at all.
    datasets.write(file, schema.RUN, {"config": header.config, "committed": Committed()})


def redescribe(file: h5py.File, header: ResultHeader) -> None:
    """Gives a result that is gone on with the descriptions of who goes on: its run may end later."""
    own = {"config": header.config}
    if header.members:
        own["members/config"] = _members(header.members)["members/config"]
    declared = [entry for entry in (*schema.RUN, *schema.MEMBERS) if entry.name in own]
    before = datasets.read(file, declared)
    for entry in declared:
        if entry.name in file and before[entry.name] not in (own[entry.name], tuple(own[entry.name])):
            del file[entry.name]
            datasets.write(file, [entry], {entry.name: own[entry.name]})


def fields_content(fields: tuple[Variable, ...], *, has_units: bool = True) -> dict[str, Any]:
    """The table of fields, by name of the dataset."""
    columns = [entry.name.removeprefix("fields/") for entry in schema.FIELDS]
    rows = {name: [getattr(field, name) for field in fields] for name in columns}
    if not has_units:
        rows["unit"] = [""] * len(fields)
    rows["least"] = [np.nan if value is None else value for value in rows["least"]]
    return {f"fields/{name}": values for name, values in rows.items()}


def fields_in(file: h5py.File) -> tuple[Variable, ...]:
    """The fields of an open result."""
    columns = datasets.read(file, schema.FIELDS)
    rows = zip(*(columns[entry.name] for entry in schema.FIELDS), strict=True)
    return tuple(
        Variable(name, unit, words, None if np.isnan(least) else float(least), float(share), float(floor))
        for name, unit, words, least, share, floor in rows
    )


def _members(members: tuple[MemberEntry, ...]) -> dict[str, Any]:
    counts = np.array([member.pieces for member in members], np.int64)
    return {
        "members/name": [member.name for member in members],
        "members/config": [member.config for member in members],
        "members/pieces": counts,
        "members/first_piece": np.cumsum(counts) - counts,
    }


def _create_tables(file: h5py.File, header: ResultHeader) -> None:
    has_units, shape = not header.dimensionless, header.geometry.shape
    for entry in (*schema.RUN, *schema.PROBES):
        if entry.name in ("time", "probes/time"):
            datasets.growing(file, entry, has_units=has_units)
    for entry in header.field_datasets:
        datasets.growing(file, entry, shape, has_units=has_units)
    for entry in header.probe_datasets:
        datasets.growing(file, entry, (len(header.probes),), has_units=has_units)
    for group, columns in header.tables.items():
        for entry in columns:
            placed = Dataset(f"{group}/{entry.name}", entry.axes, entry.what, entry.unit, entry.kind)
            datasets.growing(file, placed, has_units=has_units)
    _attach_scales(file, header)


def _attach_scales(file: h5py.File, header: ResultHeader) -> None:
    """Lets netCDF's readers see a grid: every dataset of a group has names for its axes, or none has."""
    axes = header.geometry.axes
    if header.geometry.pieces is not None or not all(name in file for name in axes):
        return
    for name in ("time", *axes, "committed"):
        file[name].make_scale(name)
    for names, datasets_of in (
        (("time", *axes), [one.name for one in header.fields]),
        (axes, ["mask"]),
    ):
        for name in datasets_of:
            for axis, scale in enumerate(names if name in file else ()):
                file[name].dims[axis].attach_scale(file[scale])
