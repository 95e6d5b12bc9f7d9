"""What a person reads when a site, a file or a name is wrong: place, value and fix in one line."""

import ast
from pathlib import Path

import pytest

from hpcpinn.errors import InputWarning
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.commands import inspect as inspect_command
from hpcpinn.systems.cell.config.reading import load_config
from tests.cli.test_main import hpcpinn, refused

JOB = """\
[morphology]
file = "builtin:y_branch"

[[synapse]]
site = "tip"
start = 60

[[probe]]
site = "root"

[[probe]]
name = "far"
site = "foo"
"""


def test_a_site_is_named_with_the_line_of_the_job_and_what_would_do(tmp_path):
    (tmp_path / "job.toml").write_text(JOB)
    done = hpcpinn("run", "job.toml", cwd=tmp_path)
    warning, line = done.stderr.splitlines()
    assert done.returncode == 2
    assert warning == (
        "hpcpinn: warning: job.toml, line 6: [[synapse]] number 1, start: 60 ms is not before the end of the run "
        "(run.duration = 50 ms), so it does nothing"
    )
    assert line.startswith("hpcpinn: job.toml, line 13: [[probe]] number 2, site: site 'foo': ")
    assert line.endswith(
        "soma, root, apic[12](0.5), point:123, xyz:1,2,3 or tip:apic; this cell has 3 dend (dend[0] to [2])"
    )


def test_a_site_that_a_flag_gave_is_named_with_the_flag(tmp_path):
    (tmp_path / "job.toml").write_text(JOB.replace("60", "1"))
    line = refused(hpcpinn("run", "job.toml", "--set", "probe.1.site=xyz:0,9000,0", cwd=tmp_path))
    assert "--set probe.1.site=xyz:0,9000,0: [[probe]] number 2, site: site 'xyz:0,9000,0'" in line
    assert "um from the cell; the nearest place is" in line


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["inspect", ""], "the name of the morphology file is empty; give an SWC file, or builtin:"),
        (["inspect", "."], ".: is a directory; give the path of an SWC file"),
        (["inspect", "builtin:pyramidl"], "did you mean builtin:pyramidal?"),
        (["inspect", "huge.swc"], "huge.swc:2: x of point 2 is 1e+200, larger than any cell; give it in um"),
        (["plot", "cut.h5"], "cut.h5: cannot be read, it is truncated or damaged; restore it from a copy, or run"),
        (["plot", "."], ".: is a directory; give the path of an hpcpinn-result file"),
        (["submit", "--output", "huge.swc", "--dry-run"], "huge.swc is there already and is no hpcpinn result"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_fix(tmp_path, typed, expected):
    (tmp_path / "huge.swc").write_text("1 1 0 0 0 5 -1\n2 3 1e200 0 0 1 1\n")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n\0\0")
    assert expected in refused(hpcpinn(*typed, cwd=tmp_path))


def test_no_bracket_in_a_name_is_taken_for_a_style():
    """``[bold]`` in a path or a probe's name is printed, not obeyed and swallowed."""
    folder = Path(inspect_command.__file__).parent
    calls = [
        (file.name, ast.unparse(node))
        for file in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Console"
    ]
    assert calls
    assert [call for call in calls if "markup=False" not in call[1]] == []


def test_a_current_in_pA_ends_a_run_with_two_lines_and_no_result(tmp_path):
    job = """\
[morphology]
file = "builtin:ball_and_stick"
[[clamp]]
site = "soma"
start = 0.1
duration = 0.5
current = 300
[channels]
soma = "passive"
basal = "passive"
[run]
duration = 1.0
output_interval = 0.1
[window]
kind = "split"
"""
    (tmp_path / "job.toml").write_text(job)
    done = hpcpinn("run", "job.toml", "--set", "cable.d_lambda=0.3", cwd=tmp_path)
    warning, error = [line for line in done.stderr.splitlines() if line.startswith("hpcpinn: ")]
    assert done.returncode == 2
    place = "job.toml, line 7: [[clamp]] number 1, current: 300 nA"
    assert warning == (
        f"hpcpinn: warning: {place} is outside the usual 0.002 to 60 nA; it looks like pA: write 0.3 "
        "(it is taken as it stands)"
    )
    assert error.startswith(f"hpcpinn: {place} take the membrane to ")
    assert error.endswith("no membrane survives that: it looks like pA: write 0.3")


def test_repairs_of_a_file_are_said_in_a_run(tmp_path):
    (tmp_path / "cell.swc").write_text("1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 3 6 0 0 1 2\n4 3 40 0 0 0 3\n")
    said = r"cell.swc: read with 2 repairs, the first: line .* \(hpcpinn inspect .*cell.swc shows all\)"
    with pytest.warns(InputWarning, match=said):
        load_cable(load_config(None, [f"morphology.file={tmp_path}/cell.swc"]).morphology)
