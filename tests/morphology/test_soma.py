"""Sections and soma modes, against what NEURON 9.0.2 makes of the same files."""

import csv
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.soma import describe_soma
from hpcpinn.morphology.swc import read_swc
from tests.morphology.swc_text import tree_of

ONE_POINT = """1 1 0 0 0 5 -1
2 3 6 0 0 1 1
3 3 16 0 0 0.5 2
4 2 0 -20 0 0.3 1
5 4 0 7 0 1 1
6 4 0 17 0 1 5
7 4 5 27 0 0.5 6
8 4 -5 27 0 0.5 6
"""
FORK_ON_FIRST_POINT = """1 1 0 0 0 5 -1
2 3 6 0 0 1 1
3 3 16 0 0 0.5 2
4 3 0 12 0 0.5 1
5 3 0 22 0 0.5 4
6 3 10 12 0 0.25 4
"""
THREE_POINTS = """1 1 0 0 0 5 -1
2 1 3 4 0 5 1
3 1 -3 -4 0 5 1
4 3 6 0 0 1 1
5 3 16 0 0 1 4
"""
THREE_POINTS_TOO_LONG = THREE_POINTS.replace(" 3 4 ", " 6 8 ").replace(" -3 -4 ", " -6 -8 ")
CHAIN = """1 1 0 0 0 2 -1
2 1 0 4 0 5 1
3 1 0 7 0 6 2
4 1 0 15 0 3 3
5 3 3 0 0 1 1
6 3 13 0 0 0.5 5
7 4 6 5 0 1 2
8 4 16 5 0 1 7
9 4 -9 7 0 1 3
10 2 0 20 0 0.8 4
11 2 0 30 0 0.4 10
"""
TYPE_CHANGE = """1 1 0 0 0 5 -1
2 3 6 0 0 1 1
3 3 16 0 0 0.5 2
4 2 26 0 0 0.4 3
5 2 36 0 0 0.4 4
"""

NEURON = {
    "one point": (
        ONE_POINT,
        {
            "soma[0]": (10.0, 314.159, 785.398, None),
            "axon[0]": (20.0, 37.699, 5.655, "soma[0](0.5)"),
            "dend[0]": (10.0, 47.124, 18.326, "soma[0](0.5)"),
            "apic[0]": (10.0, 62.832, 31.416, "soma[0](0.5)"),
            "apic[1]": (11.1803, 52.686, 20.489, "apic[0](1)"),
            "apic[2]": (11.1803, 52.686, 20.489, "apic[0](1)"),
        },
    ),
    "a fork on the first point": (
        FORK_ON_FIRST_POINT,
        {
            "soma[0]": (10.0, 314.159, 785.398, None),
            "dend[0]": (10.0, 47.124, 18.326, "soma[0](0.5)"),
            "dend[1]": (10.0, 31.416, 7.854, "soma[0](0.5)"),
            "dend[2]": (10.0, 23.562, 4.581, "soma[0](0.5)"),
        },
    ),
    "three points for a sphere": (
        THREE_POINTS,
        {
            "soma[0]": (10.0, 314.159, 785.398, None),
            "dend[0]": (10.0, 62.832, 31.416, "soma[0](0.5)"),
        },
    ),
    "three points too far apart": (
        THREE_POINTS_TOO_LONG,
        {
            "soma[0]": (10.0, 314.159, 785.398, None),
            "soma[1]": (10.0, 314.159, 785.398, "soma[0](0)"),
            "dend[0]": (10.0, 62.832, 31.416, "soma[0](0)"),
        },
    ),
    "a chain of points": (
        CHAIN,
        {
            "soma[0]": (15.0, 417.832, 977.035, None),
            "axon[0]": (15.0, 62.832, 21.782, "soma[0](1)"),
            "dend[0]": (13.0, 65.973, 27.751, "soma[0](0)"),
            "apic[0]": (10.0, 62.832, 31.416, "soma[0](0.5)"),
            "apic[1]": (9.0, 56.549, 28.274, "soma[0](0.5)"),
        },
    ),
    "a change of type": (
        TYPE_CHANGE,
        {
            "soma[0]": (10.0, 314.159, 785.398, None),
            "axon[0]": (20.0, 53.407, 11.414, "dend[0](1)"),
            "dend[0]": (10.0, 47.124, 18.326, "soma[0](0.5)"),
        },
    ),
}
"""Length (µm), ∫2πa ds (µm²), volume (µm³) and parent of every section."""


