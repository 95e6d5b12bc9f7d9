"""Where the equation is asked to hold: quadrature, interpolation, features at every place."""

import numpy as np
import pytest

from hpcpinn.networks.trunk import make_trunk
from hpcpinn.training.collocation import feature_table, gauss_grid, grid_points, lagrange, random_points


def test_gauss_weights_average_polynomials_exactly() -> None:
    grid = gauss_grid(5, 4)
    xi, tau = grid.points
    assert grid.weight.sum() == pytest.approx(1.0, abs=1e-15)
    for i in range(10):
        for j in range(8):
            mean = (1 + (-1) ** i) / 2 / (i + 1) * (1 + (-1) ** j) / 2 / (j + 1)
            assert grid.weight @ (xi**i * tau**j) == pytest.approx(mean, abs=1e-14)


def test_points_run_through_space_first() -> None:
    grid = gauss_grid(3, 2)
    xi, tau = grid.points
    assert np.array_equal(xi, np.tile(grid.space, 2))
    assert np.array_equal(tau, np.repeat(grid.time, 3))


def test_interpolation_is_exact_for_polynomials_and_at_nodes() -> None:
    nodes = gauss_grid(6, 2).space
    targets = np.array([-1.0, nodes[2], 0.1, 1.0])
    matrix = lagrange(nodes, targets)
    for power in range(6):
        np.testing.assert_allclose(matrix @ nodes**power, targets**power, atol=1e-13)
    assert np.array_equal(matrix[1], np.eye(6)[2])


def test_random_points_fill_the_square_evenly_and_follow_the_seed() -> None:
    grid = gauss_grid(6, 5)
    points = random_points(grid, 64, seed=3)
    again, other = random_points(grid, 64, seed=3), random_points(grid, 64, seed=4)
    assert np.array_equal(points.xi, again.xi) and np.array_equal(points.tau, again.tau)
    assert not np.array_equal(points.xi, other.xi)
    assert points.weight.sum() == pytest.approx(1.0)
    for half in (points.xi > 0.0, points.tau > 0.0, points.xi * points.tau > 0.0):
        assert half.sum() == 32


@pytest.mark.parametrize("count", [30, 64, 72])
def test_data_of_the_grid_reach_random_points(count: int) -> None:
    grid = gauss_grid(6, 5)
    points = random_points(grid, count, seed=1)
    assert len(points.xi) == len(points.weight) == count
    xi, tau = grid.points
    np.testing.assert_allclose(
        points.from_grid @ (xi**5 - 2.0 * xi * tau**4),
        points.xi**5 - 2.0 * points.xi * points.tau**4,
        atol=1e-12,
    )
    np.testing.assert_allclose(points.from_space @ grid.space**5, points.xi**5, atol=1e-12)


def test_grid_points_take_space_data_along() -> None:
    grid = gauss_grid(4, 3)
    points = grid_points(grid)
    assert np.array_equal(points.from_space @ grid.space, points.xi)


def test_the_table_holds_the_trunk_at_every_place_with_outward_slopes() -> None:
    trunk, grid = make_trunk(8), gauss_grid(4, 3)
    table = feature_table(trunk, grid, random_points(grid, 10, seed=2))

    def value(xi, tau):
        return np.asarray(trunk.features(np.atleast_1d(xi), np.atleast_1d(tau)).value)[0]

    np.testing.assert_allclose(table.inside.value[4], value(table.points.xi[4], table.points.tau[4]), atol=1e-13)
    np.testing.assert_allclose(table.on_grid[1 * 4 + 2], value(grid.space[2], grid.time[1]), atol=1e-13)
    np.testing.assert_allclose(table.initial[1], value(grid.space[1], -1.0), atol=1e-13)
    np.testing.assert_allclose(table.final[3], value(grid.space[3], 1.0), atol=1e-13)
    h = 1e-5
    for end, side in enumerate((-1.0, 1.0)):
        np.testing.assert_allclose(table.edge[end, 2], value(side, grid.time[2]), atol=1e-13)
        outwards = (value(side + side * h, grid.time[2]) - value(side - side * h, grid.time[2])) / (2 * h)
        np.testing.assert_allclose(table.edge_slope[end, 2], outwards, atol=1e-7)
