"""``@pytest.mark.mpi_ranks(2, 3, 4)``: run a test on so many ranks, from a plain pytest call.

The outer pytest starts mpirun once for all tests that want the same number of ranks (where several processes
share the tests without keeping these together, for all of a file); each rank is a pytest of its own which notes
down what it did. A test passes if it passed on every rank. A rank on which a test fails ends the job (the others
may wait for it in a collective call), a test that exceeds its limit is stopped, and the tests after it get a new job.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpcpinn.parallel.launch import promised_rank
from tests.mpi.runner import NOTES, is_rank, mpirun

DEFAULT_LIMIT = 60.0
START_LIMIT = 60.0
"""Seconds that the ranks may take to import everything and collect the tests."""

TOGETHER = "HPCPINN_TESTS_ON_RANKS_TOGETHER"
"""Says to the processes that share the tests (pytest-xdist) that one of them has all that run on ranks."""
_ON_RANKS = re.compile(r"\[([^\[\]]*-)?\d+-ranks(-[^\[\]]*)?\]$")
"""In the names of such tests."""

_outcomes: dict[str, str] = {}
"""What became of a test on all its ranks: empty if it passed, otherwise the report."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark; on a rank, keep the outer pytest's files alone."""
    config.addinivalue_line(
        "markers", "mpi_ranks(*ranks, limit=60): run this test under mpirun on each of these numbers of ranks"
    )
    if getattr(config.option, "dist", "no") == "loadfile":
        os.environ[TOGETHER] = "yes"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files are shared by the processes, and all tests on ranks go to one of them."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OnRanksTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "on ranks" if _ON_RANKS.search(nodeid) else super()._split_scope(nodeid)

    return OnRanksTogether(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test item per number of ranks."""
    mark = metafunc.definition.get_closest_marker("mpi_ranks")
    if mark is not None:
        metafunc.fixturenames.append("ranks")
        metafunc.parametrize("ranks", mark.args, ids=lambda ranks: f"{ranks}-ranks", indirect=True)


@pytest.fixture
def ranks(request: pytest.FixtureRequest) -> int:
    """Number of ranks of an `mpi_ranks` test."""
    return int(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """In the outer pytest, fixtures of an MPI test belong to the ranks: run it here instead."""
    if item.get_closest_marker("mpi_ranks") is None or is_rank():
        return
    if item.nodeid not in _outcomes:
        _outcomes.update(_run_together(item))
    item.fixturenames.clear()  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """In the outer pytest, report what the ranks did."""
    if pyfuncitem.get_closest_marker("mpi_ranks") is None or is_rank():
        return None
    report = _outcomes[pyfuncitem.nodeid]
    if report.startswith("skipped: "):
        pytest.skip(report.removeprefix("skipped: "))
    if report:
        pytest.fail(report, pytrace=False)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """On a rank, note how each phase of a test ended; a failure ends the job."""
    report = yield
    if is_rank():
        _note(item.nodeid, report.when, report.outcome, _reason(report))
        if report.failed:
            print(f"rank {promised_rank()}, {report.when} of {item.nodeid}:\n{_reason(report)}", file=sys.stderr)
            _end_job()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    """On a rank, note the start of a test, which is what its time limit counts from."""
    if is_rank():
        _note(nodeid, "start", "", "")


@pytest.fixture(autouse=True)
def _ranks_in_step(request: pytest.FixtureRequest) -> Iterator[None]:
    """No rank starts the next test while another is still in this one."""
    yield
    if is_rank() and request.node.get_closest_marker("mpi_ranks"):
        from mpi4py import MPI

        MPI.COMM_WORLD.Barrier()


def _run_together(item: pytest.Item) -> dict[str, str]:
    """Run `item`, and with it the tests that want as many ranks and have not run yet."""
    kept_together = "PYTEST_XDIST_WORKER" not in os.environ or TOGETHER in os.environ
    count = item.callspec.params["ranks"]  # type: ignore[attr-defined]
    together = [
        other
        for other in item.session.items
        if (kept_together or other.path == item.path)
        and other.get_closest_marker("mpi_ranks") is not None
        and other.callspec.params["ranks"] == count  # type: ignore[attr-defined]
        and other.nodeid not in _outcomes
    ]
    limits = {other.nodeid: limit_of(other) for other in together}
    with tempfile.TemporaryDirectory(prefix="hpcpinn-ranks-") as folder:
        notes = Path(folder)
        finished = mpirun(
            [
                "-m",
                "pytest",
                "-q",
                "-x",
                "--no-header",
                "--tb=short",
                "--color=no",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:pytest_mpi",
            ]
            + ["-o", "addopts=--import-mode=importlib", "--rootdir", str(item.config.rootpath), *limits],
            count,
            limit=START_LIMIT + sum(limits.values()),
            environment={NOTES: folder},
            directory=item.config.rootpath,
            watch=lambda process: _overdue(process, notes, limits),
        )
        return _judge(list(limits), _read_notes(notes, count), finished.output, finished.code)


def _judge(tests: list[str], notes: list[list[dict[str, str]]], output: str, code: int) -> dict[str, str]:
    """What became of each test, from the notes of all ranks; tests that never started are left out."""
    outcomes = {}
    for test in tests:
        of_ranks = [[note for note in rank if note["test"] == test] for rank in notes]
        failures = [
            f"rank {rank}, {note['phase']}: {note['reason']}"
            for rank, own in enumerate(of_ranks)
            for note in own
            if note["outcome"] == "failed"
        ]
        complete = all(any(note["phase"] == "teardown" for note in own) for own in of_ranks)
        skipped = [note["reason"] for own in of_ranks for note in own if note["outcome"] == "skipped"]
        if failures:
            outcomes[test] = "\n".join(failures)
        elif complete:
            outcomes[test] = f"skipped: {skipped[0]}" if skipped else ""
        elif any(of_ranks):
            outcomes[test] = f"job ended during this test with exit code {code}\n{output[-4000:]}"
    if not outcomes:
        outcomes[tests[0]] = f"job ended before its first test with exit code {code}\n{output[-4000:]}"
    return outcomes


def _overdue(process: subprocess.Popen[bytes], notes: Path, limits: dict[str, float]) -> bool:
    """Whether the test that rank 0 is in has been running for longer than it may."""
    file = notes / "0.jsonl"
    if not file.exists():
        return False
    lines = file.read_text().splitlines()
    if not lines:
        return False
    last = json.loads(lines[-1])
    return time.time() - float(last["time"]) > limits.get(last["test"], DEFAULT_LIMIT)


def limit_of(item: pytest.Item) -> float:
    """Seconds that a test on ranks may take."""
    mark = item.get_closest_marker("mpi_ranks")
    return float(mark.kwargs.get("limit", DEFAULT_LIMIT)) if mark else DEFAULT_LIMIT


def _read_notes(folder: Path, count: int) -> list[list[dict[str, str]]]:
    files = [folder / f"{rank}.jsonl" for rank in range(count)]
    return [[json.loads(line) for line in file.read_text().splitlines()] if file.exists() else [] for file in files]


def _note(test: str, phase: str, outcome: str, reason: str) -> None:
    note = {"test": test, "phase": phase, "outcome": outcome, "reason": reason, "time": str(time.time())}
    with open(Path(os.environ[NOTES]) / f"{promised_rank()}.jsonl", "a") as file:
        file.write(json.dumps(note) + "\n")


def _reason(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return report.longreprtext


def _end_job() -> None:
    from mpi4py import MPI

    time.sleep(1.0)  # others that fail in the same place get to say so
    MPI.COMM_WORLD.Abort(1)
