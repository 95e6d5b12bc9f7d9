"""``hpcpinn inspect``: what is in a morphology file, and what became of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.morphology.repair import SOMA, Repair
from hpcpinn.morphology.soma import describe_soma
from hpcpinn.morphology.swc import SwcTree, read_swc

MERGE_BELOW = 1.0
"""µm; what a run merges by default, shown so that the user sees what it would do."""


@dataclass(frozen=True)
class KindFigures:
    """Measures of all neurites of one type: µm, µm², µm³, and the smallest and largest radius."""

    kind: str
    points: int
    sections: int
    length: float
    area: float
    volume: float
    radius: tuple[float, float] | None


@dataclass(frozen=True)
class Inspection:
    """A morphology file seen from all sides.

    Attributes:
        tree: Points of the file after repairs.
        cable: Every frustum of the file, nothing merged.
        merged: Cable of the same cell as a run takes it by default.
        merging: What merging did.
        soma: The soma in words.
        reading: Points where the file was not read as its mode of soma would read it.
    """

    tree: SwcTree
    cable: Cable
    merged: Cable
    merging: tuple[Repair, ...]
    soma: str
    reading: tuple[Repair, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What the user should know: of the file's reader, and of the reading of the soma."""
        return [*self.tree.warnings, *map(str, self.reading)]

    def figures(self) -> dict[str, Any]:
        """The numbers that other tools give too, ready for JSON.

        ``sections`` are unbranched runs of points that are not soma, a new one after a branch
        point and at the soma; ``length_um`` is the sum of the straight edges that end in such a
        point, those among them (``gaps_um``) that lead from the soma to the first point of a
        neurite and are no cable; area (lateral, of the truncated cones, and the rings where the
        radius steps on an edge of length zero) and volume include the soma as it was read.
        """
        return {
            "points": self.tree.n_points,
            "sections": int(np.count_nonzero(self._starts)),
            "branch_points": int(np.count_nonzero(self._branches & self._neurite)),
            "length_um": self._length,
            "gaps_um": self.gaps,
            "area_um2": float(lateral_area(self.cable).sum() + step_area(self.tree).sum()),
            "volume_um3": float(self.cable.volume.sum()),
            "soma": self.soma,
            "units": self.tree.unit,
            "repairs": [str(repair) for repair in self.tree.repairs],
            "warnings": self.warnings,
        }

    def by_kind(self) -> list[KindFigures]:
        """The same numbers per type of neurite."""
        rows = []
        for kind in map(int, np.unique(self.tree.kind)):
            points, frusta = self.tree.kind == kind, self.cable.kind == kind
            ends = self.cable.radius[frusta]
            rows.append(
                KindFigures(
                    kind=kind_name(kind),
                    points=int(np.count_nonzero(points)),
                    sections=int(np.count_nonzero(self._starts & points)),
                    length=float(self.cable.length[frusta].sum()),
                    area=float(lateral_area(self.cable)[frusta].sum() + step_area(self.tree)[points].sum()),
                    volume=float(self.cable.volume[frusta].sum()),
                    radius=(float(ends.min()), float(ends.max())) if len(ends) else None,
                )
            )
        return rows

    @property
    def gaps(self) -> float:
        """Length of the wires from the soma to first points of neurites, µm: in ``length_um``, but no cable."""
        return max(self._length - float(self.cable.length[self.cable.kind != SOMA].sum()), 0.0)

    @property
    def _length(self) -> float:
        return float(self.tree.edge_length[self._neurite].sum())

    @cached_property
    def _neurite(self) -> Bool[ndarray, " n"]:
        found: Bool[ndarray, " n"] = (self.tree.kind != SOMA) & (self.tree.parent >= 0)
        return found

    @cached_property
    def _branches(self) -> Bool[ndarray, " n"]:
        parent = self.tree.parent
        return np.bincount(parent[parent >= 0], minlength=self.tree.n_points) > 1

    @cached_property
    def _starts(self) -> Bool[ndarray, " n"]:
        """Points that begin a run: their parent branches, is soma, or is the root."""
        up = self.tree.parent
        found: Bool[ndarray, " n"] = self._neurite & (self._branches[up] | (self.tree.kind[up] == SOMA) | (up == 0))
        return found


def inspect(file: str, *, soma: str = "neuron", units: str = "auto") -> Inspection:
    """Reads a morphology and measures it.

    Args:
        file: SWC file, or ``builtin:NAME``.
        soma: How the soma is read.
        units: Unit of the file.

    Raises:
        InputError: The file is refused, or an option is unknown.
    """
    tree = read_swc(morphology_path(file), units=units)
    cable, reading = cable_from_swc(tree, soma=soma)
    merged, changes = cable_from_swc(tree, soma=soma, merge_below=MERGE_BELOW)
    merging = changes[len(reading) :]
    return Inspection(tree, cable, merged, merging, describe_soma(tree, soma), reading)


def lateral_area(cable: Cable) -> Float[ndarray, " F"]:
    """Lateral area of every truncated cone, along its slope, as NEURON and NeuroM report it, µm².

    The equations use ∫2πa ds instead (`Cable.membrane`), which is smaller where the radius changes.
    """
    step = cable.radius[:, 1] - cable.radius[:, 0]
    area: Float[ndarray, " F"] = np.pi * cable.radius.sum(axis=1) * np.hypot(cable.length, step)
    return area


def step_area(tree: SwcTree) -> Float[ndarray, " n"]:
    """Area of the ring at every point that lies on its parent with another radius, µm².

    NEURON and NeuroM count it; the equations, which know ∫2πa ds only, do not.
    """
    up = tree.parent
    within = (tree.edge_length == 0.0) & (up >= 0) & ((tree.kind == SOMA) == (tree.kind[up] == SOMA))
    return np.where(within, np.pi * np.abs(tree.radius[up] ** 2 - tree.radius**2), 0.0)
