"""Cuts the cable into pieces: short where the solution bends, long elsewhere.

Calcium spreads by about a µm in a ms, so its layers sit at the edges of a source and where the
radius jumps (membrane per volume goes with 1/radius). A piece may be as long as

    size(s) = min over those places of (finest length there + (growth − 1) · distance along the tree),

at most `max_length`, where around a source the distance counts from `PLATEAU` on: its layer is as
sharp at its foot as at its edge. The radius of a piece may change by a factor of two at most.
"""

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.sites import Site

LAYER_WIDTH = 1.0
"""µm: how far calcium spreads while it is bound, and within which a change of radius is abrupt."""
PLATEAU = 1.5
"""µm: how far from a source pieces stay as short as at its edge."""
STRONG_JUMP, WEAK_JUMP = 0.5, 0.02
"""Relative change of radius from which pieces are cut finest, and below which they are not."""


@dataclass(frozen=True)
class PieceRule:
    """How long pieces may be; lengths as in the cable.

    Attributes:
        max_length: Longest piece.
        source_length: Longest piece at a source or a radius jump.
        growth: How fast pieces get longer on the way from one to the other: the longest size grows
            by growth − 1 per length, neighbours differ by a factor e^(growth − 1) at most.
    """

    max_length: float = 20.0
    source_length: float = 0.5
    growth: float = 2.0


@dataclass(frozen=True)
class Pieces:
    """The pieces and where the sources act.

    Attributes:
        cable: The refined cable; every frustum is a piece.
        parent: Frustum of the given cable that a piece lies in.
        release: Which releases act on a piece, weighted so that a clipped patch releases as much
            as a whole one, (n_sources, F).
    """

    cable: Cable
    parent: Int[np.ndarray, " F"]
    release: Float[np.ndarray, "sources F"]


def cut_into_pieces(
    cable: Cable, patches: list[tuple[Site, float]], ends: list[Site], rule: PieceRule
) -> Pieces:
    """Cuts a cable.

    Args:
        cable: The morphology.
        patches: Centre and length of every synaptic patch; moved to lie within its section.
        ends: Places where a flux is given.
        rule: Lengths.
    """
    intervals = [patch_around(cable, site, length) for site, length in patches]
    cuts = [np.unique([x for iv in intervals for x in iv.fractions(f)]) for f in range(cable.n_frusta)]
    marked = cable.split(cuts)
    parent = np.repeat(np.arange(cable.n_frusta), [len(c) + 1 for c in cuts])
    slope = rule.growth - 1.0
    sources: dict[float, list[int]] = {}
    for interval in intervals:
        finest = min(rule.source_length, interval.length / 2.0)
        sources.setdefault(finest, []).extend(marked.node[interval.covers(marked)].ravel().tolist())
    for site in ends:
        end = round(site.fraction)
        node = marked.node[np.flatnonzero(parent == site.frustum)[-end], end]
        # All that comes through an end comes in at one place: its layer is the sharpest of all.
        sources.setdefault(rule.source_length / 2.0, []).append(int(node))
    sizes = [_Size(0.0, _spread(marked, _radius_jumps(marked, rule), slope, rule.max_length))]
    for finest, nodes in sources.items():
        start = np.full(marked.n_nodes, np.inf)
        start[nodes] = finest - slope * PLATEAU
        sizes.append(_Size(finest, _spread(marked, start, slope, rule.max_length)))
    fine_cuts = [_graded_cuts(marked, f, sizes, rule) for f in range(marked.n_frusta)]
    pieces = marked.split(fine_cuts)
    parent = np.repeat(parent, [len(c) + 1 for c in fine_cuts])
    release = np.zeros((len(intervals), pieces.n_frusta))
    for row, interval in zip(release, intervals, strict=True):
        row[interval.covers(pieces)] = interval.weight
    return Pieces(pieces, parent, release)


