"""`hpcpinn jobs`, `hpcpinn init`, and JOB as every command takes it."""

import json
from pathlib import Path

import pytest

from hpcpinn.config.jobs import bundled_job, bundled_names
from hpcpinn.errors import InputError
from hpcpinn.systems.jobs import describe
from tests.cli.in_process import hpcpinn


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_jobs_lists_every_job_in_a_line(capsys):
    hpcpinn("jobs")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == bundled_names()
    assert all(line.endswith(describe(line.split()[0]).about) for line in lines[:-1])
    assert "hpcpinn init NAME" in lines[-1]


def test_jobs_as_json(capsys):
    hpcpinn("jobs", "--json")
    found = {job["name"]: job for job in json.loads(capsys.readouterr().out)}
    assert list(found) == bundled_names()
    assert found["neuron_inverse"]["commands"] == ["infer", "uq"]
    assert found["neuron_inverse"]["inputs"] == ["neuron_fork.swc", "neuron_pair.csv"]
    assert Path(found["default"]["file"]) == bundled_job("default")


def test_init_says_what_it_wrote_and_what_comes_next(capsys):
    hpcpinn("init", "neuron_inverse", "--to", "my cell")
    assert capsys.readouterr().out.splitlines() == [
        "wrote  my cell/neuron_inverse.toml",
        "wrote  my cell/neuron_fork.swc",
        "wrote  my cell/neuron_pair.csv",
        "next   hpcpinn infer 'my cell/neuron_inverse.toml'",
    ]
    with pytest.raises(InputError, match="there already"):
        hpcpinn("init", "neuron_inverse", "--to", "my cell")


def test_init_of_nothing_is_the_default_job(capsys):
    hpcpinn("init")
    assert capsys.readouterr().out.splitlines()[-1] == "next   hpcpinn run default.toml"
    with pytest.raises(InputError, match=r"no bundled job 'defualt'; did you mean the bundled job default\?"):
        hpcpinn("init", "defualt")


@pytest.mark.parametrize("command", ["run", "infer", "uq", "threshold", "submit", "flow-map train"])
def test_every_command_takes_names_and_knows_near_ones(command):
    with pytest.raises(InputError, match=r"y_branh: no such job file; did you mean the bundled job y_branch\?"):
        hpcpinn(*command.split(), "y_branh")
    Path("x.ipynb").touch()
    with pytest.raises(InputError, match=r"x\.ipynb: is a notebook; give a job file"):
        hpcpinn(*command.split(), "x.ipynb")


@pytest.mark.parametrize("command", ["run", "infer", "uq", "threshold", "flow-map train"])
def test_every_command_reads_the_bundled_job(command):
    with pytest.raises(InputError, match=r"run\.durtion: unknown key"):
        hpcpinn(*command.split(), "rtms_10hz", "--set", "run.durtion=1")


def test_commands_to_which_a_cell_says_too_little_say_how():
    for command, example in (("infer", "neuron_inverse"), ("uq", "neuron_inverse"), ("flow-map train", "default")):
        with pytest.raises(InputError, match=rf"^cell\.swc: is a cell, and hpcpinn {command} .*init {example} "):
            hpcpinn(*command.split(), "cell.swc")


def test_submit_hands_on_what_was_meant(capsys):
    hpcpinn("submit", "y_branch", "--dry-run")
    assert f"-m hpcpinn run {bundled_job('y_branch')} --resume auto" in capsys.readouterr().out
    hpcpinn("submit", "builtin:y_branch", "--dry-run")
    told = capsys.readouterr()
    assert "-m hpcpinn run builtin:y_branch --resume auto" in told.out
    assert told.err == (
        "hpcpinn: builtin:y_branch is a cell: the bundled job default on it, into results/y_branch.h5\n"
    )
