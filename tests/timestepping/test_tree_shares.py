"""Systems on forests spread over ranks, against dense solves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.timestepping.tree_shares import share_tree
from tests.timestepping.test_tree_elimination import dense, random_system


class Told(SerialCommunicator):
    """One of several ranks; what the others add is told beforehand."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.given: jax.Array | None = None
        self.others: jax.Array | float = 0.0
        self.calls = 0

    def sum(self, x):
        self.calls += 1
        self.given = x
        return x + self.others


def random_forest(m: int, roots: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([-1 if i < roots else rng.integers(max(0, i - 6), i) for i in range(m)])


def solved_by_ranks(parent, owner, diagonal, coupling, right):
    """What every rank finds at its own points, and how many points the ranks share."""
    size = max(2, int(owner.max()) + 1)
    told = [Told(rank, size) for rank in range(size)]
    shares = [share_tree(parent, owner, one) for one in told]

    def part(one, share):
        """A function of what the others add: the values, and what this rank adds."""

        def own(values):
            return jnp.asarray(np.where(share.is_own, values[share.order], 0.0))

        def solve(others):
            one.others = others
            x = share.solve(own(diagonal), own(coupling), own(right))
            return x, jnp.zeros(()) if one.given is None else one.given

        return jax.jit(solve)

    ranks = [part(one, share) for one, share in zip(told, shares, strict=True)]
    parts = [rank(0.0)[1] for rank in ranks]
    x = np.full(len(parent), np.nan)
    for number, (rank, share) in enumerate(zip(ranks, shares, strict=True)):
        own = np.flatnonzero(owner == number)
        x[own] = np.asarray(rank(sum(parts) - parts[number])[0])[share.positions(own)]
    return x, 0 if shares[0].top is None else shares[0].top.count


@pytest.mark.parametrize(
    "m, size, roots, scattered", [(40, 3, 2, False), (25, 4, 1, True), (7, 4, 3, True), (1, 2, 1, False)]
)
def test_forests_on_ranks(m, size, roots, scattered):
    """In connected shares as a partition makes them, and point by point at random."""
    parent = random_forest(m, min(roots, m), 7)
    owner = np.random.default_rng(8).integers(0, size, m) if scattered else np.arange(m) * size // m
    diagonal, coupling, right = random_system(parent, 9)
    x, _ = solved_by_ranks(parent, owner, diagonal, coupling, right)
    np.testing.assert_allclose(x, np.linalg.solve(dense(parent, diagonal, coupling), right), rtol=1e-9)


def test_a_chain_cut_once_shares_two_points():
    """A point on either side of the cut is all that is summed, whatever the length of the chain."""
    parent = np.arange(-1, 99)
    owner = (np.arange(100) >= 60).astype(int)
    diagonal, coupling, right = random_system(parent, 3)
    x, shared = solved_by_ranks(parent, owner, diagonal, coupling, right)
    np.testing.assert_allclose(x, np.linalg.solve(dense(parent, diagonal, coupling), right), rtol=1e-9)
    assert shared == 2  # the root and the point above the cut


@pytest.mark.parametrize("size", [1, 2, 3])
def test_whole_trees_need_no_communication(size):
    parent = np.concatenate([np.arange(-1, 9), np.arange(9, 19), np.arange(19, 29)])
    parent[[10, 20]] = -1
    owner = np.repeat(np.arange(3) % size, 10)
    told = [Told(rank, size) for rank in range(size)]
    for rank, one in enumerate(told):
        share = share_tree(parent, owner, one)
        assert share.top is None
        assert share.n_own == np.sum(owner == rank)
    diagonal, coupling, right = random_system(parent, 5)
    x, _ = solved_by_ranks(parent, owner, diagonal, coupling, right)
    np.testing.assert_allclose(x, np.linalg.solve(dense(parent, diagonal, coupling), right), rtol=1e-9)
