"""Axons that rules make: internodes, nodes and ends, what is conserved, the published counts, growth and human size."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bare_axon import bare_axon

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.morphology.axon import RULES, axon_length, grow, myelinate, to_human
from hpcpinn.morphology.build import cable_from_file
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.compartments import compartments
from hpcpinn.morphology.frusta import GROWN, MYELIN, NODE, UNMYELINATED
from hpcpinn.morphology.meshes import builtin_path
from hpcpinn.systems.cell.build.membrane import driven_cable
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.jobs import load_order

SWC = """1 1 0 0 0 8 -1
2 3 0 8 0 1 1
3 3 0 108 0 1 2
4 2 0 -8 0 0.5 1
5 2 0 -208 0 0.5 4
6 2 300 -208 0 0.4 5
7 2 0 -223 0 0.5 5
8 2 0 -273 0 0.05 7
9 2 10 -223 0 0.5 7
"""
"""A trunk of 200 µm, a branch of 300, one of 15, and at its end one of 50 that thins out and one of 10."""


@pytest.fixture
def cell(tmp_path: Path) -> Cable:
    file = tmp_path / "cell.swc"
    file.write_text(SWC)
    return cable_from_file(file)


def kinds(cable: Cable) -> Counter:
    return Counter(section.name.partition("[")[0] for section in cable.sections)


def lengths(cable: Cable) -> list[float]:
    return np.bincount(cable.section, cable.length, len(cable.sections)).tolist()


def by_name(cable: Cable) -> dict[str, float]:
    return {section.name: length for section, length in zip(cable.sections, lengths(cable), strict=True)}


def test_the_published_rule_on_an_axon_of_which_every_part_is_known(cell):
    """Trunk: 50 µm bare, one internode, one node. Branch of 300 µm, 1 µm thick at first: 300/(70 d + 1) internodes."""
    found = myelinate(cell, RULES["aberra"])
    sizes = by_name(found)
    assert sizes["axon[0]"] == pytest.approx(50.0) and sizes["myelin[0]"] == pytest.approx(149.0)
    assert all(size == pytest.approx(1.0) for name, size in sizes.items() if name.startswith("node"))
    start = 2 * (0.5 + 0.4) / 2 + 0.1 * (1 - 1 / 15)  # mean diameter of the first of 15 compartments of 300 µm
    count = int(300.0 / (70.0 * start + 1.0))
    branch = [size for name, size in sizes.items() if name.startswith("myelin") and abs(size - 300 / count + 1) < 1e-6]
    assert len(branch) == count == 4
    assert kinds(found)["unmyelinated"] == 2  # 15 and 10 µm are too short
    assert sum(name.startswith("unmyelinated") and abs(size - 15) < 1e-6 for name, size in sizes.items()) == 1


def test_what_is_no_axon_stays_to_the_last_bit_and_the_axon_keeps_its_length(cell):
    found = myelinate(cell, RULES["aberra"])
    other, own = cell.kind != 2, ~np.isin(found.kind, (2, MYELIN, NODE, UNMYELINATED))
    for name in ("kind", "length", "radius", "xyz", "path", "node", "start", "er_radius"):
        np.testing.assert_array_equal(getattr(found, name)[own], getattr(cell, name)[other], err_msg=name)
    assert found.length.sum() == pytest.approx(cell.length.sum(), rel=1e-14) and found.length.min() > 0.0
    assert axon_length(cell) == pytest.approx(575.0)


def test_the_tree_stays_a_tree_in_which_every_internode_ends_at_a_node(cell):
    for rule in RULES.values():
        found = myelinate(cell, rule)
        heads = {int(head): f for f, head in enumerate(found.node[:, 1])}
        for f in range(found.n_frusta):
            before = heads.get(int(found.node[f, 0]))
            if before is not None and found.kind[f] != 3:
                np.testing.assert_allclose(found.xyz[f, 0], found.xyz[before, 1], atol=1e-9)
                np.testing.assert_allclose(found.path[f, 0], found.path[before, 1], atol=1e-9)
        children = Counter(section.parent for section in found.sections)
        for number, section in enumerate(found.sections):
            assert section.parent < number
            if section.kind == MYELIN and children[number]:
                (child,) = [other for other in found.sections if other.parent == number]
                assert child.kind == NODE
        for number in range(len(found.sections)):
            rows = np.flatnonzero(found.section == number)
            np.testing.assert_array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
            np.testing.assert_allclose(found.start[rows], np.r_[0.0, np.cumsum(found.length[rows])[:-1]], atol=1e-9)
        cells = compartments(found, np.ones(len(found.sections), int))
        assert cells.area.sum() == pytest.approx(found.membrane.sum()) and np.sum(cells.parent == -1) == 1


def test_myelin_is_as_thick_as_its_g_ratio_says_and_nodes_keep_the_diameter(cell):
    found = myelinate(cell, RULES["aberra"])
    first = found.section == [section.name for section in found.sections].index("myelin[0]")
    g = 0.6425 - 1.778 + 1.749 + 0.1518  # of 1 µm
    np.testing.assert_allclose(found.radius[first], 0.5 / g, rtol=1e-12)
    node = found.section == [section.name for section in found.sections].index("node[0]")
    np.testing.assert_array_equal(found.radius[node], 0.5)


def test_the_other_rule_has_internodes_of_100_um_and_a_node_before_every_fork(cell):
    found = myelinate(cell, RULES["nemo"])
    sizes = by_name(found)
    assert sizes["axon[0]"] == pytest.approx(10.0)
    assert sizes["myelin[0]"] == pytest.approx(100.0) and sizes["myelin[1]"] == pytest.approx(200 - 10 - 101 - 1)
    assert kinds(found)["unmyelinated"] == 1
    for kind, diameter in ((MYELIN, 1.0), (NODE, 0.8), (UNMYELINATED, 0.8)):
        np.testing.assert_allclose(2.0 * found.radius[found.kind == kind], diameter)
    at_forks = [section.kind for n, section in enumerate(found.sections)
                if sum(other.parent == n for other in found.sections) > 1 and section.kind > 4]  # fmt: skip
    assert at_forks == [NODE, NODE]


@pytest.mark.parametrize("merge_below", [None, 1.0])
def test_the_published_cell_gets_the_nodes_it_was_published_with(tmp_path, shared, merge_below):
    """291 nodes and internodes, 20 unmyelinated ends."""
    found = kinds(
        myelinate(
            cable_from_file(
                bare_axon(shared / "morphologies" / "human_l23_pyramidal_aberra.swc", tmp_path), merge_below=merge_below
            ),
            RULES["aberra"],
        )
    )
    assert found["node"] == found["myelin"] and abs(found["node"] - 291) <= 0.02 * 291
    assert found["unmyelinated"] == 20 and found["axon"] == 1


def test_a_grown_axon_is_straight_and_called_so():
    cell = cable_from_file(builtin_path("ball_and_stick"))
    found = grow(cell, 800.0, 1.2, (0.0, -2.0, 0.0))
    rows = np.flatnonzero(found.kind == GROWN)
    assert found.sections[-1].name == "grown[0]" and found.length[rows].tolist() == [800.0]
    (begin, end) = found.xyz[rows[0]]
    np.testing.assert_allclose(end - begin, [0.0, -800.0, 0.0])
    assert begin[1] == pytest.approx(-float(found.radius[found.kind == 1].max()))
    np.testing.assert_array_equal(found.xyz[:-1], cell.xyz)
    names = kinds(myelinate(found, RULES["aberra"]))
    assert names["grown"] == 1 and names["node"] == names["myelin"] == 1
    again = grow(cell, 800.0, 1.2, (0.0, -2.0, 0.0))
    assert again.sections == found.sections


def test_a_stub_is_replaced_and_an_axon_is_not(tmp_path, cell):
    short = tmp_path / "stub.swc"
    short.write_text("1 1 0 0 0 8 -1\n2 3 0 8 0 1 1\n3 3 0 108 0 1 2\n4 2 0 -8 0 0.5 1\n5 2 0 -28 0 0.5 4\n")
    found = grow(cable_from_file(short), 500.0, 1.0, (0.0, -1.0, 0.0))
    assert kinds(found) == Counter(soma=2, dend=1, grown=1) or kinds(found) == Counter(soma=1, dend=1, grown=1)
    assert axon_length(found) == 500.0 and found.n_nodes == len(np.unique(found.node))
    with pytest.raises(InputError, match="the cell has an axon of 575 um, and axon.length is for one that has none"):
        grow(cell, 500.0, 1.0, (0.0, -1.0, 0.0))
    with pytest.raises(InputError, match=r"axon\.direction .*: give three numbers that are not all zero"):
        grow(cable_from_file(short), 500.0, 1.0, (0.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"no axon .* grow one with axon\.length"):
        myelinate(cable_from_file(builtin_path("ball_and_stick")), RULES["aberra"])


def test_human_size(cell):
    found = to_human(cell)
    for kind, factor in ((2, 2.453), (3, 1.946)):
        np.testing.assert_allclose(found.radius[cell.kind == kind], factor * cell.radius[cell.kind == kind], rtol=1e-14)
    soma = cell.kind == 1
    assert found.membrane[soma].sum() == pytest.approx(2.453 * cell.membrane[soma].sum(), rel=1e-12)
    assert found.length[cell.kind == 3].sum() == pytest.approx(1.17 * 100.0)
    assert found.length[cell.kind == 2].sum() == pytest.approx(cell.length[cell.kind == 2].sum())
    chord = np.linalg.norm(found.xyz[:, 1] - found.xyz[:, 0], axis=1)
    np.testing.assert_allclose(chord, found.length, rtol=1e-12)
    np.testing.assert_allclose(np.diff(found.path, axis=1)[:, 0], found.length, rtol=1e-9)


def described(file: Path, *settings: str):
    return load_order(None, [f'morphology.file="{file}"', "field.magnitude=100", *settings]).described


def test_a_run_description_makes_the_axon_and_its_membrane(tmp_path):
    file = tmp_path / "cell.swc"
    file.write_text(SWC)
    config = described(file, "channels.set=aberra-l23", "axon.myelinate=aberra")
    driven = driven_cable(config, cable_of(config))
    of_kind = {2: 1.0, MYELIN: 0.02, NODE: 1.0, UNMYELINATED: 1.0, 3: 2.0, 1: 1.0}
    np.testing.assert_array_equal(driven.equation.constants.C_m, [of_kind[int(k)] for k in driven.compartments.kind])
    names = {group.channels.name.partition(":")[2] for group in driven.equation.groups}
    assert names == {"soma", "basal", "axon", "node", "myelin", "unmyelinated"}


REFUSED = {
    ("axon.myelinate=aberra",): r"the axon has myelin, and channels\.set = 'squid' no such region",
    ("axon.myelinate=aberra", 'channels.types={5="myelin"}'): r"type 5 is myelin already; leave one of the two out",
    ("axon.diameter=2.0",): r"axon\.diameter: is that of an axon that is grown; give axon\.length, too",
    ("axon.length=500",): r"axon\.length: the cell has an axon of 575 um",
    ("axon.myelinate=aberr",): r"axon\.myelinate: 'aberr' is not one of 'aberra' or 'nemo'",
}


@pytest.mark.parametrize("settings", REFUSED)
def test_what_cannot_be_is_one_line(tmp_path, settings):
    file = tmp_path / "cell.swc"
    file.write_text(SWC)

    def made() -> None:
        config = described(file, *settings)
        driven_cable(config, cable_of(config))

    with pytest.raises(InputError, match=REFUSED[settings]) as caught:
        made()
    assert "\n" not in str(caught.value)


def test_a_cell_without_axon_is_said_to_have_none_before_its_threshold_is_searched():
    from hpcpinn.systems.cell.build.threshold import trial_of
    from hpcpinn.systems.cell.threshold import Search

    config = load_order(None, ['morphology.file="builtin:ball_and_stick"', "field.magnitude=1"]).described
    with pytest.warns(InputWarning, match=r"has no axon: fields of stimulators fire axons; axon\.length grows one"):
        trial_of(config, cable_of(config), Search())
