"""Sites: every way to name a place, and a helpful line for every way to misname it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthetic
from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.sites import parse_site, place
from tests.morphology.swc_text import tree_of
from tests.morphology.test_neuron_sections import CASES as SECTIONS
from tests.morphology.test_neuron_sections import SPLIT_SOMA
from tests.morphology.test_soma import CHAIN, ONE_POINT


@pytest.fixture
def cell(tmp_path: Path) -> Cable:
    return cable_from_swc(tree_of(tmp_path, ONE_POINT))[0]


@pytest.mark.parametrize(
    "text, section, s, xyz",
    [
        ("soma", "soma[0]", 0.0, (0, 0, 0)),
        ("root", "soma[0]", 0.0, (0, 0, 0)),
        ("soma[0]", "soma[0]", 0.0, (0, 0, 0)),
        ("soma[0](1)", "soma[0]", 5.0, (5, 0, 0)),
        ("soma[0](0.75)", "soma[0]", 2.5, (2.5, 0, 0)),
        ("soma[0](0.25)", "soma[0]b", 2.5, (-2.5, 0, 0)),
        ("apic[0](0)", "apic[0]", 0.0, (0, 7, 0)),
        (" dend[0](0.2) ", "dend[0]", 2.0, (8, 0, 0)),
        ("axon[0]", "axon[0]", 10.0, (0, -10, 0)),
        ("point:6", "apic[0]", 10.0, (0, 17, 0)),
        ("point:1", "soma[0]", 0.0, (0, 0, 0)),
        ("xyz:13,4,0", "dend[0]", 7.0, (13, 0, 0)),
        ("xyz: 5, 70, 0", "apic[1]", 11.18034, (5, 27, 0)),
        ("tip", "apic[1]", 11.18034, (5, 27, 0)),
        ("tip:apical", "apic[1]", 11.18034, (5, 27, 0)),
        ("tip:2", "axon[0]", 20.0, (0, -20, 0)),
        ("tip:basal", "dend[0]", 10.0, (16, 0, 0)),
    ],
)
def test_a_name_leads_to_its_place(
    cell: Cable, text: str, section: str, s: float, xyz: tuple[float, float, float]
) -> None:
    site = parse_site(text, cell)
    assert site.name == text.strip()
    name, position, where = place(site, cell)
    assert name == section
    np.testing.assert_allclose([position, *where], [s, *xyz], atol=1e-5)


@pytest.mark.parametrize(
    "text, words",
    [
        ("apic[7](0.5)", r"no section apic\[7\]; apic\[\] runs from apic\[0\] to apic\[2\]"),
        ("apik[1]", r"did you mean apic\[1\]"),
        ("sooma", "did you mean soma"),
        ("foo", r"[Ww]rite soma, root, apic\[12\]\(0.5\), point:123, xyz:1,2,3 or tip:apic"),
        ("sooma", r"[Ww]rite soma, root, apic"),
        (
            "xyz:0,500,0",
            r"472.5 um from the cell; the nearest place is apic\[1\], .*xyz:5.0,27.0,0.0; .*50 um",
        ),
        ("the far end", r"write soma, root, apic\[12\]\(0.5\)"),
        ("apic[0](1.5)", "position 1.5 is not between 0 and 1"),
        ("apic[0](half)", "'half' is not a number between 0 and 1"),
        ("apic[0](nan)", "'nan' is not a number"),
        ("xyz:1,2", "'1,2' is not three numbers"),
        ("point:4b", "'4b' is not a point id"),
        ("point:99", "no frustum ends at point 99; the nearest ids are 7 and 8"),
        ("tip:glia", "no type 'glia' in this cell; there are apic, apical, axon, basal, dend, soma"),
        ("", "write soma"),
        ("apic[7]", r"did you mean apic\[2\]\?"),
        ("Soma", "did you mean soma"),
        ("SOMA(0.5)", "did you mean soma"),
        ("Dend[0]", r"did you mean dend\[0\]"),
        ("dendrite[3]", r"did you mean dend\[0\]"),
        ("apical[1](0.5)", r"did you mean apic\[1\]"),
        ("basal dendrite", r"did you mean dend\[0\]"),
        ("apic2", r"did you mean apic\[2\]"),
        ("axon", r"did you mean axon\[0\]"),
        ("tip:dend5", r"no type 'dend5' in this cell; there are .*; did you mean tip:dend\?"),
        ("foo[1]", r"this cell has soma\[0\], axon\[0\], dend\[0\], 3 apic \(apic\[0\] to \[2\]\)"),
        ("point:99999999999999999999999", "no such point; ids run from 1 to 8"),
        ("dend[99999999999999999999999]", r"no section dend\[9+\]; dend\[\] runs .* did you mean dend\[0\]"),
        ("apic[0](1e999)", "'1e999' is not a number"),
        ("xyz:1e999,0,0", "is not three numbers"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_right_one(cell: Cable, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_site(text, cell)
    assert f"site '{text}'" in str(caught.value)


@settings(deadline=None)
@given(
    text=st.sampled_from(["soma", "soma[0](0.3)", "apic[0](0.77)", "tip:apic", "point:6", "xyz:3,21,0"]),
    cuts=st.lists(st.integers(0, 3), min_size=7, max_size=7),
)
def test_a_place_does_not_depend_on_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, text: str, cuts: list[int]
) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path_factory.getbasetemp(), ONE_POINT))
    pieces = cable.split([np.arange(1, n + 1) / (n + 1) for n in cuts[: cable.n_frusta]])
    whole, cut = place(parse_site(text, cable), cable), place(parse_site(text, pieces), pieces)
    assert whole[0] == cut[0]
    np.testing.assert_allclose(whole[1], cut[1], atol=1e-9)
    np.testing.assert_allclose(whole[2], cut[2], atol=1e-9)


def test_points_that_merging_removed_are_found_through_the_tree(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, synthetic.ball_and_stick())
    cable, _ = cable_from_swc(tree, merge_below=1.0)
    with pytest.raises(InputError, match="no frustum ends at point 5"):
        parse_site("point:5", cable)
    section, s, xyz = place(parse_site("point:5", cable, tree), cable)
    assert section == "dend[0]"
    np.testing.assert_allclose([s, *xyz], [60, 70, 0, 0], atol=1e-9)
    assert place(parse_site("point:2", cable, tree), cable)[:2] == ("dend[0]", 0.0)  # wired to the soma
    with pytest.raises(InputError, match="no point 77 in .*; the nearest id is 12"):
        parse_site("point:77", cable, tree)


def test_the_middle_of_a_chain_soma_is_at_half_its_length(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, CHAIN))
    np.testing.assert_allclose(place(parse_site("soma", cable), cable)[2], [0, 7.5, 0])


def test_a_cell_without_soma_has_a_root(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, synthetic.y_branch()))
    with pytest.raises(InputError, match="no soma; use 'root'"):
        parse_site("soma", cable)
    np.testing.assert_array_equal(place(parse_site("root", cable), cable)[2], [0, 0, 0])


def test_a_position_beside_the_cell_is_moved_with_a_word(cell, recwarn):
    near = parse_site("xyz:13,4,0", cell)  # 4 µm from an axis with a radius of 0.65
    assert [str(w.message) for w in recwarn] == [
        "site 'xyz:13,4,0': 3.35 um beside the cell; the nearest place is taken, dend[0], 7.0 um from its start"
    ]
    recwarn.clear()
    x, y, z = place(near, cell)[2]
    assert parse_site(f"xyz:{x},{y},{z}", cell).frustum == near.frustum
    assert not recwarn.list


@pytest.mark.parametrize(
    "text",
    ["point:" + "9" * 6000, "dend[" + "9" * 6000 + "]", "x" * 6000, "a\nb\x1b[31m", "tip:" + "y" * 6000],
)
def test_a_wrong_name_of_any_length_is_refused_in_one_short_line(cell: Cable, tmp_path: Path, text: str) -> None:
    for tree in (None, tree_of(tmp_path, ONE_POINT)):
        with pytest.raises(InputError) as caught:
            parse_site(text, cell, tree)
        assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


def test_sections_run_by_number_not_by_place_in_the_tree(tmp_path: Path) -> None:
    """Numbers follow the file; the tree is stored depth first."""
    text = "1 3 0 0 0 1 -1\n2 3 9 0 0 1 1\n3 3 9 9 0 1 2\n4 3 9 -9 0 1 2\n5 3 9 18 0 1 3\n6 3 9 9 9 1 3\n"
    cable, _ = cable_from_swc(tree_of(tmp_path, text))
    assert [s.name for s in cable.sections] != sorted(s.name for s in cable.sections)
    with pytest.raises(InputError, match=r"dend\[\] runs from dend\[0\] to dend\[4\]; did you mean dend\[4\]"):
        parse_site("dend[77]", cable)


def test_the_soma_is_its_section_with_most_membrane(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, SPLIT_SOMA))
    name, along, xyz = place(parse_site("soma", cable), cable)
    assert (name, along) == ("soma[1]", 5.0)
    np.testing.assert_array_equal(xyz, [0, 10, 0])
    pieces = cable.split([np.array([0.3, 0.7]) for _ in range(cable.n_frusta)])
    assert place(parse_site("soma", pieces), pieces)[0] == "soma[1]"


def test_a_site_finds_every_section_of_every_reading_at_its_place(tmp_path: Path) -> None:
    """Also where sections meet in the middle or at the start of others."""
    for text in SECTIONS.values():
        cable, _ = cable_from_swc(tree_of(tmp_path, text))
        for section in cable.sections:
            if section.name == "soma[0]b":
                continue
            for x in (0.0, 0.5, 1.0):
                name, _, _ = place(parse_site(f"{section.name}({x})", cable), cable)
                assert name.removesuffix("b") == section.name