@dataclass(frozen=True)
class Patch:
    """A patch of cable: one section between two arc lengths.

    Attributes:
        cable: A cable that holds the section.
        section: The section.
        first, last: Arc lengths within it.
        weight: Wanted over kept length: a patch longer than its section is clipped, and this
            factor on the flux density keeps the amount.
    """

    cable: Cable
    section: int
    first: float
    last: float
    weight: float

    @property
    def length(self) -> float:
        return self.last - self.first

    def fractions(self, frustum: int) -> list[float]:
        """Where the patch edges cut a frustum of the cable."""
        if self.cable.section[frustum] != self.section:
            return []
        length = self.cable.length[frustum]
        cuts = [(edge - self.cable.start[frustum]) / length for edge in (self.first, self.last)]
        return [cut for cut in cuts if 1e-9 < cut < 1.0 - 1e-9]

    def covers(self, pieces: Cable) -> Bool[np.ndarray, " F"]:
        middle = pieces.start + 0.5 * pieces.length
        inside = (middle > self.first) & (middle < self.last)
        return inside & (pieces.section == self.section)


def patch_around(cable: Cable, site: Site, length: float) -> Patch:
    """The patch of the given length around a site, moved to lie within the site's section."""
    section = int(cable.section[site.frustum])
    rows = np.flatnonzero(cable.section == section)
    total = float(cable.start[rows[-1]] + cable.length[rows[-1]])
    centre = float(cable.start[site.frustum] + site.fraction * cable.length[site.frustum])
    if length <= 0.0:
        raise InputError(f"synapse at {site.name}: patch of {length:g} µm; give a positive length")
    kept = min(length, total)
    first = min(max(centre - kept / 2.0, 0.0), total - kept)
    return Patch(cable, section, first, first + kept, length / kept)


_DEGREE = 3
"""Of the Legendre polynomials through which an edge of a patch is seen."""


def _legendre(x: Float[Array, "..."]) -> list[Float[Array, "..."]]:
    """P_0 to P_{_DEGREE + 1}."""
    found = [jnp.ones_like(x), x]
    for n in range(1, _DEGREE + 1):
        found.append(((2 * n + 1) * x * found[n] - n * found[n - 1]) / (n + 1))
    return found


@dataclass(frozen=True)
class PatchPlace:
    """Where a patch lies, for shares of pieces that are a smooth function of its length.

    On a piece that an edge of the patch cuts, the jump is seen through its first Legendre polynomials: as much
    of it as features of the piece can see, whose amount and place are right.

    Attributes:
        centre, total: Arc length of its middle within its section, and of the section.
        own: Pieces of the section.
        start, length: Of the pieces, arc lengths.
    """

    centre: float
    total: float
    own: Bool[np.ndarray, " P"]
    start: Float[np.ndarray, " P"]
    length: Float[np.ndarray, " P"]

    @classmethod
    def around(cls, cable: Cable, site: Site, pieces: Int[np.ndarray, " P"]) -> "PatchPlace":
        """The place of a patch around a site.

        Args:
            cable: The refined cable.
            site: On it.
            pieces: Those whose shares are wanted.
        """
        section = int(cable.section[site.frustum])
        last = np.flatnonzero(cable.section == section)[-1]
        return cls(
            centre=float(cable.start[site.frustum] + site.fraction * cable.length[site.frustum]),
            total=float(cable.start[last] + cable.length[last]),
            own=cable.section[pieces] == section,
            start=cable.start[pieces],
            length=cable.length[pieces],
        )

    def shares(self, length: Float[Array, ""] | float, nodes: Float[np.ndarray, " X"]) -> Float[Array, "P X"]:
        """How much the patch acts at places of every piece, weighted as in `Patch`. Traceable.

        Where an edge of the patch is one of a piece, the derivative acts in this piece, in the next or in both: by
        their moments it is the same.

        Args:
            length: Of the patch, µm.
            nodes: Places ξ in every piece, of which the quadrature is Gauss'.
        """
        kept = jnp.minimum(length, self.total)
        first = jnp.clip(self.centre - kept / 2.0, 0.0, self.total - kept)
        edges = jnp.stack([first, first + kept])[:, None]
        ends = jnp.clip(2.0 * (edges - self.start) / self.length - 1.0, -1.0, 1.0)
        below = _legendre(ends)
        shape = _legendre(jnp.asarray(nodes))
        covered = 0.5 * (ends[1] - ends[0])[:, None] * jnp.ones(len(nodes))
        for n in range(1, _DEGREE + 1):
            # ∫ P_n = (P_{n+1} − P_{n−1})/(2n + 1), and P_n has the square norm 2/(2n + 1).
            moment = 0.5 * jnp.diff(below[n + 1] - below[n - 1], axis=0)[0]
            covered = covered + moment[:, None] * shape[n]
        return jnp.where(self.own[:, None], length / kept * covered, 0.0)


