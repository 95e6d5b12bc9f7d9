"""The command line as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcpinn import __version__
from hpcpinn.cli.main import DEBUG, all_commands, application, with_resume_value
from hpcpinn.cli.run import wish_to_resume
from hpcpinn.config.jobs import DEFAULT, bundled_job
from hpcpinn.core.order import Resumption
from hpcpinn.morphology.sites import GRAMMAR
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.jobs import load_order
from tests.cli import forked

REPOSITORY = Path(__file__).resolve().parents[2]


def hpcpinn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.command(arguments, cwd, {"COLUMNS": "100"}, limit=60.0)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that was refused."""
    assert done.returncode == 2
    # On a busy machine progress may have been said before.
    assert [line for line in done.stdout.splitlines() if not line.startswith(("setting up", "reading"))] == []
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_help_lists_every_command_and_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['hpcpinn', '--help']\n"
        "from hpcpinn.__main__ import main\n"
        "try: main()\n"
        "finally: print([m for m in ('jax', 'numpy', 'matplotlib', 'h5py') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    for command in all_commands():
        assert f"  {command} " in done.stdout


def test_help_goes_on_where_a_system_is_broken(tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_library")
    around = {"HPCPINN_SYSTEMS": "broken.py"}
    for typed in (["--help"], [], ["run", "--help"]):
        done = forked.command(typed, tmp_path, around, limit=60.0)
        assert done.returncode == 0 and "Usage: hpcpinn" in done.stdout
        assert done.stderr.startswith("hpcpinn: warning: HPCPINN_SYSTEMS: broken.py, line 1: ModuleNotFoundError")
    assert "broken.py, line 1" in refused(forked.command(["jobs"], tmp_path, around, limit=60.0))


@pytest.mark.parametrize("command", [[], ["plot"], ["validate"], ["infer"], ["uq"]])
def test_help_speaks_of_other_systems_too(command):
    shown = " ".join(CliRunner().invoke(application(), [*command, "--help"]).output.split())
    assert ("systems of your own" if command else "other systems") in shown.replace(
        "A system of", "systems of"
    ).replace("a system of", "systems of")


def test_no_argument_is_a_call_for_help(tmp_path):
    done = hpcpinn(cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage: hpcpinn" in done.stdout


def test_the_version_is_the_packages(tmp_path):
    done = hpcpinn("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_mistakes_on_the_command_line(tmp_path):
    assert "rum" in refused(hpcpinn("rum", cwd=tmp_path))
    assert "--morfology" in refused(hpcpinn("run", "--morfology", "a.swc", cwd=tmp_path))
    assert "cell.toml: no such job file" in refused(hpcpinn("run", "cell.toml", cwd=tmp_path))
    line = refused(hpcpinn("run", "--set", "run.durtion=5", cwd=tmp_path))
    assert "run.durtion: unknown key; did you mean 'duration'?" in line
    assert "no checkpoint" in refused(hpcpinn("run", "--resume", cwd=tmp_path))


def test_run_refuses_a_missing_cell_before_it_writes_anything(tmp_path):
    line = refused(hpcpinn("run", "--morphology", "none.swc", cwd=tmp_path))
    assert "none.swc" in line
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path):
    done = hpcpinn("run", "cell.toml", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "cell.toml: no such job file" in done.stderr.splitlines()[-1]


def test_partition_prints_one_json_object(tmp_path):
    done = hpcpinn("partition", "builtin:pyramidal", "-n", "4", "--json", cwd=tmp_path)
    assert done.returncode == 0
    figures = json.loads(done.stdout)
    assert figures["ranks"] == 4
    assert 1.0 <= figures["imbalance"] <= 1.10
    assert figures["cuts"] >= 1
    assert figures["interfaces"] >= 3
    assert sum(figures["pieces_per_rank"]) == figures["pieces"]
    assert list(tmp_path.iterdir()) == []


def test_partition_prints_a_table_and_draws_a_map(tmp_path):
    done = hpcpinn("partition", "builtin:y_branch", "-n", "3", cwd=tmp_path)
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows[1:4]] == ["0", "1", "2"]
    assert "3 ranks, imbalance 1.0" in done.stdout
    assert "interfaces (pairs of ranks that exchange traces)" in done.stdout
    two = hpcpinn("partition", "builtin:y_branch", "-n", "2", cwd=tmp_path)
    assert "1 interface (pairs of ranks that exchange traces)" in two.stdout
    picture = tmp_path / "results" / "builtin-y_branch-3-ranks.png"
    assert str(picture.relative_to(tmp_path)) in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("builtin:y_branch", "-n", "0"), "-n 0"),
        (("builtin:y_branch", "-n", "few"), "'-n' / '--ranks': Input should be a valid integer"),
        (("builtin:y_branch",), "-n"),
        (("builtin:octopus", "-n", "2"), "no bundled cell 'octopus'"),
        (("none.swc", "-n", "2"), "none.swc"),
        (("builtin:y_branch", "-n", "2", "--soma", "round"), "'round' is not one of 'neuron'"),
    ],
)
def test_partition_refuses(arguments, expected, tmp_path):
    assert expected in refused(hpcpinn("partition", *arguments, cwd=tmp_path))


