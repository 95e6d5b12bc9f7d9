"""The tree as compartments of a few micrometres to tens of them: what the voltage is solved on.

Every section is cut into an odd number of equal parts. A compartment keeps the membrane of its
frusta, ∫2πa ds, and is joined to its neighbours' centres by ∫ds/(πa²), both exact for tapering
frusta. Where branches meet is a *junction*: a point without membrane. Compartments and junctions
together are the *points* of a tree. The voltage's rule of lengths (d_lambda) is its own: calcium's
pieces are far shorter.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.sites import Site

_CLOSE = 1e-9
"""Cuts this close to the end of a frustum, as a share of its length, fall on the end."""

_CM_PER_UM = 1e-4


@dataclass(frozen=True)
class Compartments:
    """A tree of points: first the compartments, in storage order, then the junctions.

    Attributes:
        cable: The cable, cut at the ends and at the centres of all compartments.
        section: Section of every compartment.
        kind: SWC type of every compartment.
        length: Length of every compartment, µm.
        area: Membrane of every compartment, µm².
        node: Node of `cable` at every point.
        parent: The point on the way to the root; -1 for the one nearest to it.
        axial: ∫ds/(πa²) on the way to the parent, 1/µm; times R_i it is a resistance. 0 for the first.
        xyz: Position of every point, µm.
    """

    cable: Cable
    section: Int[ndarray, " n"]
    kind: Int[ndarray, " n"]
    length: Float[ndarray, " n"]
    area: Float[ndarray, " n"]
    node: Int[ndarray, " points"]
    parent: Int[ndarray, " points"]
    axial: Float[ndarray, " points"]
    xyz: Float[ndarray, "points 3"]

    @property
    def count(self) -> int:
        """Number of compartments."""
        return len(self.area)

    @property
    def n_points(self) -> int:
        """Number of compartments and junctions."""
        return len(self.parent)

    @property
    def sites(self) -> list[Site]:
        """The centres as places on `cable`, named as users name them: ``apic[3](0.5)``."""
        first = np.r_[True, self.section[1:] != self.section[:-1]]
        begin = np.maximum.accumulate(np.where(first, np.arange(self.count), 0))
        count = np.bincount(self.section)[self.section]
        x = (np.arange(self.count) - begin + 0.5) / count
        names = [site_name(self.cable, int(s), v) for s, v in zip(self.section, x, strict=True)]
        ending = {int(head): f for f, head in enumerate(self.cable.node[:, 1])}
        return [Site(ending[int(node)], 1.0, name) for node, name in zip(self.node[: self.count], names, strict=True)]

    def site_name(self, number: int) -> str:
        """The centre of one of them, named as in `sites`."""
        same = np.flatnonzero(self.section == self.section[number])
        return site_name(self.cable, int(self.section[number]), (number - same[0] + 0.5) / len(same))

    def nearest(self, site: Site, cable: Cable) -> int:
        """The compartment that holds a place on the whole cable, or the nearer one at an edge."""
        s = cable.start[site.frustum] + site.fraction * cable.length[site.frustum]
        rows = np.flatnonzero(self.section == cable.section[site.frustum])
        total = self.length[rows].sum()
        return int(rows[min(len(rows) - 1, int(s / total * len(rows)))])


def site_name(cable: Cable, section: int, x: float) -> str:
    """``apic[3](0.5)``; the halves of a soma around the root are one section to users."""
    name = cable.sections[section].name
    if name == "soma[0]b":
        name, x = "soma[0]", 0.5 - 0.5 * x
    elif name == "soma[0]" and any(other.name == "soma[0]b" for other in cable.sections):
        x = 0.5 + 0.5 * x
    return f"{name}({x:.6g})"


def d_lambda_counts(
    cable: Cable,
    R_i: float | Float[ndarray, " F"],
    C_m: float | Float[ndarray, " F"],
    frequency: float = 100.0,
    fraction: float = 0.1,
) -> Int[ndarray, " sections"]:
    """Compartments per section by the d_lambda rule: odd, none longer than `fraction` of λ_f.

    λ_f = ½ √(d/(π f R_i C_m)), the length constant at a frequency (M. L. Hines, N. T. Carnevale,
    Neuroscientist 7 (2001) 123), integrated along tapering frusta.

    Args:
        R_i: Axial resistivity, Ω·cm, of all or of every frustum.
        C_m: Capacitance of the membrane, µF/cm², as R_i.
        frequency: Hz.
        fraction: Share of λ_f.

    Raises:
        InputError: A number that is not positive.
    """
    for name, value in (("R_i", R_i), ("C_m", C_m), ("frequency", frequency), ("fraction", fraction)):
        if not np.all(np.isfinite(value) & (np.asarray(value) > 0.0)):
            raise InputError(f"d_lambda rule: {name} = {value}; give a positive number")
    # ∫ds/√a of a linear radius is 2L/(√a₀ + √a₁)
    root = np.sqrt(cable.radius * _CM_PER_UM)
    integral = 2.0 * cable.length * _CM_PER_UM / root.sum(axis=1)
    factor = np.sqrt(2.0 * np.pi * frequency * R_i * C_m * 1e-6)
    if np.ndim(factor):
        lengths = np.bincount(cable.section, integral * factor, len(cable.sections))
    else:
        lengths = np.bincount(cable.section, integral, len(cable.sections)) * factor
    # The margin, a tenth of two compartments, is that of the rule as published.
    count: Int[ndarray, " sections"] = 2 * ((lengths / fraction + 0.9) / 2.0).astype(int) + 1
    return count


def counts_of_length(cable: Cable, longest: float | None) -> Int[ndarray, " sections"]:
    """Compartments per section, odd: 1 + 2 floor(L/longest), and 1 where there is no longest one (µm).

    Raises:
        InputError: It is not positive.
    """
    if longest is None:
        return np.ones(len(cable.sections), int)
    if not (np.isfinite(longest) and longest > 0.0):
        raise InputError(f"longest compartment = {longest}; give a positive number of um")
    count: Int[ndarray, " sections"] = 1 + 2 * (_section_lengths(cable) / longest).astype(int)
    return count


def compartments(cable: Cable, counts: Int[ndarray, " sections"]) -> Compartments:
    """Cuts every section into equal compartments.

    Args:
        cable: The whole cable.
        counts: Compartments per section, 1 or more.
    """
    half = _section_lengths(cable) / (2.0 * counts)
    pieces = cable.split(_cuts(cable, half, counts))
    middle = pieces.start + 0.5 * pieces.length
    step = half[pieces.section]
    first = np.r_[0, np.cumsum(counts)]
    within = np.minimum((middle / (2.0 * step)).astype(int), counts[pieces.section] - 1)
    owner = first[pieces.section] + within
    n = int(first[-1])

    def total(values: Float[ndarray, " F"]) -> Float[ndarray, " n"]:
        return np.bincount(owner, values, n)

    section = np.repeat(np.arange(len(counts)), counts)
    centre = _centres(pieces, half, counts)
    node, parent, axial = _tree(pieces, centre)
    place = np.empty((pieces.n_nodes, 3))
    place[pieces.node[0, 0]] = pieces.xyz[0, 0]
    place[pieces.node[:, 1]] = pieces.xyz[:, 1]
    return Compartments(
        cable=pieces,
        section=section,
        kind=np.array([s.kind for s in cable.sections])[section],
        length=total(pieces.length),
        area=total(pieces.membrane),
        node=node,
        parent=parent,
        axial=axial,
        xyz=place[node],
    )


def _section_lengths(cable: Cable) -> Float[ndarray, " sections"]:
    return np.bincount(cable.section, cable.length, len(cable.sections))


def _cuts(
    cable: Cable, half: Float[ndarray, " sections"], counts: Int[ndarray, " sections"]
) -> list[Float[ndarray, " k"]]:
    """Where every frustum is cut: at the ends and centres of compartments inside it."""
    cuts = []
    for start, length, section in zip(cable.start, cable.length, cable.section, strict=True):
        marks = half[section] * np.arange(1, 2 * counts[section])
        fraction = (marks - start) / length
        cuts.append(fraction[(fraction > _CLOSE) & (fraction < 1.0 - _CLOSE)])
    return cuts


def _centres(pieces: Cable, half: Float[ndarray, " sections"], counts: Int[ndarray, " sections"]) -> Int[ndarray, " n"]:
    """Node at the centre of every compartment."""
    found = []
    ends = pieces.start + pieces.length
    for section, count in enumerate(counts):
        rows = np.flatnonzero(pieces.section == section)
        wanted = half[section] * (2 * np.arange(count) + 1)
        nearest = np.abs(ends[rows][None, :] - wanted[:, None]).argmin(axis=1)
        found.append(pieces.node[rows[nearest], 1])
    return np.concatenate(found)


def _tree(
    pieces: Cable, centre: Int[ndarray, " n"]
) -> tuple[Int[ndarray, " points"], Int[ndarray, " points"], Float[ndarray, " points"]]:
    """Node, parent and axial ∫ds/(πa²) of every point; what lies between points is in series."""
    degree = np.bincount(pieces.node.ravel())
    root = int(pieces.node[0, 0])
    is_junction = degree > 2
    is_junction[root] = degree[root] > 1
    is_junction[centre] = False
    node = np.r_[centre, np.flatnonzero(is_junction)]
    point_at = {int(place): point for point, place in enumerate(node)}
    parent, axial = np.full(len(node), -1), np.zeros(len(node))
    resistance = pieces.length / (np.pi * pieces.radius.prod(axis=1))  # ∫ds/(πa²) of a frustum
    # The last point before every node, and the way from there.
    before = {root: (point_at.get(root, -1), 0.0)}
    for (tail, head), own in zip(pieces.node.tolist(), resistance, strict=True):
        last, way = before[tail]
        if head in point_at:
            point = point_at[head]
            parent[point] = last
            axial[point] = way + own if last >= 0 else 0.0
            before[head] = (point, 0.0)
        else:
            before[head] = (last, way + own)
    return node, parent, axial
