"""End a job on all ranks together: with one message, one exit code, and never a hang.

Plain mpirun hangs when one rank raises or exits while the others wait for it in a collective call.
So every rank leaves `guarded` with its outcome, and they compare. An outcome that all ranks
reach (they finished, or all found the same fault in the input) ends the job quietly. A rank that
failed and waits in vain for the others knows that they are stuck, says why, and aborts the job.
"""

import errno
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hpcpinn.errors import HpcpinnError, noted_where
from hpcpinn.parallel import launch

PATIENCE = 4.0
"""Seconds that a failed rank waits for the others before it aborts the job."""

_RANK_DELAY = 0.2
"""Added per rank, so that of several failed ranks one speaks and the others are stopped before they do."""

_MESSAGE_BYTES = 16384
_CODE_BYTES = 4
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@dataclass(frozen=True)
class Outcome:
    """How one rank's work ended.

    Attributes:
        code: Exit code.
        message: What a person should read; empty for none.
    """

    code: int
    message: str

    def pack(self) -> bytes:
        """The outcome in a fixed number of bytes."""
        text = self.message.encode(errors="backslashreplace")[:_MESSAGE_BYTES]
        return self.code.to_bytes(_CODE_BYTES, "little") + text.ljust(_MESSAGE_BYTES, b"\0")

    @staticmethod
    def unpack(data: bytes) -> "Outcome":
        """The outcome that `pack` made bytes of."""
        text = data[_CODE_BYTES:].rstrip(b"\0").decode(errors="ignore")
        return Outcome(int.from_bytes(data[:_CODE_BYTES], "little"), text)


def outcome_of(error: BaseException, *, debug: bool = False) -> Outcome:
    """What has ended the work, as an outcome.

    Args:
        error: What was raised.
        debug: Put the traceback into the message.
    """
    if isinstance(error, HpcpinnError):
        return Outcome(error.exit_code, _text(error, " ".join(str(error).split()) + noted_where(error), debug))
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return Outcome((error.code or 0) & 0xFF, "")
        return Outcome(1, str(error.code))
    if isinstance(error, KeyboardInterrupt):
        return Outcome(INTERRUPTED, "interrupted")
    if isinstance(error, BrokenPipeError):
        # The reader of our output went away (`| head`).
        _give_up_output()
        return Outcome(1, "")
    if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
        # Not of a file that has a name: the log that standard output goes to is on a full disk, as a rule.
        _give_up_output()
        reason = os.strerror(error.errno)
        return Outcome(1, f"output cannot be written ({reason}); make room, or send it somewhere else")
    return Outcome(1, _text(error, _describe_unexpected(error), debug))


def _give_up_output() -> None:
    """Throws away what cannot be written; without this, the flush at the end of the process complains again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(error: BaseException, line: str, debug: bool) -> str:
    if not debug:
        return line
    trace = "".join(traceback.format_exception(error))
    return f"{trace[-(_MESSAGE_BYTES // 2) :]}{line}"


def _describe_unexpected(error: BaseException) -> str:
    """One line for an error that is our fault: what, where, and how to see more."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    # JAX wraps what happened in a callback into its own words: the cause stands at the end.
    reason = " … ".join(line[:300] for line in dict.fromkeys([*lines[:1], *lines[-1:]]))
    return f"internal error: {type(error).__name__}: {reason}{noted_where(error)}{place}; --debug shows the traceback"


@contextmanager
def guarded(*, debug: bool = False, patience: float = PATIENCE) -> Iterator[None]:
    """Ends the process after the work inside, on all ranks together. Collective over all ranks.

    One line goes to stderr if the work failed: from rank 0 if all ranks came to their end, from the
    failed rank if the others are stuck. The exit code is that of the lowest rank that failed.

    Args:
        debug: Show tracebacks.
        patience: Seconds that a failed rank waits for the others.

    Raises:
        SystemExit: Always.
    """
    world = _world()
    if _known_rank(world) > 0:
        # One job, one voice. Open for as long as the process lives.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    outcome = Outcome(0, "")
    try:
        yield
        sys.stdout.flush()  # whether the last lines can be written is known only now
    except BaseException as error:
        outcome = outcome_of(error, debug=debug)
    if world is not None:
        outcome = _compare(world, outcome, patience)
    if outcome.message and (world is None or world.rank == 0):
        _speak(outcome.message)
    if outcome.code:
        _leave_within(patience, outcome.code)
    sys.exit(outcome.code)


def _world() -> Any | None:
    """A communicator for the comparison alone, made while all ranks are well; None without MPI."""
    if not launch.started_by_launcher():
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):  # it is not installed, or finds no MPI library
        return None
    return MPI.COMM_WORLD.Dup() if MPI.COMM_WORLD.size > 1 else None


def _known_rank(world: Any | None) -> int:
    """The rank; without MPI what the launcher says, unless that is left over from a job around this one."""
    if world is not None:
        return int(world.rank)
    return launch.promised_rank() if launch.promised_size() > 1 and "mpi4py.MPI" not in sys.modules else 0


def _compare(world: Any, own: Outcome, patience: float) -> Outcome:
    """The outcome of the job. A rank that succeeded waits as long as the others need."""
    sent = own.pack()
    received = bytearray(len(sent) * world.size)
    request = world.Iallgather(sent, received)
    deadline = time.monotonic() + patience + _RANK_DELAY * min(world.rank, 10)
    while not request.Test():
        if own.code and time.monotonic() > deadline:
            _speak(f"rank {world.rank}: {own.message or f'ended with code {own.code}'}")
            time.sleep(0.1)  # mpirun forwards the line before the job is gone
            world.Abort(own.code)
        time.sleep(0.01)
    outcomes = [
        Outcome.unpack(bytes(received[start : start + len(sent)])) for start in range(0, len(received), len(sent))
    ]
    return next((outcome for outcome in outcomes if outcome.code), own)


def _speak(message: str) -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_output()
    print(f"hpcpinn: {message}", file=sys.stderr, flush=True)


def _leave_within(seconds: float, code: int) -> None:
    """Make sure that a failed process ends, even if MPI or a thread of JAX will not let go."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()
