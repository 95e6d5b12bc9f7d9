"""Signals: heard wherever Python is, obeyed where the work looks, at once where it does not or at the second."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import SerialCommunicator

BEGIN = """
import signal, sys, time
from hpcpinn.parallel import stopping
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells silence it for what they start in the background
class One:
    def share(self, value):
        return [value]
def said():
    print("ready", flush=True)
with stopping.listening():
"""
PATIENT = """
    stopping.keeping("before")
    with stopping.patient("the checkpoint"):
        said()
        try:
            while True:
                stopping.heed(One())
        except stopping.StopAsked as asked:
            sys.exit(stopping.code_of(asked.number))
"""
DEAF = """
    with stopping.patient("the checkpoint"):
        said()
        time.sleep(60.0)  # no line of Python, like compiled code
"""
HASTY = """
    stopping.keeping("r.h5 is as it was")
    said()
    time.sleep(60.0)
"""
WRITING = """
    with stopping.unbroken():
        said()
        time.sleep(0.4)
        print("written", flush=True)
    time.sleep(60.0)
"""

ENDING = """
    pass
with stopping.listening(to_the_end=True):
    pass
said()
time.sleep(0.3)
"""


@contextmanager
def started(program: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has come to where it says so, and that ends with the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_patient_work_is_asked(number, code):
    with started(PATIENT) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors == f"hpcpinn: {number.name}: stopping here; a second one ends at once\n"


def test_a_second_one_ends_even_what_does_not_look():
    with started(DEAF) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None and "stopping here" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "hpcpinn: stopped; the checkpoint\n")


def test_other_work_ends_at_once_and_says_what_is_kept():
    with started(HASTY) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "hpcpinn: stopped; r.h5 is as it was\n")


def test_one_rank_speaks():
    with started(HASTY, OMPI_COMM_WORLD_RANK="1", OMPI_COMM_WORLD_SIZE="2") as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "")


@pytest.mark.parametrize(("times", "output"), [(1, "written\n"), (2, "")])
def test_files_are_written_to_their_end_unless_there_is_a_second_one(times, output):
    with started(WRITING) as process:
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        found, _ = process.communicate(timeout=20)
    assert (process.returncode, found) == (143, output)


def test_what_is_silenced_stays_so():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.listening():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert stopping.listener() is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, former)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_nothing_is_changed_where_nobody_listens():
    before, threads = [signal.getsignal(number) for number in stopping.HEARD], set(threading.enumerate())
    with stopping.listening():
        assert isinstance(stopping.listener(), stopping.Listener)
        (own,) = set(threading.enumerate()) - threads
    assert [signal.getsignal(number) for number in stopping.HEARD] == before and stopping.listener() is None
    stopping.keeping("nobody")
    with stopping.patient("nobody"), stopping.unbroken():
        stopping.heed(SerialCommunicator())
    own.join(5.0)
    assert not own.is_alive()


def test_ranks_stop_together():
    class Two(SerialCommunicator):
        def share(self, value):
            return [value, int(signal.SIGTERM)]

    with pytest.raises(stopping.StopAsked) as asked:
        stopping.heed(Two())
    assert stopping.code_of(asked.value.number) == 143


def test_who_leaves_at_once_does_what_has_to_be_done_first(tmp_path):
    lock = tmp_path / "r.lock"
    leaving = """
    from pathlib import Path
    lock = Path(r"LOCK")
    lock.touch()
    def fail():
        raise OSError
    with stopping.leaving(lock.unlink), stopping.leaving(fail):
        said()
        time.sleep(60.0)
""".replace("LOCK", str(lock))
    with started(leaving) as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "hpcpinn: stopped; nothing was written\n") and not lock.exists()


def test_what_is_kept_after_a_file_is_said_after_it_alone():
    with stopping.listening():
        stopping.keeping("the older file")
        with pytest.raises(OSError, match="full"), stopping.unbroken("the file"):
            raise OSError("full")
        assert stopping.kept_so_far() == "the older file"
        with stopping.unbroken("the file"):
            assert stopping.kept_so_far() == "the older file"
        assert stopping.kept_so_far() == "the file"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_whose_work_is_done_ends_well_whatever_comes(number):
    with started(ENDING) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