def test_partition_says_why_a_picture_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = hpcpinn("partition", "builtin:y_branch", "-n", "2", "--picture", "file/map.png", cwd=tmp_path)
    assert "file/map.png cannot be written in" in (line := refused(done))
    assert "(Not a directory); name another file with --picture" in line
    done = hpcpinn("partition", "builtin:y_branch", "-n", "2", "--picture", "map.docx", cwd=tmp_path)
    assert "map.docx: no format of pictures; let it end in .png" in refused(done)
    (tmp_path / "cell.png").write_text("1 1 0 0 0 5 -1")
    done = hpcpinn("partition", "cell.png", "-n", "2", "--picture", "cell.png", cwd=tmp_path)
    assert "cell.png is the morphology file, which would be lost" in refused(done)
    assert (tmp_path / "cell.png").read_text() == "1 1 0 0 0 5 -1"


@pytest.mark.parametrize("command", all_commands())
def test_help_of_every_command_tells_of_debug(command):
    shown = CliRunner().invoke(application(), [command, "--help"]).output
    assert DEBUG in " ".join(shown.split())


def test_help_of_run_points_to_the_keys_and_spells_sites():
    shown = " ".join(CliRunner().invoke(application(), ["run", "--help"]).output.split())
    assert "docs/run-description.md" in shown.replace("- ", "-")
    assert GRAMMAR in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["run", "--resume"], ["run", "--resume", "here"]),
        (["run", "--resume", "--set", "a=1"], ["run", "--resume", "here", "--set", "a=1"]),
        (["run", "--resume", "job.toml"], ["run", "--resume", "here", "job.toml"]),
        (["run", "--resume", "auto", "job.toml"], ["run", "--resume", "auto", "job.toml"]),
        (["run", "--resume=x.h5"], ["run", "--resume=x.h5"]),
        (["run", "--resume", "y_branch"], ["run", "--resume", "here", "y_branch"]),
        (["run", "--resume", "cell.swc"], ["run", "--resume", "here", "cell.swc"]),
        (["run", "--resume", "other.h5", "y_branch"], ["run", "--resume", "other.h5", "y_branch"]),
        (["run", "job.toml"], ["run", "job.toml"]),
    ],
)
def test_resume_may_stand_alone(typed, meant):
    assert with_resume_value(typed) == meant


def test_which_checkpoint_is_meant(tmp_path):
    output = tmp_path / "run.h5"
    own = tmp_path / "run.checkpoint.h5"
    assert wish_to_resume(None, output) is None
    assert wish_to_resume("auto", output) == Resumption(own, or_begins=True)
    assert wish_to_resume("here", output) == Resumption(own)
    assert wish_to_resume("other.h5", output) == Resumption(Path("other.h5"))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("*.toml")), ids=lambda path: path.stem)
def test_bundled_jobs_can_be_read_and_name_files_that_exist(path):
    config = load_order(path).described
    if isinstance(config, RunConfig):
        assert config.voltage.file is None or Path(config.voltage.file).is_file()
    assert bundled_job(path.stem).samefile(path)


def test_there_is_a_default_job():
    assert bundled_job(DEFAULT).is_file()
