"""Who computes which pieces of many cells: whole cells where there are enough, else parts of each."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.domain.partition import partition
from hpcpinn.morphology.cable import Cable


def share_members(cables: Sequence[Cable], n: int) -> list[Int[ndarray, " F"]]:
    """The rank of every piece of every cell.

    With as many cells as ranks or more, a rank computes whole cells and talks to nobody; with fewer,
    the ranks are dealt out to the cells by size, and every cell is cut among its own.

    Args:
        cables: The pieces of every cell.
        n: Number of ranks.

    Raises:
        InputError: A cell has fewer pieces than ranks fall to it.
    """
    size = np.array([cable.n_frusta for cable in cables])
    if len(cables) >= n:
        rank = _dealt(size, n)
        return [np.full(cable.n_frusta, rank[number]) for number, cable in enumerate(cables)]
    ranks = _apportioned(size, n)
    first = np.r_[0, np.cumsum(ranks)]
    return [
        first[number] + partition(cable, np.ones(cable.n_frusta), int(ranks[number])).owner
        for number, cable in enumerate(cables)
    ]


def _dealt(size: Int[ndarray, " m"], n: int) -> Int[ndarray, " m"]:
    """The largest cell first, each to the rank that has least; ranks by their first cell."""
    load, rank = np.zeros(n), np.empty(len(size), int)
    for member in np.argsort(-size, kind="stable"):
        rank[member] = int(np.argmin(load))
        load[rank[member]] += size[member]
    _, first, label = np.unique(rank, return_index=True, return_inverse=True)
    number = np.empty(len(first), int)
    number[np.argsort(first)] = np.arange(len(first))
    return number[label]


def _apportioned(size: Int[ndarray, " m"], n: int) -> Int[ndarray, " m"]:
    """At least one rank for each cell, the others where pieces per rank are most."""
    ranks = np.ones(len(size), int)
    for _ in range(n - len(size)):
        ranks[int(np.argmax(size / ranks))] += 1
    return ranks
