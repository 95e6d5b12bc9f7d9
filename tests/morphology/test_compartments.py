"""Compartments: the rule of lengths, membrane and resistances kept, the tree of points."""

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.morphology import cable_from_swc, parse_site, read_swc
from hpcpinn.morphology.compartments import compartments, d_lambda_counts
from hpcpinn.morphology.meshes import morphology_path
from tests.morphology.swc_text import tree_of
from tests.reference.cables import branches, cylinder, small_tree


@pytest.fixture(scope="module")
def cell():
    return cable_from_swc(read_swc(morphology_path("builtin:pyramidal")))[0]


def resistance_between(cells, a, b):
    """∫ds/(πa²) between two points along the tree."""

    def to_root(point):
        way, total = {point: 0.0}, 0.0
        while cells.parent[point] >= 0:
            total += cells.axial[point]
            point = int(cells.parent[point])
            way[point] = total
        return way

    first, second = to_root(a), to_root(b)
    return min(first[meet] + second[meet] for meet in first.keys() & second.keys())


def test_the_rule_for_a_cylinder():
    """λ at 100 Hz, 100 Ω·cm, 1 µF/cm², diameter 1 µm is 282.09 µm: 1000 µm are 3.545 of it, 36 tenths."""
    assert d_lambda_counts(cylinder(1000.0, 0.5), 100.0, 1.0).tolist() == [37]
    assert d_lambda_counts(cylinder(1000.0, 0.5), 100.0, 1.0, fraction=0.5).tolist() == [7]
    assert d_lambda_counts(cylinder(1000.0, 2.0), 100.0, 1.0).tolist() == [19]
    assert d_lambda_counts(cylinder(10.0, 2.0), 100.0, 1.0).tolist() == [1]


def test_the_rule_integrates_tapering_frusta():
    taper = branches([900.0], [(2.0, 0.1)], [-1])
    many = taper.split([np.linspace(0.0, 1.0, 2001)[1:-1]])
    length_constant = np.sqrt(2e-4 * many.radius.mean(axis=1) / (4 * np.pi * 100.0 * 150.0 * 0.8e-6)) * 1e4
    tenths = np.sum(many.length / length_constant) / 0.1
    assert d_lambda_counts(taper, 150.0, 0.8).tolist() == [2 * int((tenths + 0.9) / 2) + 1]


@pytest.mark.parametrize("numbers", [(0.0, 1.0), (100.0, -1.0), (np.nan, 1.0), (100.0, 1.0, 0.0)])
def test_numbers_that_are_no_cable_are_refused(numbers):
    with pytest.raises(InputError, match=r"d_lambda rule: .* give a positive number"):
        d_lambda_counts(cylinder(), *numbers)


def test_membrane_and_length_of_a_cell_are_kept(cell):
    counts = d_lambda_counts(cell, 150.0, 1.0)
    assert np.all(counts % 2 == 1)
    cells = compartments(cell, counts)
    n = len(counts)
    for ours, whole in ((cells.area, cell.membrane), (cells.length, cell.length)):
        np.testing.assert_allclose(np.bincount(cells.section, ours, n), np.bincount(cell.section, whole, n), rtol=1e-12)
    assert cells.count == counts.sum() and cells.n_points > cells.count
    assert [s.kind for s in cell.sections] == [cells.kind[cells.section == k][0] for k in range(n)]


def test_a_tapering_cable_in_closed_form():
    """Radius 3 to 1 over 40 µm in four compartments: areas and ∫ds/(πa²) of linear radii."""
    cells = compartments(branches([40.0], [(3.0, 1.0)], [-1]), np.array([4]))
    edge, centre = (
        (lambda s: 3.0 - s / 20.0)(np.arange(5) * 10.0),
        3.0 - np.array([5.0, 15.0, 25.0, 35.0]) / 20,
    )
    np.testing.assert_allclose(cells.area, np.pi * 10.0 * (edge[:-1] + edge[1:]), rtol=1e-13)
    np.testing.assert_allclose(cells.axial[1:], 10.0 / (np.pi * centre[:-1] * centre[1:]), rtol=1e-13)
    assert cells.parent.tolist() == [-1, 0, 1, 2] and cells.axial[0] == 0.0
    np.testing.assert_allclose(cells.xyz[:, 0], [5.0, 15.0, 25.0, 35.0], rtol=1e-13)


def test_a_frustum_that_ends_at_a_centre_or_an_edge_is_not_cut_again():
    whole = compartments(cylinder(60.0, 1.0), np.array([3]))
    parts = branches([10.0, 10.0, 40.0], [(1.0, 1.0)] * 3, [-1, 0, 1])
    one_section = parts.__class__(
        **{
            **parts.__dict__,
            "sections": parts.sections[:1],
            "section": np.zeros(3, int),
            "start": np.array([0.0, 10.0, 20.0]),
        }
    )
    same = compartments(one_section, np.array([3]))
    assert same.cable.n_frusta == whole.cable.n_frusta == 6
    np.testing.assert_allclose(same.axial, whole.axial, rtol=1e-13)
    np.testing.assert_allclose(same.area, whole.area, rtol=1e-13)


def test_points_of_a_tree_hang_at_its_junctions():
    cable = small_tree()
    cells = compartments(cable, np.array([1, 3, 1, 1, 1, 1, 3]))
    # Node 0 joins two sections, frusta 0 and 3 each end where others begin: three junctions.
    assert cells.count == 11 and cells.n_points == 14
    assert np.sum(cells.parent < 0) == 1
    for point in range(cells.n_points):
        for other in range(point):
            a, b = cells.node[point], cells.node[other]
            np.testing.assert_allclose(resistance_between(cells, point, other), way(cells.cable, a, b), rtol=1e-12)


def way(cable, a, b):
    """∫ds/(πa²) between two nodes of a cable, summed over its frusta."""

    def up(node):
        passed = {int(node): 0.0}
        total = 0.0
        before = {int(head): f for f, head in enumerate(cable.node[:, 1])}
        while int(node) in before:
            f = before[int(node)]
            total += cable.length[f] / (np.pi * cable.radius[f, 0] * cable.radius[f, 1])
            node = cable.node[f, 0]
            passed[int(node)] = total
        return passed

    first, second = up(a), up(b)
    return min(first[meet] + second[meet] for meet in first.keys() & second.keys())


def test_a_branch_in_the_middle_of_a_section_has_its_junction_there(tmp_path):
    """A soma goes on where a neurite leaves it: the junction lies inside its compartments."""
    text = "1 1 0 0 0 5 -1\n2 1 10 0 0 5 1\n3 1 30 0 0 5 2\n4 3 10 50 0 1 2\n5 3 10 60 0 1 4\n"
    cable = cable_from_swc(tree_of(tmp_path, text), soma="literal")[0]
    cells = compartments(cable, np.array([3 if s.kind == 1 else 1 for s in cable.sections]))
    assert cells.n_points == cells.count + 1
    np.testing.assert_allclose(cells.area[cells.kind == 1], 2 * np.pi * 5.0 * 10.0, rtol=1e-12)


def test_sites_name_the_centres(cell):
    cells = compartments(cell, d_lambda_counts(cell, 150.0, 1.0))
    for number, site in enumerate(cells.sites):
        again = parse_site(site.name, cell)
        place = cell.xyz[again.frustum, 0] + again.fraction * (cell.xyz[again.frustum, 1] - cell.xyz[again.frustum, 0])
        np.testing.assert_allclose(place, cells.xyz[number], atol=1e-3)
        assert cells.nearest(again, cell) == number
