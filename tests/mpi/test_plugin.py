"""The runner of tests on several ranks: it must see every way in which one rank can go wrong."""

import re
import sys
from pathlib import Path

import pytest

from tests.mpi import runner

EXAMPLES = """
import os, signal, time
import pytest
from mpi4py import MPI

world = MPI.COMM_WORLD

@pytest.mark.mpi_ranks(2, 3)
def test_passes(ranks):
    assert world.size == ranks
    assert world.allreduce(1) == ranks

@pytest.mark.mpi_ranks(2)
def test_fails_on_one_rank():
    assert world.rank != 1, "only rank one"
    world.Barrier()

@pytest.mark.mpi_ranks(2)
@pytest.mark.parametrize("who", [0, 1])
def test_is_reached_after_a_failure(who):
    assert world.bcast(world.rank, root=who) == who

@pytest.mark.mpi_ranks(2, limit=1)
def test_hangs_on_one_rank():
    if world.rank == 0:
        time.sleep(1000)
    world.Barrier()

@pytest.mark.mpi_ranks(2)
def test_loses_a_rank():
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    world.Barrier()

@pytest.mark.mpi_ranks(2)
def test_leaves_one_rank_early():
    if world.rank == 1:
        os._exit(0)
    world.Barrier()

@pytest.mark.mpi_ranks(2)
def test_is_skipped():
    pytest.skip("on purpose")

@pytest.fixture
def broken():
    raise RuntimeError("broken fixture")

@pytest.mark.mpi_ranks(2)
def test_has_a_broken_fixture(broken):
    pass

@pytest.mark.mpi_ranks(2)
def test_passes_at_the_end():
    assert world.allreduce(1) == 2

def test_on_no_ranks():
    assert world.size == 1
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("examples")
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.mpi.plugin"]\n')
    (folder / "test_examples.py").write_text(EXAMPLES)
    finished = runner.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--color=no", "."],
        limit=120,
        directory=folder,
    )
    assert finished.code == 1, finished.output
    return finished.stdout


def result(report: str, test: str) -> str:
    """PASSED, FAILED, ERROR or SKIPPED, from the summary."""
    found = re.findall(rf"^(PASSED|FAILED|ERROR) test_examples.py::{re.escape(test)}(?:$| - )", report, re.M)
    assert len(found) == 1, f"{test}: {found}\n{report}"
    return found[0]


@pytest.mark.parametrize(
    "test",
    [
        "test_passes[2-ranks]",
        "test_passes[3-ranks]",
        "test_is_reached_after_a_failure[2-ranks-0]",
        "test_is_reached_after_a_failure[2-ranks-1]",
        "test_passes_at_the_end[2-ranks]",
        "test_on_no_ranks",
    ],
)
def test_good_tests_pass(report: str, test: str) -> None:
    assert result(report, test) == "PASSED"


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("test_fails_on_one_rank[2-ranks]", "only rank one"),
        ("test_hangs_on_one_rank[2-ranks]", f"exit code {runner.TIMED_OUT}"),
        ("test_loses_a_rank[2-ranks]", "exit code 137"),
        ("test_leaves_one_rank_early[2-ranks]", "job ended during this test"),
        ("test_has_a_broken_fixture[2-ranks]", "broken fixture"),
    ],
)
def test_bad_tests_fail(report: str, test: str, reason: str) -> None:
    assert result(report, test) == "FAILED"
    assert reason in report


def test_skips_are_skips(report: str) -> None:
    assert re.search(r"^SKIPPED \[1\].*on purpose", report, re.M)


def test_nothing_is_left_of_a_stopped_job() -> None:
    """Not even a grandchild that would outlive mpirun."""
    program = (
        "import subprocess, os, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']);"
        "print(os.getsid(0), child.pid, flush=True); time.sleep(1000)"
    )
    finished = runner.run([sys.executable, "-c", program], limit=1.0)
    assert finished.code == runner.TIMED_OUT
    session, _ = map(int, finished.stdout.split())
    assert runner.session_members(session) == []
