"""Small jobs of every kind, as a person starts them: a process or ranks of their own, and what they leave."""

import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from tests.mpi import runner
from tests.torture.rows import must

LIMIT = 300.0
"""Seconds after which a job is taken for one that hangs."""
GONE_WITHIN = 5.0
"""Seconds after which nothing is left of a job that was killed."""
CLOCKS = re.compile(r"(^|/)seconds(_\w+)?$|^uq/seconds|_seconds$")
"""Datasets that say how long something took."""

_COUPLED = """
[morphology]
file = "builtin:y_branch"
[[synapse]]
site = "tip"
start = 0.2
[[probe]]
site = "tip"
[window]
longest = 0.05
[run]
duration = 1.5
output_interval = 0.1
checkpoint_every = 1
"""

_PULSED = """
[morphology]
file = "builtin:y_branch"
[field]
magnitude = 9000.0
direction = [1.0, 1.0, 0.3]
[stimulation]
waveform = "monophasic"
start = 2.0
[[probe]]
site = "tip"
[pieces]
max_length = 20.0
[cable]
step = 0.05
d_lambda = 0.02
[split]
checkpoint_every = 0.0
coupled_for = 1.0
[window]
"""

_UNKNOWN = """
[domain]
kind = "square"
[[parameter]]
name = "D"
start = 0.30
[[parameter]]
name = "k"
prior = 0.05
prior_factor = 1.3
[data]
count = 100
noise = 0.03
[inference]
features = 20
"""


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        command: Command of hpcpinn that does it.
        text: The job file.
    """

    command: str
    text: str

    @property
    def can_go_on(self) -> bool:
        """Whether it has checkpoints."""
        return self.command == "run"


KINDS = ("coupled", "split", "square", "infer", "uq", "mixed", "members")
"""Jobs that rows take in turn."""

JOBS: Mapping[str, Job] = {
    "other": Job("run", _COUPLED.replace("start = 0.2", "start = 0.2\nflux = 9000.0")),
    "coupled": Job("run", _COUPLED),
    "split": Job(
        "run", _PULSED + 'kind = "split"\n[run]\nduration = 12.0\noutput_interval = 1.0\nprobe_interval = 0.5\n'
    ),
    "mixed": Job(
        "run",
        _PULSED
        + 'kind = "mixed"\ntolerance = 5e-3\n[run]\nduration = 5.0\noutput_interval = 0.5\nprobe_interval = 0.5\n',
    ),
    "members": Job(
        "run",
        _PULSED + 'kind = "split"\n[run]\nduration = 8.0\noutput_interval = 1.0\nprobe_interval = 0.5\n'
        "[population]\nmagnitudes = [9000.0, 5000.0]\n",
    ),
    "square": Job(
        "run",
        '[domain]\nkind = "square"\nsubdomains = [2, 2]\n[network]\nfeatures_space = 6\nfeatures_time = 5\n'
        "[window]\ntolerance = 0.1\nfirst = 0.1\nlongest = 0.1\n[schwarz]\njump_tolerance = 1e-6\n"
        "[run]\nduration = 2.0\noutput_interval = 0.5\ncheckpoint_every = 1\n",
    ),
    "infer": Job("infer", _UNKNOWN),
    "uq": Job("uq", _UNKNOWN + "[uq]\nchains = 2\nwarmup = 100\ndraws = 300\ness_least = 20.0\nrhat_most = 1.1\n"),
}


@dataclass
class Started:
    """A job that has been started, in a session of its own.

    Attributes:
        process: The process, or mpirun.
        out: Path of its result.
        errors: File that takes what it complains about.
        began: When it was started.
        leaders: Leaders of its sessions, by their ids.
    """

    process: "subprocess.Popen[bytes]"
    out: Path
    errors: Path
    began: float = field(default_factory=time.monotonic)
    leaders: set[int] = field(default_factory=set)

    @property
    def session(self) -> list[int]:
        """Its processes, by their ids; those that scripts/mpirun.sh has put into a session of their own, too."""
        self.leaders |= {self.process.pid, *runner.children(self.process.pid)}
        return [pid for leader in self.leaders for pid in runner.session_members(leader)]

    @property
    def ranks(self) -> list[int]:
        """Those of them that solve."""
        return [pid for pid in self.session if b"hpcpinn" in _command_of(pid) and b"mpirun" not in _command_of(pid)]

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def code(self, limit: float = LIMIT) -> int:
        """Its exit code, as a shell has it; nothing is left of it."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.end()
            raise
        self.gone()
        return code if code >= 0 else 128 - code

    def gone(self) -> float:
        """Waits for the last of its processes; how long that took, seconds."""
        began = time.monotonic()
        while self.session:
            if time.monotonic() - began > GONE_WITHIN:
                left = [_command_of(pid).replace(b"\0", b" ").decode() for pid in self.session]
                self.end()
                must(False, f"{len(left)} processes are left after {GONE_WITHIN} s: {left}")
            time.sleep(0.02)
        return time.monotonic() - began

    def end(self) -> None:
        """Ends all of it."""
        for pid in self.session:
            _kill(pid, signal.SIGKILL)
        self.process.wait(30)

    def said(self) -> list[str]:
        """Lines of its own on stderr, warnings left out; not those of mpirun."""
        lines = self.errors.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith("hpcpinn: ") and "warning" not in line]


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def start(
    kind: str,
    ranks: int,
    out: Path,
    *more: str,
    largest: int | None = None,
    listens: bool = False,
    **environment: str,
) -> Started:
    """Starts a job.

    Args:
        kind: Name of the job.
        ranks: Number of ranks.
        out: Path of the result.
        more: Further words of the command line.
        largest: Bytes that a file of it may have; None for any number.
        listens: Whether ranks are started by what hands signals on to them at once.
        environment: Variables of its surroundings.
    """
    job, described, is_alone = JOBS[kind], job_file(kind), ranks == 1
    words = ["-m", "hpcpinn"] if largest is None or is_alone else ["-c", _LIMITED, str(largest)]
    words += [job.command, str(described), "--output", str(out), *more]
    command = [sys.executable, *words] if is_alone else runner.python_under_mpi(words, ranks)
    if listens and not is_alone:
        command = ["bash", str(runner.REPOSITORY / "scripts" / "mpirun.sh"), *command[1:]]
    errors = Path(tempfile.mkstemp(prefix="said-", dir=described.parent)[1])

    def limited() -> None:
        if largest is not None and is_alone:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    with errors.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            env=runner.surroundings(_KEPT | environment),
            cwd=described.parent,
            preexec_fn=limited,
        )
    return Started(process, out, errors)


