"""The cable graph: a tree of frusta, the one geometry that every solver shares.

A *section* is an unbranched run of one neurite type. It is a chain of *frusta*: truncated
cones whose radius is linear in arc length. Frusta meet at *nodes*; a node where more than two
frusta end is a junction, a node with one frustum is a free end.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.morphology.repair import SOMA
from hpcpinn.physics.constants import CYTOSOL, LUMEN


@dataclass(frozen=True)
class Section:
    """Name and kind of one unbranched run.

    Attributes:
        name: NEURON-style name: ``soma[0]``, ``axon[2]``, ``dend[5]``, ``apic[1]``, ``type7[0]``.
        kind: SWC type (1 soma, 2 axon, 3 basal, 4 apical, others custom).
        parent: Index of the parent section, -1 for a section that starts at the root node.
    """

    name: str
    kind: int
    parent: int


@dataclass(frozen=True)
class Cable:
    """A tree of frusta as arrays; row f is one frustum, stored section by section, parents first.

    Frusta of one section are contiguous and ordered from the section's start (the side of the
    root) to its end. Lengths in µm (dimensionless for the `seed` preset).

    Attributes:
        sections: The sections, indexed by `section`.
        section: Section of every frustum.
        kind: SWC type of every frustum.
        node: Node at the start and at the end of every frustum.
        start: Arc length within its section at which the frustum starts.
        length: Axial length.
        radius: Radius at start and end; linear between.
        er_radius: Radius of the endoplasmic reticulum at start and end (0: none); linear between.
        xyz: Position of start and end.
        path: Distance along the tree from the root node to start and end.
        swc_id: SWC point id nearest to the end of the frustum (-1 where there is none).
    """

    sections: tuple[Section, ...]
    section: Int[ndarray, " F"]
    kind: Int[ndarray, " F"]
    node: Int[ndarray, "F 2"]
    start: Float[ndarray, " F"]
    length: Float[ndarray, " F"]
    radius: Float[ndarray, "F 2"]
    er_radius: Float[ndarray, "F 2"]
    xyz: Float[ndarray, "F 2 3"]
    path: Float[ndarray, "F 2"]
    swc_id: Int[ndarray, " F"]

    @property
    def n_frusta(self) -> int:
        return len(self.length)

    @property
    def n_neurite_sections(self) -> int:
        """Sections that are not soma: what people are told, since a soma may be stored as two."""
        return sum(section.kind != SOMA for section in self.sections)

    @property
    def n_nodes(self) -> int:
        return int(self.node.max()) + 1

    @property
    def volume(self) -> Float[ndarray, " F"]:
        """Cytosolic volume of every frustum, the reticulum taken out, µm³."""
        volume: Float[ndarray, " F"] = np.pi * self.length * (_mean_square(self.radius) - _mean_square(self.er_radius))
        return volume

    @property
    def membrane(self) -> Float[ndarray, " F"]:
        """Membrane area of every frustum, ∫2πa ds (EQUATIONS §1: P = 2πa), µm²."""
        outside: Float[ndarray, " F"] = np.pi * self.length * self.radius.sum(axis=1)
        return outside

    @property
    def depth(self) -> Int[ndarray, " F"]:
        """Number of frusta between the root node and the start of every frustum."""
        arrival: dict[int, int] = {}
        depth = np.zeros(self.n_frusta, int)
        for f, (tail, head) in enumerate(self.node):
            depth[f] = arrival.get(int(tail), 0)
            arrival[int(head)] = depth[f] + 1
        return depth

    def within(self, volume: str) -> "Cable":
        """The cable as species see it that live in one of its volumes.

        In the reticulum it is one whose membrane is the reticulum's, with none within; where there is no reticulum, its
        radius is 0.

        Args:
            volume: ``cytosol`` or ``er``.

        Raises:
            KeyError: There is no such volume.
        """
        inside = {CYTOSOL: self, LUMEN: replace(self, radius=self.er_radius, er_radius=np.zeros_like(self.er_radius))}
        return inside[volume]

    def split(self, cuts: list[Float[ndarray, " k"]]) -> "Cable":
        """Cuts every frustum f at the fractions ``cuts[f]`` (each in (0, 1), increasing).

        Args:
            cuts: One array of fractions per frustum; empty where a frustum stays whole.

        Returns:
            The same geometry with more frusta. Old nodes keep their numbers; the nodes made by
            the cuts get new ones.
        """
        count = np.array([len(c) + 1 for c in cuts])
        parent = np.repeat(np.arange(self.n_frusta), count)
        first = np.concatenate([np.r_[0.0, c] for c in cuts])
        last = np.concatenate([np.r_[c, 1.0] for c in cuts])
        fraction = np.stack([first, last], axis=1)

        def between(ends: ndarray) -> ndarray:
            e = ends[parent]
            f = fraction.reshape(fraction.shape + (1,) * (e.ndim - 2))
            mixed = (1.0 - f) * e[:, :1] + f * e[:, 1:]
            return np.where(f == 1.0, e[:, 1:], mixed)

        node = self.node[parent].copy()
        inner = np.flatnonzero(parent[1:] == parent[:-1])
        made = self.n_nodes + np.arange(len(inner))
        node[inner, 1] = made
        node[inner + 1, 0] = made
        return Cable(
            sections=self.sections,
            section=self.section[parent],
            kind=self.kind[parent],
            node=node,
            start=self.start[parent] + first * self.length[parent],
            length=(last - first) * self.length[parent],
            radius=between(self.radius),
            er_radius=between(self.er_radius),
            xyz=between(self.xyz),
            path=between(self.path),
            swc_id=self.swc_id[parent],
        )

    def take(self, rows: Int[ndarray, " k"]) -> "Cable":
        """The frusta `rows` only, node numbers unchanged (a rank's share of the tree)."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "sections"}
        return Cable(sections=self.sections, **arrays)


def _mean_square(ends: Float[ndarray, "F 2"]) -> Float[ndarray, " F"]:
    a, b = ends[:, 0], ends[:, 1]
    mean: Float[ndarray, " F"] = (a * a + a * b + b * b) / 3.0
    return mean
