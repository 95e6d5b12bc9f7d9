"""The sum of squares of rectangles as a function of their trunks: value, derivatives, training, ranks."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.networks.axis import AT_ONCE
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from hpcpinn.training.rectangle_projection import SharedAxes
from hpcpinn.training.rectangle_squares import accept, correct, loss
from hpcpinn.training.rectangles import RectangleTable
from tests.domain.test_rectangle_window import solver, started

LENGTH = 0.3


def shared(communicator: Communicator) -> SharedAxes:
    """Two species on 1 × 3 rectangles: one kind of axis has two walls, the others one (on either side) and none."""
    window, _ = solver(communicator, (1, 3), features=5, in_time=3)
    data = started(window, LENGTH)
    return SharedAxes(
        equation=window.equation,
        table=window.table,
        geometry=window.geometry,
        edges=window.interfaces.rows,
        weights=window.weights,
        window=data,
        robin_in=window.continued(data.initial, LENGTH).robin_in,
        total=communicator.sum,
    )


@cache
def alone() -> SharedAxes:
    return shared(SerialCommunicator())


def elsewhere(axes: SharedAxes) -> jax.Array:
    """Some θ at which the flatness of the first trunks is lost unless it is asked for again."""
    return axes.start + 0.02 * jnp.asarray(np.random.default_rng(3).normal(size=axes.start.size))


@cache
def trained() -> tuple[RectangleTable, list[float]]:
    seen: list[float] = []
    table, values = alone().trained(
        LevenbergMarquardt(steps=4, tolerance=0.0), lambda _, value: bool(seen.append(value))
    )
    assert seen == values[1:]
    return table, values


def test_the_sum_is_that_of_the_best_heads_of_the_window() -> None:
    window, _ = solver(SerialCommunicator(), (1, 3), features=5, in_time=3)
    axes = alone()

    @jax.jit
    def squares(robin_in: jax.Array) -> jax.Array:
        linear = window.linearised(axes.window, None).linear
        begun = correct(window.rows, axes.window, jnp.zeros((3, 2, *axes.table.head_shape)), linear)
        heads = accept(window.rows, axes.window, linear, begun, robin_in)
        return 2.0 * loss(window.rows, axes.window, robin_in, heads)

    assert float(axes.value(axes.start)) == pytest.approx(float(squares(axes.robin_in)), rel=1e-9)


def test_gradient_is_that_of_the_projected_sum_of_squares() -> None:
    axes = alone()
    theta = elsewhere(axes)
    model = axes.near(theta)
    assert float(model.value) == pytest.approx(float(axes.value(theta)), rel=1e-12)
    for direction in np.random.default_rng(4).normal(size=(3, theta.size)):
        ahead, behind = (float(axes.value(theta + step * direction)) for step in (1e-5, -1e-5))
        assert (ahead - behind) / 2e-5 == pytest.approx(2.0 * float(model.gradient @ direction), rel=1e-6)


def test_curvature_is_that_of_rows_without_what_heads_can_undo() -> None:
    axes = alone()
    theta = elsewhere(axes)
    fit = axes.fit(theta)

    @jax.jit
    def slopes(heads, piece):
        def rows(theta, heads):
            return axes.rows(fit.basis.of(axes.features(theta)), heads, piece)

        return jax.jacfwd(rows, argnums=(0, 1))(theta, heads)

    wanted = np.zeros((theta.size, theta.size))
    for number in range(3):
        piece = jax.tree.map(lambda leaf, number=number: leaf[number], axes.pieces)
        by_theta, by_head = map(np.asarray, slopes(fit.heads[number], piece))
        basis = np.linalg.qr(by_head.reshape(len(by_head), -1))[0]
        kept = by_theta - basis @ (basis.T @ by_theta)
        wanted += kept.T @ kept
    np.testing.assert_allclose(axes.near(theta).curvature, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


def test_training_lowers_the_sum() -> None:
    _, values = trained()
    assert len(values) == 5
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("kind", range(5), ids=["free", "first", "last", "both", "time"])
def test_trained_features_are_orthonormal_and_flat_at_walls(kind: int) -> None:
    table, _ = trained()
    trunk, before = ((*one.trunks, one.clock)[kind] for one in (table, alone().table))
    line = np.linspace(-1.0, 1.0, AT_ONCE)
    value = np.asarray(trunk.features(line).value)
    assert np.abs(value - np.asarray(before.features(line).value)).max() > 1e-2
    np.testing.assert_allclose(value.T @ value / AT_ONCE, np.eye(value.shape[1]), atol=1e-8)
    np.testing.assert_allclose(value[:, 0], 1.0, atol=1e-12)  # an even field stays exact
    slope = np.abs(np.asarray(trunk.features(np.array([-1.0, 1.0])).slope)).max(axis=1)
    for largest, end in zip(slope, (-1.0, 1.0), strict=True):
        assert (largest < 1e-8) == (end in ((), (-1.0,), (1.0,), (-1.0, 1.0), ())[kind])


@pytest.mark.mpi_ranks(2, limit=200)
def test_two_ranks_take_the_step_of_one(communicator: Communicator) -> None:
    together = shared(communicator)
    assert 0 < len(together.robin_in) < 3
    few = LevenbergMarquardt(steps=2)

    def by_one() -> tuple[list[np.ndarray], list[float], np.ndarray]:
        near = [np.asarray(part) for part in alone().near(alone().start)]
        table, values = alone().trained(few)
        return near, values, np.asarray(table.line.value)

    whole, alike, line = communicator.on_root(by_one)
    for part, wanted in zip(together.near(together.start), whole, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max())
    table, values = together.trained(few)
    np.testing.assert_allclose(values, alike, rtol=1e-8)
    everyone = communicator.share(np.asarray(table.line.value))
    np.testing.assert_array_equal(everyone[0], everyone[1])
    np.testing.assert_allclose(table.line.value, line, atol=1e-6)
