"""Start something under mpirun from an ordinary process: with a time limit, and with nothing left over."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

TIMED_OUT = 124

NOTES = "HPCPINN_TEST_NOTES"
"""Names, on a rank of a test, the folder that all its ranks share and where each notes its results."""

QUICK_TO_COMPILE = " ".join(
    [
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
)
"""Small problems spend most of their time in the compiler: tests let it off optimising, which changes results
by rounding only. ``XLA_FLAGS=`` (empty) before a call of pytest compiles as users do."""

_NESTED = ("OMPI_COMM_", "OMPI_MCA_ess_", "PMIX_", "PRTE_", "PMI_", "SLURM_", "SLIPCOVER_")
"""State of an MPI or SLURM job around us, or of its count of lines, which a job inside it must not see."""

_SURROUNDINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_oob_tcp_if_include": "lo",
    "OMPI_MCA_btl_tcp_if_include": "lo",
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "COLUMNS": "100",
}

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def hear_ctrl_c() -> None:
    """Lets processes that are started from here on hear SIGINT and SIGHUP: ``&`` silences one, ``nohup`` the other."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # this process still does not


@dataclass(frozen=True)
class Finished:
    """How a job ended.

    Attributes:
        code: Exit code of mpirun; `TIMED_OUT` if it was stopped.
        stdout: What all ranks wrote, and
        stderr: what they and mpirun complained about.
        seconds: Wall time.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Both streams, for messages."""
        return self.stdout + self.stderr


def is_rank() -> bool:
    """Whether this process is one rank of a test that an outer pytest started."""
    return NOTES in os.environ


def surroundings(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for a job on one small machine: more ranks than processors, loopback only."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NESTED)}
    searched = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    flags = os.environ.get("XLA_FLAGS", QUICK_TO_COMPILE)
    if ONE_THREAD not in flags:
        flags = f"{flags} {ONE_THREAD}".strip()
    return inherited | _SURROUNDINGS | {"PYTHONPATH": searched, "XLA_FLAGS": flags} | dict(extra or {})


def python_under_mpi(arguments: Sequence[str], ranks: int) -> list[str]:
    """Command line that runs this Python with `arguments` on `ranks` ranks."""
    beside = Path(sys.executable).with_name("mpirun")
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    if mpirun is None:
        raise FileNotFoundError("mpirun is not installed; scripts/setup.sh says how to get it")
    return [mpirun, "-n", str(ranks), sys.executable, *arguments]


def run(
    command: Sequence[str],
    *,
    limit: float = 60.0,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    watch: Callable[[subprocess.Popen[bytes]], bool] | None = None,
) -> Finished:
    """Run a command in a session of its own; whatever is left of that session is ended with it.

    Args:
        command: Program and arguments.
        limit: Seconds after which it is stopped.
        environment: Added to `surroundings`.
        directory: Working directory.
        watch: Called several times a second while the command runs; stops it by returning True.
    """
    start = time.monotonic()
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=surroundings(environment),
        cwd=directory,
    )
    stopped = False
    try:
        while True:
            try:
                stdout, stderr = process.communicate(timeout=0.1 if watch else limit)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() - start > limit or (watch is not None and watch(process)):
                    stopped = True
                    break
        if stopped:
            process.terminate()
            try:
                stdout, stderr = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                _end_session(process.pid)
                stdout, stderr = process.communicate()
    finally:
        _end_session(process.pid)
    return Finished(
        TIMED_OUT if stopped else process.returncode,
        stdout.decode(errors="replace").replace("\0", ""),
        stderr.decode(errors="replace").replace("\0", ""),
        time.monotonic() - start,
    )


def mpirun(arguments: Sequence[str], ranks: int, **options: object) -> Finished:
    """`run` this Python with `arguments` on `ranks` ranks."""
    return run(python_under_mpi(arguments, ranks), **options)  # type: ignore[arg-type]


def session_members(session: int) -> list[int]:
    """Processes of a session, by their ids."""
    return [pid for pid, (state, _, _, of, *_) in _processes() if int(of) == session and state != "Z"]


def children(parent: int) -> list[int]:
    """Processes that a process has started and that are there still, by their ids."""
    return [pid for pid, (state, by, *_) in _processes() if int(by) == parent and state != "Z"]


def _processes() -> Iterator[tuple[int, list[str]]]:
    """All processes: state, parent, group, session, and what else the system says of them."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                # After the program's name, which may itself hold spaces.
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def _end_session(session: int) -> None:
    """End what is left of a session, and wait until the system has let go of it."""
    deadline = time.monotonic() + 10.0
    while (members := session_members(session)) and time.monotonic() < deadline:
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        time.sleep(0.05)
