"""One process writes a result; a lock that a dead one has left stops nobody."""

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, replace

import pytest

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import owner
from hpcpinn.io.owner import Lock, Owner, check_kept, lock_path, owning

AT_ONCE = textwrap.dedent("""
    import sys, time
    from hpcpinn.errors import HpcpinnError
    from hpcpinn.io.owner import Lock

    while time.time() < float(sys.argv[2]):
        pass
    try:
        lock = Lock(sys.argv[1])
    except HpcpinnError as error:
        print(error.exit_code, error)
    else:
        print("won")
        time.sleep(1.0)
""")


def leave(result, **changes):
    """A lock as another process would have left it."""
    lock_path(result).write_text(json.dumps(asdict(replace(Owner.here(), **changes))))


def test_who_writes_is_named_and_nobody_else_may(tmp_path):
    result = tmp_path / "run.h5"
    leave(result, pid=1, began=owner._began(1), job="SLURM_JOB_ID=7")
    with pytest.raises(InputError, match=rf"run.h5: is being written by process 1 on {Owner.here().host}, SLURM_JOB_"):
        Lock(result)
    with pytest.raises(OutputError, match="was taken over by process 1"):
        check_kept(result)
    assert os.listdir(tmp_path) == ["run.lock"]


@pytest.mark.parametrize(
    "changes", [{"pid": 2**22 - 1}, {"pid": 1, "began": "5"}], ids=["gone", "another of that number"]
)
def test_a_process_that_is_gone_stops_nobody(tmp_path, changes):
    leave(tmp_path / "run.h5", **changes)
    Lock(tmp_path / "run.h5").release()
    Lock(tmp_path / "deep" / "er" / "run.h5").release()
    assert os.listdir(tmp_path) == []


def test_on_another_host_the_job_or_a_minute_of_silence_tells(tmp_path, monkeypatch):
    result = tmp_path / "run.h5"
    leave(result, host="elsewhere", boot="other", job="SLURM_JOB_ID=7")
    with pytest.raises(InputError, match="on elsewhere"):
        Lock(result)
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # requeued
    Lock(result).release()
    leave(result, host="elsewhere", boot="other")
    os.utime(lock_path(result), (time.time() - 61.0,) * 2)
    Lock(result).release()
    lock_path(result).write_text("{")  # torn
    Lock(result).release()


def test_the_heart_beats_and_what_was_taken_over_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "_BEAT", 0.01)
    lock = Lock(tmp_path / "run.h5")
    os.utime(lock.path, (0.0, 0.0))
    deadline = time.monotonic() + 10.0
    while lock.path.stat().st_mtime == 0.0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    leave(tmp_path / "run.h5", host="elsewhere", boot="other")
    lock.release()
    assert lock.path.exists()


def test_of_two_that_come_together_one_wins(tmp_path):
    leave(tmp_path / "run.h5", pid=2**22 - 1)  # both find it void
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "run.h5"), str(time.time() + 1.5)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0] for process in both)
    assert said[0].startswith("2 ") and "is being written by process" in said[0]
    assert said[1] == "won\n"


@pytest.mark.mpi_ranks(2)
def test_all_ranks_are_told(communicator, common_path):
    with owning(communicator, common_path / "run.h5"):
        communicator.barrier()
        assert lock_path(common_path / "run.h5").exists()
        communicator.barrier()
    communicator.barrier()
    if communicator.rank == 0:
        leave(common_path / "run.h5", pid=1, began=owner._began(1))
    with pytest.raises(InputError, match="is being written"), owning(communicator, common_path / "run.h5"):
        raise AssertionError
