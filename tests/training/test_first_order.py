"""First-order training: known steps, known minima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.rows import alpha_loss, piece_rows, resolvent_at
from tests.training.test_least_squares import case_of

CENTRE = jnp.array([1.0, -2.0, 3.0])


def bowl(x):
    return 0.5 * jnp.sum(jnp.array([1.0, 10.0, 100.0]) * (x - CENTRE) ** 2)


def test_adams_first_step_has_the_length_of_the_learning_rate() -> None:
    adam = FirstOrder("adam", learning_rate=0.01)
    moved, _, before = adam.minimise(bowl, jnp.zeros(3), adam.begin(jnp.zeros(3)), 1)
    np.testing.assert_allclose(moved, [0.01, -0.01, 0.01], rtol=1e-6)
    assert before == bowl(jnp.zeros(3))


def test_steps_in_two_parts_are_the_same_steps() -> None:
    adam = FirstOrder("adam", learning_rate=0.01, decay=40)
    start = jnp.zeros(3)
    straight = adam.minimise(bowl, start, adam.begin(start), 40)[0]
    half, state, _ = adam.minimise(bowl, start, adam.begin(start), 20)
    rest = adam.minimise(bowl, half, adam.again(state, half), 20)[0]
    np.testing.assert_array_equal(straight, rest)


def test_the_rate_decays_to_a_thousandth() -> None:
    adam = FirstOrder("adam", learning_rate=0.01, decay=100)
    far = jnp.full(3, 1e6)  # so far away that every step is as long as the rate
    almost, state, _ = adam.minimise(bowl, far, adam.begin(far), 99)
    last = adam.minimise(bowl, almost, state, 2)[0] - almost
    np.testing.assert_allclose(jnp.abs(last), 2e-5, rtol=0.2)


def test_lbfgs_finds_the_minimum_of_a_quadratic() -> None:
    lbfgs = FirstOrder("lbfgs")
    found, state, _ = lbfgs.minimise(bowl, jnp.zeros(3), lbfgs.begin(jnp.zeros(3)), 12)
    np.testing.assert_allclose(found, CENTRE, atol=1e-8)
    fresh, again = lbfgs.begin(found), lbfgs.again(state, found)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(fresh), jax.tree.leaves(again), strict=True))


@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_lbfgs_on_heads_reaches_the_least_squares_solution(alpha: float) -> None:
    """For a linear system the α-weighted loss has one minimum, which linear algebra finds too."""
    case = case_of("linear")
    resolvent = resolvent_at(case.equation, case.table, case.window, case.heads)
    weight = np.sqrt([alpha, 1.0 - alpha, 1.0 - alpha])

    def rows(flat):
        heads = flat.reshape(case.heads.shape)
        blocks = piece_rows(case.rows, case.window, case.robin_in, resolvent, heads)
        return jnp.concatenate([w * b.ravel() for w, b in zip(weight, blocks, strict=True)])

    def loss(flat):
        heads = flat.reshape(case.heads.shape)
        return jnp.sum(alpha_loss(piece_rows(case.rows, case.window, case.robin_in, resolvent, heads), alpha))

    flat, lbfgs = case.heads.ravel(), FirstOrder("lbfgs")
    found = jax.jit(lambda x: lbfgs.minimise(loss, x, lbfgs.begin(x), 1500)[0])(flat)
    wanted = flat - np.linalg.lstsq(jax.jit(jax.jacfwd(rows))(flat), rows(flat), rcond=None)[0]
    least = float(loss(wanted))
    assert loss(flat) > 2.0 * least
    assert float(loss(found)) == pytest.approx(least, rel=1e-5)