def measured(cable: Cable) -> dict[str, tuple[float, float, float, str | None]]:
    """The same table for our cable, the two halves of a cylindrical soma taken together."""
    halved = any(section.name == "soma[0]b" for section in cable.sections)
    where = {0: "soma[0](0.5)" if halved else "soma[0](0)"}
    for k, section in enumerate(cable.sections):
        rows = np.flatnonzero(cable.section == k)
        for row in rows[:-1]:  # attached inside a section: only the middle of the soma
            where[int(cable.node[row, 1])] = "soma[0](0.5)"
        where[int(cable.node[rows[-1], 1])] = f"{section.name}(1)"
    table: dict[str, tuple[float, float, float, str | None]] = {}
    for k, section in enumerate(cable.sections):
        rows = np.flatnonzero(cable.section == k)
        sums = [float(v[rows].sum()) for v in (cable.length, cable.membrane, cable.volume)]
        name = section.name.removesuffix("b")
        if name in table:
            sums = [a + b for a, b in zip(sums, table[name], strict=False)]
        parent = None if name == "soma[0]" else where[int(cable.node[rows[0], 0])]
        table[name] = (sums[0], sums[1], sums[2], parent)
    return table


@pytest.mark.parametrize("case", NEURON)
def test_sections_are_those_of_neuron(tmp_path: Path, case: str) -> None:
    text, expected = NEURON[case]
    cable, repairs = cable_from_swc(tree_of(tmp_path, text), soma="neuron")
    ours = measured(cable)
    assert set(ours) == set(expected)
    for name, (*sizes, parent) in expected.items():
        np.testing.assert_allclose(ours[name][:3], sizes, atol=6e-4, err_msg=name)
        assert ours[name][3] == parent, name
    assert repairs == ()


def test_the_middle_of_a_chain_soma_keeps_its_shape(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, CHAIN), soma="neuron")
    rows = np.flatnonzero(cable.kind == 1)
    np.testing.assert_allclose(cable.length[rows], [4, 3, 0.5, 7.5])
    np.testing.assert_allclose(cable.radius[rows], [[2, 5], [5, 6], [6, 5.8125], [5.8125, 3]])
    np.testing.assert_allclose(cable.xyz[rows[2], 1], [0, 7.5, 0])


def test_path_distance_starts_at_the_middle_of_the_soma(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, ONE_POINT))
    np.testing.assert_allclose(cable.path[:, 1] - cable.path[:, 0], cable.length)
    starts = {s.name: float(cable.path[cable.section == k][0, 0]) for k, s in enumerate(cable.sections)}
    assert starts == {"soma[0]": 0, "soma[0]b": 0, "axon[0]": 0, "dend[0]": 0, "apic[0]": 0} | {
        "apic[1]": 10.0,
        "apic[2]": 10.0,
    }


@pytest.mark.parametrize("soma", ["neuron", "literal"])
def test_frusta_are_stored_parents_first_and_point_away_from_the_root(tmp_path: Path, soma: str) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, CHAIN), soma=soma)
    reached = {0}
    for tail, head in cable.node.tolist():
        assert tail in reached and head not in reached
        reached.add(head)
    assert reached == set(range(cable.n_nodes))
    for k, section in enumerate(cable.sections):
        assert section.parent < k
        rows = np.flatnonzero(cable.section == k)
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
        assert np.array_equal(cable.node[rows[1:], 0], cable.node[rows[:-1], 1])
        np.testing.assert_allclose(cable.start[rows], np.cumsum(np.r_[0, cable.length[rows[:-1]]]))


def test_literal_and_arbor_make_a_frustum_of_every_edge(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, CHAIN)
    literal, _ = cable_from_swc(tree, soma="literal")
    arbor, _ = cable_from_swc(tree, soma="arbor")
    assert literal.n_frusta == arbor.n_frusta == tree.n_points - 1
    np.testing.assert_allclose(literal.length.sum(), tree.edge_length.sum())
    stem = np.flatnonzero(literal.swc_id == 5)[0]
    np.testing.assert_array_equal(literal.radius[stem], [2, 1])  # from the soma's radius to its own


def test_arbor_refuses_a_soma_of_one_point(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, ONE_POINT)
    with pytest.raises(InputError, match=r"cell\.swc:1: Arbor reads no soma of one point; use soma 'neuron'"):
        cable_from_swc(tree, soma="arbor")
    literal, _ = cable_from_swc(tree, soma="literal")
    assert not (literal.kind == 1).any()


