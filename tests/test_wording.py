"""Numbers as people say them."""

import pytest

from hpcpinn.wording import (
    amount_of,
    as_typed,
    biology,
    biology_of,
    bytes_of,
    counted,
    duration,
    listed,
    roughly,
    spoken,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (float("nan"), "?"),
        (float("inf"), "for ever"),
        (0.0, "under 0.1 s"),
        (0.42, "0.4 s"),
        (0.97, "1 s"),
        (3.0, "3 s"),
        (3.26, "3.3 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200.0, "3 min 20 s"),
        (3599.7, "1 h"),
        (3600 * 2 + 301, "2 h 05 min"),
        (90 * 3600 + 3000, "3.8 days"),
    ],
)
def test_wall_time(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0.0, "0 ms"), (12.5, "12.5 ms"), (999.0, "999 ms"), (1e3, "1 s"), (32e3, "32 s"), (3e4, "30 s"),
     (90e3, "90 s"), (2_250_000.0, "37.5 min"), (12_345.6, "12.35 s")],
)  # fmt: skip
def test_simulated_time(milliseconds, text):
    assert biology(milliseconds) == text


@pytest.mark.parametrize(
    ("now", "total", "text"),
    [(12.5, 50.0, "12.5 of 50 ms"), (400.0, 30e3, "0.4 of 30 s"), (30e3, 2_250_000.0, "0.5 of 37.5 min")],
)
def test_a_moment_is_in_the_unit_of_the_whole(now, total, text):
    assert biology_of(now, total) == text


def test_an_amount_is_as_exact_as_the_whole_asks_for():
    said = [amount_of(now, total) for now, total in ((1.7e-7, 1.0), (0.0348, 1.0), (2.816, 50.0), (7, 400), (6, 6))]
    assert said == ["0 of 1", "0.03 of 1", "2.8 of 50", "7 of 400", "6 of 6"]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(12.5, "12.5 ms"), (90e3, "90 s"), (2_224_000.3, "37 min 4 s"), (1.8e6, "30 min"), (3.9e6, "1 h 5 min")],
)
def test_a_length_is_said_in_minutes_and_seconds(milliseconds, text):
    assert spoken(milliseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.95, "1 s"), (7.3, "7 s"), (9.7, "10 s"), (42.0, "40 s"), (94.0, "90 s"), (96.0, "2 min"), (2756.0, "46 min"),
     (3580.0, "1 h"), (4300.0, "1 h 10 min"), (36500.0, "10 h"), (3.1 * 86400, "3 days")],
)  # fmt: skip
def test_a_guess_is_as_coarse_as_it_is(seconds, text):
    assert roughly(seconds) == text


def test_counts_sizes_and_lists():
    assert [counted(n, "window") for n in (0, 1, 2)] == ["no window", "1 window", "2 windows"]
    assert counted(2, "pulse", "pulses") == "2 pulses"
    assert [bytes_of(size) for size in (10, 5e5, 6.3e6, 3e9)] == ["1 KiB", "488 KiB", "6.0 MiB", "2.8 GiB"]
    assert [listed(list("abcdef")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert listed(list("abcdef")) == "a, b, c and 3 more"


@pytest.mark.parametrize(
    ("path", "typed"), [("r/run_1.h5", "r/run_1.h5"), ("my dir/a.h5", "'my dir/a.h5'"), ("$x [b].h5", "'$x [b].h5'")]
)
def test_a_path_can_be_typed_as_it_is_shown(path, typed):
    assert as_typed(path) == typed
