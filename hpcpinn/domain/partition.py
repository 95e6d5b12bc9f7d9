"""Who computes which pieces: balanced shares of the tree, cut in few places.

The tree is cut into connected subdomains (two pieces touch where they share a node); a rank owns
one. The number of cuts is then the smallest possible by itself, since the subdomains and the
nodes where they meet form a tree: Σ_nodes (subdomains at the node − 1) = subdomains − 1.

Connected and balanced can contradict each other, however finely the pieces are cut: two ranks
cannot share three equal branches that meet in a point better than 2 : 1. Where no connected
partition meets the wanted balance, the tree is cut into a few more subdomains than ranks, and
some ranks own a second, small one.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from hpcpinn.domain.shares import best_shares, largest_part, shares_within
from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable

BALANCE = 1.10
"""Imbalance that is good enough."""


@dataclass(frozen=True)
class Partition:
    """The owner of every piece.

    Attributes:
        owner: Rank that computes each piece; ranks are numbered from the root outwards, so that
            neighbours in the tree tend to have neighbouring numbers.
        n: Number of ranks; each owns at least one piece.
        subdomain: Connected subdomain of each piece; numbers below n are the ranks' own, the
            others are the second subdomains of some ranks.
        cost: Cost of every rank.
        cut_nodes: Nodes at which pieces of different ranks meet.
        neighbours: Pairs of ranks (lower first) that meet at some node: they exchange traces.
        connected_imbalance: The best there is if every rank's share must be connected.
    """

    owner: Int[ndarray, " F"]
    n: int
    subdomain: Int[ndarray, " F"]
    cost: Float[ndarray, " n"]
    cut_nodes: Int[ndarray, " k"]
    neighbours: tuple[tuple[int, int], ...]
    connected_imbalance: float

    @property
    def imbalance(self) -> float:
        """Cost of the busiest rank over the mean; 1 is perfect."""
        return float(self.cost.max() / self.cost.mean())

    @property
    def n_subdomains(self) -> int:
        """Number of connected subdomains; n where every rank's share is connected."""
        return int(self.subdomain.max()) + 1

    @property
    def cuts(self) -> int:
        """Number of places where the tree is cut."""
        return len(self.cut_nodes)

    @property
    def interfaces(self) -> int:
        """Number of pairs of ranks that exchange traces."""
        return len(self.neighbours)


def partition(cable: Cable, cost: Float[ndarray, " F"], n: int, *, balance: float = 1.10) -> Partition:
    """Shares the pieces among `n` ranks.

    The pieces stay whole, so the iterates of a solve do not depend on `n`.

    Args:
        cable: The pieces.
        cost: Cost of every piece, positive (collocation points × species, for instance).
        n: Number of ranks.
        balance: Imbalance above which ranks may own second subdomains; infinity keeps every
            rank's share connected.

    Raises:
        InputError: `n` is not positive or exceeds the number of pieces (see `refined_for`),
            or a cost is not a positive number.
    """
    cost = np.asarray(cost, dtype=float)
    if n < 1:
        raise InputError(f"cannot share a cell among {n} ranks; use at least 1")
    if n > cable.n_frusta:
        raise InputError(
            f"{n} ranks for {cable.n_frusta} pieces; use at most {cable.n_frusta} ranks or a smaller pieces.max_length"
        )
    if cost.shape != (cable.n_frusta,) or not (np.isfinite(cost) & (cost > 0)).all():
        raise InputError(f"costs must be {cable.n_frusta} positive numbers, one per piece")

    share = best_shares(cable, cost, n)
    connected = _described(cable, cost, share, np.arange(n))
    capacity = balance * (1.0 - 1e-9) * cost.sum() / n
    if connected.imbalance <= balance or capacity < cost.max():
        return connected
    share = shares_within(cable, cost, capacity)
    spread = _described(cable, cost, *_with_second_subdomains(cable, cost, share, n, capacity))
    best = min(connected, spread, key=lambda found: found.imbalance)
    return replace(best, connected_imbalance=connected.imbalance)


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


