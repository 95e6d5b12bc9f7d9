"""The next observation is worth what it is said to be worth, and none is worth more."""

import jax
import jax.numpy as jnp
import numpy as np

from hpcpinn.inference.placement import Candidates, gains, next_observation
from hpcpinn.physics.dopamine import PRESETS, exact

CONSTANTS = PRESETS["dopamine"]
CENTRE = np.log([CONSTANTS.D, CONSTANTS.k])


def predicted(z, x, y, t):
    D, k = jnp.exp(z)
    return exact(x, y, t, CONSTANTS.replace(D=D, k=k))


def test_a_gain_is_the_change_of_the_determinant():
    rng = np.random.default_rng(0)
    seen, more = rng.standard_normal((20, 3)), rng.standard_normal((5, 3))
    information = seen.T @ seen / 0.3**2
    found = gains(more, np.linalg.inv(information), 0.1)
    for gain, row in zip(found, more, strict=True):
        after = information + np.outer(row, row) / 0.1**2
        assert np.isclose(gain, 0.5 * np.log(np.linalg.det(after) / np.linalg.det(information)), rtol=1e-10)


def test_no_place_or_time_tells_more_than_the_best():
    covariance = np.array([[3.2e-3, -2e-4], [-2e-4, 3.3e-3]])
    among = Candidates.within([(-2.5, 2.5), (-2.5, 2.5)], last=18.0)
    best = next_observation(predicted, CENTRE, covariance, 0.02, among)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-2.5, 2.5, (2, 4000))
    t = rng.uniform(0.0, 18.0, 4000) * rng.uniform(size=4000)
    jacobian = np.asarray(jax.jacfwd(lambda z: predicted(z, x, y, t))(jnp.asarray(CENTRE)))
    assert best.gain > 0.99 * gains(jacobian, covariance, 0.02).max()
    assert np.isclose(best.gain, max(best.over_places.max(), best.over_times.max()), rtol=1e-12)
    # Of diffusion alone the middle of the release tells most, when it has spread to half of its peak: s(1 − s) of
    # s = σ²/(σ² + 2Dt) is largest at 2Dt = σ²; uptake moves that little.
    assert np.hypot(*best.best[:2]) < 0.1
    alone = next_observation(predicted, CENTRE, np.diag([1e-8, 0.0]), 0.02, among)
    assert abs(alone.best[2] - CONSTANTS.sigma**2 / (2.0 * CONSTANTS.D)) < 0.06


def test_a_rectangle_has_sides_of_its_own():
    among = Candidates.within([(1.0, 2.5), (-0.5, 0.7)], last=18.0, places=13, times=20)
    best = next_observation(predicted, CENTRE, np.diag([1e-8, 0.0]), 0.02, among)
    assert (best.x[0], best.x[-1], best.y[0], best.y[-1]) == (1.0, 2.5, -0.5, 0.7) and best.t[-1] == 18.0
    assert best.best[0] in best.x and abs(best.best[1]) < 1e-12  # on the axis of the release
    assert best.over_places.shape == (13, 13) and best.over_places.max() == best.gain
