"""The trunk: right derivatives, orthonormal features, the same from the same seed, float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.networks.trunk import (
    Trunk,
    flattened,
    make_separable_trunk,
    make_trunk,
    remixed,
    restored,
    split_features,
)

KINDS = {
    "sine": partial(make_trunk, 12, seed=1),
    "deep sine": partial(make_trunk, 12, seed=1, layers=2),
    "deep tanh": partial(make_trunk, 12, seed=1, layers=2, activation="tanh"),
    "separable": partial(make_separable_trunk, 3, 4, seed=1),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def even_grid(count: int = 17) -> tuple[np.ndarray, np.ndarray]:
    line = np.linspace(-1.0, 1.0, count)
    xi, tau = (part.ravel() for part in np.meshgrid(line, line))
    return xi, tau


def points(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    xi, tau = np.random.default_rng(3).uniform(-1.0, 1.0, (2, count))
    return xi, tau


@every_kind
def test_derivatives_against_finite_differences(kind: str) -> None:
    trunk = KINDS[kind]()
    xi, tau = points()
    features = trunk.features(xi, tau)

    def value(dx: float, dt: float) -> np.ndarray:
        return np.asarray(trunk.features(xi + dx, tau + dt).value)

    h = 1e-3  # fourth-order differences: errors of h⁴
    first = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / (12.0 * h)
    second = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / (12.0 * h * h)
    steps = h * np.arange(-2, 3)
    along_x = np.array([value(s, 0.0) for s in steps])
    along_t = np.array([value(0.0, s) for s in steps])
    size = float(np.abs(features.dxx).max())
    assert np.abs(features.value - value(0.0, 0.0)).max() == 0.0
    assert np.abs(features.dx - np.tensordot(first, along_x, 1)).max() < 1e-7 * size
    assert np.abs(features.dt - np.tensordot(first, along_t, 1)).max() < 1e-7 * size
    assert np.abs(features.dxx - np.tensordot(second, along_x, 1)).max() < 1e-7 * size


@every_kind
def test_features_are_orthonormal_on_the_square(kind: str) -> None:
    trunk = KINDS[kind](grid=17)
    value = np.asarray(trunk.features(*even_grid()).value)
    assert value.shape == (17 * 17, 12)
    np.testing.assert_allclose(value.T @ value / len(value), np.eye(12), atol=1e-8)


def test_the_kept_features_are_those_that_the_network_shows_most_of() -> None:
    """What mixing leaves out of the network's own features is less than any feature it kept."""
    trunk = make_trunk(20, seed=0, grid=17)
    points = np.stack(even_grid(), axis=1)
    raw = np.asarray(jax.vmap(lambda p: trunk.network.apply(trunk.parameters, p))(points))
    assert raw.shape[1] == 60
    kept = np.asarray(trunk.features(*points.T).value) / 17.0
    left = np.linalg.svd(raw - kept @ (kept.T @ raw), compute_uv=False)
    assert left[0] <= np.linalg.svd(raw, compute_uv=False)[19]


def test_smooth_fields_are_in_the_span_and_more_features_span_more() -> None:
    xi, tau = points(400)
    wanted = np.exp(-0.5 * (tau + 1.0)) * np.cos(1.5 * xi) + 0.3 * xi * tau
    left = []
    for n_features in (16, 32, 64):
        value = np.asarray(make_trunk(n_features).features(xi, tau).value)
        head = np.linalg.lstsq(value, wanted, rcond=None)[0]
        left.append(np.abs(value @ head - wanted).max())
    assert left[1] < 0.1 * left[0]
    assert left[2] < 1e-6


@every_kind
def test_the_seed_decides(kind: str) -> None:
    xi, tau = points()
    first, again, other = (KINDS[kind](seed=seed).features(xi, tau).value for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_frequencies_follow_the_scale() -> None:
    """First-layer weights are uniform up to the scale, in each direction its own."""
    trunk = make_trunk(200, scale=(1.0, 4.0))
    weights = np.asarray(trunk.parameters["params"]["Dense_0"]["kernel"])
    assert np.abs(weights[0]).max() <= 1.0 and np.abs(weights[1]).max() <= 4.0
    np.testing.assert_allclose(weights.std(axis=1), np.array([1.0, 4.0]) / 3**0.5, rtol=0.1)


@every_kind
def test_a_trunk_survives_a_checkpoint_to_the_last_bit(kind: str) -> None:
    trunk, other = KINDS[kind](seed=1), KINDS[kind](seed=2)
    back = restored(other, np.asarray(flattened(trunk)))
    xi, tau = points()
    for ours, theirs in zip(trunk.features(xi, tau), back.features(xi, tau), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_separable_trunk_holds_still_what_does_not_move() -> None:
    """Whatever its shape in space: the product of any feature of ξ with a constant is in the span."""
    trunk = make_separable_trunk(4, 6, seed=3)
    grid, here = even_grid(), points()
    value, shapes = (np.asarray(trunk.features(*place).value) for place in (grid, here))
    held = np.asarray(trunk.features(here[0], np.full_like(here[1], -1.0)).value)
    start = np.asarray(trunk.features(grid[0], np.full_like(grid[1], -1.0)).value)
    heads = np.linalg.lstsq(value, start, rcond=None)[0]
    error = np.abs(shapes @ heads - held).max() / np.abs(held).max()
    assert error < 1e-4  # a constant in time is in the span of six features of time to that much
    spread = np.asarray(trunk.features(here[0], here[1]).dt) @ heads
    joint = make_trunk(24, seed=3)
    value, start = (np.asarray(joint.features(*p).value) for p in (grid, (grid[0], np.full_like(grid[1], -1.0))))
    moving = np.asarray(joint.features(*here).dt) @ np.linalg.lstsq(value, start, rcond=None)[0]
    assert np.abs(spread).max() < 0.1 * np.abs(moving).max()


@pytest.mark.parametrize("wanted", [4, 9, 24, 36, 64, 100])
def test_features_are_divided_between_space_and_time(wanted: int) -> None:
    of_space, of_time = split_features(wanted)
    assert 0.75 * wanted <= of_space * of_time <= wanted
    assert of_time <= of_space


def test_remixing_keeps_the_span_and_makes_it_orthonormal_again() -> None:
    trunk = make_trunk(10, seed=1)
    spoiled = Trunk(trunk.network, trunk.parameters, trunk.mixing @ np.triu(np.ones((10, 10))))
    again = remixed(spoiled, trunk.parameters)
    xi, tau = even_grid()
    value, before = (np.asarray(t.features(xi, tau).value) for t in (again, trunk))
    np.testing.assert_allclose(value.T @ value / len(xi), np.eye(10), atol=1e-9)
    np.testing.assert_allclose(value @ (value.T @ before) / len(xi), before, atol=1e-8)


@every_kind
def test_nothing_is_float32(kind: str) -> None:
    trunk = KINDS[kind]()
    leaves = jax.tree.leaves((trunk.parameters, trunk.mixing, trunk.features(*points(3))))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float64")}
    program = jax.make_jaxpr(trunk.features)(*points(3))
    assert "f32" not in str(program)
