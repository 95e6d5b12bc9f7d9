"""Where split runs follow calcium: nodes of the pieces carry volume, means and probes of a polynomial exactly."""

import numpy as np
import pytest

from hpcpinn.io.geometry import ProbeSite
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.systems.cell.split_points import SplitPoints, cell_points, node_points
from hpcpinn.timestepping.cell_grid import cell_grid
from synthetic import y_cable

PROBES = (ProbeSite("a", 1, 0.3), ProbeSite("b", 4, 1.0))
PER = 3


def tapered() -> Cable:
    """Six tapering pieces with a reticulum."""
    cable = y_cable().split([np.array([0.4]), np.array([0.5]), np.array([0.7])])
    radius = cable.radius * np.array([1.0, 0.7])
    return Cable(**{**vars(cable), "radius": radius, "er_radius": 0.3 * radius})


@pytest.fixture(scope="module")
def nodes() -> SplitPoints:
    return node_points(tapered(), 6, PER, PROBES)


def cubic(piece: np.ndarray, share: np.ndarray) -> np.ndarray:
    return 1.0 + piece + share - 2.0 * share**2 + (1.0 + piece) * share**3


def test_nodes_carry_the_volume_and_the_membrane(nodes: SplitPoints) -> None:
    cable = tapered()
    np.testing.assert_allclose(nodes.volume.reshape(6, -1).sum(axis=1), cable.volume, rtol=1e-13)
    # Along the axis, as ratios have it: less than the slanted surface of a frustum.
    membrane = np.pi * cable.radius.sum(axis=1) * cable.length
    np.testing.assert_allclose((nodes.volume * nodes.ratio).reshape(6, -1).sum(axis=1), membrane, rtol=1e-13)


def test_means_and_probes_of_a_polynomial_are_exact(nodes: SplitPoints) -> None:
    cable = tapered()
    parts = 600
    fine = cable.split([np.arange(1, parts) / parts] * cable.n_frusta)
    middle = np.tile((np.arange(parts) + 0.5) / parts, cable.n_frusta)
    values = cubic(np.repeat(np.arange(6), parts), middle) * fine.volume
    wanted = values.reshape(6 * PER, -1).sum(axis=1) / fine.volume.reshape(6 * PER, -1).sum(axis=1)
    u = cubic(*nodes.places)
    np.testing.assert_allclose(nodes.to_output[CYTOSOL] @ u, wanted, rtol=1e-5)
    np.testing.assert_allclose(nodes.to_output[CYTOSOL] @ np.full(nodes.n, 7.0), 7.0, rtol=1e-13)
    at_probes = [cubic(np.array(p.piece), np.array(p.fraction)) for p in PROBES]
    np.testing.assert_allclose(nodes.to_probes @ u, at_probes, rtol=1e-12)


def test_means_keep_the_content(nodes: SplitPoints) -> None:
    """Volumes of the result's cells times what is written are what the nodes hold."""
    cable = tapered()
    cells = cable.split([np.arange(1, PER) / PER] * cable.n_frusta)
    u = cubic(*nodes.places)
    np.testing.assert_allclose(cells.volume @ (nodes.to_output[CYTOSOL] @ u), nodes.volume @ u, rtol=1e-13)


def test_cells_are_written_as_they_are() -> None:
    cable = tapered()
    cells = cable.split([np.arange(1, PER) / PER] * cable.n_frusta)
    points = cell_points(cell_grid(cells), PER, PROBES)
    u = np.random.default_rng(1).random(points.n)
    assert np.array_equal(points.to_output[CYTOSOL] @ u, u)
    assert np.array_equal(points.to_probes @ u, u[[1 * PER + 0, 4 * PER + 2]])
    np.testing.assert_allclose(points.places[1][:PER], [1 / 6, 3 / 6, 5 / 6], rtol=1e-15)
