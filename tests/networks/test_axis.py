"""The trunk along one axis: orthonormal, flat where asked, right derivatives, its mirror image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.networks.axis import (
    AT_ONCE,
    hidden_features,
    make_axis_trunk,
    mirrored,
    remixed,
    without_slopes,
)

flat = pytest.mark.parametrize("flat_at", [(), (-1.0,), (-1.0, 1.0)], ids=["free", "one wall", "two walls"])


@flat
def test_features_are_orthonormal_and_the_first_is_constant(flat_at):
    value = np.asarray(make_axis_trunk(9, flat_at=flat_at, seed=4).features(np.linspace(-1.0, 1.0, AT_ONCE)).value)
    np.testing.assert_allclose(value.T @ value / AT_ONCE, np.eye(9), atol=1e-8)
    np.testing.assert_allclose(value[:, 0], value[0, 0], atol=1e-12)


@flat
def test_features_are_flat_at_walls_only(flat_at):
    slope = np.asarray(make_axis_trunk(9, flat_at=flat_at).features(np.array([-1.0, 1.0])).slope)
    for row, end in zip(slope, (-1.0, 1.0), strict=True):
        assert (np.abs(row).max() < 1e-8) == (end in flat_at)


def test_derivatives_are_those_of_the_values():
    trunk, h = make_axis_trunk(7, seed=2), 1e-4
    x = np.linspace(-0.9, 0.9, 12)
    here = trunk.features(x)
    after, before = trunk.features(x + h), trunk.features(x - h)
    np.testing.assert_allclose(here.slope, (after.value - before.value) / (2 * h), atol=1e-5)
    np.testing.assert_allclose(here.bend, (after.slope - before.slope) / (2 * h), atol=1e-4)


def test_the_mirror_image():
    trunk = make_axis_trunk(8, flat_at=(-1.0,))
    x = np.linspace(-1.0, 1.0, 9)
    here, there = trunk.features(-x), mirrored(trunk).features(x)
    np.testing.assert_allclose(there.value, here.value, atol=1e-12)
    np.testing.assert_allclose(there.slope, -here.slope, atol=1e-10)


@flat
def test_other_parameters_keep_what_the_mixing_chose_flat_and_orthonormal(flat_at):
    before = make_axis_trunk(6, flat_at=flat_at)
    noise = np.random.default_rng(1)
    parameters = jax.tree.map(lambda leaf: leaf + 0.01 * noise.normal(size=leaf.shape), before.parameters)
    after = remixed(before, parameters)
    line = np.linspace(-1.0, 1.0, AT_ONCE)
    value = np.asarray(after.features(line).value)
    np.testing.assert_allclose(value.T @ value / AT_ONCE, np.eye(6), atol=1e-8)
    assert np.abs(np.asarray(after.features(np.array(flat_at)).slope)).max(initial=0.0) < 1e-8
    # The traceable way to them spans the same.
    slopes = hidden_features(before.network, parameters, jnp.asarray(flat_at)).slope if flat_at else ()
    mixing = without_slopes(before.mixing, list(slopes))
    other = np.asarray(hidden_features(before.network, parameters, jnp.asarray(line)).value @ mixing)
    missed = other - value @ np.linalg.lstsq(value, other, rcond=None)[0]
    assert np.abs(missed).max() < 1e-8 * np.abs(other).max()