def test_a_lone_soma_is_a_cylinder(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "7 1 1 2 3 5 -1\n")
    cable, _ = cable_from_swc(tree)
    np.testing.assert_allclose(cable.volume.sum(), 250 * np.pi)
    np.testing.assert_allclose(cable.xyz[:, 1], [[6, 2, 3], [-4, 2, 3]])
    with pytest.raises(InputError, match="makes no frustum"):
        cable_from_swc(tree, soma="literal")


def test_a_radius_step_on_an_edge_of_length_zero_is_kept(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, "1 3 0 0 0 2 -1\n2 3 9 0 0 2 1\n3 3 9 0 0 1 2\n4 3 20 0 0 1 3\n"))
    assert [s.name for s in cable.sections] == ["dend[0]"]
    np.testing.assert_array_equal(cable.radius, [[2, 2], [1, 1]])
    np.testing.assert_array_equal(cable.node, [[0, 1], [1, 2]])


def test_a_cell_without_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all 2 points lie at one place"):
        cable_from_swc(tree_of(tmp_path, "1 3 0 0 0 2 -1\n2 3 0 0 0 2 1\n"))


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="soma is 'sphere'; use one of neuron, arbor, literal"):
        cable_from_swc(tree_of(tmp_path, ONE_POINT), soma="sphere")


@pytest.mark.parametrize(
    "text, mode, words",
    [
        (ONE_POINT, "neuron", "1 point, a cylinder with length = diameter = 10 um"),
        (THREE_POINTS, "neuron", "3 points, a cylinder with length = diameter = 10 um"),
        (THREE_POINTS, "literal", "3 points, a chain of frusta"),
        (ONE_POINT, "literal", "1 point, no frustum of its own"),
        ("1 3 0 0 0 2 -1\n2 3 9 0 0 2 1\n", "neuron", "none"),
    ],
)
def test_the_soma_is_described(tmp_path: Path, text: str, mode: str, words: str) -> None:
    assert describe_soma(tree_of(tmp_path, text), mode) == words


def test_reticulum_follows_the_radius_and_stays_inside(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 3 0 0 0 2 -1\n2 3 10 0 0 1 1\n")
    cable, _ = cable_from_swc(tree, er_fraction=0.25, er_radius=0.5)
    np.testing.assert_allclose(cable.er_radius, [[1.0, 0.75]])
    whole, _ = cable_from_swc(tree)
    taken = np.pi * 10 * (1 + 0.75 + 0.5625) / 3
    np.testing.assert_allclose(whole.volume - cable.volume, [taken])
    with pytest.raises(InputError, match=r"dend\[0\] has a radius of 1 um; make them smaller"):
        cable_from_swc(tree, er_fraction=0.25, er_radius=0.75)
    with pytest.raises(InputError, match="er_radius is -1"):
        cable_from_swc(tree, er_radius=-1.0)


def test_the_ca1_cell_has_the_sections_of_neuron(shared: Path) -> None:
    cable, _ = cable_from_swc(read_swc(shared / "morphologies" / "rat_ca1_pyramidal_c91662.swc"))
    with open(shared / "reference" / "ca1_542_sections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [s.name for s in cable.sections] == ["soma[0]", "soma[0]b", *(row["name"] for row in rows[1:])]
    length = np.bincount(cable.section, weights=cable.length)
    theirs = np.array([float(row["L"]) for row in rows])
    np.testing.assert_allclose(np.r_[length[0] + length[1], length[2:]], theirs, atol=1e-4)  # single precision
    parents = [max(section.parent - 1, 0) for section in cable.sections[2:]]
    assert parents == [int(row["parent"]) for row in rows[1:]]
    with open(shared / "reference" / "ca1_542_compartments.csv", newline="") as file:
        volume = sum(float(row["volume_um3"]) for row in csv.DictReader(file))
    np.testing.assert_allclose(cable.volume.sum(), volume, rtol=1e-6)


@pytest.mark.parametrize(
    "name, sections, length, volume",
    [
        ("mouse_purkinje_p43_6", 758, 6443.98706, 14335.9915),
        ("rat_l5_pyramidal_with_axon", 324, 29374.29578, 21750.10408),
    ],
)
def test_other_cells_measure_what_neuron_measures(
    shared: Path, name: str, sections: int, length: float, volume: float
) -> None:
    cable, _ = cable_from_swc(read_swc(shared / "morphologies" / f"{name}.swc"))
    halved = any(s.name == "soma[0]b" for s in cable.sections)
    assert len(cable.sections) - halved == sections
    np.testing.assert_allclose([cable.length.sum(), cable.volume.sum()], [length, volume], rtol=1e-6)