def _with_second_subdomains(
    cable: Cable, cost: ndarray, share: ndarray, n: int, capacity: float
) -> tuple[ndarray, ndarray]:
    """Gives the lightest of more than n shares to ranks with room, in as few parts as it can.

    Returns:
        The shares, more of them where one had to be divided, and the rank of every share.
    """
    share = share.copy()
    load = np.bincount(share, weights=cost)
    lightest_last = np.argsort(-load, kind="stable")
    rank_of = dict(zip(lightest_last[:n].tolist(), range(n), strict=False))
    room = capacity - load[lightest_last[:n]]
    waiting = lightest_last[n:].tolist()
    while waiting:
        members = np.flatnonzero(share == waiting[0])
        weight = cost[members].sum()
        rank = _rank_with_room(cable, share, members, rank_of, room, weight)
        if weight > room[rank]:
            part = largest_part(cable.take(members), cost[members], room[rank])
            if len(part):
                share[members[part]] = len(load)
                waiting.append(waiting[0])
                waiting[0], load = len(load), np.append(load, 0.0)
                weight = cost[members[part]].sum()
        rank_of[waiting.pop(0)] = rank
        room[rank] -= weight
    return share, np.array([rank_of[number] for number in range(len(load))])


def _rank_with_room(
    cable: Cable,
    share: ndarray,
    members: ndarray,
    rank_of: dict[int, int],
    room: ndarray,
    weight: float,
) -> int:
    """The rank to take `members`: one with room that is a neighbour, else the tightest fit.

    Where none has room for all of them, the one with the most.
    """
    fitting = np.flatnonzero(room >= weight)
    if len(fitting) == 0:
        return int(room.argmax())
    touching = np.isin(cable.node, cable.node[members]).any(axis=1)
    near = {rank_of.get(number) for number in np.unique(share[touching]).tolist()}
    return min(fitting.tolist(), key=lambda rank: (rank not in near, room[rank], rank))


def _described(cable: Cable, cost: ndarray, share: ndarray, rank_of: ndarray) -> Partition:
    """Numbers ranks and subdomains in the order of their first pieces, and looks where they meet.

    `share` is the share of every piece, `rank_of` the rank of every share.
    """
    owner = _by_first_piece(rank_of[share])
    n = int(owner.max()) + 1
    load = np.bincount(owner, weights=cost, minlength=n)
    ranks_at: dict[int, set[int]] = defaultdict(set)
    for piece, ends in enumerate(cable.node):
        for node in ends:
            ranks_at[int(node)].add(int(owner[piece]))
    met = {node: sorted(ranks) for node, ranks in ranks_at.items() if len(ranks) > 1}
    pairs = {pair for ranks in met.values() for pair in combinations(ranks, 2)}
    return Partition(
        owner=owner,
        n=n,
        subdomain=_subdomains(cable.node, owner, cost),
        cost=load,
        cut_nodes=np.array(sorted(met), int),
        neighbours=tuple(sorted(pairs)),
        connected_imbalance=float(load.max() / load.mean()),
    )


def _by_first_piece(label: ndarray) -> ndarray:
    """The same labels, renumbered from 0 in the order in which they first appear."""
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    order = np.empty(len(first), int)
    order[np.argsort(first, kind="stable")] = np.arange(len(first))
    return order[number]


def _subdomains(node: Int[ndarray, "F 2"], owner: Int[ndarray, " F"], cost: ndarray) -> ndarray:
    """Connected subdomain of every piece: the costliest of rank r is r, the others follow from n.

    Pieces and (node, rank) pairs are the vertices of a graph; a piece is joined to both its ends.
    """
    n, n_pieces = int(owner.max()) + 1, len(owner)
    _, end = np.unique(node * n + owner[:, None], return_inverse=True)
    end = end.reshape(node.shape) + n_pieces
    piece = np.repeat(np.arange(n_pieces), 2)
    size = n_pieces + int(end.max()) + 1
    graph = coo_matrix((np.ones(2 * n_pieces), (piece, end.ravel())), shape=(size, size))
    label = connected_components(graph, directed=False)[1][:n_pieces]
    label = _by_first_piece(label)

    load = np.bincount(label, weights=cost)
    rank = np.empty(len(load), int)
    rank[label] = owner
    number, spare = np.full(len(load), -1), n
    for candidate in np.argsort(-load, kind="stable"):
        if rank[candidate] not in number:
            number[candidate] = rank[candidate]
        else:
            number[candidate], spare = spare, spare + 1
    renumbered: ndarray = number[label]
    return renumbered
