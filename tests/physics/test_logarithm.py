"""The logarithm against numpy's."""

import jax
import jax.numpy as jnp
import numpy as np

from hpcpinn.physics.logarithm import log


def test_it_is_the_logarithm_to_the_last_digits() -> None:
    x = np.exp(np.random.default_rng(0).uniform(-300.0, 300.0, 100_000))
    near_one = 1.0 + np.linspace(-1e-3, 1e-3, 10_001)
    edges = np.sqrt(0.5) * 2.0 ** np.arange(-40.0, 41.0) * (1.0 + np.array([[-1e-16], [0.0], [3e-16]]))
    for values in (x, near_one, edges):
        found, wanted = np.asarray(log(jnp.asarray(values))), np.log(values)
        assert np.abs(found - wanted).max() <= 4e-16 * max(1.0, np.abs(wanted).max())
    assert np.abs(np.asarray(log(jnp.asarray(near_one))) - np.log(near_one)).max() < 1e-18


def test_what_has_none_has_none() -> None:
    assert np.isnan(np.asarray(log(jnp.array([0.0, -1.0, np.nan])))).all()


def test_its_slope_is_that_of_the_logarithm() -> None:
    x = jnp.array([1e-5, 0.7, 3.0, 1e7])
    np.testing.assert_allclose(jax.vmap(jax.grad(log))(x), 1.0 / x, rtol=1e-15)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(log)))(x), -1.0 / x**2, rtol=1e-15)
