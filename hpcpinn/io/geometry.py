"""What fields live on: a branched tree, a box, a line, or points."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import datasets, schema
from hpcpinn.io.schema import Dataset
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.compartments import site_name
from hpcpinn.wording import counted


@dataclass(frozen=True)
class ProbeSite:
    """A point of a tree that is recorded finely in time.

    Attributes:
        name: What the user called it.
        piece: Row of the refined cable.
        fraction: Position on the piece, 0 at its start, 1 at its end.
    """

    name: str
    piece: int
    fraction: float


@dataclass(frozen=True)
class ProbePoint:
    """A point of a box or line that is recorded finely in time.

    Attributes:
        name: What the user called it.
        at: Its coordinates x, y, z, as many as there are axes, µm.
    """

    name: str
    at: tuple[float, ...]


Probe = ProbeSite | ProbePoint


@dataclass(frozen=True)
class Geometry(ABC):
    """Where the values of a field are, in an order that does not depend on ranks."""

    kind: ClassVar[str]
    declared: ClassVar[tuple[Dataset, ...]]

    @property
    @abstractmethod
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of a frame."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame."""

    @property
    def pieces(self) -> Int[ndarray, " n"] | None:
        """Rank that hands in every piece of a frame; None where rank 0 hands in all of it."""
        return None

    @property
    def values_per_piece(self) -> int:
        """Values of a frame that a piece has, one after the other."""
        return 1

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file."""
        return {}

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What is written, by name of the dataset."""

    @classmethod
    @abstractmethod
    def read(cls, file: h5py.File) -> Self:
        """The geometry of an open file."""

    @abstractmethod
    def facts(self, ranks: int) -> dict[str, str]:
        """A line or two for people, by what they are about."""

    @abstractmethod
    def coordinates(self) -> dict[str, tuple[Any, ndarray, str]]:
        """Axes, values and unit of what says where a value is."""

    @abstractmethod
    def site(self, column: int) -> str:
        """What people call the place of a value; `column` counts the values of a frame."""

    def probe_site(self, places: Mapping[str, ndarray], number: int) -> str:
        """What people call the place of a probe; `places` as `probe_places` made them."""
        return at_words({name: float(values[number]) for name, values in places.items()})

    def probe_places(self, probes: Sequence[Probe]) -> dict[str, ndarray]:
        """Columns that say where probes are."""
        points = [probe.at for probe in probes if isinstance(probe, ProbePoint)]
        places = np.reshape(np.array(points, float), (len(probes), len(self.axes)))
        return dict(zip(reversed(self.axes), places.T, strict=True))

    @abstractmethod
    def difference(self, other: "Geometry") -> str:
        """What tells it from another, in words; empty where values of one are values of the other."""

    def part(self, first: int, count: int) -> tuple["Geometry", Int[ndarray, " n"]]:
        """Some pieces as a geometry of their own, and the columns of its values.

        Raises:
            InputError: It has no parts.
        """
        raise InputError(f"a {self.kind} has no members; take the whole result")


def at_words(place: Mapping[str, float]) -> str:
    """``x = 1, y = 2.5``."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in place.items())


def differing(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """``cells is 3 in the file and 4 in this run`` of the first that differs; empty where nothing does."""
    for what, (found, wanted) in pairs.items():
        if found != wanted:
            return f"{what} is {found} in the file and {wanted} in this run"
    return ""


@dataclass(frozen=True)
class Cells:
    """The output cells of a tree as arrays over all N of them.

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


PIECE_ARRAYS = tuple(
    entry.name.removeprefix("pieces/")
    for entry in schema.TREE
    if entry.name.startswith("pieces/") and entry.name != "pieces/owner"
)


