"""The check of a model: right ones are called wrong as often as the level says, wrong ones nearly always."""

import numpy as np
from scipy.stats import kstest

from hpcpinn.inference.predictive_check import predictive_check
from hpcpinn.io.inference import Check

SITES, TIMES, PARAMETERS = 6, 40, 3
SITE, TIME = np.repeat(np.arange(SITES), TIMES), np.tile(np.linspace(0.0, 10.0, TIMES), SITES)
JACOBIAN = np.random.default_rng(1).standard_normal((SITES * TIMES, PARAMETERS)) * (1.0 + TIME[:, None])
NO_PRIOR = np.zeros(PARAMETERS)


def left_by_a_fit(data: np.ndarray) -> np.ndarray:
    """What is left of data when the best combination of the columns is taken away."""
    return data - JACOBIAN @ np.linalg.lstsq(JACOBIAN, data, rcond=None)[0]


def checked(data: np.ndarray) -> Check:
    return predictive_check(left_by_a_fit(data), JACOBIAN, NO_PRIOR, SITE, TIME, level=0.05, replicates=400, seed=0)


def test_probabilities_are_uniform_where_the_model_is_right():
    rng = np.random.default_rng(2)
    found = [checked(rng.standard_normal(len(SITE))) for _ in range(200)]
    assert kstest([one.probability for one in found], "uniform").pvalue > 0.01
    for name in found[0].each:
        assert kstest([one.each[name] for one in found], "uniform").pvalue > 0.01, name


def test_what_a_model_lacks_is_found_where_it_shows():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(len(SITE))
    slow = np.sin(TIME + SITE)  # at no time or site more than elsewhere
    assert checked(noise + slow).each["neighbours"] < 0.01
    assert checked(noise + 1.0 * (SITE == 2)).each["site"] < 0.01
    assert checked(noise + 1.0 * (np.abs(TIME - 5.0) < 0.6)).each["time"] < 0.01
    assert checked(1.3 * noise).each["misfit"] < 0.01
    for wrong in (noise + slow, noise + 1.0 * (SITE == 2), 1.3 * noise):
        assert checked(wrong).model_is_wrong
