"""What a person sees while a run goes on."""

import io
import time

import pytest
from rich.console import Console, Group

from hpcpinn.terminal.progress import LiveProgress, LogProgress, Pace, SilentProgress, make_progress


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def text_of(console: Console) -> str:
    return console.file.getvalue()


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def paced(total: float, *reports: tuple[float, float]) -> Pace:
    """A part of the work after reports of an amount at a time, s."""
    clock = Clock()
    pace = Pace(total, clock)
    for clock.now, amount in reports:
        pace.report(amount)
    return pace


def test_the_time_left_is_that_at_the_speed_since_the_first_report():
    # the first report comes after 30 s of compilation, the others every 2 s
    pace = paced(100.0, *((30.0 + 2.0 * n, 1.0 + n) for n in range(10)))
    assert pace.share == pytest.approx(0.10)
    assert pace.left == pytest.approx(180.0)


@pytest.mark.parametrize(
    "reports",
    [
        [(30.0, 1.0)],  # one window says nothing
        [(0.5 * n, 1.0 + n) for n in range(4)],  # nor do a few at once
        [(6.0 + n, 0.001 * n) for n in range(20)],  # nor what is hardly begun: these windows still grow
        [(6.0 + n, 1.0 + 0.1 * n) for n in range(20)],  # nor a guess far beyond what has passed
        [(20.0 * n, 1.0 + 0.001 * 2.0**n) for n in range(10)],  # nor where every window is twice as long
        [*((1.0 * n, 2.0 + 0.1 * n) for n in range(6)), (180.0, 2.6), (185.0, 2.61)],  # nor after a standstill
    ],
)
def test_nothing_is_said_of_the_time_left_before_it_is_worth_it(reports):
    assert paced(100.0, *reports).left is None


def test_the_speed_is_the_recent_one():
    slow = [(10.0 * n, 2.0 * n) for n in range(1, 11)]  # 0.2 a second
    fast = [(100.0 + n, 20.0 + n) for n in range(1, 201)]  # then 1 a second
    assert paced(1000.0, *slow, *fast).left == pytest.approx(780.0)
    assert paced(1000.0, *slow).left == pytest.approx(4900.0)


def test_where_nobody_knows_how_much_there_is_nothing_is_left():
    pace = paced(0.0, *((10.0 * n, 1.0 * n) for n in range(10)))
    assert pace.share is None and pace.left is None


def wait_for(console: Console, count: int) -> list[str]:
    """The lines, once there are so many."""
    until = time.monotonic() + 20.0
    while text_of(console).count("\n") < count and time.monotonic() < until:
        time.sleep(0.01)
    return text_of(console).splitlines()


def test_plain_lines_come_by_the_clock_while_nothing_is_reported():
    console = plain_console()
    with LogProgress(console, first=0.01, interval=0.01) as progress:
        progress.doing("compiling the first window")
        lines = wait_for(console, 2)
    assert set(lines) == {"compiling the first window"}


def test_a_plain_line_says_everything_whatever_the_width():
    console = plain_console()
    progress = LogProgress(console, first=0.01, interval=1e9)
    with progress:
        progress._pace.began -= 100.0
        progress.doing("solving", 30_000.0, "ms")
        progress.done(12_000.0, "window 7, 3 sweeps, error estimate 3.1e-05")
        lines = wait_for(console, 1)
    assert lines == ["solving 12 of 30 s (40 %), window 7, 3 sweeps, error estimate 3.1e-05"]


def test_quick_work_writes_no_line():
    console = plain_console()
    with LogProgress(console, first=60.0) as progress:
        progress.doing("solving", 50.0, "ms")
        progress.done(50.0)
    assert text_of(console) == ""


def test_the_last_line_says_how_far_it_came():
    console = plain_console()
    with LogProgress(console, first=0.01, interval=1e9) as progress:
        progress.doing("solving for draws", 400, "draws")
        wait_for(console, 1)
        progress.done(400)
    progress.close()
    assert text_of(console).splitlines()[1:] == ["solving for draws 400 of 400 draws (100 %)"]
    assert "\x1b" not in text_of(console)


def test_live_display_is_one_line_and_gives_the_terminal_back():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with LiveProgress(console) as progress:
        progress.doing("solving", 50.0, "ms")
        progress.done(25.0, "window 7, 4 sweeps")
        progress._live.refresh()
        drawn = Console(file=io.StringIO(), width=120)
        drawn.print(progress._drawn())
    for part in ("solving", "50 %", "25 of 50 ms", "window 7, 4 sweeps"):
        assert part in text_of(drawn)
    assert len(text_of(drawn).splitlines()) == 1
    assert "\x1b[?25h" in text_of(console)  # the cursor is visible again


def test_live_display_stays_one_line_in_a_narrow_terminal():
    progress = LiveProgress(Console(file=io.StringIO(), force_terminal=True, width=40))
    progress._what, progress._detail = "solving", "window 7, 4 sweeps, error estimate 3.1e-05"
    progress._pace = paced(50.0, *((6.0 * n, 2.0 * n) for n in range(1, 10)))
    narrow = plain_console()
    narrow.print(Group(progress._drawn()))  # as the live display does
    (line,) = text_of(narrow).splitlines()
    assert "solving" in line and "36 %" in line and "18 of" in line  # what matters most is not cut off


@pytest.mark.parametrize(("width", "seen"), [(120, "window 7, 4 sweeps, error"), (80, "  error"), (55, "")])
def test_the_error_estimate_is_whole_or_not_there(width, seen):
    progress = LiveProgress(Console(file=io.StringIO(), force_terminal=True, width=width))
    progress._what, progress._detail = "solving", "window 7, 4 sweeps, error estimate 3.1e-05"
    progress._pace = paced(50.0, *((600.0 * n, 2.0 * n) for n in range(1, 10)))
    line = progress._drawn().plain
    assert len(line) <= width and "about 2 h 40 min left" in line
    assert line.endswith(f"{seen} estimate 3.1e-05" if seen else "left")


def test_live_display_gives_the_terminal_back_after_an_error():
    console = Console(file=io.StringIO(), force_terminal=True)

    def fail():
        with LiveProgress(console) as progress:
            progress.doing("solving")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert "\x1b[?25h" in text_of(console)


def test_which_display():
    assert isinstance(make_progress(1), SilentProgress)
    assert isinstance(make_progress(0, plain_console()), LogProgress)
    assert isinstance(make_progress(0, Console(file=io.StringIO(), force_terminal=True)), LiveProgress)
