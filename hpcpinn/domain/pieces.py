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

import numpy as np
from jaxtyping import Bool, Float, Int

from hpcpinn.domain.patches import patch_around
from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.sites import Site

LAYER_WIDTH = 1.0
"""µm: how far calcium spreads while it is bound, and within which a change of radius is abrupt."""
PLATEAU = 1.5
"""µm: how far from a source pieces stay as short as at its edge."""
STRONG_JUMP, WEAK_JUMP = 0.5, 0.02
"""Relative change of radius from which pieces are cut finest, and below which they are not."""

MOST_PER_FRUSTUM = 10**5
"""Pieces; more come from a slip of units."""


@dataclass(frozen=True)
class PieceRule:
    """How long pieces may be; lengths as in the cable.

    Attributes:
        max_length: Longest piece.
        source_length: Longest piece at a source or a radius jump.
        growth: Rate at which pieces get longer on the way from one to the other: the longest size grows
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
        release: Whether releases act on a piece, 1 or 0.
    """

    cable: Cable
    parent: Int[np.ndarray, " F"]
    release: Float[np.ndarray, "sources F"]


def cut_into_pieces(cable: Cable, patches: list[tuple[Site, float]], ends: list[Site], rule: PieceRule) -> Pieces:
    """Cuts a cable.

    Args:
        cable: The morphology.
        patches: Centre and length of every synaptic patch.
        ends: Places where a flux is given.
        rule: Lengths.

    Raises:
        InputError: A patch without length, or pieces without number.
    """
    covered = [patch_around(cable, site, length) for site, length in patches]
    cuts = [np.unique([x for patch in covered for x in patch.cuts(f)]) for f in range(cable.n_frusta)]
    marked = cable.split(cuts)
    parent = np.repeat(np.arange(cable.n_frusta), [len(c) + 1 for c in cuts])
    slope = rule.growth - 1.0
    sources: dict[float, list[int]] = {}
    for patch in covered:
        finest = min(rule.source_length, patch.length / 2.0)
        sources.setdefault(finest, []).extend(_edges(marked, patch.covers(marked, parent)))
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
    for (site, length), patch in zip(patches, covered, strict=True):
        if not np.any(patch.covers(pieces, parent)):
            raise InputError(f"synapse at {site.name}: a patch of {length:g} µm is nothing here; give a longer one")
    release = np.array([patch.covers(pieces, parent) for patch in covered], float)
    return Pieces(pieces, parent, release.reshape(len(covered), pieces.n_frusta))


def _edges(cable: Cable, inside: Bool[np.ndarray, " F"]) -> list[int]:
    """Nodes where a patch ends: layers form there, and not where it goes on or the cable ends."""
    nodes: list[int] = np.intersect1d(cable.node[inside], cable.node[~inside]).tolist()
    return nodes


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


def _spread(cable: Cable, finest: Float[np.ndarray, " N"], slope: float, ceiling: float) -> Float[np.ndarray, " N"]:
    """Largest size at every node that grows by `slope` per length from the finest places."""
    size: Float[np.ndarray, " N"] = np.minimum(finest, ceiling)
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


def _graded_cuts(cable: Cable, f: int, sizes: list[_Size], rule: PieceRule) -> Float[np.ndarray, " k"]:
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
    if length / shortest > MOST_PER_FRUSTUM:
        raise InputError(
            f"pieces of {shortest:.3g} µm on {length:.3g} µm of cable are more than {MOST_PER_FRUSTUM:.0e}; raise "
            "pieces.max_length or pieces.source_length, or the patch of a release",
            ("pieces",),
        )
    s = np.linspace(0.0, length, 9 + int(8.0 * length / shortest))
    size = allowed(s)
    radius = cable.radius[f, 0] + (cable.radius[f, 1] - cable.radius[f, 0]) * s / length
    halved = np.abs(np.diff(np.log2(radius)))
    by_size = np.diff(s) * 0.5 * (1.0 / size[1:] + 1.0 / size[:-1])
    density = np.r_[0.0, np.cumsum(np.maximum(by_size, halved))]
    count = max(1, int(np.ceil(density[-1] - 1e-6)))
    wanted = density[-1] * np.arange(1, count) / count
    cuts: Float[np.ndarray, " k"] = np.interp(wanted, density, s) / length
    return cuts
