"""The reader: what it accepts in silence, what it repairs and reports, what it refuses."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.morphology.swc import check_units, read_swc
from tests.morphology.swc_text import RandomCell, random_cells, tree_of, write

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


@SAME_FOLDER
@given(cell=random_cells())
def test_a_tree_is_read_the_same_from_any_file_that_describes_it(tmp_path: Path, cell: RandomCell) -> None:
    tree = tree_of(tmp_path, cell.text, units="um")
    row = {id_: k for k, id_ in enumerate(cell.ids)}
    order = [row[id_] for id_ in tree.id.tolist()]
    assert sorted(order) == list(range(len(cell.ids)))
    np.testing.assert_array_equal(tree.xyz, cell.xyz[order])
    np.testing.assert_array_equal(tree.radius, cell.radius[order])
    np.testing.assert_array_equal(tree.kind, np.array(cell.kind)[order])
    parents = [-1 if p < 0 else cell.ids[p] for p in np.array(cell.parent)[order]]
    assert [-1 if p < 0 else int(tree.id[p]) for p in tree.parent] == parents
    assert np.all(tree.parent < np.arange(tree.n_points)), "parents come first"
    assert tree.repairs == ()
    lines = re.split(r"\r\n|\r|\n", cell.text.removeprefix("\ufeff"))
    assert [int(lines[line - 1].split()[0]) for line in tree.line] == tree.id.tolist()


@SAME_FOLDER
@given(text=st.one_of(st.text(), st.from_regex(r"([0-9. e\-#nai\n]{1,12} ?){1,40}", fullmatch=True)))
def test_any_text_is_read_or_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cell.swc"
    path.write_text(text, encoding="utf-8", errors="replace")
    message, tree = "", None
    try:
        tree = read_swc(path)
    except InputError as error:
        message = str(error)
    if tree is None:
        assert str(path) in message and "\n" not in message
    else:
        assert np.all(tree.radius > 0) and np.all(np.isfinite(tree.xyz))


def test_rows_follow_the_ids_where_parents_come_first(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 1 0 0 0 5 -1\n5 4 0 8 0 1 1\n2 3 6 0 0 1 1\n4 3 9 3 0 1 2\n3 3 9 0 0 1 2\n")
    assert tree.id.tolist() == [1, 2, 3, 4, 5]
    assert tree.parent.tolist() == [-1, 0, 1, 1, 0]


def test_rows_are_depth_first_where_an_id_is_below_its_parents(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 3 6 0 0 1 9\n9 1 0 0 0 5 -1\n4 3 9 3 0 1 1\n3 3 9 0 0 1 1\n5 4 0 8 0 1 9\n")
    assert tree.id.tolist() == [9, 1, 3, 4, 5]
    assert tree.parent.tolist() == [-1, 0, 1, 1, 0]


def test_text_behind_a_data_line_is_a_comment(tmp_path: Path) -> None:
    assert tree_of(tmp_path, "1 1 0 0 0 5 -1 # soma\n2 3 6 0 0 1 1#stem\n").n_points == 2


def test_ids_may_be_written_as_floating_point_numbers(tmp_path: Path) -> None:
    assert tree_of(tmp_path, "1.0 1 0 0 0 5 -1\n2.0 3.0 6 0 0 1 1.0\n").id.tolist() == [1, 2]


@pytest.mark.parametrize("bad", ["0", "-1", "0.0"])
def test_a_missing_radius_comes_from_the_parent_of_the_same_neurite(tmp_path: Path, bad: str) -> None:
    tree = tree_of(
        tmp_path, f"1 1 0 0 0 5 -1\n2 3 6 0 0 1.5 1\n3 3 9 0 0 {bad} 2\n4 3 12 0 0 {bad} 3\n5 3 15 0 0 1 4\n"
    )
    assert tree.radius.tolist() == [5, 1.5, 1.5, 1.5, 1]
    assert [(r.line, r.swc_id) for r in tree.repairs] == [(3, 3), (4, 4)]
    assert "1.5" in tree.repairs[0].text


def test_a_stem_without_radius_asks_its_children_not_the_soma(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 1 0 0 0 5 -1\n2 3 6 0 0 0 1\n3 3 9 0 0 0 2\n4 3 12 0 0 0.7 3\n5 3 9 5 0 0 2\n")
    assert tree.radius.tolist() == [5, 0.7, 0.7, 0.7, 0.7]


def test_a_neurite_without_any_radius_is_refused_at_its_first_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cell\.swc:2: radius 0 of point 2.*neurite"):
        tree_of(tmp_path, "1 1 0 0 0 5 -1\n2 3 6 0 0 0 1\n3 3 9 0 0 0 2\n")


def test_points_on_their_parent_are_kept_and_reported(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 3 0 0 0 2 -1\n2 3 9 0 0 2 1\n3 3 9 0 0 1 2\n4 3 20 0 0 1 3\n")
    assert tree.n_points == 4
    (repair,) = tree.repairs
    assert (repair.line, repair.swc_id) == (3, 3)
    assert "2 -> 1" in repair.text
    assert str(repair).startswith("line 3, point 3: ")


def test_types_that_only_mark_forks_and_ends_give_way_to_the_neurite(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        "1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 5 9 0 0 1 2\n4 6 12 0 0 1 3\n5 3 9 3 0 1 3\n6 6 9 6 0 1 5\n",
    )
    assert tree.kind.tolist() == [1, 3, 3, 3, 3, 3]
    assert len(tree.repairs) == 1 and "3 points" in tree.repairs[0].text


def test_types_5_and_6_that_do_not_mark_structure_are_kept(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 1 0 0 0 5 -1\n2 5 6 0 0 1 1\n3 5 9 0 0 1 2\n")
    assert tree.kind.tolist() == [1, 5, 5]


REFUSED = {
    "nothing at all": ("", r"empty"),
    "only blanks": (" \n\r\n", r"empty"),
    "only comments": ("# 1 1 0 0 0 5 -1\n\n", r"no points"),
    "one point that is no soma": ("3 3 0 0 0 1 -1\n", r":1: the only point is of type 3"),
    "text in a column": ("1 1 0 0 0 5 -1\n2 3 six 0 0 1 1\n", r":2: x is 'six', not a number; give one"),
    "a place beyond all": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 3 6 1e155 0 1 2\n", ":3: y of point 3 is 1e[+]155"),
    "a radius beyond all": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1e200 1\n", r":2: radius of point 2 is 1e[+]200, larger"),
    "a decimal comma": ("1 1 0 0 0 5 -1\n2 3 6,5 0 0 1 1\n", r":2: x is '6,5', not a number"),
    "NaN": ("1 1 0 0 0 5 -1\n2 3 6 0 0 nan 1\n", r":2: radius is nan"),
    "infinity": ("1 1 0 0 0 5 -1\n2 3 6 0 -inf 1 1\n", r":2: z is -inf"),
    "overflow": ("1 1 0 0 0 5 -1\n2 3 6 1e999 0 1 1\n", r":2: y is 1e999, too large"),
    "six columns": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1\n", r":2: 6 columns instead of 7"),
    "semicolons": ("1;1;0;0;0;5;-1\n", r":1: 1 column instead of 7 in '1;1;0;0;0;5;-1'; .* blanks, not semicolons$"),
    "commas": ("1,1,0,0,0,5,-1\n", r":1: 1 column instead of 7 in '1,1,0,0,0,5,-1'; .* blanks, not commas\)$"),
    "Neurolucida": ("(CellBody\n", r":1: 1 column instead of 7 in '\(CellBody'; .* Neurolucida \(ASC\) must be conv"),
    "HTML": ("<!DOCTYPE html>\n", r":1: 2 columns instead of 7 in '<!DOCTYPE html>'; .* it is HTML or XML"),
    "git-lfs": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"is the pointer of git-lfs"),
    "eight columns": ("1 1 0 0 0 5 -1 9\n", r":1: 8 columns instead of 7"),
    "half an id": ("1.5 1 0 0 0 5 -1\n", r":1: id is 1\.5; give a whole number"),
    "a negative id": ("-3 1 0 0 0 5 -1\n", r":1: id -3 is negative"),
    "an endless id": ("1e300 1 0 0 0 5 -1\n", r":1: id is 1e300, too large"),
    "a negative type": ("1 -1 0 0 0 5 -1\n", r":1: type -1 is negative"),
    "the same id twice": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n2 3 9 0 0 1 1\n", r":3: id 2 .* line 2"),
    "no such parent": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1 7\n", r":2: point 2 has parent 7, which does not exist"),
    "two roots": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 3 9 0 0 1 -1\n", r":3: 2 roots .* lines 1, 3"),
    "two roots, a soma": (
        "1 3 0 0 0 1 -1\n2 1 6 0 0 5 -1\n3 3 9 0 0 1 2\n",
        r":1: 2 roots .* lines 1, 2; the tree of line 2 has the soma and 2 of the 3 points; join the others",
    ),
    "two somata": (
        "1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 1 9 0 0 1 -1\n4 3 19 0 0 1 3\n",
        r":3: 2 roots .* lines 1, 3; 2 trees have a soma; keep one tree per file or join them",
    ),
    "its own parent": ("1 1 0 0 0 5 -1\n2 3 6 0 0 1 2\n", r":2: the parents run in a circle: 2 -> 2"),
    "a cycle": (
        "1 1 0 0 0 5 -1\n9 3 6 0 0 1 4\n3 3 6 0 0 1 5\n4 3 7 0 0 1 3\n5 3 8 0 0 1 4\n",
        r":3: the parents run in a circle: 3 -> 5 -> 4 -> 3",
    ),
    "no root at all": ("1 3 0 0 0 5 2\n2 3 6 0 0 1 1\n", r":1: the parents run in a circle"),
    "a soma without radius": ("1 1 0 0 0 0 -1\n2 3 9 0 0 1 1\n", r":1: radius 0 of point 1.*soma"),
    "zeros only": ("\0\0", r"not a text file \(it holds NUL bytes"),
    "zero bytes": ("1 1 0 0 0 5 -1\n\0", r"not a text file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_repaired_is_refused_with_line_and_reason(tmp_path: Path, case: str) -> None:
    text, pattern = REFUSED[case]
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=pattern) as caught:
        read_swc(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_parent_that_was_commented_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":3: point 3 has parent 2.*line 2 has it commented out"):
        tree_of(tmp_path, "1 1 0 0 0 5 -1\n# 2 3 6 0 0 1 1\n3 3 9 0 0 1 2\n")


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory; give the path of an SWC file"):
        read_swc(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_swc(tmp_path / "cell.swc")


SMALL = "1 1 0 0 0 5 -1\n2 3 60 0 0 1 1\n"


@pytest.mark.parametrize("units, factor", [("um", 1.0), ("nm", 1e-3), ("m", 1e6)])
def test_a_named_unit_is_obeyed(tmp_path: Path, units: str, factor: float) -> None:
    tree = tree_of(tmp_path, SMALL, units=units)
    assert tree.unit == units and tree.warnings == () and tree.suspected_unit is None
    np.testing.assert_allclose(tree.edge_length[1], 60.0 * factor)
    np.testing.assert_allclose(tree.radius, [5 * factor, factor])


@pytest.mark.parametrize(
    "text, unit",
    [
        ("# units: nanometres\n" + SMALL, "nm"),
        ('# Meta: {"units": "1 nanometer"}\n' + SMALL, "nm"),
        ("1 1 0 0 0 5000 -1\n2 3 60000 0 0 1000 1\n", "nm"),
        ("1 1 0 0 0 5e-6 -1\n2 3 6e-5 0 0 1e-6 1\n", "m"),
    ],
)
def test_another_unit_is_suspected_but_nothing_converted(tmp_path: Path, text: str, unit: str) -> None:
    tree = tree_of(tmp_path, text)
    assert tree.suspected_unit == unit
    assert tree.unit == "um"
    assert f"--units {unit}" in tree.warnings[0]
    np.testing.assert_array_equal(tree.xyz[1, 0], float(text.splitlines()[-1].split()[2]))
    with pytest.raises(InputError, match=f"--units {unit}"):
        check_units(tree)


def test_micrometres_raise_no_suspicion(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "# units: micrometers (um)\n# the nm of this lab\n" + SMALL)
    assert tree.warnings == () and tree.suspected_unit is None
    check_units(tree)


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'inch'.*nm"):
        tree_of(tmp_path, SMALL, units="inch")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("1 1 0 0 0 5 -1\n".encode("utf-16"), r"is UTF-16, no plain text; save it as UTF-8$"),
        (gzip.compress(b"1 1 0 0 0 5 -1\n", mtime=0), r"is compressed \(gzip\), no SWC text; unpack it with gunzip$"),
        (b"\x89HDF\r\n\x1a\n\0\0", r"is an HDF5 file, such as a result of hpcpinn, no morphology; give an SWC file$"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.swc").write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_swc(tmp_path / "a.swc")


def test_a_unit_that_makes_all_radii_vanish_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.swc").write_text("1 1 0 0 0 5 -1\n2 3 9 0 0 1 1\n")
    with pytest.raises(InputError, match=r"a.swc:1: radius 5 of point 1,.* give .*, or correct --units 1e-6um$"):
        read_swc(tmp_path / "a.swc", units="1e-6um")
