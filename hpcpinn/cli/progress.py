"""What a person sees while a run goes on: a live display in a terminal, log lines elsewhere."""

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

_SECONDS_BETWEEN_LINES = 5.0


class WindowReport(Protocol):
    """What a workflow tells after an accepted window.

    Attributes:
        window: Number of accepted windows so far.
        time: End of the window, in the user's unit of time.
        sweeps: Schwarz sweeps it took.
        jump: Relative interface jump that is left.
        error: Relative error estimate.
        seconds_left: Estimate for the rest of the run; None where nobody can say yet.
    """

    @property
    def window(self) -> int: ...
    @property
    def time(self) -> float: ...
    @property
    def sweeps(self) -> int: ...
    @property
    def jump(self) -> float: ...
    @property
    def error(self) -> float: ...
    @property
    def seconds_left(self) -> float | None: ...


class Progress(ABC):
    """Start, one report per window, close. As a context manager it closes in any case."""

    @abstractmethod
    def start(self, total_time: float, unit: str = "ms") -> None:
        """A run of length `total_time` begins."""

    @abstractmethod
    def window(self, report: WindowReport) -> None:
        """A window was accepted."""

    @abstractmethod
    def close(self) -> None:
        """The run is over, one way or the other. May be called twice."""

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

    def start(self, total_time: float, unit: str = "ms") -> None:
        """Does nothing."""

    def window(self, report: WindowReport) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class LogProgress(Progress):
    """One plain line at most every few seconds, and one for the last window.

    Args:
        console: Where to.
        interval: Least time between two lines, s.
    """

    def __init__(self, console: Console, interval: float = _SECONDS_BETWEEN_LINES):
        self._console = console
        self._interval = interval
        self._total, self._unit = 0.0, ""
        self._last_line = -float("inf")
        self._unsaid: WindowReport | None = None

    def start(self, total_time: float, unit: str = "ms") -> None:
        """Says how long the run is, since the first window takes its time."""
        self._total, self._unit = total_time, unit
        self._console.print(_beginning(total_time, unit), highlight=False, soft_wrap=True)

    def window(self, report: WindowReport) -> None:
        """Writes a line unless the last one is fresh."""
        now = time.monotonic()
        if now - self._last_line < self._interval:
            self._unsaid = report
            return
        self._last_line = now
        self._say(report)

    def close(self) -> None:
        """Writes what was held back."""
        if self._unsaid is not None:
            self._say(self._unsaid)

    def _say(self, report: WindowReport) -> None:
        self._unsaid = None
        self._console.print(
            f"window {report.window}  t = {_clock(report.time, self._total, self._unit)}  "
            f"sweeps {report.sweeps}  jump {report.jump:.1e}  error {report.error:.1e}  "
            f"left {duration(report.seconds_left)}",
            highlight=False,
            soft_wrap=True,
        )


class LiveProgress(Progress):
    """A bar with the latest window under it, redrawn in place.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console):
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._total, self._unit = 0.0, ""

    def start(self, total_time: float, unit: str = "ms") -> None:
        """Takes over the last lines of the terminal."""
        self._total, self._unit = total_time, unit
        self._live.update(_beginning(total_time, unit))
        self._live.start()

    def window(self, report: WindowReport) -> None:
        """Redraws."""
        self._live.update(self._drawn(report))

    def close(self) -> None:
        """Gives the terminal back."""
        self._live.stop()

    def _drawn(self, report: WindowReport) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            ProgressBar(total=self._total, completed=min(report.time, self._total), width=40),
            _clock(report.time, self._total, self._unit),
            f"left {duration(report.seconds_left)}",
        )
        grid.add_row(
            f"window {report.window}, {report.sweeps} sweeps",
            f"jump {report.jump:.1e}",
            f"error estimate {report.error:.1e}",
        )
        return grid


def make_progress(rank: int, console: Console | None = None) -> Progress:
    """The display for this rank: live on a terminal, log lines elsewhere, nothing but on rank 0."""
    if rank != 0:
        return SilentProgress()
    console = console or Console()
    return LiveProgress(console) if console.is_terminal else LogProgress(console)


def duration(seconds: float | None) -> str:
    """A length of time as people say it: ``8 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or seconds != seconds:
        return "?"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _beginning(total: float, unit: str) -> str:
    whole = f"{total:.4g} {unit}".rstrip()
    return f"{whole} to solve; the first window takes longest: everything is compiled in it"


def _clock(now: float, total: float, unit: str) -> str:
    return f"{now:.4g} of {total:.4g} {unit}".rstrip()
