"""``mpirun -n 2 python -m pytest --with-mpi``: tests on ranks, run by pytest-mpi's way in one job."""

import re
from pathlib import Path

import pytest

from tests.mpi import runner

pytest.importorskip("pytest_mpi", reason="pytest-mpi is not installed (pip install 'hpcpinn[test]')")

EXAMPLES = """
import time
import pytest
from mpi4py import MPI

world = MPI.COMM_WORLD

@pytest.mark.mpi_ranks(2, 3)
def test_passes(ranks):
    assert world.size == ranks == world.allreduce(1)

def test_on_no_ranks():
    assert False, "an ordinary test"

@pytest.mark.mpi_ranks(2)
def test_fails_on_one_rank():
    assert world.rank != 1, "only rank one"
    world.Barrier()

@pytest.mark.mpi_ranks(2, limit=1)
def test_hangs_on_one_rank():
    if world.rank == 0:
        time.sleep(1000)
    world.Barrier()
"""
UNREADABLE = """
from mpi4py import MPI
assert MPI.COMM_WORLD.rank != 1, "not on rank one"
"""


def with_mpi(*arguments: str, ranks: int = 2, directory: Path, module: str = "pytest") -> runner.Finished:
    under = ["-m", "mpi4py"] if module == "mpi4py" else []
    options = ["--with-mpi", "-p", "no:cacheprovider", "--color=no"]
    return runner.mpirun([*under, "-m", "pytest", *options, *arguments], ranks, limit=120, directory=directory)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.mpi.plugin", "tests.mpi.one_job"]\n')
    (tmp_path / "test_examples.py").write_text(EXAMPLES)
    (tmp_path / "test_unreadable.py").write_text(UNREADABLE)
    return tmp_path


def test_a_file_of_the_projects_own_tests_passes() -> None:
    """As the guide for contributors has it: those that want two ranks run, the others are left out."""
    done = with_mpi("-x", "tests/mpi/test_communicator.py", directory=runner.REPOSITORY, module="mpi4py")
    assert done.code == 0, done.output
    (passed, left_out) = map(int, re.findall(r"(\d+) passed, (\d+) deselected", done.stdout)[0])
    assert passed >= 10
    assert left_out >= passed  # at least those on three ranks
    assert re.findall(r"^size: (\d+)", done.stdout, re.M) == ["2"]  # one rank has the word


def test_other_tests_are_left_out(examples: Path) -> None:
    done = with_mpi("test_examples.py", "-k", "passes or no_ranks", directory=examples)
    assert done.code == 0, done.output
    assert re.search(r"\b1 passed, \d deselected", done.stdout), done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test_examples.py", "-k", "fails"], "rank 1, call of test_examples.py::test_fails_on_one_rank"),
        (["test_examples.py", "-k", "hangs"], "SIGALRM|signal 14|Alarm clock"),
        (["test_unreadable.py"], "not on rank one"),
    ],
    ids=["fails", "hangs", "unreadable"],
)
def test_one_rank_that_goes_wrong_ends_the_job(examples: Path, arguments: list[str], said: str) -> None:
    done = with_mpi(*arguments, directory=examples)
    assert done.code not in (0, runner.TIMED_OUT), done.output
    assert re.search(said, done.output), done.output
