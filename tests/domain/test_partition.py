"""The partition: connected, balanced, fewest cuts, the best there is on small trees."""

from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.domain.partition import colour, partition, refined_for
from hpcpinn.errors import InputError
from tests.domain.trees import parent_lists, tree


def connected(cable, members) -> bool:
    """Whether the pieces `members` hang together through shared nodes."""
    graph = nx.Graph()
    graph.add_edges_from((("piece", int(i)), int(v)) for i in members for v in cable.node[i])
    return nx.is_connected(graph)


def draw_costs(data, values, n: int) -> np.ndarray:
    return np.array(data.draw(st.lists(values, min_size=n, max_size=n)))


def best_possible(cable, cost, n: int) -> float:
    """Smallest largest cost over all connected partitions into n ranks, by trying them all."""
    best = np.inf
    for owner in product(range(n), repeat=len(cost)):
        owner = np.array(owner)
        if len(set(owner)) == n and all(connected(cable, np.flatnonzero(owner == r)) for r in range(n)):
            best = min(best, np.bincount(owner, weights=cost).max())
    return best


@settings(max_examples=60, deadline=None)
@given(parents=parent_lists(), data=st.data())
def test_every_rank_owns_one_connected_share_and_cuts_are_fewest(parents, data):
    cable = tree(parents)
    n = data.draw(st.integers(1, len(parents)))
    cost = draw_costs(data, st.floats(0.5, 4.0), len(parents))
    shares = partition(cable, cost, n, balance=np.inf)

    assert shares.owner.shape == (len(parents),)
    assert sorted(set(shares.owner.tolist())) == list(range(n))
    assert all(connected(cable, np.flatnonzero(shares.owner == rank)) for rank in range(n))
    np.testing.assert_allclose(shares.cost, np.bincount(shares.owner, weights=cost))
    assert shares.imbalance == pytest.approx(shares.cost.max() * n / cost.sum())

    ranks_at = {v: set(shares.owner[(cable.node == v).any(axis=1)]) for v in range(cable.n_nodes)}
    assert {int(v) for v in shares.cut_nodes} == {v for v, r in ranks_at.items() if len(r) > 1}
    assert sum(len(r) - 1 for r in ranks_at.values()) == n - 1
    pairs = {(min(a, b), max(a, b)) for r in ranks_at.values() for a in r for b in r if a != b}
    assert set(shares.neighbours) == {(int(a), int(b)) for a, b in pairs}
    assert shares.interfaces == len(pairs)
    np.testing.assert_array_equal(shares.subdomain, shares.owner)


@settings(max_examples=60, deadline=None)
@given(parents=parent_lists(), data=st.data())
def test_second_subdomains_only_help(parents, data):
    """Every subdomain is connected, every rank has one, and nobody carries more than before."""
    cable = tree(parents)
    n = data.draw(st.integers(1, len(parents)))
    cost = draw_costs(data, st.floats(0.5, 4.0), len(parents))
    shares = partition(cable, cost, n)
    assert shares.imbalance <= partition(cable, cost, n, balance=np.inf).imbalance
    for number in range(shares.n_subdomains):
        members = np.flatnonzero(shares.subdomain == number)
        assert connected(cable, members)
        assert len(set(shares.owner[members])) == 1
        assert number >= n or shares.owner[members[0]] == number
    ranks_at = {v: set(shares.owner[(cable.node == v).any(axis=1)]) for v in range(cable.n_nodes)}
    assert sum(len(r) - 1 for r in ranks_at.values()) == shares.n_subdomains - 1


def test_three_equal_branches_for_two_ranks():
    """Connected shares are 2 : 1 at best; a second subdomain on one rank makes them even."""
    arms = [-1, *range(9), -1, *range(10, 19), -1, *range(20, 29)]
    cable, cost = tree(arms), np.ones(30)
    assert partition(cable, cost, 2, balance=np.inf).imbalance == pytest.approx(4 / 3)
    shares = partition(cable, cost, 2)
    assert shares.imbalance <= 1.10
    assert shares.n_subdomains == 3
    assert shares.connected_imbalance == pytest.approx(4 / 3)


@settings(max_examples=25, deadline=None)
@given(parents=parent_lists(max_size=7), n=st.integers(2, 3), data=st.data())
def test_balance_is_the_best_there_is(parents, n, data):
    if n > len(parents):
        return
    cable = tree(parents)
    cost = draw_costs(data, st.sampled_from([1.0, 2.0, 3.0]), len(parents))
    assert partition(cable, cost, n, balance=np.inf).cost.max() == pytest.approx(best_possible(cable, cost, n))


def test_same_input_same_owners():
    cable = tree([-1, 0, 1, 1, 0, 4, 4, 6])
    cost = np.linspace(1.0, 2.0, 8)
    np.testing.assert_array_equal(partition(cable, cost, 3).owner, partition(cable, cost, 3).owner)


def test_long_chain_is_cut_into_equal_runs():
    shares = partition(tree([*range(-1, 63)]), np.ones(64), 8)
    np.testing.assert_array_equal(shares.owner, np.repeat(np.arange(8), 8))
    assert shares.imbalance == 1.0
    assert shares.cuts == 7
    assert shares.interfaces == 7


def test_arms_of_a_star_are_grouped_through_their_junction():
    """Six equal arms on one node and two ranks: three arms each, one place where they meet."""
    shares = partition(tree([-1] * 6), np.ones(6), 2)
    assert shares.imbalance == 1.0
    assert shares.cut_nodes.tolist() == [0]
    assert shares.neighbours == ((0, 1),)


def test_many_arms_on_one_node():
    shares = partition(tree([-1] * 40), np.ones(40), 8)
    assert shares.imbalance == 1.0
    assert shares.cuts == 1
    assert shares.interfaces == 28


def test_more_ranks_than_pieces_need_refined_pieces():
    cable = tree([-1, 0, 0], [4.0, 1.0, 2.0])
    with pytest.raises(InputError, match="5 ranks for 3 pieces"):
        partition(cable, np.ones(3), 5)
    finer = refined_for(cable, 5)
    assert finer.n_frusta == 5
    assert finer.length.sum() == pytest.approx(7.0)
    np.testing.assert_allclose(finer.length, [2.0, 2.0, 1.0, 1.0, 1.0])
    assert partition(finer, np.ones(5), 5).imbalance == 1.0


@pytest.mark.parametrize("n", [0, -3])
def test_number_of_ranks_must_be_positive(n):
    with pytest.raises(InputError, match=f"{n} ranks"):
        partition(tree([-1]), np.ones(1), n)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_costs_must_be_positive_numbers(bad):
    with pytest.raises(InputError, match="positive"):
        partition(tree([-1, 0]), np.array([1.0, bad]), 2)


@given(parents=parent_lists())
def test_a_piece_and_its_parent_differ_in_colour(parents):
    colours = colour(tree(parents))
    assert set(colours.tolist()) <= {0, 1}
    for child, parent in enumerate(parents):
        assert (parent < 0 and colours[child] == 0) or colours[child] != colours[parent]
