"""Ctrl-C and SIGTERM are heard at once and obeyed where nothing is lost: at the end of a window, with a checkpoint.

Python turns a signal into an exception wherever it happens to be, in the clean-up of an object too, where it is lost;
and it does so between two lines of Python, which may be minutes apart while compiled code runs. Here a thread hears
signals as they come. Work that keeps what it has done (`patient`) looks at them where it can stop (`heed`, on all ranks
together); any other work, and any work at a second signal, ends at once, but not in the middle of a file.
"""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from hpcpinn.parallel import launch

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""SIGUSR1, which mpirun and srun hand on to all ranks without ending them soon after, is how a batch script asks."""

_PAUSE = 0.02
"""Seconds between two looks at whether a file is written."""

_RANK_DELAY = 0.2
"""Seconds per rank after which it ends: the first one speaks for all."""

_SHOW_CURSOR = b"\x1b[?25h"


def code_of(number: int) -> int:
    """The exit code of a process that a signal ended, as shells have it."""
    return 128 + number


class StopAsked(BaseException):
    """Raised by `heed` on all ranks: the work is to stop here. No Exception, so that nobody takes it for a failure.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Listener:
    """What a process has heard. As the handler of signals it does nothing: its thread has heard them already.

    Attributes:
        asked: Number of the signal that a patient work has still to obey; 0 for none.
        is_patient: Whether the work will look at `asked`.
        kept: What a person is told at the end of a work that ends at once: what is kept of it.
        farewells: Functions that are called where the process ends at once, the last first: brief ones.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.is_patient = False
        self.kept = "nothing was written"
        self.farewells: list[Callable[[], object]] = []
        self._writing = threading.RLock()

    def __call__(self, number: int, frame: Any) -> None:
        """Does nothing."""

    def listen(self, pipe: int) -> None:
        """Obeys the signals whose numbers come out of a pipe, until it is closed."""
        ending = 0
        while True:
            is_said, _, _ = select.select([pipe], [], [], _PAUSE if ending else None)
            if is_said:
                said = os.read(pipe, 1)
                if not said:
                    os.close(pipe)
                    return
                if said[0] not in HEARD:
                    continue
                if self.is_patient and not self.asked:
                    self.asked = said[0]
                    self._say(f"{signal.Signals(self.asked).name}: stopping here; a second one ends at once")
                    continue
                if ending or self.asked:
                    self._end(said[0])
                ending = said[0]
            if ending and self._writing.acquire(blocking=False):
                self._end(ending)

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Within it only a second signal ends the process."""
        with self._writing:
            yield

    def _end(self, number: int) -> None:
        rank = launch.promised_rank()
        if rank:
            threading.Event().wait(_RANK_DELAY * min(rank, 10))
        self._say(f"stopped; {self.kept}")
        for farewell in reversed(self.farewells):
            with suppress(Exception):
                farewell()
        if launch.output_is_terminal():
            os.write(1, _SHOW_CURSOR)
        # No clean-up: it would wait for other ranks, or for compiled code.
        os._exit(code_of(number))

    def _say(self, text: str) -> None:
        """Writes a line, without the locks of streams, which the main thread may hold."""
        if launch.promised_rank() == 0:
            try:
                os.write(2, f"hpcpinn: {text}\n".encode(errors="backslashreplace"))
            except OSError:
                return


@contextmanager
def listening(*, to_the_end: bool = False) -> Iterator[None]:
    """Signals are heard from here on; those that whoever started the process has silenced (nohup) stay so.

    Does nothing in a thread other than the main one, which alone may say who handles signals.

    Args:
        to_the_end: Whether the process ends afterwards, and signals are not to change its exit code any more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener, (out, into) = Listener(), os.pipe()
    os.set_blocking(into, False)
    threading.Thread(target=listener.listen, args=(out,), daemon=True).start()
    former_pipe = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    heard = [number for number in HEARD if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, listener) for number in heard}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)
        signal.set_wakeup_fd(former_pipe)
        os.close(into)  # the thread ends


def listener() -> Listener | None:
    """What this process listens with; None where nobody does: signals then are Python's exceptions."""
    handlers = map(signal.getsignal, HEARD)
    return next((handler for handler in handlers if isinstance(handler, Listener)), None)


@contextmanager
def patient(kept: str) -> Iterator[None]:
    """The work within it looks at signals by `heed`; `kept` is said where a second one ends it at once."""
    heard = listener()
    if heard is None:
        yield
        return
    before = heard.kept
    heard.kept, heard.is_patient = kept, True
    try:
        yield
    finally:
        heard.kept, heard.is_patient = before, False


def keeping(kept: str) -> None:
    """From here on this is what is said to be kept where a signal ends the process at once."""
    heard = listener()
    if heard is not None:
        heard.kept = kept


def kept_so_far() -> str:
    """What is said now to be kept."""
    heard = listener()
    return heard.kept if heard is not None else ""


@contextmanager
def leaving(farewell: Callable[[], object]) -> Iterator[None]:
    """Within it something is also done where a signal ends the process at once: from another thread, and briefly."""
    heard = listener()
    if heard is None:
        yield
        return
    heard.farewells.append(farewell)
    try:
        yield
    finally:
        heard.farewells.remove(farewell)


@contextmanager
def unbroken(then_kept: str = "") -> Iterator[None]:
    """A first signal ends the process only after it, not in the middle of a file.

    Args:
        then_kept: What is said to be kept after it; empty: what is said so far.
    """
    heard = listener()
    if heard is None:
        yield
        return
    with heard.unbroken():
        yield
        heard.kept = then_kept or heard.kept


def heed(communicator: "Communicator") -> None:
    """Stops a patient work, on all ranks together, if one of them has heard a signal. Collective over all ranks.

    Raises:
        StopAsked: One has.
    """
    heard = listener()
    number = max(communicator.share(heard.asked if heard is not None else 0))
    if number:
        raise StopAsked(number)
