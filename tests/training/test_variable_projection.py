"""The trunk's sum of squares: its rows, its gradient, and that ranks share one trunk."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.networks.trunk import flattened, make_separable_trunk, restored
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.training.collocation import feature_table
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from hpcpinn.training.rows import piece_rows, resolvent_at
from hpcpinn.training.variable_projection import SharedTrunk, TrainedPieces
from tests.training.test_least_squares import GRID, WEIGHTS, Case, case_of


def shared(case: Case, communicator: Communicator, rows: slice = slice(None)) -> SharedTrunk:
    window = case.window
    pieces = TrainedPieces(
        geometry=case.geometry,
        edges=case.edges,
        taper=jnp.swapaxes(case.geometry.taper @ case.table.points.from_space.T, 1, 2),
        initial=window.initial,
        forcing=window.forcing,
        emphasis=jnp.asarray(window.emphasis),
        robin_in=case.robin_in,
        resolvent=resolvent_at(case.equation, case.table, window, case.heads),
        heads=case.heads,
    )
    return SharedTrunk(
        equation=case.equation,
        trunk=case.table.trunk,
        grid=GRID,
        points=case.table.points,
        weights=WEIGHTS,
        duration=window.duration,
        pieces=jax.tree.map(lambda leaf: leaf[rows], pieces),
        total=communicator.sum,
    )


@cache
def alone() -> SharedTrunk:
    return shared(case_of("nonlinear"), SerialCommunicator())


def test_rows_are_those_of_every_other_trainer() -> None:
    case, trunk = case_of("nonlinear"), alone()
    blocks = piece_rows(case.rows, case.window, case.robin_in, trunk.pieces.resolvent, case.heads)
    weights = (1.0, WEIGHTS.initial, WEIGHTS.edge)
    for piece in range(3):
        mine = jax.tree.map(lambda leaf, p=piece: leaf[p], trunk.pieces)
        row, _, by_head = jax.jit(trunk.rows)(trunk.start, case.heads[piece], mine)
        wanted = np.concatenate([w * np.ravel(b[piece]) for w, b in zip(weights, blocks, strict=True)])
        np.testing.assert_allclose(np.sort(row), np.sort(wanted), atol=1e-10)
        assert by_head.shape == (len(row), case.heads[piece].size)


def test_gradient_is_that_of_the_projected_sum_of_squares() -> None:
    trunk = alone()
    direction = jnp.asarray(np.random.default_rng(3).normal(size=trunk.start.size))
    model = trunk.near(trunk.start)
    assert float(model.value) == pytest.approx(float(trunk.value(trunk.start)), rel=1e-12)
    step = 1e-5
    ahead, behind = (float(trunk.value(trunk.start + s * step * direction)) for s in (1.0, -1.0))
    slope = (ahead - behind) / (2.0 * step)
    assert slope == pytest.approx(2.0 * float(model.gradient @ direction), rel=2e-3)
    assert np.linalg.eigvalsh(model.curvature).min() > -1e-9 * np.abs(model.curvature).max()


def test_training_lowers_the_sum_and_keeps_the_features_orthonormal() -> None:
    trunk = alone()
    seen: list[float] = []
    trained, values = trunk.trained(LevenbergMarquardt(steps=4), lambda _, value: bool(seen.append(value)))
    assert seen == values[1:]
    assert values[-1] < 0.9 * values[0]
    line = np.linspace(-1.0, 1.0, 17)
    xi, tau = (part.ravel() for part in np.meshgrid(line, line))
    value = np.asarray(trained.features(xi, tau).value)
    np.testing.assert_allclose(value.T @ value / len(xi), np.eye(value.shape[1]), atol=1e-8)


def test_what_was_trained_survives_a_checkpoint() -> None:
    trunk = make_separable_trunk(3, 4, seed=1)
    other = make_separable_trunk(3, 4, seed=2)
    back = restored(other, np.asarray(flattened(trunk)))
    grid = (np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))
    for a, b in zip(trunk.features(*grid), back.features(*grid), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(np.asarray(other.features(*grid).value - back.features(*grid).value)).max() > 0.1


@pytest.mark.mpi_ranks(2)
def test_two_ranks_take_the_step_of_one(communicator: Communicator) -> None:
    case = case_of("nonlinear")
    mine = slice(0, 2) if communicator.rank == 0 else slice(2, 3)
    together = shared(case, communicator, mine)
    few = LevenbergMarquardt(steps=2)

    def by_one() -> tuple[list[np.ndarray], np.ndarray]:
        near = [np.asarray(part) for part in alone().near(alone().start)]
        return near, np.asarray(flattened(alone().trained(few)[0]))

    whole, theta = communicator.on_root(by_one)
    for part, wanted in zip(together.near(together.start), whole, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max())
    trunk, _ = together.trained(few)
    single = restored(trunk, theta)
    everyone = communicator.share(np.asarray(flattened(trunk)))
    np.testing.assert_array_equal(everyone[0], everyone[1])
    table, other = (feature_table(t, GRID) for t in (trunk, single))
    gram = np.asarray(table.inside.value)
    rest = np.asarray(other.inside.value)
    lost = rest - gram @ np.linalg.lstsq(gram, rest, rcond=None)[0]
    assert np.abs(lost).max() < 1e-6
