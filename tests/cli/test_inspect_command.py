"""``python -m hpcpinn inspect`` as a person types it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli import forked

CELL = "# units: nm\n1 1 0 0 0 5 -1\n2 3 6 0 0 0 1\n3 3 16 0 0 1 2\n4 3 6 9 0 1 2\n"


def hpcpinn(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.command(arguments, cwd)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cell.swc"
    path.write_text(CELL)
    return path


def test_json_is_one_object_with_the_promised_keys(file: Path, tmp_path: Path) -> None:
    done = hpcpinn("inspect", file, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    expected = {
        "points": 4,
        "sections": 3,
        "branch_points": 1,
        "length_um": 25.0,
        "units": "um",
        "soma": "1 point, a cylinder with length = diameter = 10 um",
    }
    assert {key: figures[key] for key in expected} == expected
    assert {"area_um2", "volume_um3"} <= set(figures)
    assert len(figures["repairs"]) == 1 and "line 3, point 2: radius 0" in figures["repairs"][0]
    assert "--units nm" in done.stderr
    assert not (tmp_path / "results").exists(), "no picture unless one is asked for"


def test_a_person_gets_a_table_and_a_picture(file: Path, tmp_path: Path) -> None:
    done = hpcpinn("inspect", file, "--units", "nm", "--soma", "literal", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 points, 3 sections, 1 branch point" in done.stdout
    assert "line 3, point 2: radius 0 replaced by 1" in done.stdout
    assert done.stderr == ""
    assert (tmp_path / "results" / "cell.png").read_bytes().startswith(b"\x89PNG")


def test_the_rows_of_the_table_add_up_to_the_line_above_it(file: Path, tmp_path: Path) -> None:
    file.write_text("1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 3 9 0 0 1 2\n4 3 16 0 0 1 3\n5 3 9 9 0 1 3\n")
    done = hpcpinn("inspect", file, cwd=tmp_path)
    assert "length 25.0 um" in done.stdout
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    assert rows["dend"][1:4] == ["4", "3", "19.0"]
    assert rows["gaps"][3:6] == ["-", "-", "6.0"]
    assert rows["soma"][1:4] == ["1", "-", "10.0"]
    assert "the length at the top is that of all rows but the soma's" in done.stdout


def test_no_figure_of_the_table_is_cut_short(file: Path, tmp_path: Path) -> None:
    file.write_text("1 1 0 0 0 5e5 -1\n2 3 6e5 0 0 12345 1\n3 3 1234567.1 0 0 12345 2\n4 4 6e5 9e6 0 1 2\n")
    done = hpcpinn("inspect", file, "--units", "um", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    assert {"dend", "apic", "soma"} <= {line.split()[0] for line in done.stdout.splitlines() if line}


def test_a_refused_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "cell.swc").write_text("1 1 0 0 0 5 -1\n2 3 6 0 0 1 7\n")
    done = hpcpinn("inspect", "cell.swc", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert "cell.swc:2: point 2 has parent 7, which does not exist" in line


@pytest.mark.parametrize("flag, value", [("--units", "inch"), ("--soma", "sphere")])
def test_a_wrong_option_is_one_line_and_exit_code_2(file: Path, tmp_path: Path, flag: str, value: str) -> None:
    done = hpcpinn("inspect", file, flag, value, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and f"'{value}'" in done.stderr
    assert done.stderr.startswith(f"hpcpinn: {flag} {value}: ")


def test_a_picture_never_replaces_the_morphology(tmp_path: Path) -> None:
    """And a place that cannot be used is bad input, found before anything is printed."""
    cell = tmp_path / "cell.png"
    cell.write_text(CELL)
    for picture in (cell, tmp_path, cell / "x.png", Path("/proc/nowhere/x.png")):
        done = hpcpinn("inspect", cell, "--picture", picture, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert str(picture) in done.stderr and "--picture" in done.stderr
        assert done.stderr.count("\n") == 1
    assert cell.read_text() == CELL


def test_a_reading_that_is_not_neurons_is_said_once(file: Path, tmp_path: Path) -> None:
    file.write_text("1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 3 0 6 0 1 1\n4 3 -6 0 0 1 1\n5 3 -16 0 0 1 4\n6 3 0 16 0 1 3\n")
    done = hpcpinn("inspect", file, "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("NEURON would join point 4") == 1 and len(json.loads(done.stdout)["warnings"]) == 1
