"""The one process that writes a result: a lock beside it, void when that process is gone.

``run.h5`` → ``run.lock`` holds host, process, start and job, and its time of modification is the heartbeat. Whoever
finds it leaves the result alone, unless the process is gone on this host, the job is the same (a scheduler has put it
back into its queue), or nothing was heard for a minute.
"""

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io.names import beside
from hpcpinn.parallel import stopping

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

SILENCE = 60.0
"""Seconds without a heartbeat after which a lock is void."""
_BEAT = 5.0
_SETTLED = 0.2
"""Seconds after which a lock that was taken over is looked at again: another may have taken it over as well."""

_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "FLUX_JOB_ID", "COBALT_JOBID")
"""Where schedulers say which job this is; the number stays when a job goes back into the queue."""


@dataclass(frozen=True)
class Owner:
    """A process, as others know it.

    Attributes:
        host: Name of its host.
        boot: Name of one start of that host; empty where it has none.
        pid: Number of the process.
        began: Start of the process in ticks since its host started; empty where that is not known.
        job: Number of the job of a scheduler; empty for none.
        since: Time at which it took the lock, for people.
    """

    host: str
    boot: str
    pid: int
    began: str
    job: str
    since: str

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        host, boot = _host()
        job = next((f"{name}={os.environ[name]}" for name in _JOBS if os.environ.get(name)), "")
        return cls(host, boot, os.getpid(), _began(os.getpid()), job, time.strftime("%Y-%m-%d %H:%M:%S"))

    @property
    def is_on_this_host(self) -> bool:
        """Whether its number means something here."""
        return (self.host, self.boot) == _host()

    @property
    def is_gone(self) -> bool:
        """Whether it is known that the process, on this host, is no more."""
        return self.is_on_this_host and _began(self.pid) != self.began

    def __str__(self) -> str:
        job = f", {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since}"


def _host() -> tuple[str, str]:
    with contextlib.suppress(OSError):
        return socket.gethostname(), Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname(), ""


def _began(pid: int) -> str:
    """Start of a process in ticks of this host's clock; ``gone`` where it is no more, empty where nobody says."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return "gone"
        except OSError:
            pass
        return ""
    return "gone" if state in "ZX" else fields[18]


def lock_path(result: str | Path) -> Path:
    """Where the lock of a result lies: ``run.h5`` → ``run.lock``."""
    return beside(os.path.realpath(result), "lock")


def owner_of(result: str | Path) -> Owner | None:
    """The process that writes a result, if it is another one and alive."""
    found = _read(lock_path(result))
    return None if found is None or _is_void(lock_path(result), found) else found


def check_free(result: str | Path) -> None:
    """Leaves a result alone that another process writes.

    Raises:
        InputError: One does.
    """
    owner = owner_of(result)
    if owner is not None:
        # of a process on this host it is known whether it is dead
        silent = "" if owner.is_on_this_host else f"; if it is dead, {lock_path(result)} is void after a minute"
        raise InputError(
            f"{result}: is being written by {owner}; wait for it, or write another file (--output){silent}"
        )


@contextmanager
def owning(communicator: "Communicator", result: str | Path) -> Iterator[None]:
    """Owns a result while it is written. Collective over all ranks.

    Raises:
        InputError: On all ranks: another process writes it.
        OutputError: On all ranks: its folder cannot be written to.
    """
    lock, error = None, None
    if communicator.rank == 0:
        try:
            lock = Lock(result)
        except (InputError, OutputError) as caught:
            error = caught
    if lock is None:
        communicator.agree(error)
        yield
        return
    try:
        communicator.agree(error)
        with stopping.leaving(lock.release):  # else others would wait for a minute, on other hosts
            yield
    finally:
        lock.release()


class Lock:
    """The lock of a result, held by this process and kept alive by a thread. Serial."""

    def __init__(self, result: str | Path) -> None:
        """Takes the lock.

        Raises:
            InputError: Another process writes the result.
            OutputError: The folder of the result cannot be written to.
        """
        self.path, self._owner, self._is_over = lock_path(result), Owner.here(), threading.Event()
        self._made: list[Path] = []
        check_free(result)
        try:
            self._made = [folder for folder in self.path.parents if not folder.exists()]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._take(result)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot write: {error.strerror or error}; write to a folder of yours"
            ) from error
        self._thread = threading.Thread(target=self._beat, name="hpcpinn-owner", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Lets others write; a lock that was taken over is left to them."""
        self._is_over.set()
        with contextlib.suppress(OSError):
            if _read(self.path) == self._owner:
                self.path.unlink()
        with contextlib.suppress(OSError):  # of a run that came to nothing nothing is left
            for folder in self._made:
                folder.rmdir()

    def _take(self, result: str | Path) -> None:
        mine = _written(self.path, self._owner)
        try:
            try:
                os.link(mine, self.path)  # one of two that come together is the first, on network file systems too
            except FileExistsError:
                check_free(result)
            except OSError:  # a file system without links
                with open(self.path, "x", encoding="utf-8") as file:
                    file.write(mine.read_text(encoding="utf-8"))
            if _read(self.path) != self._owner:
                os.replace(mine, self.path)
                time.sleep(_SETTLED)
                check_free(result)
        finally:
            mine.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._is_over.wait(_BEAT):
            with contextlib.suppress(OSError):
                if _read(self.path) != self._owner:
                    return  # whoever took it over is heard of at the next flush
                os.utime(self.path)


def check_kept(result: str | Path) -> None:
    """Stops a process whose result another has taken over while nothing was heard of it.

    Raises:
        OutputError: That is so.
    """
    owner = owner_of(result)
    if owner is not None:
        raise OutputError(f"{result}: was taken over by {owner}, after nothing had been heard of this one for a minute")


def _written(lock: Path, owner: Owner) -> Path:
    """A file with the words of an owner, beside the lock."""
    descriptor, name = tempfile.mkstemp(prefix=f"{lock.name}.", dir=lock.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(owner), file)
    return Path(name)


def _read(lock: Path) -> Owner | None:
    """Who has a lock; None where nobody has, or it cannot be understood."""
    try:
        return Owner(**json.loads(lock.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _is_void(lock: Path, owner: Owner) -> bool:
    """Whether a lock need not be minded."""
    own = Owner.here()
    if owner.is_on_this_host:
        return owner.is_gone or (owner.pid, owner.began) == (own.pid, own.began)
    return (bool(own.job) and owner.job == own.job) or _silence(lock) > SILENCE


def _silence(lock: Path) -> float:
    """Seconds since the last heartbeat, by the clock of the file system that both are on."""
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(prefix=f"{lock.name}.", dir=lock.parent) as now:
        return os.fstat(now.fileno()).st_mtime - lock.stat().st_mtime
    with contextlib.suppress(OSError):
        return time.time() - lock.stat().st_mtime
    return float("inf")
