"""Elimination in rounds against dense solves, on trees from chains to stars."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.timestepping.tree_elimination import plan_elimination
from tests.domain.trees import parent_lists


def random_system(parent, seed):
    """Couplings over four decades, diagonals just above their sum, a right-hand side."""
    rng = np.random.default_rng(seed)
    coupling = np.where(parent >= 0, 10.0 ** rng.uniform(-2, 2, len(parent)), 0.0)
    sums = coupling + np.bincount(parent[parent >= 0], coupling[parent >= 0], len(parent))
    return sums + 10.0 ** rng.uniform(-3, 0, len(parent)), coupling, rng.standard_normal(len(parent))


def dense(parent, diagonal, coupling):
    matrix = np.diag(diagonal)
    for point, up in enumerate(parent):
        if up >= 0:
            matrix[point, up] = matrix[up, point] = -coupling[point]
    return matrix


@settings(max_examples=3, deadline=None)
@given(parent_lists(), st.integers(0, 10**6))
def test_solves_any_tree(parents, seed):
    # One root: point 0; points that hang at "the root node" hang at it.
    parent = np.array([-1] + [max(p, 0) for p in parents[1:]])
    diagonal, coupling, right = random_system(parent, seed)
    plan = plan_elimination(parent)
    with jax.disable_jit():
        x = plan.solve(*(jnp.asarray(v[plan.order]) for v in (diagonal, coupling, right)))
    np.testing.assert_allclose(
        np.asarray(x)[plan.position], np.linalg.solve(dense(parent, diagonal, coupling), right), rtol=1e-9
    )


def test_numbers_of_points_may_come_in_any_order():
    rng = np.random.default_rng(3)
    parent = np.array([-1] + [rng.integers(0, i) for i in range(1, 60)])
    shuffle = rng.permutation(60)
    moved = np.empty(60, int)
    moved[shuffle] = np.where(parent >= 0, shuffle[parent], -1)
    diagonal, coupling, right = random_system(moved, 4)
    plan = plan_elimination(moved)
    x = jax.jit(plan.solve)(*(v[plan.order] for v in (diagonal, coupling, right)))
    expected = np.linalg.solve(dense(moved, diagonal, coupling), right)
    np.testing.assert_allclose(np.asarray(x)[plan.position], expected, rtol=1e-10)


@pytest.mark.parametrize("shape", ["chain", "bush"])
def test_rounds_grow_with_the_logarithm_of_the_points(shape):
    rng = np.random.default_rng(0)

    def rounds(m):
        reach = 1 if shape == "chain" else 10
        parent = np.array([-1] + [rng.integers(max(0, i - reach), i) for i in range(1, m)])
        return len(plan_elimination(parent).rounds)

    assert rounds(400) - rounds(40) <= 6
    assert rounds(4000) - rounds(400) <= 6


def test_a_single_point():
    plan = plan_elimination(np.array([-1]))
    assert plan.solve(jnp.array([2.0]), jnp.array([0.0]), jnp.array([3.0])).tolist() == [1.5]
