"""Gauss-Newton where every evaluation is a run."""

import numpy as np

from hpcpinn.errors import SolveError
from hpcpinn.inference.stepwise import minimise_stepwise

T = np.linspace(0.1, 3.0, 30)
TRUTH = np.log([2.0, 0.7])
NONE = np.zeros(2)


def decay(z):
    a, k = np.exp(z)
    seen = a * np.exp(-k * T)
    return seen, np.stack([seen, -k * T * seen], axis=1)


def rows(z):
    seen, slope = decay(z)
    return (seen - decay(TRUTH)[0]) / 0.01, slope / 0.01


def test_exact_data_give_the_truth_from_starts_off_by_two():
    for start in (TRUTH + np.log(2.0), TRUTH - np.log(2.0), TRUTH + np.log([2.0, 0.5])):
        fit = minimise_stepwise(rows, NONE, NONE, start, tolerance=1e-6, max_steps=30)
        assert fit.converged
        np.testing.assert_allclose(fit.z, TRUTH, atol=1e-9)


def test_a_narrow_prior_wins_over_data():
    fit = minimise_stepwise(rows, NONE, np.full(2, 1e12), TRUTH, tolerance=1e-6, max_steps=30)
    np.testing.assert_allclose(fit.z, 0.0, atol=1e-6)


def test_steps_that_cannot_be_solved_are_refused():
    def fragile(z):
        if z[0] > TRUTH[0] + 0.05:
            raise SolveError("too much")
        return rows(z)

    fit = minimise_stepwise(fragile, NONE, NONE, TRUTH - 1.0, tolerance=1e-6, max_steps=60)
    assert fit.converged
    np.testing.assert_allclose(fit.z, TRUTH, atol=1e-9)


def test_what_the_data_do_not_see_stays_where_it_began():
    """A third constant of which only a product is seen, and a fourth that is not seen at all."""

    def blind(z):
        seen, slope = rows([z[0] + z[2], z[1]])
        return seen, np.column_stack([slope, slope[:, 0], np.zeros(len(seen))])

    start = np.append(TRUTH, [0.0, 0.3]) + np.log([2.0, 2.0, 1.0, 1.0])
    none = np.zeros(4)
    fit = minimise_stepwise(blind, none, none, start, tolerance=1e-6, max_steps=30)
    assert fit.converged
    np.testing.assert_allclose([fit.z[0] + fit.z[2], fit.z[1]], TRUTH, atol=1e-9)
    assert fit.z[3] == start[3] and abs((fit.z - start)[0] - (fit.z - start)[2]) < 1e-9
