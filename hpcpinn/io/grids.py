"""Fields on boxes, on lines, and at points without extent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import datasets, schema
from hpcpinn.io.geometry_base import Geometry, Probe, at_words, differing, nearest
from hpcpinn.wording import counted, listed


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
        z: Middles of the cells along the third axis, µm; None where there is none.
        mask: Whether each cell is inside the domain; None where that is the whole box.
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

    @property
    def owners(self) -> dict[str, Int[ndarray, " n"]]:
        return {} if self.subdomains is None else {"subdomains/owner": self.subdomains.owner}

    def content(self) -> dict[str, Any]:
        parts = {} if self.subdomains is None else {"subdomains/centre": self.subdomains.centre}
        return {**{name: getattr(self, name) for name in self.axes}, "mask": self.mask, **parts, **self.owners}

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

    def coordinates(self) -> dict[str, tuple[Any, Shaped[ndarray, "..."], str]]:
        along: dict[str, tuple[Any, Shaped[ndarray, "..."], str]] = {
            name: (name, getattr(self, name), "um") for name in self.axes
        }  # fmt: skip
        return along if self.mask is None else along | {"mask": (self.axes, self.mask.astype(int), "")}

    def site(self, column: int) -> str:
        place = np.unravel_index(column, self.shape)
        found = {name: float(getattr(self, name)[i]) for name, i in zip(self.axes, place, strict=True)}
        return at_words({name: found[name] for name in reversed(self.axes)})

    def locate(self, place: str) -> int:
        return _located(self, place)

    def difference(self, other: Geometry) -> str:
        said = _grid_difference(self, other)
        if said or not isinstance(other, Box):
            return said
        whole = np.ones(self.shape, bool)
        one, another = (whole if box.mask is None else box.mask for box in (self, other))
        return "" if np.array_equal(one, another) else "the mask of the box is another than in this run"


@dataclass(frozen=True)
class Line(Geometry):
    """Points along a line.

    Attributes:
        x: Places of the points, µm.
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

    def coordinates(self) -> dict[str, tuple[Any, Shaped[ndarray, "..."], str]]:
        return {"x": ("x", self.x, "um")}

    def site(self, column: int) -> str:
        return at_words({"x": float(self.x[column])})

    def locate(self, place: str) -> int:
        return _located(self, place)

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

    def coordinates(self) -> dict[str, tuple[Any, Shaped[ndarray, "..."], str]]:
        return {"name": ("point", np.array(self.name), "")}

    def site(self, column: int) -> str:
        return self.name[column] or f"point {column}"

    def locate(self, place: str) -> int:
        if place in self.name:
            return self.name.index(place)
        raise InputError(f"place {place!r}: no such point; there are {listed([repr(name) for name in self.name])}")

    def probe_places(self, probes: Sequence[Probe]) -> dict[str, Shaped[ndarray, " p"]]:
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


def _located(grid: Geometry, place: str) -> int:
    lines = {name: getattr(grid, name) for name in reversed(grid.axes)}
    return int(np.ravel_multi_index(tuple(reversed(nearest(place, lines))), grid.shape))


def _grid_difference(one: Geometry, other: Geometry) -> str:
    said = differing({"geometry": (one.kind, other.kind), "shape": (one.shape, other.shape)})
    same = said or all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.axes)
    return said if same else f"the {one.kind} has its cells in other places than in this run"
