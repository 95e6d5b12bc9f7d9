"""What inspect counts and measures, against published counts and NEURON's areas."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.systems.cell.inspection import inspect

PUBLISHED = {
    "rat_l5_pyramidal_with_axon": (10617, 323, 29348),
    "rat_ca1_pyramidal_c91662": (1510, 193, 15376),
    "mouse_purkinje_p43_6": (4154, 757, 6439),
    "fly_t4_flywire_nanometres": (2455, 178, 499885),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_those_published_with_the_cells(shared: Path, name: str) -> None:
    figures = inspect(str(shared / "morphologies" / f"{name}.swc"), units="um").figures()
    assert (figures["points"], figures["sections"], round(figures["length_um"])) == PUBLISHED[name]


def test_the_purkinje_cell_has_378_branch_points(shared: Path) -> None:
    assert inspect(str(shared / "morphologies" / "mouse_purkinje_p43_6.swc")).figures()["branch_points"] == 378


@pytest.mark.parametrize(
    "name, area, volume",
    [
        ("rat_ca1_pyramidal_c91662", 19505.5392, 7365.6636),
        ("mouse_purkinje_p43_6", 27770.0694, 14335.9915),
        ("rat_l5_pyramidal_with_axon", 66325.8106, 21750.1041),
    ],
)
def test_area_and_volume_are_those_of_neuron(shared: Path, name: str, area: float, volume: float) -> None:
    cell = inspect(str(shared / "morphologies" / f"{name}.swc"))
    figures = cell.figures()
    np.testing.assert_allclose([figures["area_um2"], figures["volume_um3"]], [area, volume], rtol=1e-6)
    kinds = cell.by_kind()
    np.testing.assert_allclose(sum(kind.area for kind in kinds), area, rtol=1e-6)
    np.testing.assert_allclose(sum(kind.volume for kind in kinds), volume, rtol=1e-6)
    assert sum(kind.sections for kind in kinds) == figures["sections"]
    assert sum(kind.points for kind in kinds) == figures["points"]
    lengths = sum(kind.length for kind in kinds if kind.kind != "soma")
    np.testing.assert_allclose(lengths + figures["gaps_um"], figures["length_um"], rtol=1e-12)
    assert cell.merged.n_neurite_sections == figures["sections"], "a run counts as inspect does"


def test_the_fly_is_reported_in_full(shared: Path) -> None:
    file = str(shared / "morphologies" / "fly_t4_flywire_nanometres.swc")
    as_read, converted = inspect(file).figures(), inspect(file, units="nm").figures()
    assert len(as_read["repairs"]) == 30, "29 radii of zero, and types that mark forks and ends"
    assert "--units nm" in as_read["warnings"][0] and converted["warnings"] == []
    assert (as_read["units"], converted["units"]) == ("um", "nm")
    for key, power in (("length_um", 1), ("area_um2", 2), ("volume_um3", 3)):
        np.testing.assert_allclose(converted[key], as_read[key] * 1e-3**power, rtol=1e-12)


def test_the_l5_cell_reports_its_103_edges_of_length_zero(shared: Path) -> None:
    figures = inspect(str(shared / "morphologies" / "rat_l5_pyramidal_with_axon.swc")).figures()
    assert len([repair for repair in figures["repairs"] if "length zero" in repair]) == 103
    assert figures["soma"] == "21 points, a chain of frusta, 26.1127 um long"


@pytest.mark.parametrize(
    "name, words",
    [
        ("bad_bifurcating_soma", r":4: radius 0 of point 0, and no point of its soma has a positive one"),
        ("bad_missing_ids", r":42: point 8 has parent 7, which does not exist; line 41"),
        ("bad_multiple_roots_duplicate_id", r":9: id 3 was already given on line 7"),
    ],
)
def test_malformed_cells_are_refused(shared: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        inspect(str(shared / "morphologies" / f"{name}.swc"))


def test_a_root_that_is_no_soma_starts_a_section(tmp_path: Path) -> None:
    path = tmp_path / "cell.swc"
    path.write_text("1 3 0 0 0 1 -1\n2 3 10 0 0 1 1\n3 3 20 0 0 1 2\n4 3 30 0 0 1 3\n5 3 30 5 0 1 3\n")
    figures = inspect(str(path)).figures()
    assert (figures["sections"], figures["branch_points"]) == (3, 1)
    np.testing.assert_allclose(figures["length_um"], 30 + np.hypot(10, 5))
    assert figures["soma"] == "none"