def _radius_jumps(cable: Cable, rule: PieceRule) -> Float[np.ndarray, " N"]:
    """Finest length at every node: short where membrane per volume changes abruptly, else unbounded.

    Abrupt is what happens within a µm, the width of the layers that follow: a jump of the radius,
    or a frustum so steep that it amounts to one. The layer is as strong as the jump, so a weak one
    may be cut more coarsely.
    """
    node = cable.node.ravel()
    reach = np.minimum(cable.length, LAYER_WIDTH)[:, None] / cable.length[:, None]
    step = (cable.radius[:, 1] - cable.radius[:, 0])[:, None] * np.array([1.0, -1.0]) * reach
    near, far = cable.radius.ravel(), (cable.radius + step).ravel()
    low, high = np.full(cable.n_nodes, np.inf), np.zeros(cable.n_nodes)
    for radius in (near, far):
        np.minimum.at(low, node, radius)
        np.maximum.at(high, node, radius)
    strength = np.divide(high, low, out=np.ones_like(high), where=low > 0.0) - 1.0
    coarser = np.sqrt(STRONG_JUMP / np.maximum(strength, 1e-9))
    return np.where(strength < WEAK_JUMP, np.inf, rule.source_length * np.clip(coarser, 1.0, 3.0))


def _spread(cable: Cable, finest, slope: float, ceiling: float) -> Float[np.ndarray, " N"]:
    """Largest size at every node that grows by `slope` per length from the finest places."""
    size = np.minimum(finest, ceiling)
    neighbours: list[list[tuple[int, float]]] = [[] for _ in range(cable.n_nodes)]
    for (tail, head), length in zip(cable.node, cable.length, strict=True):
        neighbours[tail].append((int(head), float(length)))
        neighbours[head].append((int(tail), float(length)))
    queue = [(value, node) for node, value in enumerate(size) if value < ceiling]
    heapq.heapify(queue)
    while queue:
        value, node = heapq.heappop(queue)
        if value > size[node]:
            continue
        for other, length in neighbours[node]:
            reached = value + slope * length
            if reached < size[other]:
                size[other] = reached
                heapq.heappush(queue, (reached, other))
    return size


class _Size(NamedTuple):
    """A bound on the length of pieces that grows with distance: max(`least`, `at_node`)."""

    least: float
    at_node: Float[np.ndarray, " N"]


def _graded_cuts(
    cable: Cable, f: int, sizes: list[_Size], rule: PieceRule
) -> Float[np.ndarray, " k"]:
    """Fractions that cut frustum f into pieces no longer than all bounds allow."""
    length, nodes, slope = cable.length[f], cable.node[f], rule.growth - 1.0

    def allowed(s: np.ndarray) -> np.ndarray:
        bound = np.full_like(s, rule.max_length)
        for least, at_node in sizes:
            tail, head = at_node[nodes]
            grown = np.minimum(tail + slope * s, head + slope * (length - s))
            bound = np.minimum(bound, np.maximum(grown, least))
        return bound

    shortest = allowed(np.array([0.0, length])).min()
    s = np.linspace(0.0, length, 9 + int(8.0 * length / shortest))
    size = allowed(s)
    radius = cable.radius[f, 0] + (cable.radius[f, 1] - cable.radius[f, 0]) * s / length
    halved = np.abs(np.diff(np.log2(radius)))
    by_size = np.diff(s) * 0.5 * (1.0 / size[1:] + 1.0 / size[:-1])
    density = np.r_[0.0, np.cumsum(np.maximum(by_size, halved))]
    count = max(1, int(np.ceil(density[-1] - 1e-6)))
    wanted = density[-1] * np.arange(1, count) / count
    return np.interp(wanted, density, s) / length
