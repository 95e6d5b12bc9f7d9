"""Connected shares of a tree of pieces: the fewest that fit a capacity, and the best for a number.

For a given capacity the fewest connected shares come from one walk from the tips to the root
(Kundu & Misra 1977, doi:10.1137/0206012, extended to shares that meet in a node): carry the open
share upwards, close it where the next piece would overfill it, and at a junction pack the open
shares of the branches into as few as possible, passing the lightest on.

A *share* is a number per piece, from 0; pieces of one share are connected through common nodes.
"""

from collections import defaultdict
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.morphology.cable import Cable

_EXACT_PACKING = 10
"""Branches at one node up to which all ways of passing some on are tried."""
_RESOLUTION = 1e-4
"""Of the capacity, relative to the mean cost."""


def shares_within(cable: Cable, cost: Float[ndarray, " F"], capacity: float) -> Int[ndarray, " F"]:
    """The fewest connected shares of cost ≤ `capacity` (at least the cost of any piece)."""
    tails, heads = cable.node[:, 0].tolist(), cable.node[:, 1].tolist()
    return _walk(tails, heads, cost.tolist(), capacity)


def best_shares(cable: Cable, cost: Float[ndarray, " F"], n: int) -> Int[ndarray, " F"]:
    """`n` connected shares whose largest cost is as small as it can be (n ≤ number of pieces)."""
    tails, heads = cable.node[:, 0].tolist(), cable.node[:, 1].tolist()
    costs = cost.tolist()
    low = high = max(cost.max(), cost.sum() / n)
    while (best := _walk(tails, heads, costs, high)).max() >= n:
        low, high = high, 2.0 * high
    while high - low > _RESOLUTION * cost.sum() / n:
        middle = 0.5 * (low + high)
        share = _walk(tails, heads, costs, middle)
        if share.max() < n:
            best, high = share, middle
        else:
            low = middle
    return _split_until(cable, cost, best, n)


def largest_part(cable: Cable, cost: Float[ndarray, " F"], room: float) -> Int[ndarray, " k"]:
    """The costliest part of a connected `cable` within `room` that leaves the rest connected.

    The part is what hangs on some piece, that piece included, or all but that.

    Returns:
        Its pieces; empty where even one tip has no room.
    """
    hanging = cost.copy()
    above = {int(head): piece for piece, head in enumerate(cable.node[:, 1])}
    for piece in range(len(cost) - 1, -1, -1):
        parent = above.get(int(cable.node[piece, 0]))
        if parent is not None:
            hanging[parent] += hanging[piece]
    rest = cost.sum() - hanging
    candidates = [(hanging[i], i, True) for i in np.flatnonzero(hanging <= room)]
    candidates += [(rest[i], i, False) for i in np.flatnonzero((rest <= room) & (rest > 0.0))]
    if not candidates:
        return np.array([], int)
    _, top, below = max(candidates, key=lambda part: (part[0], -part[1]))
    inside = np.zeros(len(cost), bool)
    inside[top] = True
    for piece in range(top + 1, len(cost)):
        parent = above.get(int(cable.node[piece, 0]))
        inside[piece] = parent is not None and inside[parent]
    return np.flatnonzero(inside == below)


def _walk(tails: list[int], heads: list[int], cost: list[float], capacity: float) -> ndarray:
    """The fewest connected shares of cost ≤ capacity; numbers of the shares, 0-based.

    Walks from the tips to the root. `waiting[node]` holds the open shares (cost, member pieces)
    that end at a node and wait for what comes from the root's side.
    """
    room = capacity * (1.0 + 1e-12)
    waiting: dict[int, list[tuple[float, list[int]]]] = defaultdict(list)
    closed: list[list[int]] = []
    for piece in range(len(cost) - 1, -1, -1):
        branches = waiting.pop(heads[piece], [])
        joined, groups = _pack([weight for weight, _ in branches], room, cost[piece])
        closed.extend([p for i in group for p in branches[i][1]] for group in groups)
        members = [piece]
        for i in joined:
            # the longer list grows, so that a long unbranched cable is not copied at every piece
            members, other = sorted((members, branches[i][1]), key=len, reverse=True)
            members.extend(other)
        waiting[tails[piece]].append((cost[piece] + sum(branches[i][0] for i in joined), members))
    for branches in waiting.values():
        _, groups = _pack([weight for weight, _ in branches], room, room)
        closed.extend([p for i in group for p in branches[i][1]] for group in groups)
    share = np.empty(len(cost), int)
    for number, members in enumerate(closed):
        share[members] = number
    return share


def _pack(weights: list[float], room: float, own: float) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Packs the branches at a node into as few shares as possible.

    Args:
        weights: Costs of the open shares that end at the node.
        room: Capacity of a share.
        own: Cost of the piece that goes on towards the root.

    Returns:
        The branches that go on with that piece (fewest closed shares first, then the lightest
        load), and the groups that are closed.
    """
    if len(weights) <= 1:
        if not weights or own + weights[0] <= room:
            return tuple(range(len(weights))), []
        return (), [(0,)]
    everything = range(len(weights))
    if own + sum(weights) <= room:
        return tuple(everything), []
    if len(weights) > _EXACT_PACKING:
        return _pack_greedily(weights, room, own)
    choices = []
    for size in range(len(weights)):
        for joined in combinations(everything, size):
            load = sum(weights[i] for i in joined)
            if own + load <= room:
                rest = [i for i in everything if i not in joined]
                choices.append((_first_fit(weights, rest, room), load, joined))
    groups, _, joined = min(choices, key=lambda choice: (len(choice[0]), choice[1]))
    return joined, groups


def _first_fit(weights: list[float], rest: list[int], room: float) -> list[tuple[int, ...]]:
    """First-fit decreasing: groups of the branches in `rest`, each within `room`."""
    groups: list[tuple[float, tuple[int, ...]]] = []
    for i in sorted(rest, key=lambda i: (-weights[i], i)):
        for number, (load, group) in enumerate(groups):
            if load + weights[i] <= room:
                groups[number] = (load + weights[i], (*group, i))
                break
        else:
            groups.append((weights[i], (i,)))
    return [group for _, group in groups]


def _pack_greedily(weights: list[float], room: float, own: float) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """As `_pack` for many branches: first fit, then the lightest group that can goes on."""
    groups = _first_fit(weights, list(range(len(weights))), room)
    load = {group: sum(weights[i] for i in group) for group in groups}
    fitting = [group for group in groups if own + load[group] <= room]
    if not fitting:
        return (), groups
    joined = min(fitting, key=lambda group: load[group])
    return joined, [group for group in groups if group != joined]


def _split_until(cable: Cable, cost: ndarray, share: ndarray, n: int) -> ndarray:
    """Halves the costliest share that has more than one piece until there are n."""
    share = share.copy()
    while (count := int(share.max()) + 1) < n:
        load = np.bincount(share, weights=cost)
        load[np.bincount(share) < 2] = -np.inf
        members = np.flatnonzero(share == int(load.argmax()))
        part = largest_part(cable.take(members), cost[members], 0.5 * cost[members].sum())
        if len(part) == 0:
            part = np.array([len(members) - 1])  # the last piece is always a tip
        share[members[part]] = count
    return share
