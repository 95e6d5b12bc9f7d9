"""scripts/mpirun.sh: ranks hear Ctrl-C, SIGTERM and a closed terminal at once, and nobody kills them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.mpi import runner

SCRIPT = Path(__file__).parents[2] / "scripts" / "mpirun.sh"
RANK = """
import os, sys, time
from hpcpinn.parallel import stopping
class One:
    def share(self, value):
        return [value]
with stopping.listening(), stopping.patient("the checkpoint"):
    os.write(1, b"ready\\n")
    try:
        while True:
            time.sleep(0.02)
            stopping.heed(One())
    except stopping.StopAsked as asked:
        time.sleep(WRITES)  # longer than mpirun would leave it
        os.write(1, b"written\\n")
        sys.exit(stopping.code_of(asked.number))
"""


@contextmanager
def ranks(writes: float) -> "Iterator[subprocess.Popen[str]]":
    """Two ranks that wait for a signal, and then write for so many seconds; nothing is left of them."""
    program = [sys.executable, "-c", RANK.replace("WRITES", str(writes))]
    started = subprocess.Popen(
        ["bash", str(SCRIPT), "-n", "2", *program],
        env=runner.surroundings({"OMPI_MCA_odls_base_sigkill_timeout": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert started.stdout is not None
        assert [started.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        yield started
    finally:
        for leader in (*runner.children(started.pid), started.pid):
            with suppress(ProcessLookupError):
                os.killpg(leader, signal.SIGKILL)
        with started:  # closes its pipes
            pass


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)]
)
def test_a_signal_is_heard_at_once_and_obeyed_in_peace(number, code):
    with ranks(writes=0.0 if number != signal.SIGTERM else 2.5) as started:
        began = time.monotonic()
        os.killpg(started.pid, number)  # as a terminal does
        found, _ = started.communicate(timeout=30)
    assert (started.returncode, found) == (code, "written\n" * 2)
    assert time.monotonic() - began < 5.0


def test_a_second_one_ends_at_once():
    with ranks(writes=60.0) as started:
        for _ in range(2):
            os.kill(started.pid, signal.SIGINT)
            time.sleep(0.3)
        began = time.monotonic()
        found, errors = started.communicate(timeout=30)
    assert (started.returncode, found) == (130, "") and "stopped; the checkpoint" in errors
    assert time.monotonic() - began < 5.0