@dataclass(frozen=True)
class Tree(Geometry):
    """A branched cell, or several one after the other: pieces, each cut into cells of equal length.

    Attributes:
        cable: The pieces.
        owner: Rank that computes each piece.
        cells_per_piece: Cells of every piece; cell k lies on piece k // cells_per_piece.
    """

    kind = "tree"
    declared = schema.TREE

    cable: Cable
    owner: Int[ndarray, " F"]
    cells_per_piece: int

    @property
    def axes(self) -> tuple[str, ...]:
        return ("cell",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.cable.n_frusta * self.cells_per_piece,)

    @property
    def pieces(self) -> Int[ndarray, " n"]:
        return self.owner

    @property
    def values_per_piece(self) -> int:
        return self.cells_per_piece

    @property
    def attributes(self) -> dict[str, Any]:
        return {"cells_per_piece": self.cells_per_piece}

    @cached_property
    def cells(self) -> Cells:
        """Geometry of the cells."""
        return equal_cells(self.cable, self.cells_per_piece)

    def content(self) -> dict[str, Any]:
        sections = self.cable.sections
        return {
            "sections/name": [s.name for s in sections],
            "sections/kind": [s.kind for s in sections],
            "sections/parent": [s.parent for s in sections],
            **{f"pieces/{name}": getattr(self.cable, name) for name in PIECE_ARRAYS},
            "pieces/owner": self.owner,
            **{f"cells/{name}": values for name, values in vars(self.cells).items()},
        }

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        columns = zip(
            datasets.text_in(file, "sections/name"), file["sections/kind"][:], file["sections/parent"][:], strict=True
        )
        cable = Cable(
            sections=tuple(Section(name, int(kind), int(parent)) for name, kind, parent in columns),
            **{name: file[f"pieces/{name}"][:] for name in PIECE_ARRAYS},
        )
        return cls(cable, file["pieces/owner"][:], int(file.attrs["cells_per_piece"]))

    def facts(self, ranks: int) -> dict[str, str]:
        sections, pieces = self.cable.n_neurite_sections, self.cable.n_frusta
        return {
            "cell": f"{counted(sections, 'section')} in {counted(pieces, 'piece')} and {counted(self.shape[0], 'cell')}"
        }

    def coordinates(self) -> dict[str, tuple[Any, ndarray, str]]:
        cells, names = self.cells, np.array([s.name for s in self.cable.sections])
        return {
            "piece": ("cell", cells.piece, ""),
            "section": ("cell", names[self.cable.section[cells.piece]], ""),
            "volume": ("cell", cells.volume, "um3"),
            "path": ("cell", cells.path, "um"),
            **{name: ("cell", cells.xyz[:, axis], "um") for axis, name in enumerate("xyz")},
        }

    def site(self, column: int) -> str:
        piece, cell = divmod(column, self.cells_per_piece)
        return self._site(piece, (cell + 0.5) / self.cells_per_piece)

    def probe_site(self, places: Mapping[str, ndarray], number: int) -> str:
        return self._site(int(places["piece"][number]), float(places["fraction"][number]))

    def _site(self, piece: int, fraction: float) -> str:
        """The place on its section, named as users name it."""
        cable, section = self.cable, int(self.cable.section[piece])
        total = cable.length[cable.section == section].sum()
        along = float((cable.start[piece] + fraction * cable.length[piece]) / total)
        return site_name(cable, section, round(along, 3))

    def probe_places(self, probes: Sequence[Probe]) -> dict[str, ndarray]:
        sites = [probe for probe in probes if isinstance(probe, ProbeSite)]
        return {
            "piece": np.array([p.piece for p in sites], np.int64),
            "fraction": np.array([p.fraction for p in sites], np.float64),
        }

    def difference(self, other: Geometry) -> str:
        if not isinstance(other, Tree):
            return differing({"geometry": (self.kind, other.kind)})
        said = differing({
            "cells_per_piece": (self.cells_per_piece, other.cells_per_piece),
            "number of pieces": (self.cable.n_frusta, other.cable.n_frusta),
        })  # fmt: skip
        same = said or np.array_equal(self.cable.length, other.cable.length)
        return said if same else "the pieces have other lengths than in this run"

    def part(self, first: int, count: int) -> tuple["Tree", Int[ndarray, " n"]]:
        pieces, per = np.arange(first, first + count), self.cells_per_piece
        cable = _numbered_anew(self.cable.take(pieces))
        return Tree(cable, self.owner[pieces], per), np.arange(first * per, (first + count) * per)


def _numbered_anew(cable: Cable) -> Cable:
    """A cable that was taken out of a forest, with its own numbers of sections and nodes."""
    first = int(cable.section.min())
    own = cable.sections[first : int(cable.section.max()) + 1]
    sections = tuple(replace(s, parent=s.parent - first if s.parent >= 0 else -1) for s in own)
    return replace(cable, sections=sections, section=cable.section - first, node=cable.node - int(cable.node.min()))


@dataclass(frozen=True)
class Subdomains:
    """Parts of a box that were computed apart.

    Attributes:
        centre: Middle of each, µm.
        owner: Rank that computed each.
    """

    centre: Float[ndarray, "P axes"]
    owner: Int[ndarray, " P"]


