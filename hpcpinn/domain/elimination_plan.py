"""In which order the nodes of a tree are eliminated, all that do not touch each other at a time.

A node with at most two neighbours can go without filling in anything but a link between the two:
the tips of a tree and every other node of its unbranched stretches go at once, then those of what is
left, and so on: the number of rounds grows with the logarithm of the tree, whatever its shape (rake
and compress: Miller & Reif 1989). Across ranks, every rank first eliminates the nodes that only it
knows; what remains is a tree of the nodes that ranks share and of the forks between them, small
enough for every rank to finish on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

SHARE_OF_STEP = 12
"""A step eliminates at most this fraction (one over it) of the nodes: few idle places in the last rounds."""


class Elimination(NamedTuple):
    """Steps of an elimination; every step has the same number W of places, idle ones included.

    Links are directed: the slot of (p, q) holds what the equation of node p takes from node q. Idle
    places hold node N and slot L, one beyond the last.

    Attributes:
        node: Nodes that go, (steps, W).
        neighbour: Neighbours of these nodes, (steps, W, 2).
        outward: Slots of (node, neighbour), (steps, W, 2).
        inward: Slots of (neighbour, node), which then hold the links (neighbour, other neighbour), (steps, W, 2).
    """

    node: Int[Array, "steps W"]
    neighbour: Int[Array, "steps W 2"]
    outward: Int[Array, "steps W 2"]
    inward: Int[Array, "steps W 2"]


@dataclass(frozen=True)
class Link:
    """Two nodes and the slots of (first, second) and (second, first)."""

    first: int
    second: int
    forward: int
    backward: int


def plan_elimination(
    n_nodes: int, n_slots: int, links: list[Link], goes: Bool[np.ndarray, " N"]
) -> tuple[Elimination, list[Link]]:
    """Plans the elimination of some nodes of a forest.

    Args:
        n_nodes: Number of nodes, N.
        n_slots: Number of slots, L.
        links: Links between the nodes, without cycles.
        goes: Nodes that may be eliminated, (N,). Those that sit at a fork of what is left stay.

    Returns:
        The steps, and the links that are left.
    """
    around: list[dict[int, tuple[int, int]]] = [{} for _ in range(n_nodes)]
    for link in links:
        around[link.first][link.second] = (link.forward, link.backward)
        around[link.second][link.first] = (link.backward, link.forward)
    waiting = np.flatnonzero(goes).tolist()
    width = max(1, -(-len(waiting) // SHARE_OF_STEP))
    idle = _idle(n_nodes, n_slots)
    steps: list[list[_Place]] = []
    while waiting:
        leaving = _independent(waiting, around)
        if not leaving:
            break
        places = [_taken_out(node, around, idle) for node in leaving]
        steps += [places[i : i + width] for i in range(0, len(places), width)]
        gone = set(leaving)
        waiting = [node for node in waiting if node not in gone]
    left = [
        Link(node, other, *slots)
        for node, neighbours in enumerate(around)
        for other, slots in neighbours.items()
        if node < other
    ]
    return _padded(steps, width, idle), left


class _Place(NamedTuple):
    node: int
    neighbour: tuple[int, int]
    outward: tuple[int, int]
    inward: tuple[int, int]


def _idle(n_nodes: int, n_slots: int) -> _Place:
    return _Place(n_nodes, (n_nodes, n_nodes), (n_slots, n_slots), (n_slots, n_slots))


def _independent(waiting: list[int], around: list[dict[int, tuple[int, int]]]) -> list[int]:
    """Nodes with at most two neighbours, no two of them neighbours."""
    leaving: list[int] = []
    touched: set[int] = set()
    for node in waiting:
        if len(around[node]) <= 2 and node not in touched:
            leaving.append(node)
            touched.update(around[node])
    return leaving


def _taken_out(node: int, around: list[dict[int, tuple[int, int]]], idle: _Place) -> _Place:
    """Removes a node and links its neighbours through the slots that led to it."""
    neighbours = list(around[node].items())
    for other, _ in neighbours:
        del around[other][node]
    if len(neighbours) == 2:
        (first, (_, from_first)), (second, (_, from_second)) = neighbours
        around[first][second] = (from_first, from_second)
        around[second][first] = (from_second, from_first)
    around[node] = {}
    missing = 2 - len(neighbours)
    others = [other for other, _ in neighbours] + [idle.node] * missing
    outward = [slots[0] for _, slots in neighbours] + [idle.outward[0]] * missing
    inward = [slots[1] for _, slots in neighbours] + [idle.inward[0]] * missing
    return _Place(node, (others[0], others[1]), (outward[0], outward[1]), (inward[0], inward[1]))


def _padded(steps: list[list[_Place]], width: int, idle: _Place) -> Elimination:
    full = [[*places, *[idle] * (width - len(places))] for places in steps]

    def column(index: int, *shape: int) -> Int[Array, "steps W ..."]:
        values = [[place[index] for place in places] for places in full]
        placed: Int[Array, "steps W ..."] = jax.device_put(np.array(values, np.int32).reshape(len(full), width, *shape))
        return placed

    return Elimination(column(0), column(1, 2), column(2, 2), column(3, 2))


def _numbers(values: Sequence[int]) -> Int[Array, " n"]:
    placed: Int[Array, " n"] = jax.device_put(np.asarray(values, np.int32))
    return placed


class TreePlan(NamedTuple):
    """How one rank takes part in the elimination of all nodes of the tree.

    Attributes:
        own: Elimination of the nodes that only this rank knows.
        top: Elimination of what is left of all ranks; the same on all.
        weight: w_j of Robin's rule at this rank's ends, zero at free ends, for every volume (`TransmissionRule`),
            (P, 2, G).
        kept: Local nodes that are left, (k,).
        kept_number: Numbers of `kept` among the nodes left on all ranks, (k,).
        links: Slots that are left, (l,).
        links_number: Numbers of `links` among the links left on all ranks, (l,).
        n_kept, n_links: Nodes and links that are left on all ranks.
    """

    own: Elimination
    top: Elimination
    weight: Float[Array, "P 2 G"]
    kept: Int[Array, " k"]
    kept_number: Int[Array, " k"]
    links: Int[Array, " l"]
    links_number: Int[Array, " l"]
    n_kept: int
    n_links: int


class _Local(NamedTuple):
    """What one rank eliminates and what it leaves, in its own numbers and those of the tree."""

    own: Elimination
    left: list[Link]
    nodes: Int[np.ndarray, " n"]


def plan_tree(
    stored: list[Int[np.ndarray, " P"]],
    node: Int[np.ndarray, "F 2"],
    weight: Float[np.ndarray, "F 2 G"],
    rank: int,
) -> TreePlan:
    """Plans the elimination for one rank; every rank calls it with the same arguments but `rank`.

    Args:
        stored: Pieces of every rank in the order in which it stores them.
        node: Nodes of every piece's ends.
        weight: w_j of every end.
        rank: Number of this rank.
    """
    inner = np.bincount(node.ravel()) > 1
    ranks_at = np.zeros(len(inner), int)
    for pieces in stored:
        ranks_at[np.unique(node[pieces])] += 1
    locals_ = [_plan_rank(node[pieces], inner, ranks_at > 1) for pieces in stored]
    kept = sorted({int(n) for one in locals_ for n in _left_nodes(one, inner, ranks_at > 1)})
    number = {n: i for i, n in enumerate(kept)}
    top_links: list[Link] = []
    places: list[list[int]] = []
    for one in locals_:
        numbers = []
        for link in one.left:
            slot = 2 * len(top_links)
            ends = number[int(one.nodes[link.first])], number[int(one.nodes[link.second])]
            top_links.append(Link(*ends, slot, slot + 1))
            numbers.append(slot)
        places.append(numbers)
    top, rest = plan_elimination(len(kept), 2 * len(top_links), top_links, np.ones(len(kept), bool))
    assert not rest
    mine = locals_[rank]
    my_nodes = _left_nodes(mine, inner, ranks_at > 1)
    pieces = stored[rank]
    return TreePlan(
        own=mine.own,
        top=top,
        weight=jax.device_put(np.where(inner[node[pieces]][..., None], weight[pieces], 0.0)),
        kept=_numbers(np.searchsorted(mine.nodes, my_nodes).tolist()),
        kept_number=_numbers([number[int(n)] for n in my_nodes]),
        links=_numbers([s for link in mine.left for s in (link.forward, link.backward)]),
        links_number=_numbers([s for slot in places[rank] for s in (slot, slot + 1)]),
        n_kept=len(kept),
        n_links=2 * len(top_links),
    )


def _plan_rank(node: Int[np.ndarray, "P 2"], inner: np.ndarray, shared: np.ndarray) -> _Local:
    nodes = np.unique(node)
    ends = np.searchsorted(nodes, node)
    links = [Link(int(ends[i, 0]), int(ends[i, 1]), 2 * i, 2 * i + 1) for i in range(len(node)) if inner[node[i]].all()]
    own, left = plan_elimination(len(nodes), 2 * len(node), links, inner[nodes] & ~shared[nodes])
    return _Local(own, left, nodes)


def _left_nodes(one: _Local, inner: np.ndarray, shared: np.ndarray) -> Int[np.ndarray, " k"]:
    """Nodes of a rank that it cannot eliminate: shared ones and the forks between them."""
    gone = np.zeros(len(one.nodes) + 1, bool)
    gone[np.asarray(one.own.node).ravel()] = True
    left: Int[np.ndarray, " k"] = one.nodes[inner[one.nodes] & ~gone[:-1]]
    return left
