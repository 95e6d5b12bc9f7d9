import numpy as np
import pytest
from scipy.integrate import quad

from hpcpinn.errors import InputError
from hpcpinn.reference.mesh import make_mesh
from tests.reference.cables import branches, cylinder, small_tree


def test_cells_keep_volume_and_membrane_of_their_frustum():
    cable = small_tree()
    mesh = make_mesh(cable, np.arange(3, 10))
    np.testing.assert_allclose(np.bincount(mesh.frustum, mesh.volume), cable.volume, rtol=1e-13)
    np.testing.assert_allclose(np.bincount(mesh.frustum, mesh.membrane), cable.membrane, rtol=1e-13)


def test_half_conductance_is_one_over_the_integral_of_the_inverse_cross_section():
    cable = branches([7.0], [(2.0, 0.9)], [-1], [(0.4, 0.7)])
    mesh = make_mesh(cable, 3)
    for cell, (first, last) in enumerate(mesh.fraction):
        middle = 0.5 * (first + last)

        def resistance(x: float) -> float:
            a, e = 2.0 - 1.1 * x, 0.4 + 0.3 * x
            return 7.0 / (np.pi * (a * a - e * e))

        for side, (x, y) in enumerate([(first, middle), (middle, last)]):
            assert mesh.half[cell, side] == pytest.approx(1.0 / quad(resistance, x, y)[0], rel=1e-12)


def test_half_conductance_of_a_cylinder():
    np.testing.assert_allclose(make_mesh(cylinder(2.0, 3.0), 4).half, np.pi * 9.0 / 0.25, rtol=1e-14)


def test_coupling_conserves_and_is_symmetric():
    coupling = make_mesh(small_tree(), 4).coupling
    assert abs(coupling - coupling.T).max() == 0.0
    scale = abs(coupling).max()
    np.testing.assert_allclose(coupling @ np.ones(coupling.shape[0]), 0.0, atol=1e-14 * scale)


def test_coupling_equals_node_values_solved_for():
    cable = small_tree()
    mesh = make_mesh(cable, 1)
    u = np.random.default_rng(1).random(mesh.n_cells)
    ends = mesh.cable.node.ravel()
    total = np.bincount(ends, mesh.half.ravel())
    node = np.bincount(ends, (mesh.half * u[:, None]).ravel()) / total
    np.testing.assert_allclose(
        mesh.coupling @ u,
        (mesh.half * (node[mesh.cable.node] - u[:, None])).sum(axis=1),
        rtol=1e-12,
        atol=1e-12,
    )


def test_share_of_a_patch_is_its_membrane():
    mesh = make_mesh(branches([10.0], [(2.0, 1.0)], [-1]), 7)
    patch = 10.0 * 0.4 * 2.0 * np.pi * (2.0 - 0.5 * (0.3 + 0.7))
    assert mesh.share(0, 0.3, 0.7) @ mesh.membrane == pytest.approx(patch, rel=1e-13)


def test_inlet_takes_the_whole_cross_section_at_a_free_end_and_splits_it_at_a_branch_point():
    mesh = make_mesh(small_tree(), 3)
    cell, area = mesh.inlet(2)
    assert cell.tolist() == [5]
    assert area.sum() == pytest.approx(np.pi * 0.8**2)
    cells, area = mesh.inlet(1, area=2.0)
    assert sorted(cells.tolist()) == [2, 3, 6, 9]
    assert area.sum() == pytest.approx(2.0)


def test_inlet_at_a_branch_point_without_area_is_refused():
    with pytest.raises(InputError, match="flux at node 1: 4 frusta meet there"):
        make_mesh(small_tree(), 1).inlet(1)


def test_reticulum_that_reaches_the_membrane_is_refused():
    with pytest.raises(InputError, match=r"frustum 0: the reticulum .* reaches the membrane"):
        make_mesh(branches([1.0], [(1.0, 0.5)], [-1], [(0.5, 0.5)]), 1)


def test_no_cells_is_refused():
    with pytest.raises(InputError, match="cells per frustum is 0"):
        make_mesh(cylinder(), 0)


@pytest.mark.parametrize("cells", [6, np.array([2, 4, 6, 2, 8, 2, 10])])
def test_averages_of_several_cells_are_by_volume(cells):
    cable = small_tree()
    mesh, coarse = make_mesh(cable, cells), make_mesh(cable, 2)
    u = np.random.default_rng(3).random(mesh.n_cells)
    part = 2 * mesh.frustum + (mesh.middle > 0.5)
    expected = np.bincount(part, u * mesh.volume) / coarse.volume
    np.testing.assert_allclose(mesh.averages(2) @ u, expected, rtol=1e-13)


def test_averages_over_parts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="3 cells of a frustum cannot be averaged over 2 parts"):
        make_mesh(small_tree(), 3).averages(2)


def test_points_are_exact_for_a_field_linear_along_a_cylinder():
    mesh = make_mesh(branches([2.0, 3.0], [(1.0, 1.0), (1.0, 1.0)], [-1, 0]), [4, 6])
    s = mesh.cable.path.mean(axis=1)
    frustum, fraction = np.array([0, 0, 1, 1, 1]), np.array([0.3, 1.0, 0.0, 0.55, 0.9])
    values = mesh.points(frustum, fraction) @ (2.0 + 3.0 * s)
    place = np.where(frustum == 0, 2.0 * fraction, 2.0 + 3.0 * fraction)
    np.testing.assert_allclose(values, 2.0 + 3.0 * place, rtol=1e-13)


def test_points_at_a_branch_point_agree_from_all_sides_and_keep_constants():
    mesh = make_mesh(small_tree(), 3)
    weights = mesh.points(np.array([0, 1, 2, 3]), np.array([1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(weights.toarray()[1:], np.tile(weights.toarray()[0], (3, 1)), atol=1e-15)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-14)


def test_parts_of_cells_keep_their_average_and_are_exact_for_lines():
    mesh = make_mesh(branches([2.0, 3.0], [(1.0, 1.0), (1.0, 1.0)], [-1, 0]), [4, 6])
    s = mesh.cable.path.mean(axis=1)
    parts = make_mesh(mesh.cable, 1).averages(4)
    u = np.random.default_rng(5).random(mesh.n_cells)
    np.testing.assert_allclose((parts @ u).reshape(-1, 4).mean(axis=1), u, rtol=1e-13)
    places = make_mesh(mesh.cable, 4).cable.path.mean(axis=1)
    inner = slice(4, -4)  # at a closed end the value is taken as flat
    np.testing.assert_allclose((parts @ (1.0 - 2.0 * s))[inner], (1.0 - 2.0 * places)[inner], rtol=1e-12)


def test_parts_of_cells_of_a_smooth_field_converge():
    errors = []
    for cells in (10, 20):
        edges = np.linspace(0.0, np.pi, cells + 1)
        fine = np.linspace(0.0, np.pi, 3 * cells + 1)
        averages = [np.diff(np.sin(x)) / np.diff(x) for x in (edges, fine)]
        parts = make_mesh(cylinder(np.pi), cells).averages(3 * cells)
        errors.append(np.abs(parts @ averages[0] - averages[1]).max())
    assert errors[0] / errors[1] > 3.8
