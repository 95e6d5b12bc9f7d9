"""Gauss-Newton: one rule of steps for models that are traced and for those of which every evaluation is a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import SolveError
from hpcpinn.inference.gauss_newton import CHEAP, COSTLY, Evaluated, Prior, minimise, minimise_stepwise

T = np.linspace(0.1, 3.0, 30)
TRUTH = np.log([2.0, 0.7])
NONE = np.zeros(2)
FLAT = Prior(NONE, NONE)


def decay(z):
    a, k = np.exp(z)
    seen = a * np.exp(-k * T)
    return seen, np.stack([seen, -k * T * seen], axis=1)


def rows(z):
    seen, slope = decay(z)
    return Evaluated((seen - decay(TRUTH)[0]) / 0.01, slope / 0.01)


def test_exact_data_give_the_truth_from_starts_off_by_two():
    for start in (TRUTH + np.log(2.0), TRUTH - np.log(2.0), TRUTH + np.log([2.0, 0.5])):
        fit = minimise_stepwise(rows, FLAT, start, tolerance=1e-6, max_steps=30)
        assert fit.converged
        np.testing.assert_allclose(fit.z, TRUTH, atol=1e-9)


def test_a_narrow_prior_wins_over_data():
    fit = minimise_stepwise(rows, Prior(NONE, np.full(2, 1e12)), TRUTH, tolerance=1e-6, max_steps=30)
    np.testing.assert_allclose(fit.z, 0.0, atol=1e-6)


def test_steps_that_cannot_be_solved_are_refused():
    def fragile(z):
        if z[0] > TRUTH[0] + 0.05:
            raise SolveError("too much")
        return rows(z)

    fit = minimise_stepwise(fragile, FLAT, TRUTH - 1.0, tolerance=1e-6, max_steps=60)
    assert fit.converged
    np.testing.assert_allclose(fit.z, TRUTH, atol=1e-9)


def test_what_the_data_do_not_see_stays_where_it_began():
    """A third constant of which only a product is seen, and a fourth that is not seen at all."""

    def blind(z):
        seen, slope = rows([z[0] + z[2], z[1]])
        return Evaluated(seen, np.column_stack([slope, slope[:, 0], np.zeros(len(seen))]))

    start = np.append(TRUTH, [0.0, 0.3]) + np.log([2.0, 2.0, 1.0, 1.0])
    none = np.zeros(4)
    fit = minimise_stepwise(blind, Prior(none, none), start, tolerance=1e-6, max_steps=30)
    assert fit.converged
    np.testing.assert_allclose([fit.z[0] + fit.z[2], fit.z[1]], TRUTH, atol=1e-9)
    assert fit.z[3] == start[3] and abs((fit.z - start)[0] - (fit.z - start)[2]) < 1e-9


def traced_rows(z):
    a, k = jnp.exp(z)
    return (a * jnp.exp(-k * T) - decay(TRUTH)[0]) / 0.01


@pytest.mark.parametrize("rule", [CHEAP, COSTLY], ids=["cheap", "costly"])
def test_both_loops_follow_one_rule(rule):
    """From a start with refused steps, with a prior: step by step the same coordinates."""
    prior, start = Prior(TRUTH + 0.1, np.array([0.0, 25.0])), TRUTH + np.array([2.5, -2.0])
    one = minimise_stepwise(rows, prior, start, tolerance=1e-6, max_steps=40, rule=rule)
    other = minimise(traced_rows, prior, jnp.asarray(start), tolerance=1e-6, max_steps=40, rule=rule)
    assert one.converged and other.converged and int(other.steps) == len(one.way) - 1 == len(other.way) - 1
    np.testing.assert_allclose(other.way, one.way, atol=1e-9)
    np.testing.assert_allclose(other.fisher, one.fisher, rtol=1e-9)


def test_many_fits_are_those_of_each_by_itself():
    starts = TRUTH + np.array([[0.5, -0.5], [-1.0, 1.0], [2.5, -2.0]])

    def fitted(start):
        return minimise(traced_rows, FLAT, start, tolerance=1e-8, max_steps=40)

    many = jax.jit(jax.vmap(fitted))(jnp.asarray(starts))
    for number, start in enumerate(starts):
        alone = fitted(jnp.asarray(start))
        assert int(many.steps[number]) == int(alone.steps)
        np.testing.assert_allclose(many.z[number], alone.z, atol=1e-10)
        np.testing.assert_allclose(many.fisher[number], alone.fisher, rtol=1e-8)
