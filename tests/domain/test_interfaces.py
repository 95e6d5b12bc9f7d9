"""Interfaces: the node rule, and the same sums in the same order on any number of ranks."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.domain.interfaces import Interfaces, build_interfaces, orders, storage_order
from hpcpinn.domain.partition import colour
from hpcpinn.morphology.cable import Cable
from tests.domain.trees import parent_lists, tree
from tests.training.systems import cable

TRANSMISSIONS = ("robin", "dirichlet-neumann")


def on_all_ranks(pieces: Cable, owner: np.ndarray, transmission: str) -> list[Interfaces]:
    ranks = range(int(owner.max()) + 1)
    return [build_interfaces(pieces, owner, colour(pieces), rank, transmission) for rank in ranks]


def local_ends(pieces: Cable, owner: np.ndarray, rank: int) -> np.ndarray:
    """Ends of the whole tree in the order in which a rank stores its own."""
    return (2 * storage_order(owner, colour(pieces), rank)[:, None] + np.arange(2)).ravel()


def exchanged(everyone: list[Interfaces], slots: list[np.ndarray]) -> list[np.ndarray]:
    """What all ranks hold after an exchange; checks that partners meet in the same rounds."""
    after = [own.copy() for own in slots]
    for rank, interfaces in enumerate(everyone):
        for meeting in interfaces.plan.rounds:
            (other,) = [
                m for m in everyone[meeting.partner].plan.rounds
                if m.partner == rank and m.index == meeting.index
            ]  # fmt: skip
            assert len(other.send_rows) == len(meeting.receive_rows)
            after[rank][meeting.receive_rows] = slots[meeting.partner][other.send_rows]
    return after


def with_random_radii(parents: list[int], seed: int) -> Cable:
    pieces = tree(parents)
    radius = np.random.default_rng(seed).uniform(0.2, 2.0, (len(parents), 2))
    fields = {**vars(pieces), "radius": radius, "er_radius": 0.4 * radius[:, ::-1].clip(None, radius)}
    return Cable(**fields)


@st.composite
def shared_trees(draw) -> tuple[Cable, np.ndarray]:
    parents = draw(parent_lists(25))
    n = len(parents)
    owner = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    pieces = with_random_radii(parents, draw(st.integers(0, 99)))
    return pieces, np.unique(owner, return_inverse=True)[1]


@settings(max_examples=15, deadline=None)
@given(shared=shared_trees(), transmission=st.sampled_from(TRANSMISSIONS))
def test_any_partition_sums_the_same_reports_in_the_same_order(shared, transmission) -> None:
    pieces, owner = shared
    everyone = on_all_ranks(pieces, owner, transmission)
    (alone,) = on_all_ranks(pieces, np.zeros_like(owner), transmission)
    # Every report is a number of its own: the end's, in the order of the whole tree.
    slots = []
    for rank, interfaces in enumerate(everyone):
        ends = local_ends(pieces, owner, rank)
        slots.append(np.r_[ends, np.full(interfaces.n_ghosts, -1)])
    slots = exchanged(everyone, slots)
    mine = np.argsort(local_ends(pieces, np.zeros_like(owner), 0))
    for rank, interfaces in enumerate(everyone):
        assert (slots[rank] >= 0).all()
        ours, whole = interfaces.rule, alone.rule
        halo = slots[rank][np.asarray(ours.entry_slot)]
        ends = local_ends(pieces, owner, rank)
        nodes = pieces.node.ravel()
        for position, end in enumerate(ends):
            row = mine[end]
            at, there = position // 2, row // 2
            near = np.asarray(ours.entry_node) == ours.end_node[at, end % 2]
            far = np.asarray(whole.entry_node) == whole.end_node[there, end % 2]
            everywhere = local_ends(pieces, np.zeros_like(owner), 0)[np.asarray(whole.entry_slot)]
            assert np.array_equal(halo[near], everywhere[far])
            assert np.array_equal(halo[near], np.flatnonzero(nodes == nodes[end]))
            assert np.array_equal(ours.entry_weight[near], whole.entry_weight[far])
            for table in ("coefficient", "source_weight"):
                assert np.array_equal(getattr(ours, table)[at, end % 2], getattr(whole, table)[there, end % 2])
            for mine_rows, all_rows in zip(interfaces.rows, alone.rows, strict=True):
                assert np.array_equal(mine_rows[at, end % 2], all_rows[there, end % 2])


@settings(max_examples=10, deadline=None)
@given(shared=shared_trees())
def test_only_what_meets_at_a_shared_node_travels(shared) -> None:
    pieces, owner = shared
    nodes, owners = pieces.node.ravel(), np.repeat(owner, 2)
    for rank, interfaces in enumerate(on_all_ranks(pieces, owner, "robin")):
        foreign = np.isin(nodes, nodes[owners == rank]) & (owners != rank)
        assert interfaces.n_ghosts == foreign.sum()
        assert sorted(interfaces.plan.receive_rows) == list(
            range(2 * (owner == rank).sum(), 2 * (owner == rank).sum() + interfaces.n_ghosts)
        )


def test_orders_are_bitwise_the_same_on_any_number_of_ranks() -> None:
    pieces = with_random_radii([-1, 0, 0, 0, 1, 1, 2, 6], 5)
    reports = np.random.default_rng(1).normal(size=(16, 2, 3))
    answers = []
    for owner in (np.zeros(8, int), np.arange(8) % 3, np.arange(8)):
        everyone = on_all_ranks(pieces, owner, "robin")
        slots = [
            np.concatenate([reports[local_ends(pieces, owner, r)], np.zeros((i.n_ghosts, 2, 3))])
            for r, i in enumerate(everyone)
        ]
        answer = np.zeros((16, 2, 3))
        for rank, (interfaces, halo) in enumerate(zip(everyone, exchanged(everyone, slots), strict=True)):
            ends = local_ends(pieces, owner, rank)
            given = jnp.zeros((len(ends) // 2, 2, 2, 3))
            robin_in = orders(interfaces.rule, interfaces.n_nodes, jnp.asarray(halo), given)
            answer[ends] = np.asarray(robin_in).reshape(-1, 2, 3)
        answers.append(answer)
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


def at_a_junction(transmission: str) -> SimpleNamespace:
    """Three branches of different radii that meet: areas, and the rows of the ends that meet."""
    pieces = cable([(0, 1), (1, 2), (1, 3)], [1.0] * 3, [(0.5, 1.0), (0.6, 0.3), (0.8, 0.2)])
    (interfaces,) = on_all_ranks(pieces, np.zeros(3, int), transmission)
    stored = storage_order(np.zeros(3, int), colour(pieces), 0)
    rows = [(list(stored).index(p), end) for p, end in ((0, 1), (1, 0), (2, 0))]
    return SimpleNamespace(interfaces=interfaces, rows=rows, area=np.pi * np.array([1.0, 0.6, 0.8]) ** 2)


def told_at(case: SimpleNamespace, value: np.ndarray, slope: np.ndarray, given=None) -> np.ndarray:
    """What the three ends are told when they have the given values and scaled outward slopes."""
    rows = case.interfaces.rows
    reports = np.random.default_rng(0).normal(size=(3, 2, 1, 1))
    for (piece, end), v, s in zip(case.rows, value, slope, strict=True):
        a, b = rows.send[piece, end]
        reports[piece, end] = a * v + b * s
    given = jnp.zeros((3, 2, 1, 1)) if given is None else jnp.asarray(given)
    flat = jnp.asarray(reports.reshape(6, 1, 1))
    robin_in = np.asarray(orders(case.interfaces.rule, case.interfaces.n_nodes, flat, given))
    return np.array([robin_in[piece, end, 0, 0] for piece, end in case.rows])


def received(case: SimpleNamespace, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
    rows = np.array([case.interfaces.rows.receive[piece, end] for piece, end in case.rows])
    return rows[:, 0] * value + rows[:, 1] * slope


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
def test_equal_values_and_balanced_fluxes_are_a_fixed_point(transmission: str) -> None:
    case = at_a_junction(transmission)
    slope = np.array([0.7, -0.4, 0.0])
    slope[2] = -(case.area[:2] @ slope[:2]) / case.area[2]
    value = np.full(3, 1.3)
    np.testing.assert_allclose(told_at(case, value, slope), received(case, value, slope), atol=1e-14)


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
def test_nothing_else_is_a_fixed_point(transmission: str) -> None:
    """The mismatch of what is told vanishes only with equal values and a flux sum of zero."""
    case = at_a_junction(transmission)
    mismatch = []
    for direction in np.eye(6):
        value, slope = direction[:3], direction[3:]
        mismatch.append(told_at(case, value, slope) - received(case, value, slope))
    free = np.linalg.svd(np.array(mismatch).T)
    assert np.linalg.matrix_rank(np.array(mismatch)) == 3
    nothing = free[2][3:]  # directions with no mismatch
    assert np.ptp(nothing[:, :3], axis=1) == pytest.approx(0.0, abs=1e-12)
    assert nothing[:, 3:] @ case.area == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
def test_a_given_flux_is_what_the_slopes_carry_away(transmission: str) -> None:
    case = at_a_junction(transmission)
    weight = np.asarray(case.interfaces.rule.source_weight)
    slope = np.array([0.7, 0.4, -0.1])  # outward of the pieces: into the node if negative
    entering = case.area @ slope  # what must be given to the node
    value = np.full(3, 0.3)
    robin_in = told_at(case, value, slope, entering * weight[..., None])
    np.testing.assert_allclose(robin_in, received(case, value, slope), atol=1e-14)


@settings(max_examples=10, deadline=None)
@given(parents=parent_lists(20), seed=st.integers(0, 99), transmission=st.sampled_from(TRANSMISSIONS))
def test_constants_are_kept_by_every_tree(parents, seed, transmission) -> None:
    """A field of one value and no slope is told to stay so (in NumPy: many trees, no compilation)."""
    pieces = with_random_radii(parents, seed)
    (interfaces,) = on_all_ranks(pieces, np.zeros(len(parents), int), transmission)
    rule = interfaces.rule
    reports = np.asarray(interfaces.rows.send)[..., 0].ravel()
    sums = np.zeros((interfaces.n_nodes, 2))
    weighted = np.asarray(rule.entry_weight)[..., 0] * reports[np.asarray(rule.entry_slot), None]
    np.add.at(sums, np.asarray(rule.entry_node), weighted)
    at_end = sums[np.asarray(rule.end_node)]
    a, b, c = np.moveaxis(np.asarray(rule.coefficient)[..., 0], -1, 0)
    robin_in = a * at_end[..., 0] + b * at_end[..., 1] + c * reports.reshape(-1, 2)
    np.testing.assert_allclose(robin_in, np.asarray(interfaces.rows.receive)[..., 0], atol=1e-13)


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
def test_free_ends_are_told_the_slope_that_a_given_flux_makes(transmission: str) -> None:
    pieces = cable([(0, 1)], [1.0], [(0.5, 1.0)], [(0.2, 0.0)])
    (interfaces,) = on_all_ranks(pieces, np.zeros(1, int), transmission)
    area = np.pi * np.array([0.5**2 - 0.2**2, 1.0])
    assert np.array_equal(interfaces.rows.receive[0], [[0.0, 1.0]] * 2)
    assert not np.any(np.asarray(interfaces.rule.coefficient))
    np.testing.assert_allclose(interfaces.rule.source_weight[0, :, 0], 1.0 / area, rtol=1e-14)
