"""Where commands write, as a person types it: no input is lost, and a bad place is found at once."""

import shutil

import pytest

from hpcpinn.morphology.meshes import builtin_path
from tests.cli.test_main import hpcpinn, refused

TRAIN = "time_ms,soma\n0,-70\n50,-60\n"
FIELD = "x,y,z,Ex,Ey,Ez\n0,0,0,0,1,0\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of every kind that a run reads."""
    shutil.copy(builtin_path("y_branch"), tmp_path / "t.swc")
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "field.csv").write_text(FIELD)
    (tmp_path / "wave.csv").write_text("time_ms,value\n0,0\n1,1\n")
    (tmp_path / "map.h5").write_text("weights")
    (tmp_path / "job.toml").write_text('[morphology]\nfile = "t.swc"\n\n[run]\noutput = "job.toml"\n')
    return tmp_path


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--morphology", "t.swc", "--output", "t.swc"], "--output t.swc: run.output: t.swc is the morphology file"),
        (["job.toml"], "job.toml, line 5: run.output: job.toml is the job file"),
        (["--output", "train.csv", "--set", "voltage.file=train.csv"], "train.csv is the voltage file"),
        (
            ["--output", "map.h5", "--set", "split.flow_map=map.h5", "--set", "window.kind=split"],
            "map.h5 is the flow map",
        ),
        (
            ["--output", "wave.csv", "--set", "stimulation.waveform=wave.csv", "--set", "field.file=field.csv"],
            "wave.csv is the waveform file",
        ),
        (
            ["--output", "./field.csv", "--set", "field.file=field.csv"],
            "field.csv is the field file",
        ),
        (["--output", "train.csv"], "train.csv is there already and is no hpcpinn result"),
        (["--output", "."], "run.output: . is a directory; name another file with --output"),
        (["--output", "t.swc/run.h5"], "t.swc/run.h5 cannot be written in"),
    ],
)
def test_a_run_destroys_no_file(folder, arguments, expected):
    (folder / "empty.toml").write_text("")
    job = [] if "job.toml" in arguments else ["empty.toml"]
    before = contents(folder)
    line = refused(hpcpinn("run", *job, *arguments, cwd=folder))
    assert expected in line
    assert "--output (run.output)" in line
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["run.checkpoint.h5", "run.metrics.json"])
def test_a_blocked_checkpoint_is_found_at_once(tmp_path, name):
    (tmp_path / name).mkdir()
    line = refused(hpcpinn("run", "--output", "run.h5", cwd=tmp_path))
    assert f"{name} is a directory; the {name.split('.')[-2]}" in line
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_checkpoint_does_not_replace_an_input(folder):
    (folder / "train.csv").rename(folder / "run.checkpoint.h5")
    arguments = ["--set", "voltage.file=run.checkpoint.h5", "--output", "run.h5"]
    line = refused(hpcpinn("run", *arguments, cwd=folder))
    assert "run.checkpoint.h5 is the voltage file (voltage.file), which would be lost; the checkpoint goes" in line
    assert (folder / "run.checkpoint.h5").read_text() == TRAIN
