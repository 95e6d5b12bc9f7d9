"""A whole run on one and two ranks (and, where there is time, on three and four); killed in the middle, and resumed."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.io import read
from hpcpinn.io.read import Result
from tests.mpi import runner

JOB = """
[morphology]
file = "builtin:y_branch"

[[buffer]]
name = "fluo4"
total = 5.0
k_plus = 236.0
k_minus = 82.6
D = 60.0

[[synapse]]
site = "dend[1](0.5)"
start = 0.2

[[probe]]
name = "release"
site = "dend[1](0.5)"

[[probe]]
name = "far"
site = "dend[2](0.9)"

[run]
duration = 2.0
output_interval = 0.2
checkpoint_every = 5

[network]
features = 36

[window]
longest = 0.1
tolerance = 1e-2
"""
SPECIES = ("calcium", "calbindin", "fluo4")
LIMIT = 600.0
"""Seconds; several times what a run takes on a busy machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs of this file lie."""
    here = tmp_path_factory.mktemp("runs")
    (here / "job.toml").write_text(JOB)
    return here


def start(folder: Path, name: str, ranks: int, **options: object) -> runner.Finished:
    """As a user does it."""
    output = folder / f"{name}.h5"
    command = ["-m", "hpcpinn", "run", str(folder / "job.toml"), "--output", str(output)]
    return runner.mpirun(command, ranks, limit=LIMIT, directory=folder, **options)


def in_turn(folder: Path, ranks: int, transport: str, *names: str) -> list[Result]:
    """By the same ranks one after another; from its checkpoint where there is one."""
    outputs = [str(folder / f"{name}.h5") for name in names]
    command = ["-m", "tests.mpi.runs_in_turn", str(folder / "job.toml"), transport, *outputs]
    job = runner.mpirun(command, ranks, limit=LIMIT, directory=folder)
    assert job.code == 0, job.output
    return [read(output) for output in outputs]


@pytest.fixture(scope="module")
def alone(folder: Path) -> Result:
    job = start(folder, "alone", 1)
    assert job.code == 0, job.output
    return read(folder / "alone.h5")


@pytest.fixture(scope="module")
def killed(folder: Path) -> tuple[runner.Finished, Path]:
    """A run on two ranks, one of which is killed after the first checkpoint; its files."""
    place = folder / "killed"
    place.mkdir()
    checkpoint, victims = place / "run.checkpoint.h5", []

    def kill_one(mpirun: subprocess.Popen[bytes]) -> bool:
        if not victims and checkpoint.exists():
            victims.append(max(p for p in runner.session_members(mpirun.pid) if p != mpirun.pid))
            os.kill(victims[0], signal.SIGKILL)
        return False

    return start(folder, "killed/run", 2, watch=kill_one), place


@pytest.fixture(scope="module")
def on_two(killed: tuple[runner.Finished, Path], folder: Path) -> list[Result]:
    """The whole run, and the rest of the one that was killed."""
    shutil.copytree(killed[1], folder / "again")
    return in_turn(folder, 2, "mpi4jax", "pair", "again/run")


@pytest.fixture(scope="module")
def pair(on_two: list[Result]) -> Result:
    return on_two[0]


@pytest.fixture(scope="module")
def on_three(killed: tuple[runner.Finished, Path], folder: Path) -> list[Result]:
    """With the other transport: the whole run, and the rest of the one that was killed on two."""
    shutil.copytree(killed[1], folder / "more")
    return in_turn(folder, 3, "mpi4py", "three", "more/run")


def difference(one: Result, other: Result) -> float:
    """Largest difference of anything that was solved for, relative to its largest departure."""
    assert np.array_equal(one.time, other.time)
    assert np.array_equal(one.probes.time, other.probes.time)
    worst = 0.0
    for name in SPECIES:
        for mine, others in ((one.fields, other.fields), (one.probes.fields, other.probes.fields)):
            departure = np.abs(mine[name] - mine[name][0]).max()
            assert departure > 1e-3
            worst = max(worst, float(np.abs(mine[name] - others[name]).max() / departure))
    return worst


def assert_same_bits(one: Result, other: Result) -> None:
    for name in ("time", *SPECIES, "voltage"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert np.array_equal(getattr(one.probes, name), getattr(other.probes, name)), f"probes/{name}"
    for name, column in one.windows.items():
        if not name.startswith("seconds"):
            assert np.array_equal(column, other.windows[name]), name
    for name, column in one.sweeps.items():
        assert np.array_equal(column, other.sweeps[name]), name


def test_the_run_is_worth_comparing(alone: Result) -> None:
    assert alone.complete
    assert len(alone.time) == 11 and len(alone.probes.time) == 21
    assert alone.probes.calcium[:, 0].max() > 1.0  # µM at the release
    assert len(alone.windows["start"]) >= 20


def assert_same_answer_and_iterates(alone: Result, other: Result) -> None:
    """As many windows of the same lengths, as many steps and sweeps."""
    assert difference(alone, other) < 1e-8
    for column in ("newton_steps", "sweeps", "rejected"):
        assert np.array_equal(alone.windows[column], other.windows[column]), column


def test_two_ranks(alone: Result, pair: Result) -> None:
    assert set(pair.owner) == {0, 1}
    assert_same_answer_and_iterates(alone, pair)


@pytest.mark.slow
def test_three_ranks_with_the_other_transport(alone: Result, on_three: list[Result]) -> None:
    assert set(on_three[0].owner) == {0, 1, 2}
    assert_same_answer_and_iterates(alone, on_three[0])


@pytest.mark.slow
def test_four_ranks(alone: Result, folder: Path) -> None:
    (four,) = in_turn(folder, 4, "mpi4jax", "four")
    assert set(four.owner) == {0, 1, 2, 3}
    assert_same_answer_and_iterates(alone, four)


def test_a_killed_rank_ends_the_job_and_leaves_what_was_solved(killed, pair: Result) -> None:
    job, place = killed
    assert job.code == 128 + signal.SIGKILL, job.output
    left = read(place / "run.h5")
    assert not left.complete
    assert 0 < len(left.windows["start"]) < len(pair.windows["start"])
    assert 0 < len(left.time) < len(pair.time)
    assert np.array_equal(left.calcium, pair.calcium[: len(left.time)])
    assert np.array_equal(left.probes.calcium, pair.probes.calcium[: len(left.probes.time)])


def test_resumed_on_as_many_ranks_it_is_the_same_run_to_the_last_bit(on_two: list[Result]) -> None:
    pair, again = on_two
    assert again.complete
    assert_same_bits(again, pair)


@pytest.mark.slow
def test_resumed_on_other_ranks_it_is_the_same_run(alone: Result, on_three: list[Result]) -> None:
    more = on_three[1]
    assert set(more.owner) == {0, 1, 2}
    assert difference(alone, more) < 1e-8
