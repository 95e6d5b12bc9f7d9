"""Who computes which pieces: connected, balanced shares of the tree, cut in few places.

Every share is connected in the sense of the tree (two pieces touch where they share a node), and
then the number of cuts is the smallest possible by itself: the shares and the nodes where they
meet form a tree, so that Σ_nodes (ranks at the node − 1) = n − 1 whatever the shares are.

What is left is balance. For a given capacity U the fewest connected shares of cost ≤ U come from
one walk from the tips to the root (Kundu & Misra 1977, doi:10.1137/0206012, extended to shares
that meet in a node): carry the open share upwards, close it where the next piece would overfill
it, and at a junction pack the open shares of the branches into as few as possible, passing the
lightest on. The smallest U that needs no more than n shares is found by bisection.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable

_EXACT_PACKING = 10
"""Branches at one node up to which all ways of packing them are tried."""
_RESOLUTION = 1e-4
"""Of the capacity, relative to the mean cost."""


@dataclass(frozen=True)
class Partition:
    """The owner of every piece.

    Attributes:
        owner: Rank that computes each piece; ranks are numbered from the root outwards, so that
            neighbours in the tree tend to have neighbouring numbers.
        n: Number of ranks; each owns at least one piece.
        cost: Cost of every rank.
        cut_nodes: Nodes at which pieces of different ranks meet.
        neighbours: Pairs of ranks (lower first) that meet at some node: they exchange traces.
    """

    owner: Int[ndarray, " F"]
    n: int
    cost: Float[ndarray, " n"]
    cut_nodes: Int[ndarray, " k"]
    neighbours: tuple[tuple[int, int], ...]

    @property
    def imbalance(self) -> float:
        """Cost of the busiest rank over the mean; 1 is perfect."""
        return float(self.cost.max() / self.cost.mean())

    @property
    def cuts(self) -> int:
        """Number of places where the tree is cut."""
        return len(self.cut_nodes)

    @property
    def interfaces(self) -> int:
        """Number of pairs of ranks that exchange traces."""
        return len(self.neighbours)


def partition(cable: Cable, cost: Float[ndarray, " F"], n: int) -> Partition:
    """Shares the pieces among `n` ranks: connected, balanced, whole pieces only.

    The pieces stay as they are, so the iterates of a solve do not depend on `n`.

    Args:
        cable: The pieces.
        cost: Cost of every piece, positive (collocation points × species, for instance).
        n: Number of ranks.

    Raises:
        InputError: `n` is not positive or exceeds the number of pieces (see `refined_for`),
            or a cost is not a positive number.
    """
    cost = np.asarray(cost, dtype=float)
    if n < 1:
        raise InputError(f"cannot share a cell among {n} ranks; use at least 1")
    if n > cable.n_frusta:
        raise InputError(
            f"{n} ranks for {cable.n_frusta} pieces; use at most {cable.n_frusta} ranks "
            "or a smaller pieces.max_length"
        )
    if cost.shape != (cable.n_frusta,) or not (np.isfinite(cost) & (cost > 0)).all():
        raise InputError(f"costs must be {cable.n_frusta} positive numbers, one per piece")

    share = _fewest_shares_that_fit(cable, cost, n)
    share = _split_until(cable, cost, share, n)
    return _described(cable, cost, share, n)


def refined_for(cable: Cable, n: int) -> Cable:
    """`cable` with its longest pieces halved until there is a piece for each of `n` ranks."""
    while cable.n_frusta < n:
        longest_first = np.argsort(-cable.length, kind="stable")[: n - cable.n_frusta]
        halved = np.isin(np.arange(cable.n_frusta), longest_first)
        cable = cable.split([np.array([0.5]) if half else np.array([]) for half in halved])
    return cable


def colour(cable: Cable) -> Int[ndarray, " F"]:
    """Colour of every piece by the parity of its depth: 0 red, 1 black.

    Pieces that follow each other differ; siblings at a junction have the same colour.
    """
    return cable.depth % 2


def _fewest_shares_that_fit(cable: Cable, cost: ndarray, n: int) -> ndarray:
    """Shares (at most n of them) under the smallest capacity for which n suffice."""
    tails, heads = cable.node[:, 0].tolist(), cable.node[:, 1].tolist()
    costs = cost.tolist()
    low = max(cost.max(), cost.sum() / n)
    high = low
    while (share := _shares(tails, heads, costs, high)).max() >= n:
        low, high = high, 2.0 * high
    best = share
    while high - low > _RESOLUTION * cost.sum() / n:
        middle = 0.5 * (low + high)
        share = _shares(tails, heads, costs, middle)
        if share.max() < n:
            best, high = share, middle
        else:
            low = middle
    return best


def _shares(tails: list[int], heads: list[int], cost: list[float], capacity: float) -> ndarray:
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
        closed.extend(sum((branches[i][1] for i in group), []) for group in groups)
        members = [piece]
        for i in joined:
            # the longer list grows, so that a long unbranched cable is not copied at every piece
            members, other = sorted((members, branches[i][1]), key=len, reverse=True)
            members.extend(other)
        waiting[tails[piece]].append((cost[piece] + sum(branches[i][0] for i in joined), members))
    for branches in waiting.values():
        _, groups = _pack([weight for weight, _ in branches], room, room)
        closed.extend(sum((branches[i][1] for i in group), []) for group in groups)
    share = np.empty(len(cost), int)
    for number, members in enumerate(closed):
        share[members] = number
    return share


def _pack(
    weights: list[float], room: float, own: float
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
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


def _pack_greedily(weights: list[float], room: float, own: float):
    """As `_pack` for many branches: first fit, then the lightest group that can goes on."""
    groups = _first_fit(weights, list(range(len(weights))), room)
    load = {group: sum(weights[i] for i in group) for group in groups}
    fitting = [group for group in groups if own + load[group] <= room]
    if not fitting:
        return (), groups
    joined = min(fitting, key=lambda group: load[group])
    return joined, [group for group in groups if group != joined]


def _split_until(cable: Cable, cost: ndarray, share: ndarray, n: int) -> ndarray:
    """Splits the costliest shares that have more than one piece until there are n."""
    share = share.copy()
    while (count := int(share.max()) + 1) < n:
        load = np.bincount(share, weights=cost)
        load[np.bincount(share) < 2] = -np.inf
        members = np.flatnonzero(share == int(load.argmax()))
        halves = _fewest_shares_that_fit(cable.take(members), cost[members], 2)
        if halves.max() == 0:
            halves = (np.arange(len(members)) == len(members) - 1).astype(int)  # a tip piece
        share[members[halves == 1]] = count
    return share


def _described(cable: Cable, cost: ndarray, share: ndarray, n: int) -> Partition:
    """Numbers the shares in the order of their first piece and looks where they meet."""
    _, first = np.unique(share, return_index=True)
    number = np.empty(n, int)
    number[np.argsort(first, kind="stable")] = np.arange(n)
    owner = number[share]
    ranks_at: dict[int, set[int]] = defaultdict(set)
    for piece, ends in enumerate(cable.node):
        for node in ends:
            ranks_at[int(node)].add(int(owner[piece]))
    met = {node: sorted(ranks) for node, ranks in ranks_at.items() if len(ranks) > 1}
    pairs = {pair for ranks in met.values() for pair in combinations(ranks, 2)}
    return Partition(
        owner=owner,
        n=n,
        cost=np.bincount(owner, weights=cost, minlength=n),
        cut_nodes=np.array(sorted(met), int),
        neighbours=tuple(sorted(pairs)),
    )
