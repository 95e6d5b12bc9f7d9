"""The batch scripts of `hpcpinn submit`, run by a real SLURM on this machine."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hpcpinn.io import read
from hpcpinn.terminal.submit import Submission, script
from tests.mpi import throwaway_slurm
from tests.mpi.runner import REPOSITORY

STAND_IN = '''
"""Instead of `hpcpinn run`: says where it is; with a checkpoint it ends, without one it waits to be stopped."""
import os, signal, sys, time
from pathlib import Path
from mpi4py import MPI
from hpcpinn.parallel import launch
from hpcpinn.parallel.device import prepare
device = prepare()
world = MPI.COMM_WORLD
assert launch.promised_size() == world.size and launch.promised_rank() == world.rank
share = os.environ.get("XLA_CLIENT_MEM_FRACTION", "all")
here = os.environ["SLURMD_NODENAME"]
place = f"node {here} device {device.accelerator} memory {share}"
lines = world.gather(f"rank {world.rank} of {world.size} {place}")
if world.rank == 0:
    print("\\n".join(lines), sys.argv[1:], flush=True)
if sys.argv[1] == "wait":
    checkpoint = Path(sys.argv[2].replace("--resume", "checkpoint"))
    if not checkpoint.exists():
        def stop(number, frame):
            if world.rank == 0:
                checkpoint.write_text("window 7")
            sys.exit(138)
        signal.signal(signal.SIGUSR1, stop)
        world.Barrier()
        if world.rank == 0:
            checkpoint.with_name(f"{checkpoint.name}.waits").touch()
        time.sleep(1000)
    elif world.rank == 0:
        print("going on from", checkpoint.read_text(), flush=True)
if sys.argv[1] == "fail":
    sys.exit(3)
'''

ONE_HOST = {
    # The make-believe nodes share a host name, which Open MPI takes for shared memory.
    "OMPI_MCA_btl": "self,tcp",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl_tcp_if_include": "lo",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "JAX_PLATFORMS": "cpu",
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    reason = throwaway_slurm.why_not()
    if reason:
        pytest.skip(f"no SLURM: {reason}")
    with throwaway_slurm.running(tmp_path_factory.mktemp("slurm") / "daemons") as environment:
        yield environment | ONE_HOST | {"PYTHONPATH": str(REPOSITORY)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    return tmp_path


def start(slurm: dict[str, str], folder: Path, *arguments: str, **wishes: int) -> int:
    program = (sys.executable, "stand_in.py")
    return hand_over(slurm, folder, Submission(arguments, program=program, time="5", name="try", **wishes))


def hand_over_array(slurm: dict[str, str], folder: Path, array: str, *arguments: str) -> int:
    """Submit tasks of one rank each; the number of the array."""
    program = (sys.executable, "stand_in.py")
    return hand_over(
        slurm, folder, Submission(arguments, program=program, time="5", name="try", options=(f"--array={array}",))
    )


def hand_over(slurm: dict[str, str], folder: Path, submission: Submission) -> int:
    """Submit; the number of the job."""
    done = subprocess.run(
        ["sbatch", "--parsable"],
        input=script(submission, folder),
        env=slurm,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def field(slurm: dict[str, str], job: int | str, name: str) -> str:
    shown = subprocess.run(["scontrol", "show", "job", str(job)], env=slurm, capture_output=True, text=True, timeout=30)
    found = re.search(rf"\b{name}=(\S+)", shown.stdout)
    return found[1] if found else ""


def starts_later(slurm: dict[str, str], job: int | str) -> bool:
    """Whether a requeued job is all gone and sits out the two minutes that SLURM lets it wait."""
    start = field(slurm, job, "StartTime")
    return (
        field(slurm, job, "Restarts") == "1"
        and start not in ("", "Unknown")
        and datetime.fromisoformat(start) > datetime.now() + timedelta(seconds=30)
    )


def start_again(slurm: dict[str, str], job: int | str, folder: Path) -> None:
    """Lets a requeued job start at once, when nothing is left of its first attempt."""
    wait_until(lambda: starts_later(slurm, job), "requeue", folder)
    daemons, left = Path(slurm["SLURM_CONF"]).parent, f"spool.*/stepd.slurm.pmix.{field(slurm, job, 'JobId')}.*"
    wait_until(lambda: not list(daemons.glob(left)), "end of the first attempt", folder)
    time.sleep(2.0)  # within the second of the requeue, SLURM would take the new attempt for the old
    subprocess.run(["scontrol", "update", f"job={job}", "starttime=now"], env=slurm, timeout=30, check=True)


def wait_until(condition, what: str, folder: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{log(folder)}"
        time.sleep(0.2)


def log(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.glob("try-*.log"))


def finish(slurm: dict[str, str], job: int | str, folder: Path, seconds: float = 60.0) -> str:
    """State in which the job ended."""
    over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    wait_until(lambda: field(slurm, job, "JobState") in over, "end of the job", folder, seconds)
    return field(slurm, job, "JobState")


def places(folder: Path) -> list[tuple[str, str, str, str]]:
    """Rank, node, device and memory share, as the ranks saw them."""
    return re.findall(r"rank (\d) of \d node (\w+) device (\w+) memory ([\w.]+)", log(folder))


def test_processors_only(slurm: dict[str, str], folder: Path) -> None:
    job = start(slurm, folder, "report", nodes=2, ranks_per_node=2)
    assert finish(slurm, job, folder) == "COMPLETED", log(folder)
    assert [(rank, node, device) for rank, node, device, _ in places(folder)] == [
        ("0", "node1", "None"),
        ("1", "node1", "None"),
        ("2", "node2", "None"),
        ("3", "node2", "None"),
    ]
    assert "['report', '--resume', 'auto']" in log(folder)


def test_one_rank_per_gpu(slurm: dict[str, str], folder: Path) -> None:
    job = start(slurm, folder, "report", nodes=2, gpus_per_node=2)
    assert finish(slurm, job, folder) == "COMPLETED", log(folder)
    assert places(folder) == [
        ("0", "node1", "0", "all"),
        ("1", "node1", "1", "all"),
        ("2", "node2", "0", "all"),
        ("3", "node2", "1", "all"),
    ]


def test_several_ranks_per_gpu(slurm: dict[str, str], folder: Path) -> None:
    job = start(slurm, folder, "report", nodes=1, gpus_per_node=2, ranks_per_gpu=2)
    assert finish(slurm, job, folder) == "COMPLETED", log(folder)
    assert [(device, memory) for _, _, device, memory in places(folder)] == [
        ("0", "0.45"),
        ("1", "0.45"),
        ("0", "0.45"),
        ("1", "0.45"),
    ]


def test_a_failed_run_is_a_failed_job(slurm: dict[str, str], folder: Path) -> None:
    job = start(slurm, folder, "fail", nodes=1, ranks_per_node=2)
    assert finish(slurm, job, folder) == "FAILED"
    assert field(slurm, job, "ExitCode") == "3:0"


def test_time_nearly_up_goes_back_to_the_queue_and_on_from_the_checkpoint(slurm: dict[str, str], folder: Path) -> None:
    job = start(slurm, folder, "wait", nodes=2, ranks_per_node=1)
    wait_until((folder / "checkpoint.waits").exists, "ranks that wait", folder)
    # What SLURM sends by itself `grace` seconds before the time limit.
    subprocess.run(["scancel", "--batch", "--signal=USR1", str(job)], env=slurm, timeout=30, check=True)
    start_again(slurm, job, folder)
    assert finish(slurm, job, folder) == "COMPLETED", log(folder)
    assert "back to the queue" in log(folder)
    assert "restart 1" in log(folder)
    assert "going on from window 7" in log(folder)
    assert field(slurm, job, "Restarts") == "1"


def test_each_task_of_an_array_has_its_number_and_goes_back_to_the_queue_alone(
    slurm: dict[str, str], folder: Path
) -> None:
    array = hand_over_array(slurm, folder, "3-4", "wait", "checkpoint_%a")
    waiting = {"checkpoint_3.waits", "checkpoint_4.waits"}
    wait_until(lambda: {file.name for file in folder.glob("checkpoint_*")} == waiting, "tasks that wait", folder)
    for asked, other in ((f"{array}_4", f"{array}_3"), (f"{array}_3", f"{array}_4")):
        before = field(slurm, other, "Restarts")
        subprocess.run(["scancel", "--batch", "--signal=USR1", asked], env=slurm, timeout=30, check=True)
        start_again(slurm, asked, folder)
        assert field(slurm, other, "Restarts") == before
        assert finish(slurm, asked, folder) == "COMPLETED", log(folder)
    assert sorted(file.name for file in folder.glob("try-*.log")) == [f"try-{array}_{task}.log" for task in (3, 4)]
    assert log(folder).count("going on from window 7") == 2


def test_a_folder_and_options_of_any_letters(slurm: dict[str, str], folder: Path) -> None:
    place = folder / "my dir µ # 'x' \"y\" $HOME"
    place.mkdir()
    (place / "stand_in.py").write_text(STAND_IN)
    comment = "two words, 'a' \"b\" \\ # $HOME"
    submission = Submission(
        ("report", "it's $HOME"),
        program=(sys.executable, "stand_in.py"),
        time="5",
        name="try",
        options=(f"--comment={comment}",),
    )
    job = hand_over(slurm, place, submission)
    assert finish(slurm, job, place) == "COMPLETED", log(place)
    assert '"it\'s $HOME"' in log(place)
    shown = subprocess.run(
        ["scontrol", "show", "job", str(job)], env=slurm, capture_output=True, text=True, timeout=30
    ).stdout
    assert f"Comment={comment}" in shown
    assert f"WorkDir={place}\n" in shown


def test_the_real_program_stops_before_its_time_is_up_and_goes_on_after_the_requeue(
    slurm: dict[str, str], folder: Path
) -> None:
    arguments = (
        *(str(REPOSITORY / "jobs" / "y_branch.toml"), "--output", "run.h5"),
        *("--set", "run.duration=1.5", "--set", "run.output_interval=0.1", "--set", "run.checkpoint_every=2"),
        *("--set", "window.longest=0.05"),
    )
    submission = Submission(arguments, nodes=2, ranks_per_node=1, time="5", name="try")
    job = hand_over(slurm, folder, submission)
    wait_until((folder / "run.checkpoint.h5").exists, "checkpoint", folder, 200.0)
    subprocess.run(["scancel", "--batch", "--signal=USR1", str(job)], env=slurm, timeout=30, check=True)
    start_again(slurm, job, folder)
    assert re.search(r"hpcpinn: stopped at [\d.]+ of 1.5 ms; go on with --resume", log(folder)), log(folder)
    assert finish(slurm, job, folder, 200.0) == "COMPLETED", log(folder)
    result = read(folder / "run.h5")
    assert result.time[-1] == pytest.approx(1.5)
    assert result.complete
    assert set(result.owner) == {0, 1}
