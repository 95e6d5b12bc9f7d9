"""The closed form on the square: it solves the equation, passes no wall, starts as released."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.physics.dopamine import PRESETS, DopamineSystem, exact

presets = pytest.mark.parametrize("constants", PRESETS.values(), ids=PRESETS.keys())


def points(count: int = 30) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform([-2.5, -2.5, 0.05], [2.5, 2.5, 20.0], (count, 3))


@presets
def test_it_solves_the_equation(constants):
    def field(x, y, t):
        return exact(x, y, t, constants)

    def residual(point):
        x, y, t = point
        bend = jax.grad(jax.grad(field, 0), 0)(x, y, t) + jax.grad(jax.grad(field, 1), 1)(x, y, t)
        source = DopamineSystem.of(constants).source(field(x, y, t)[None], None)[0]
        return jax.grad(field, 2)(x, y, t) - constants.D * bend - source

    size = jax.vmap(lambda p: field(*p))(jnp.asarray(points()))
    assert np.abs(jax.vmap(residual)(jnp.asarray(points())) / size).max() < 1e-11


@presets
def test_no_flux_passes_the_walls_also_late(constants):
    for time in (0.0, 0.3, constants.duration):
        for y in (0.0, 1.7):
            slope = jax.grad(lambda x, y=y, t=time: exact(x, y, t, constants))(constants.half_width)
            assert abs(slope) < 1e-14


@presets
def test_all_that_is_lost_is_taken_up(constants):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x, y = np.meshgrid(2.5 * nodes, 2.5 * nodes)
    amount = [
        float(np.sum(np.outer(weights, weights) * np.asarray(exact(x, y, t, constants))))
        for t in (0.0, 1.0, constants.duration)
    ]
    wanted = amount[0] * np.exp(-constants.k * np.array([0.0, 1.0, constants.duration]))
    np.testing.assert_allclose(amount, wanted, rtol=1e-12)


def test_the_start_is_the_release():
    constants = PRESETS["dopamine"]
    assert float(exact(0.0, 0.0, 0.0, constants)) == pytest.approx(1.0, abs=1e-14)
    assert float(exact(0.5, 0.0, 0.0, constants)) == pytest.approx(np.exp(-0.5), abs=1e-14)
