"""The unit of a file: what its header declares, in any spelling, and what its size speaks for."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.swc import SwcTree, check_units, read_swc
from hpcpinn.morphology.swc_units import declarations
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.units import length_per_unit
from tests.morphology.swc_text import RandomCell, random_cells, tree_of

CELL = "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 60 0 0 1 2\n"


def under(folder: Path, header: bytes, cell: str = CELL) -> SwcTree:
    """The cell below a header of any bytes."""
    path = folder / "cell.swc"
    path.write_bytes(b"# " + header + b"\n" + cell.encode())
    return read_swc(path)


@pytest.mark.parametrize(
    "header",
    [
        b"Units: \xb5m",
        "Units: µm".encode(),
        "Units: μm".encode(),
        "Units: Âµm".encode(),
        "units: \ufffdm".encode(),
    ],
)
def test_micrometres_in_any_encoding(tmp_path: Path, header: bytes) -> None:
    tree = under(tmp_path, header)
    assert tree.warnings == () and tree.suspected_unit is None
    assert [found.unit for found in declarations(((1, header.decode("utf-8", "replace")),))] == ["um"]


@pytest.mark.parametrize(
    "prose",
    [
        "Unit 12, slice of M. S., 300 micrometers",
        "single unit, 3 mm deep",
        "Unit: 3 mm from bregma",
        "unit is 300 um thick",
        "Unit 12 m",
        "unit M",
        "units: 0 nm",
        "units: 1e999 nm",
        "units of area: um^2",
        "the nm of this lab",
        "imaged at 0.1 um/pixel, z step 1 mm",
        "Unit: hippocampus",
        "units: see the paper",
        "unit: inches of rain fell",
        "resolution: high",
        "resolution: 1 um",
        "scale: 1:100",
        "SCALE 1.0 1.0 1.0",
        "voxel size varies by 8 nm",
        "x (um) y (um) z (um)",
    ],
)
def test_prose_declares_nothing(tmp_path: Path, prose: str) -> None:
    assert under(tmp_path, prose.encode()).warnings == ()
    assert list(declarations(((1, prose),))) == []


@pytest.mark.parametrize(
    "header, unit, words",
    [
        ("units: mm", "mm", "lengths seem to be in mm, not um; use --units mm"),
        ('Meta: {"units": "8 nanometer"}', "8nm", "a length of 1 seems to be 8nm, not um; use --units 8nm"),
        ('Meta: {"id": 1, "units": "1 nanometer"}', "nm", "lengths seem to be in nm"),
        ("unit: micron x 0.25", "0.25um", "a length of 1 seems to be 0.25um"),
        ("units: voxels of 8 nm", "8nm", "--units 8nm"),
        ("Unit = 0.25 um/pixel", "0.25um", "--units 0.25um"),
        ("all coordinates are in nanometres", "nm", "--units nm"),
        (
            "units: pixels",
            "unknown",
            "pixels or voxels, whose size is not given; give it with --units, such as",
        ),
        ("units: ['4 nm', '4 nm', '40 nm']", "unknown", "the axes have different units"),
        ("Units: 8nm x 8nm x 8nm", "8nm", "use --units 8nm"),
        ("Units: 8 nm x 8 nm x 40 nm", "unknown", "the axes have different units"),
        ("units: 0,25 um", "0.25um", "use --units 0.25um"),
        ("Units: px (1 px = 0.5 um)", "0.5um", "use --units 0.5um"),
        ("unit: inch", "unknown", "declares a unit that is not known (inch); give it with --units"),
        ("Unit=Angstrom", "unknown", "declares a unit that is not known (Angstrom); give it with --units"),
        ("units: none", "unknown", "declares a unit that is not known (none); give it with --units"),
        ("units: -8 nm", "unknown", "declares a unit that is not known (-8 nm); give it with --units"),
        ("units: inf nm", "unknown", "declares a unit that is not known (inf nm); give it with --units"),
        ("units: nm (x,y,z), um (radius)", "unknown", "the columns have different units"),
        ("units: um, radius in nm", "unknown", "the columns have different units"),
    ],
)
def test_another_unit_in_the_header_stops_a_run_and_names_the_flag(
    tmp_path: Path, header: str, unit: str, words: str
) -> None:
    tree = under(tmp_path, header.encode())
    assert tree.suspected_unit == unit and tree.unit == "um"
    assert f"line 1 says '{header}'" in tree.warnings[0] and words in tree.warnings[0]
    with pytest.raises(InputError, match=r"cell\.swc: line 1 says"):
        check_units(tree)


@pytest.mark.parametrize(
    "header", ["voxel size: 8x8x40 nm", "resolution: 4 nm", "scale: 0.1 um per pixel", "x[nm] y[nm] z[nm]"]
)
def test_what_may_be_a_unit_is_said_and_stops_nothing(tmp_path: Path, header: str) -> None:
    tree = under(tmp_path, header.encode())
    (warning,) = tree.warnings
    assert warning.startswith(f"line 1 says '{header}', which may be a unit; lengths are taken for um: use --units")
    check_units(tree)
    assert under(tmp_path, f"units: um\n# {header}".encode()).warnings == ()


def test_no_factor_is_advised_where_columns_differ(tmp_path: Path) -> None:
    (warning,) = under(tmp_path, b"units: nm (x,y,z), um (radius)").warnings
    assert "--units nm" not in warning and "write all lengths in one unit" in warning


@pytest.mark.parametrize(
    "header",
    ["units: micrometers (converted from nm)", "units: nm (converted to um)", "units: 1000 nm", "units um"],
)
def test_what_amounts_to_micrometres_is_no_other_unit(tmp_path: Path, header: str) -> None:
    assert under(tmp_path, header.encode()).warnings == ()


NAMES = {
    1e-3: ["nm", "NM", "nanometer", "nanometers", "nanometre", "Nanometres", "nano-meter"],
    1.0: ["um", "µm", "μm", "Âµm", "Î¼m", "micrometer", "micrometres", "Micron", "microns"],
    1e3: ["mm", "millimeter", "millimetres"],
    1e4: ["cm", "centimetres"],
    1e6: ["m", "meter", "metres"],
}
KEYWORDS = ["units: {}", "Unit = {}", "UNITS: {}", "unit of length: {}", 'Meta: {{"units": "{}"}}', "units are {}",
            "units: ({})", "units: [{}].", "x: 1, units: {}, y: 2", "all coordinates are in {}"]  # fmt: skip


@settings(deadline=None)
@given(
    worth=st.sampled_from(sorted(NAMES)),
    number=st.sampled_from([None, 1.0, 2.0, 8.0, 0.25, 16.5]),
    data=st.data(),
    keyword=st.sampled_from(KEYWORDS),
)
def test_every_spelling_declares_the_same(
    worth: float, number: float | None, data: st.DataObject, keyword: str
) -> None:
    name = data.draw(st.sampled_from(NAMES[worth]))
    words = name if number is None else data.draw(
        st.sampled_from([f"{number} {name}", f"{number:g}{name}", f"{name} x {number}", f"{number} x {name}",
                         f"{number:e} {name}", f"{number} {name} per voxel"])
    )  # fmt: skip
    (found,) = declarations(((1, keyword.format(words)),))
    assert found.unit is not None
    assert length_per_unit(found.unit) == pytest.approx(worth * (number or 1.0), rel=1e-12)


def test_a_size_that_speaks_for_another_unit_names_all_that_it_may_be(tmp_path: Path) -> None:
    voxels = "1 1 0 0 0 625 -1\n2 3 625 0 0 125 1\n3 3 35250 0 0 125 2\n"
    (warning,) = tree_of(tmp_path, voxels).warnings
    assert "35.25 um" in warning and "--units 8nm (voxels of 8 nm) would make it 282 um" in warning
    assert "use --units nm" not in warning
    (warning,) = tree_of(tmp_path, "1 1 0 0 0 5e-3 -1\n2 3 0.06 0 0 1e-3 1\n").warnings
    assert "--units mm (mm) would make it 60 um" in warning


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cell=random_cells(), power=st.integers(-9, 11))
def test_a_unit_that_is_a_power_of_two_scales_the_geometry_bit_by_bit(
    tmp_path: Path, cell: RandomCell, power: int
) -> None:
    factor = 2.0**power
    scaled, _ = cable_from_swc(tree_of(tmp_path, cell.text, units=f"{factor!r}um"))
    plain, _ = cable_from_swc(tree_of(tmp_path, cell.text, units="um"))
    for name in ("length", "radius", "xyz", "start", "path"):
        np.testing.assert_array_equal(getattr(scaled, name), factor * getattr(plain, name))
    np.testing.assert_array_equal(scaled.volume, factor**3 * plain.volume)


def test_a_job_file_takes_the_same_units(tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text('morphology.units = "8nm"\n')
    assert load_config(job, []).morphology.units == "8nm"
    assert load_config(job, ['morphology.units="0.25 µm"']).morphology.units == "0.25 um"
    with pytest.raises(InputError, match="morphology.units.*'inch'; use auto, nm, um, mm, cm, m, or a number"):
        load_config(job, ['morphology.units="inch"'])


def test_the_unit_is_shown_in_letters_that_every_terminal_has(tmp_path: Path) -> None:
    assert tree_of(tmp_path, CELL, units="0.25\udcb5m").unit == "0.25um"


def test_voxels_are_converted(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, "1 1 0 0 0 625 -1\n2 3 625 0 0 125 1\n3 3 7500 0 0 125 2\n", units="8nm")
    assert tree.unit == "8nm" and tree.suspected_unit is None
    assert tree.edge_length.sum() == pytest.approx(60.0)
    cable, _ = cable_from_swc(tree)
    assert cable.volume[cable.kind == 1].sum() == pytest.approx(2 * math.pi * 5**3)


@pytest.mark.parametrize("name, suspected", [("latin1", None), ("prose", None), ("mm", "mm"), ("voxel8", "8nm")])
def test_the_reported_files(shared: Path, name: str, suspected: str | None) -> None:
    path = shared / "cases" / "05" / f"{name}.swc"
    if not path.exists():
        pytest.skip("shared/cases is not here")
    tree = read_swc(path)
    assert tree.suspected_unit == suspected
    assert suspected is not None or tree.warnings == ()