@dataclass(frozen=True)
class Box(Geometry):
    """A grid of cells in two or three axes, or the part of it that a mask keeps; rank 0 hands in whole frames.

    Attributes:
        x, y: Middles of the cells, µm.
        z: The same where there is a third axis, else None.
        mask: True inside the domain; None where that is the whole box.
        subdomains: Parts that were computed apart; None where nobody says.
    """

    kind = "box"
    declared = schema.BOX

    x: Float[ndarray, " X"]
    y: Float[ndarray, " Y"]
    z: Float[ndarray, " Z"] | None = None
    mask: Bool[ndarray, "..."] | None = None
    subdomains: Subdomains | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        return ("y", "x") if self.z is None else ("z", "y", "x")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(getattr(self, name)) for name in self.axes)

    def content(self) -> dict[str, Any]:
        parts = self.subdomains
        return {
            **{name: getattr(self, name) for name in self.axes},
            "mask": self.mask,
            "subdomains/centre": None if parts is None else parts.centre,
            "subdomains/owner": None if parts is None else parts.owner,
        }

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        found = datasets.read(file, schema.BOX)
        parts = {name: found.pop(f"subdomains/{name}", None) for name in ("centre", "owner")}
        return cls(**found, subdomains=None if parts["owner"] is None else Subdomains(**parts))

    def facts(self, ranks: int) -> dict[str, str]:
        cells = " × ".join(str(len(getattr(self, name))) for name in reversed(self.axes))
        inside = "" if self.mask is None else f", {int(self.mask.sum())} of them inside"
        grid = {"grid": f"{cells} cells{inside}"}
        if self.subdomains is None:
            return grid
        return grid | {"parts": f"{counted(len(self.subdomains.owner), 'subdomain')} on {counted(ranks, 'rank')}"}

    def coordinates(self) -> dict[str, tuple[Any, ndarray, str]]:
        along: dict[str, tuple[Any, ndarray, str]] = {
            name: (name, getattr(self, name), "um") for name in self.axes
        }  # fmt: skip
        return along if self.mask is None else along | {"mask": (self.axes, self.mask.astype(int), "")}

    def site(self, column: int) -> str:
        place = np.unravel_index(column, self.shape)
        found = {name: float(getattr(self, name)[i]) for name, i in zip(self.axes, place, strict=True)}
        return at_words({name: found[name] for name in reversed(self.axes)})

    def difference(self, other: Geometry) -> str:
        return _grid_difference(self, other)


@dataclass(frozen=True)
class Line(Geometry):
    """Points along a line.

    Attributes:
        x: Their places, µm.
        owner: Rank that hands in each; None where rank 0 hands in all.
    """

    kind = "line"
    declared = schema.LINE

    x: Float[ndarray, " X"]
    owner: Int[ndarray, " X"] | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.x),)

    @property
    def pieces(self) -> Int[ndarray, " n"] | None:
        return self.owner

    def content(self) -> dict[str, Any]:
        return {"x": self.x}

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        return cls(file["x"][:])

    def facts(self, ranks: int) -> dict[str, str]:
        return {"line": counted(len(self.x), "point")}

    def coordinates(self) -> dict[str, tuple[Any, ndarray, str]]:
        return {"x": ("x", self.x, "um")}

    def site(self, column: int) -> str:
        return at_words({"x": float(self.x[column])})

    def difference(self, other: Geometry) -> str:
        return _grid_difference(self, other)

    def part(self, first: int, count: int) -> tuple["Line", Int[ndarray, " n"]]:
        chosen = np.arange(first, first + count)
        return Line(self.x[chosen], None if self.owner is None else self.owner[chosen]), chosen


@dataclass(frozen=True)
class Points(Geometry):
    """Points without extent, such as neurons; by default one.

    Attributes:
        name: What people call them.
        owner: Rank that hands in each; None where rank 0 hands in all.
    """

    kind = "points"
    declared = schema.POINTS

    name: tuple[str, ...] = ("",)
    owner: Int[ndarray, " N"] | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        return ("point",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.name),)

    @property
    def pieces(self) -> Int[ndarray, " n"] | None:
        return self.owner

    def content(self) -> dict[str, Any]:
        return {"points/name": self.name}

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        return cls(datasets.text_in(file, "points/name"))

    def facts(self, ranks: int) -> dict[str, str]:
        return {} if self.name == ("",) else {"points": counted(len(self.name), "point")}

    def coordinates(self) -> dict[str, tuple[Any, ndarray, str]]:
        return {"name": ("point", np.array(self.name), "")}

    def site(self, column: int) -> str:
        return self.name[column] or f"point {column}"

    def probe_places(self, probes: Sequence[Probe]) -> dict[str, ndarray]:
        if probes:
            raise ValueError("points are recorded as they are: hand in more frames, not probes")
        return {}

    def difference(self, other: Geometry) -> str:
        if not isinstance(other, Points):
            return differing({"geometry": (self.kind, other.kind)})
        return differing({"number of points": (len(self.name), len(other.name))})

    def part(self, first: int, count: int) -> tuple["Points", Int[ndarray, " n"]]:
        chosen = np.arange(first, first + count)
        return Points(self.name[first : first + count], None if self.owner is None else self.owner[chosen]), chosen


def _grid_difference(one: Geometry, other: Geometry) -> str:
    said = differing({"geometry": (one.kind, other.kind), "shape": (one.shape, other.shape)})
    same = said or all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.axes)
    return said if same else f"the {one.kind} has its cells in other places than in this run"


GEOMETRIES: dict[str, type[Geometry]] = {kind.kind: kind for kind in (Tree, Box, Line, Points)}


def geometry_in(file: h5py.File) -> Geometry:
    """The geometry of an open result."""
    return GEOMETRIES[str(file.attrs["geometry"])].read(file)
