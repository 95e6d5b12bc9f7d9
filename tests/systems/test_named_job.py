"""What JOB means: a file, the name of a bundled job, or a cell."""

import json
import shutil
from pathlib import Path

import pytest

from hpcpinn.config.jobs import bundled_job, bundled_names
from hpcpinn.errors import InputError
from hpcpinn.systems.jobs import describe, load_order
from hpcpinn.systems.named_job import find_job

LONGEST_LINE = 110


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_name_means_the_bundled_job():
    found = find_job(Path("y_branch"))
    assert found.file == bundled_job("y_branch")
    assert found.overrides == ()
    assert found.notice == "y_branch is the bundled job"


def test_an_existing_file_wins_over_a_name():
    Path("y_branch").write_text("[run]\nduration = 1.0\n")
    assert find_job(Path("y_branch")).file == Path("y_branch")


def test_an_own_copy_beside_is_pointed_out():
    Path("y_branch.toml").write_text("[run]\nduration = 1.0\n")
    assert "y_branch.toml here is another one" in find_job(Path("y_branch")).notice
    assert find_job(Path("y_branch.toml")).notice == ""


def test_nothing_means_the_default():
    assert find_job(None, "default").file == bundled_job("default")
    assert find_job(None).file is None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("y_branh", r"^y_branh: no such job file; did you mean the bundled job y_branch\? `hpcpinn jobs`"),
        ("jobs/rtms_10hz.toml", r"did you mean the bundled job rtms_10hz\?"),
        ("nothing", r"^nothing: no such job file; give the path of a TOML file, or a bundled job: default, dop"),
        ("neuron", r"^neuron: no such job file; give the path of a TOML file"),
        ("square", r"^square: is a system, no job; .* system = \"square\", and hpcpinn systems square lists"),
        ("notes.ipynb", "is a notebook; give a job file"),
        ("trace.csv", r"is a table, which a job names \(\[voltage\] file"),
        ("cell.hoc", "convert the morphology to SWC"),
        ("run.h5", r"is a result, no job; did you mean hpcpinn validate run\.h5 or hpcpinn plot run\.h5\?"),
        ("run.checkpoint.h5", r"is a checkpoint, no job; .*--resume run\.checkpoint\.h5"),
    ],
)
def test_what_is_no_job_gets_one_helpful_line(typed, said):
    for name, content in {
        "notes.ipynb": b"{}", "trace.csv": b"time_ms,root\n0,-70\n", "cell.hoc": b"create soma\n",
        "run.h5": b"\x89HDF\r\n\x1a\n..", "run.checkpoint.h5": b"\x89HDF\r\n\x1a\n..",
    }.items():  # fmt: skip
        Path(name).write_bytes(content)
    with pytest.raises(InputError, match=said) as refused:
        find_job(Path(typed), "default")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["my cell.swc", "CELL.SWC", 'a"b\\c.swc'])
def test_a_cell_gets_the_default_protocol(name):
    shutil.copy(bundled_job("neuron_inverse").parent / "neuron_fork.swc", name)
    found = find_job(Path(name), "default")
    config = load_order(found.file, found.overrides).described
    protocol = load_order(bundled_job("default")).described
    assert config.morphology.file == name
    assert config.run.output == f"results/{Path(name).stem}.h5"
    assert (config.synapse, config.voltage, config.run.duration) == (
        protocol.synapse, protocol.voltage, protocol.run.duration,
    )  # fmt: skip
    assert "is a cell: the bundled job default on it" in found.notice


def test_a_cell_is_known_by_its_points_whatever_its_name():
    Path("cell.txt").write_text("# made by hand\n\n 1 1 0 0 0 5 -1\n2 3 0 9 0 1 1\n")
    assert find_job(Path("cell.txt"), "default").overrides
    Path("job.txt").write_text("[run]\nduration = 1.0\n")
    assert find_job(Path("job.txt"), "default").file == Path("job.txt")


def test_a_bundled_cell_works_like_a_file():
    found = find_job(Path("builtin:y_branch"), "default")
    config = load_order(found.file, found.overrides).described
    assert (config.morphology.file, config.run.output) == ("builtin:y_branch", "results/y_branch.h5")


def test_without_a_protocol_a_cell_gets_the_defaults():
    assert find_job(Path("cell.swc")).overrides == (("cell.swc", 'morphology.file="cell.swc"'),)


def test_two_cells_are_refused():
    with pytest.raises(InputError, match=r"^--morphology b\.swc: a\.swc is a cell already"):
        find_job(Path("a.swc"), "default", "b.swc")


def test_a_missing_cell_is_named():
    found = find_job(Path("none.swc"), "default")
    origin = load_order(found.file, found.overrides).origin
    assert origin.of(("morphology", "file")) == "none.swc"


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_job_says_in_a_line_what_it_is(name):
    job = describe(name)
    assert job.about.endswith(".")
    assert len(f"{name}  {job.about}") <= LONGEST_LINE
    assert job.about[:-1].count(". ") == 0
    assert all((job.file.parent / file).is_file() for file in job.inputs)
    json.dumps(job.commands)


def test_jobs_know_their_commands_and_inputs():
    assert describe("y_branch").commands == ("run",)
    assert describe("dopamine_study").commands == ("uq --study",)
    inverse = describe("neuron_inverse")
    assert inverse.commands == ("infer", "uq")
    assert inverse.inputs == ("neuron_fork.swc", "neuron_pair.csv")
    assert describe("default").inputs == ("voltage_train.csv",)
    assert describe("rtms_10hz").inputs == ()  # a bundled cell and a waveform by name
