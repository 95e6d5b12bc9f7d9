"""Levenberg-Marquardt on sums of squares with known minima."""

import jax.numpy as jnp
import numpy as np

from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt, from_rows


def test_one_step_solves_a_linear_problem() -> None:
    draw = np.random.default_rng(1)
    matrix, right = draw.normal(size=(9, 4)), draw.normal(size=9)
    near, value = from_rows(lambda x: jnp.asarray(matrix) @ x - right)
    found, values = LevenbergMarquardt(steps=1, damping=1e-12).minimise(near, value, jnp.zeros(4))
    np.testing.assert_allclose(found, np.linalg.lstsq(matrix, right, rcond=None)[0], rtol=1e-8)
    assert len(values) == 2 and values[0] == np.float64(right @ right)


def test_rosenbrocks_valley_is_followed_to_its_end() -> None:
    near, value = from_rows(lambda x: jnp.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]]))
    found, values = LevenbergMarquardt(steps=60, tolerance=0.0).minimise(near, value, jnp.array([-1.2, 1.0]))
    np.testing.assert_allclose(found, [1.0, 1.0], atol=1e-8)
    assert all(after < before for before, after in zip(values, values[1:], strict=False))


def test_parameters_without_influence_stay_where_they_are() -> None:
    near, value = from_rows(lambda x: jnp.stack([x[0] ** 2 - 4.0, x[0] - 2.0]))
    found, _ = LevenbergMarquardt(steps=30, tolerance=0.0).minimise(near, value, jnp.array([1.0, 7.0]))
    np.testing.assert_allclose(found, [2.0, 7.0], atol=1e-6)


def test_who_watches_may_end_it() -> None:
    near, value = from_rows(lambda x: jnp.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]]))
    seen: list[float] = []

    def watch(parameters, now) -> bool:
        assert now == float(value(parameters))
        seen.append(now)
        return len(seen) == 3

    _, values = LevenbergMarquardt(steps=60).minimise(near, value, jnp.array([-1.2, 1.0]), watch)
    assert values[1:] == seen and len(seen) == 3
