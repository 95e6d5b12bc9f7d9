"""Fields on branched cells: pieces in the order of the tree, each cut into cells of equal length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import h5py
import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.io import datasets, schema
from hpcpinn.io.geometry_base import Geometry, Probe, ProbeSite, differing
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.compartments import site_name
from hpcpinn.morphology.sites import parse_site
from hpcpinn.wording import counted


@dataclass(frozen=True)
class Cells:
    """The output cells of a tree as arrays over all N of them.

    Attributes:
        piece: Row of the cable that holds the cell.
        fraction: Fractions of the piece at which the cell starts and ends, (N, 2).
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

    @property
    def owners(self) -> dict[str, Int[ndarray, " n"]]:
        return {"pieces/owner": self.owner}

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
            **self.owners,
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

    def coordinates(self) -> dict[str, tuple[Any, Shaped[ndarray, "..."], str]]:
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

    def locate(self, place: str) -> int:
        site, per = parse_site(place, self.cable), self.cells_per_piece
        return site.frustum * per + min(int(site.fraction * per), per - 1)

    def probe_site(self, places: Mapping[str, Shaped[ndarray, " p"]], number: int) -> str:
        return self._site(int(places["piece"][number]), float(places["fraction"][number]))

    def _site(self, piece: int, fraction: float) -> str:
        """The place on its section, named as users name it."""
        cable, section = self.cable, int(self.cable.section[piece])
        total = cable.length[cable.section == section].sum()
        along = float((cable.start[piece] + fraction * cable.length[piece]) / total)
        return site_name(cable, section, round(along, 3))

    def probe_places(self, probes: Sequence[Probe]) -> dict[str, Shaped[ndarray, " p"]]:
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
