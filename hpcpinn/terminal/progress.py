"""What a person sees while work goes on: one live line in a terminal, a plain line now and then elsewhere."""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hpcpinn.wording import amount_of, biology_of, duration, roughly

FIRST_LINE, BETWEEN_LINES = 5.0, 10.0
"""Seconds until the first plain line, and from one to the next."""

_LEAST_REPORTS, _LEAST_SECONDS, _LEAST_SHARE = 5, 5.0, 0.01
"""A time left is said after so many recent reports, so many seconds and this share of the work,"""

_STEADY = 3.0
"""where the speed has not changed by more than this factor lately: first windows are short, and some compile,"""

_FAR, _VERY_FAR, _LONG = 10.0, 100.0, 60.0
"""and where it is no more than so many times what has passed, and so many times after the long time."""

_RECENT = 20.0
"""The speed is that of so many seconds, or of the last half of what has passed where that is longer."""


_QUIET = 15.0
"""Seconds without a report after which a plain line says so."""

_BAR = 16
"""Characters."""


class Pace:
    """How fast a part of the work goes.

    Args:
        total: Amount at which it is done; 0 where nobody knows.
        clock: Clock that gives seconds.
    """

    def __init__(self, total: float, clock: Callable[[], float] = time.monotonic):
        self.total, self.began = total, clock()
        self.amount = 0.0
        self._clock = clock
        self._reports: deque[tuple[float, float]] = deque()

    def report(self, amount: float) -> None:
        """So much is done."""
        now = self._clock()
        self.amount = amount
        self._reports.append((now, amount))
        since = self._reports[0][0]
        window = max(_RECENT, 0.5 * (now - self.began))
        while len(self._reports) > _LEAST_REPORTS and now - self._reports[1][0] >= window and now - since > window:
            self._reports.popleft()
            since = self._reports[0][0]

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self.began

    @property
    def share(self) -> float | None:
        """Of the work that is done, 0 to 1; None where nobody knows."""
        return min(1.0, self.amount / self.total) if self.total > 0.0 and self._reports else None

    @property
    def left(self) -> float | None:
        """Seconds; None until that is more than a guess: what is compiled takes the first report's time."""
        share, reports = self.share, self._reports
        if share is None or len(reports) < _LEAST_REPORTS or self.seconds < _LEAST_SECONDS or share < _LEAST_SHARE:
            return None
        (since, before), (mid, half), (latest, now) = reports[0], reports[len(reports) // 2], reports[-1]
        if not (since < mid < latest and before < half < now):
            return None
        early, late = (half - before) / (mid - since), (now - half) / (latest - mid)
        if not 1.0 / _STEADY <= late / early <= _STEADY:
            return None
        rest = (self.total - now) * (latest - since) / (now - before)
        far = _FAR if self.seconds < _LONG else _VERY_FAR
        return max(0.0, rest - self.quiet) if rest <= far * self.seconds else None

    @property
    def quiet(self) -> float:
        """Seconds since the last report, or since it began."""
        return self._clock() - (self._reports[-1][0] if self._reports else self.began)


class Progress(ABC):
    """A part of the work begins, goes on, ends with the next one. As a context manager it closes in any case."""

    def __init__(self) -> None:
        self._what, self._unit, self._detail = "", "", ""
        self._pace = Pace(0.0)

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None:
        """Takes note of what begins; see `hpcpinn.progress`."""
        self._what, self._unit, self._detail, self._pace = what, unit, "", Pace(total)
        self._changed()

    def done(self, amount: float, detail: str = "") -> None:
        """Takes note of how far it is."""
        self._detail = detail
        self._pace.report(amount)
        self._changed()

    @abstractmethod
    def tell(self, label: str, text: str) -> None:
        """Shows something that stays."""

    @abstractmethod
    def _changed(self) -> None:
        """There is something new to show."""

    @abstractmethod
    def close(self) -> None:
        """The work is over, one way or the other. May be called twice."""

    @property
    def _how_far(self) -> str:
        """``12.5 of 50 ms``, or how long it has taken where nobody knows how much there is."""
        pace = self._pace
        if pace.share is None:
            return duration(pace.seconds) if pace.seconds >= 1.0 else ""
        if self._unit == "ms":
            return biology_of(pace.amount, pace.total)
        return f"{amount_of(pace.amount, pace.total)} {self._unit}".rstrip()

    @property
    def _left(self) -> str:
        left = self._pace.left
        if left is None or self._pace.share == 1.0:
            return ""
        return f"about {roughly(left)} left" if left >= 0.95 else "almost done"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SilentProgress(Progress):
    """Shows nothing: every rank but the first."""

    def tell(self, label: str, text: str) -> None:
        """Does nothing."""

    def _changed(self) -> None:
        pass

    def close(self) -> None:
        """Does nothing."""


class LogProgress(Progress):
    """One plain line now and then, by the clock: also while nothing is reported.

    Args:
        console: Console that lines are printed to.
        first: Seconds until the first line.
        interval: Seconds from one to the next.
    """

    def __init__(self, console: Console, first: float = FIRST_LINE, interval: float = BETWEEN_LINES):
        super().__init__()
        self._console = console
        self._first, self._interval = first, interval
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._said = ""
        self._teller: threading.Thread | None = None

    def _changed(self) -> None:
        if self._teller is None and not self._over.is_set():
            self._teller = threading.Thread(target=self._tell, daemon=True)
            self._teller.start()

    def tell(self, label: str, text: str) -> None:
        """Writes a line."""
        with self._writing:
            _print_labelled(self._console, label, text)

    def _tell(self) -> None:
        wait = self._first
        while not self._over.wait(wait):
            self._say()
            wait = self._interval

    def close(self) -> None:
        """Says how far it came, where lines have been written and that is new."""
        if not self._over.is_set():
            self._over.set()
            if self._said and self._pace.share is not None and self._pace.quiet < _QUIET and self._line != self._said:
                self._say()

    @property
    def _line(self) -> str:
        share = self._pace.share
        how_far = self._how_far + ("" if share is None else f" ({100.0 * share:.0f} %)")
        is_quiet = share is not None and self._pace.quiet > _QUIET
        quiet = f"nothing new for {duration(self._pace.quiet)}" if is_quiet else ""
        parts = [self._left, self._detail, quiet]
        return ", ".join(part for part in (f"{self._what} {how_far}".rstrip(), *parts) if part)

    def _say(self) -> None:
        with self._writing:
            self._said = self._line
            self._console.print(self._said, highlight=False, markup=False, soft_wrap=True)


class LiveProgress(Progress):
    """One line that is redrawn in place.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console):
        super().__init__()
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._drawn)
        self._closed = False

    def _changed(self) -> None:
        if not self._live.is_started and not self._closed:
            self._live.start()

    def tell(self, label: str, text: str) -> None:
        """Writes a line above the one that is redrawn."""
        _print_labelled(self._live.console, label, text)

    def close(self) -> None:
        """Gives the terminal back."""
        self._closed = True
        self._live.stop()

    def _drawn(self) -> Text:
        # Where the terminal is narrow, whole parts go, not ends of numbers; of a detail its last part is kept longest.
        last = self._detail.rpartition(", ")[2]
        shapes = ((_BAR, self._detail), (_BAR, last), (_BAR // 2, last), (0, last), (_BAR, ""), (0, ""))
        lines = [self._in_shape(bar, detail) for bar, detail in shapes]
        fitting = (line for line in lines if len(line) <= self._console.width)
        return Text(next(fitting, lines[-1]), no_wrap=True, overflow="ellipsis")

    def _in_shape(self, bar: int, detail: str) -> str:
        """The line with a bar of so many characters."""
        share = self._pace.share
        parts = [self._what]
        if share is not None:
            full = round(bar * share)
            done, rest = ("#", ".") if self._console.options.ascii_only else ("\N{FULL BLOCK}", "\N{LIGHT SHADE}")
            parts += [done * full + rest * (bar - full), f"{100.0 * share:.0f} %"]
        parts += [self._how_far, self._left, detail]
        return "  ".join(part for part in parts if part)


def _print_labelled(console: Console, label: str, text: str) -> None:
    console.print(f"{label:<10}{text}", highlight=False, markup=False, soft_wrap=True)


def make_progress(rank: int = 0, console: Console | None = None, *, plain_output: bool = False) -> Progress:
    """The display for this rank: one live line in a terminal, log lines elsewhere, nothing but on rank 0.

    Args:
        rank: Rank of this process.
        console: Console that is printed to; by default standard output, which under mpirun alone is a terminal, and
            which leaves standard error to the one line of an error.
        plain_output: Standard output is for a program to read.
    """
    if rank != 0:
        return SilentProgress()
    console = console or Console(stderr=plain_output, markup=False)
    return LiveProgress(console) if console.is_terminal else LogProgress(console)