_LIMITED = """
import resource, runpy, sys
from mpi4py import MPI
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
runpy.run_module("hpcpinn", run_name="__main__", alter_sys=True)
"""
"""A rank whose files are limited once it knows the others: mpirun hangs where its own shared memory is limited."""

_KEPT = {"OMPI_MCA_odls_base_sigkill_timeout": "2", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@cache
def work_folder() -> Path:
    """Folder of this process for job files, straight runs and complaints."""
    return Path(tempfile.mkdtemp(prefix="torture-jobs-"))


def job_file(kind: str) -> Path:
    """The job file of a job."""
    path = work_folder() / f"{kind}.toml"
    if not path.exists():
        path.write_text(JOBS[kind].text)
    return path


@dataclass(frozen=True)
class Straight:
    """A job that nothing has happened to.

    Attributes:
        out: Path of its result.
        seconds: Wall time of it.
        alone: Wall time until its result was there.
    """

    out: Path
    seconds: float
    alone: float


@cache
def straight(kind: str, ranks: int) -> Straight:
    """A job from its start to its end; done once, after its programs are compiled."""
    out = work_folder() / f"{kind}-{ranks}" / "run.h5"
    must(start(kind, ranks, out).code() == 0, f"{kind} on {ranks} ranks does not come to its end")
    out.unlink()
    job, there = start(kind, ranks, out, *(("--resume", "auto") if JOBS[kind].can_go_on else ())), 0.0
    while not job.is_over:
        there = there or (time.monotonic() - job.began if out.exists() else 0.0)
        time.sleep(0.01)
    took = time.monotonic() - job.began
    must(job.code() == 0, f"{kind} on {ranks} ranks does not come to its end")
    return Straight(out, took, there)


def again(kind: str, ranks: int, out: Path, *, listens: bool = False, **environment: str) -> Started:
    """What a queue does with a job that was killed: the same command, which goes on by itself."""
    resumed = ("--resume", "auto") if JOBS[kind].can_go_on else ()
    return start(kind, ranks, out, *resumed, listens=listens, **environment)


def differing(one: Path, other: Path, tolerance: float = 0.0) -> list[str]:
    """Names of what is not the same in two results; fields and samples alone where there is a tolerance."""
    found = []
    with h5py.File(one, "r", locking=False) as a, h5py.File(other, "r", locking=False) as b:
        names = {name: _datasets(file) for name, file in (("a", a), ("b", b))}
        must(names["a"] == names["b"], f"{other}: other datasets: {names['a'] ^ names['b']}")
        for name in sorted(names["a"]):
            if tolerance and ((name.count("/") and not name.startswith("probes/")) or a[name].ndim != 2):
                continue
            x, y = _values(a, name, one), _values(b, name, other)
            if not (np.array_equal(x, y, equal_nan=x.dtype.kind == "f") or _near(x, y, tolerance)):
                found.append(name)
    return found


def _values(file: h5py.File, name: str, path: Path) -> np.ndarray:
    """What a dataset holds; of the settings of members all but the path that is written to."""
    values = np.asarray(file[name][()])
    if name == "members/config":
        return np.array([text.replace(str(path).encode(), b"") for text in values])
    return values


def _near(x: np.ndarray, y: np.ndarray, tolerance: float) -> bool:
    if not tolerance or x.shape != y.shape:
        return False
    return bool(np.nanmax(np.abs(x - y)) <= tolerance * np.nanmax(np.abs(x)))


def _datasets(file: h5py.File) -> set[str]:
    names: list[str] = []
    file.visititems(lambda name, part: names.append(name) if isinstance(part, h5py.Dataset) else None)
    return {name for name in names if not CLOCKS.search(name) and name != "config"}


def must_be_whole(kind: str, ranks: int, out: Path) -> None:
    """Ends a case whose result is not that of a straight job to the last bit, or has an end that is none."""
    found = differing(straight(kind, ranks).out, out)
    must(not found, f"{kind} on {ranks} ranks: {', '.join(found)} differ")
    with h5py.File(out, "r", locking=False) as file:
        must(bool(file.attrs.get("complete", True)), f"{kind} on {ranks} ranks: not complete")
    left = {path.name for path in out.parent.iterdir()} - {"run.json", "run.metrics.json"}
    odd = [name for name in left if name.endswith((".new", ".journal", ".lock")) or ".lock." in name]
    must(not odd, f"left over: {', '.join(odd)}")


def digest(path: Path) -> str:
    """What identifies a file; empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
