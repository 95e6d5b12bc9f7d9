"""However a rank fails, the job ends: soon, with one message, and with the right exit code."""

import signal
from pathlib import Path

import pytest

from tests.mpi import runner

SCENARIOS = Path(__file__).with_name("fault_scenarios.py")
NEVER_THIS_LONG = 40.0
"""Far above what any scenario takes on a busy machine; a hang is what exceeds it."""


def end_of(scenario: str, *flags: str, ranks: int = 3) -> runner.Finished:
    finished = runner.mpirun([str(SCENARIOS), scenario, *flags], ranks, limit=NEVER_THIS_LONG)
    assert finished.code != runner.TIMED_OUT, f"hangs\n{finished.output}"
    return finished


def our_lines(finished: runner.Finished) -> list[str]:
    return [line for line in finished.stderr.splitlines() if line.startswith("hpcpinn: ")]


@pytest.mark.parametrize("scenario", ["success", "slow_rank"])
def test_success_is_silent(scenario: str) -> None:
    finished = end_of(scenario)
    assert finished.code == 0
    assert finished.output == ""


def test_error_that_all_ranks_find_is_one_line_from_one_rank() -> None:
    finished = end_of("same_error")
    assert finished.code == 2
    assert our_lines(finished) == ["hpcpinn: cell.swc:3: radius is NaN; give a number"]
    assert "Traceback" not in finished.output
    assert "MPI_ABORT" not in finished.output


def test_of_different_errors_the_lowest_ranks_is_shown() -> None:
    finished = end_of("own_errors")
    assert finished.code == 2
    assert our_lines(finished) == ["hpcpinn: part 0 is missing"]


@pytest.mark.parametrize("scenario", ["error_on_one", "error_while_others_compute"])
def test_error_on_one_rank_ends_all_with_its_message(scenario: str) -> None:
    finished = end_of(scenario)
    assert finished.code == 1
    assert our_lines(finished) == ["hpcpinn: rank 1: window 7 did not converge"]
    assert "Traceback" not in finished.output


def test_error_after_the_others_finished_needs_no_abort() -> None:
    finished = end_of("error_after_others_finished")
    assert finished.code == 1
    assert our_lines(finished) == ["hpcpinn: window 7 did not converge"]
    assert "MPI_ABORT" not in finished.output


def test_unexpected_error_names_its_place_and_shows_the_traceback_on_request() -> None:
    (line,) = our_lines(end_of("bug_on_one"))
    assert "rank 1: internal error: IndexError: pop from empty list at " in line
    assert "fault_scenarios.py:" in line
    with_traceback = end_of("bug_on_one", "--debug")
    assert "Traceback (most recent call last)" in with_traceback.stderr
    assert with_traceback.code == 1


def test_error_inside_compiled_code_of_one_rank() -> None:
    finished = end_of("error_in_callback")
    assert finished.code == 1
    (line,) = our_lines(finished)
    assert line.startswith("hpcpinn: rank 1: ")
    assert "no space left" in line


def test_exit_of_one_rank_ends_all_with_its_code() -> None:
    finished = end_of("exit_on_one")
    assert finished.code == 3
    assert our_lines(finished) == ["hpcpinn: rank 1: ended with code 3"]


def test_killed_rank_ends_the_job() -> None:
    assert end_of("killed").code == 128 + signal.SIGKILL
