"""Weighted draws: of the right density, right about posteriors that are not Laplace's, and silent where they fail."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, multivariate_t

from hpcpinn.errors import SolveError
from hpcpinn.inference.importance import (
    FREEDOM,
    check_reliability,
    propose,
    quantiles,
    resampled,
    weigh,
)

pytest.importorskip("arviz", reason="the extra uq is not installed: pip install 'hpcpinn[uq]'")

CENTRE = np.array([1.0, -2.0])
COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.4]])


def test_proposals_have_the_density_that_is_said():
    drawn = propose(CENTRE, COVARIANCE, 2000, seed=1)
    wanted = multivariate_t(CENTRE, COVARIANCE, FREEDOM).logpdf(drawn.z)
    np.testing.assert_allclose(drawn.log_density, wanted, rtol=1e-12)
    np.testing.assert_allclose(drawn.z.mean(axis=0), CENTRE, atol=4.0 * (0.5 * FREEDOM / (FREEDOM - 2.0) / 2000) ** 0.5)


def test_a_posterior_beside_the_approximation_is_found():
    """A normal law shifted by half a standard deviation and a third wider."""
    drawn = propose(CENTRE, COVARIANCE, 4000, seed=2)
    shifted = CENTRE + 0.5 * np.sqrt(np.diag(COVARIANCE))
    target = multivariate_normal(shifted, 1.3**2 * COVARIANCE)
    weighted = weigh(drawn, target.logpdf(drawn.z) + 7.0)
    check_reliability(weighted, shape_most=0.7, effective_least=1000.0)
    sd = 1.3 * np.sqrt(np.diag(COVARIANCE))
    error = 1.0 / np.sqrt(weighted.effective)
    assert np.all(np.abs(weighted.weight @ weighted.z - shifted) < 4.0 * sd * error)
    low, middle, high = quantiles(weighted.z, weighted.weight, (0.025, 0.5, 0.975))
    assert np.all(np.abs(middle - shifted) < 6.0 * sd * error)
    assert np.all(np.abs(high - low - 2.0 * 1.96 * sd) < 12.0 * sd * error)
    equal = weighted.z[resampled(weighted.weight, seed=3)]
    assert np.all(np.abs(equal.mean(axis=0) - weighted.weight @ weighted.z) < 2.0 * sd * error)


def test_what_the_proposals_do_not_reach_is_not_summarised():
    """A law far off and three times as wide: few draws carry all the weight."""
    drawn = propose(np.zeros(5), np.eye(5), 400, seed=4)
    wide = weigh(drawn, multivariate_normal(np.full(5, 4.0), 9.0 * np.eye(5)).logpdf(drawn.z))
    with pytest.raises(SolveError, match="do not represent the posterior: .*effective"):
        check_reliability(wide, shape_most=0.7, effective_least=100.0)
    with pytest.raises(SolveError, match=r"shape k = .* \(uq.shape_most = 0.01\)"):
        check_reliability(wide, shape_most=0.01, effective_least=1.0)


def test_draws_without_a_solution_weigh_nothing():
    drawn = propose(CENTRE, COVARIANCE, 500, seed=5)
    density = multivariate_normal(CENTRE, COVARIANCE).logpdf(drawn.z)
    density[::10] = -np.inf
    weighted = weigh(drawn, density)
    assert np.all(weighted.weight[::10] == 0.0) and abs(weighted.weight.sum() - 1.0) < 1e-12
    with pytest.raises(SolveError, match="not be solved at a single draw"):
        weigh(drawn, np.full(500, -np.inf))


def test_quantiles_and_shares_of_equal_weights_are_the_plain_ones():
    values = np.random.default_rng(6).standard_normal((200, 3, 2))
    found = quantiles(values, np.full(200, 1.0 / 200.0), (0.1, 0.5))
    np.testing.assert_allclose(found, np.quantile(values, (0.1, 0.5), axis=0, method="hazen"), atol=1e-12)
    weight = np.array([0.5, 0.25, 0.0, 0.25])
    many = np.bincount(resampled(np.repeat(weight / 100.0, 100), seed=7) // 100, minlength=4)
    np.testing.assert_allclose(many, 400 * weight, atol=1)
