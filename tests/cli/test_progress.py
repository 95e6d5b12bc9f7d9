"""What a person sees while a run goes on."""

import io
import re
from dataclasses import dataclass

import pytest
from rich.console import Console

from hpcpinn.cli.progress import LiveProgress, LogProgress, SilentProgress, duration, make_progress


@dataclass(frozen=True)
class Report:
    window: int
    time: float
    sweeps: int = 4
    jump: float = 2.5e-6
    error: float = 3.1e-5
    seconds_left: float | None = 65.0


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def text_of(console: Console) -> str:
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (float("nan"), "?"),
        (-1.0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (3600 * 2 + 301, "2 h 05 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_log_lines_say_everything_on_one_line_whatever_the_width():
    console = plain_console()
    with LogProgress(console, interval=0.0) as progress:
        progress.start(50.0)
        progress.window(Report(window=3, time=12.5))
    assert text_of(console) == (
        "50 ms to solve; the first window takes longest: everything is compiled in it\n"
        "window 3  t = 12.5 of 50 ms  sweeps 4  jump 2.5e-06  error 3.1e-05  left 1 min 05 s\n"
    )


def test_log_lines_are_rare_but_the_last_window_is_told():
    console = plain_console()
    with LogProgress(console, interval=1e9) as progress:
        progress.start(50.0)
        for number in range(1, 6):
            progress.window(Report(window=number, time=10.0 * number))
    assert re.findall(r"window (\d+)", text_of(console)) == ["1", "5"]
    progress.close()
    assert len(text_of(console).splitlines()) == 3


def test_log_is_free_of_control_sequences():
    console = plain_console()
    with LogProgress(console, interval=0.0) as progress:
        progress.start(1.0, unit="")
        progress.window(Report(window=1, time=1.0, seconds_left=None))
    assert "\x1b" not in text_of(console)
    assert "t = 1 of 1 " in text_of(console)
    assert text_of(console).endswith("left ?\n")


def test_live_display_shows_the_window_and_gives_the_terminal_back():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with LiveProgress(console) as progress:
        progress.start(50.0)
        progress.window(Report(window=7, time=25.0))
        progress._live.refresh()
    shown = text_of(console)
    for part in ("window 7, 4 sweeps", "25 of 50 ms", "left 1 min 05 s", "jump 2.5e-06", "3.1e-05"):
        assert part in shown
    assert shown.rstrip().endswith("\x1b[2K") or "\x1b[?25h" in shown  # the cursor is visible again


def test_live_display_gives_the_terminal_back_after_an_error():
    console = Console(file=io.StringIO(), force_terminal=True)

    def fail():
        with LiveProgress(console) as progress:
            progress.start(1.0)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert "\x1b[?25h" in text_of(console)


def test_which_display():
    assert isinstance(make_progress(1), SilentProgress)
    assert isinstance(make_progress(0, plain_console()), LogProgress)
    assert isinstance(make_progress(0, Console(file=io.StringIO(), force_terminal=True)), LiveProgress)
