"""A march of a pair of equations in a few lines: retries, stops, failures, checkpoints, resuming to the last bit."""

import math
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from hpcpinn.core.system import Attempt, Packed
from hpcpinn.errors import InputError, SolveError, StoppedError
from hpcpinn.marching.checkpoints import Reached, load
from hpcpinn.marching.controller import Plan, WindowRule
from hpcpinn.marching.march import March, Step
from hpcpinn.marching.run import Cadence, RunOptions, run
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import SerialCommunicator

SERIAL = SerialCommunicator()
SWITCH, END = 1.0, 3.0


class Swing(NamedTuple):
    """Where the pendulum is."""

    time: float
    pair: np.ndarray


@dataclass(frozen=True)
class Pendulum:
    """x' = y, y' = −sin x + push, where a push begins at `SWITCH`: implicit midpoint, by a few fixed-point steps.

    They begin where the last window left off: what they end with depends on it in the last digits.
    """

    rule: WindowRule = WindowRule(first=0.05, shortest=1e-3, longest=0.5, tolerance=1e-4, order=3.0)
    stops: np.ndarray = field(default_factory=lambda: np.array([SWITCH, END]))
    breaks_at: float = math.inf
    steps: int = 6

    def start(self) -> Swing:
        return Swing(0.0, np.array([1.0, 0.0]))

    def attempt(self, state: Swing, length: float, reuse: Any) -> Attempt[Swing, np.ndarray]:
        push = 0.7 if state.time >= SWITCH * (1.0 - 1e-12) else 0.0

        def slope(pair: np.ndarray) -> np.ndarray:
            return np.array([pair[1], push - np.sin(pair[0])])

        def midpoint(pair: np.ndarray, step: float, middle: np.ndarray) -> np.ndarray:
            for _ in range(self.steps):
                middle = pair + 0.5 * step * slope(middle)
            return pair + step * slope(middle)

        ahead = np.zeros(2) if reuse is None else reuse
        coarse = midpoint(state.pair, length, state.pair + ahead)
        half = midpoint(state.pair, 0.5 * length, state.pair)
        fine = midpoint(half, 0.5 * length, half)
        error = float(np.abs(fine - coarse).max())
        if state.time + length > self.breaks_at:
            error = math.nan
        end = fine + (fine - coarse) / 3.0
        return Attempt(
            length, error, Swing(state.time + length, end), notes={"steps": 3 * self.steps},
            largest={"turn": float(abs(end[1]))}, why="the rope broke", reuse=0.5 * (end - state.pair), inside=end,
        )  # fmt: skip

    def pack(self, state: Swing) -> Packed:
        return Packed({}, {"time": state.time, "pair": state.pair})

    def unpack(self, packed: Packed) -> Swing:
        return Swing(float(packed.scalars["time"]), np.asarray(packed.scalars["pair"]))


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Written:
    """Ends of windows and pairs there, as a file would hold them."""

    kept: list[tuple[float, float, float]] = field(default_factory=list)
    waiting: list[tuple[float, float, float]] = field(default_factory=list)
    complete: bool | None = None
    kill_after: int | None = None

    def opened(self, reached: Reached[Any], resumed: bool) -> "Written":
        self.kept = [row for row in self.kept if resumed and row[0] <= reached.state.time]
        return self

    def window(self, step: Step[Any], stats: Stats) -> None:
        if self.kill_after is not None and stats.windows > self.kill_after:
            raise Killed
        self.waiting.append((step.attempt.after.time, *step.attempt.after.pair.tolist()))

    def flush(self) -> None:
        self.kept, self.waiting = [*self.kept, *self.waiting], []

    def close(self, *, complete: bool = True) -> None:
        self.flush()
        self.complete = complete


SETTINGS = {"push": "0.7"}


def finished(options: RunOptions[Pendulum], output: Written, problem: Pendulum | None = None) -> Reached[Pendulum]:
    return run(problem or Pendulum(), SERIAL, output.opened, replace(options, settings=SETTINGS)).reached


def counts(stats: Stats) -> tuple[Any, ...]:
    """What does not depend on the clock."""
    sums = {name: value for name, value in stats.sums.items() if not name.startswith("seconds")}
    return stats.windows, stats.rejected, stats.error, sums, dict(stats.largest)


def test_it_follows_the_equations_and_ends_windows_at_stops() -> None:
    """Against a step that is a thousand times shorter; the push would be missed by a window across it."""
    output = Written()
    reached = finished(RunOptions(), output)
    ends = [row[0] for row in output.kept]
    assert SWITCH in ends and ends[-1] == END and output.complete
    lengths = np.diff([0.0, *ends])
    after = ends.index(SWITCH) + 1
    assert lengths[after] <= 0.05 * (1.0 + 1e-9) < lengths[after - 1]  # small again: something switches
    exact = SerialReference.at_end()
    assert np.abs(reached.state.pair - exact).max() < 1e-4
    assert reached.stats.windows == len(ends) and reached.stats["steps"] == 18 * len(ends)
    assert reached.stats["turn"] == max(abs(row[2]) for row in output.kept)


class SerialReference:
    """Runge and Kutta's steps, many."""

    @staticmethod
    def at_end(steps: int = 3000) -> np.ndarray:
        pair, h = np.array([1.0, 0.0]), END / steps
        for number in range(steps):
            push = 0.7 if number * h >= SWITCH - 1e-9 else 0.0

            def slope(pair: np.ndarray, push: float = push) -> np.ndarray:
                return np.array([pair[1], push - np.sin(pair[0])])

            a = slope(pair)
            b = slope(pair + 0.5 * h * a)
            c = slope(pair + 0.5 * h * b)
            d = slope(pair + h * c)
            pair = pair + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)
        return pair


@pytest.mark.parametrize("every", [1, 3])
def test_a_run_killed_after_any_window_goes_on_to_the_last_bit(tmp_path: Path, every: int) -> None:
    options = RunOptions[Pendulum](cadence=Cadence(windows=every))
    straight = Written()
    wanted = finished(replace(options, checkpoint=tmp_path / "straight.h5"), straight)
    assert wanted.stats.windows > 8
    for number in range(every, wanted.stats.windows):
        path, output = tmp_path / f"{number}.h5", Written(kill_after=number)
        with pytest.raises(Killed):
            finished(replace(options, checkpoint=path), output)
        assert len(output.kept) == number - number % every and output.complete is None
        again = Written(kept=[*output.kept, (END, 0.0, 0.0)])  # written after the checkpoint, to be dropped
        reached = finished(replace(options, checkpoint=path, resume=path), again)
        assert again.kept == straight.kept and again.complete
        np.testing.assert_array_equal(reached.state.pair, wanted.state.pair)
        assert counts(reached.stats) == counts(wanted.stats)


@dataclass
class Careful:
    """Doubles the fixed-point steps before the fourth window, once, and solves that window again."""

    since: int = -1

    def improved(
        self, problem: Pendulum, state: Swing, attempt: Attempt[Any, Any], windows: int
    ) -> tuple[Pendulum, Attempt[Any, Any]]:
        if self.since >= 0 or windows < 3:
            return problem, attempt
        self.since = windows
        better = replace(problem, steps=2 * problem.steps)
        return better, better.attempt(state, attempt.length, None)

    def scalars(self, problem: Pendulum) -> dict[str, Any]:
        return {"since": self.since, "steps": problem.steps}

    def restored(self, problem: Pendulum, scalars: Mapping[str, Any]) -> Pendulum:
        self.since = int(scalars["since"])
        return replace(problem, steps=int(scalars["steps"]))


def test_what_was_improved_on_the_way_stays_so_when_it_goes_on(tmp_path: Path) -> None:
    straight = Written()
    wanted = finished(RunOptions(improvement=Careful()), straight)
    assert wanted.problem.steps == 12 and wanted.stats["steps"] > 3 * 18 + 36
    plain = Written()
    assert finished(RunOptions(), plain).problem.steps == 6
    assert straight.kept[:3] == plain.kept[:3] and straight.kept[3] != plain.kept[3]
    for number in (2, 5):  # before, and after
        path, output = tmp_path / f"{number}.h5", Written(kill_after=number)
        with pytest.raises(Killed):
            finished(RunOptions(checkpoint=path, improvement=Careful()), output)
        again = Written(kept=output.kept)
        finished(RunOptions(checkpoint=path, resume=path, improvement=Careful()), again)
        assert again.kept == straight.kept


@dataclass(frozen=True)
class Sparing(Pendulum):
    """Uses what the window before has left only where that was as long, and says so."""

    rule: WindowRule = WindowRule(first=0.05, shortest=1e-3, longest=0.11, tolerance=1e-4, order=3.0)

    def attempt(self, state: Swing, length: float, reuse: Any) -> Attempt[Swing, Any]:
        as_long = reuse is not None and math.isclose(reuse[0], length, rel_tol=1e-9)
        attempt = super().attempt(state, length, reuse[1] if as_long else None)
        return replace(attempt, reuse=(length, attempt.reuse), is_fresh=not as_long)


@pytest.mark.parametrize(("problem", "improvement"), [(Pendulum(), None), (Pendulum(), Careful), (Sparing(), None)])
def test_a_run_stopped_after_any_window_goes_on_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Pendulum, improvement: Any
) -> None:
    """Where it is stopped, again and again, windows have been left parts that no checkpoint holds."""
    path = tmp_path / "checkpoint.h5"

    def options(*, resume: bool = False) -> RunOptions[Pendulum]:
        improving = None if improvement is None else improvement()
        cadence = Cadence(windows=7)
        return RunOptions(
            checkpoint=path, resume=path if resume else None, cadence=cadence, improvement=improving, settings=SETTINGS
        )

    straight, output, stopped = Written(), Written(), 0
    wanted = finished(options(), straight, problem)
    looks = iter(range(10_000))

    def heed(_: object) -> None:
        if next(looks) % 3:
            raise stopping.StopAsked(signal.SIGTERM)

    monkeypatch.setattr(stopping, "heed", heed)
    while output.complete is None:
        try:
            reached = finished(options(resume=stopped > 0), output, problem)
        except StoppedError:
            stopped += 1
            output.complete = None
    assert stopped > wanted.stats.windows / 3
    assert output.kept == straight.kept
    np.testing.assert_array_equal(reached.state.pair, wanted.state.pair)
    assert counts(reached.stats) == counts(wanted.stats)


def test_what_windows_reuse_is_felt() -> None:
    """Else the test above would pass without the march forgetting at its checkpoints."""
    often, seldom = Written(), Written()
    finished(RunOptions(cadence=Cadence(windows=1)), often)
    finished(RunOptions(cadence=Cadence(windows=1000)), seldom)
    assert often.kept != seldom.kept
    np.testing.assert_allclose(often.kept[-1], seldom.kept[-1], rtol=1e-3)


def test_checkpoints_by_the_clock_change_no_number(tmp_path: Path) -> None:
    always, never = Written(), Written()
    finished(RunOptions(checkpoint=tmp_path / "a.h5", cadence=Cadence(seconds=0.0)), always)
    finished(RunOptions(checkpoint=tmp_path / "b.h5", cadence=Cadence(seconds=1e9)), never)
    assert always.kept == never.kept


def test_a_window_that_is_not_good_enough_is_tried_shorter() -> None:
    eager = replace(Pendulum().rule, first=0.5)
    march = March.begun(replace(Pendulum(), rule=eager), Pendulum().start())
    step = next(march)
    assert step.rejected >= 1 and step.attempt.length < 0.5
    assert step.attempt.error <= eager.tolerance
    assert march.windows == 1 and march.state.time == step.attempt.length


def test_what_fails_at_the_shortest_length_ends_the_run_and_keeps_what_was_accepted(tmp_path: Path) -> None:
    output, path = Written(), tmp_path / "checkpoint.h5"
    broken = replace(Pendulum(), breaks_at=1.7)
    with pytest.raises(SolveError, match=r"^window at t = 1\.69\d*: the rope broke at the shortest window allowed"):
        finished(RunOptions(checkpoint=path), output, broken)
    assert output.complete is False and 1.69 < output.kept[-1][0] <= 1.7
    assert load(path, SERIAL, broken, SETTINGS).state.time == output.kept[-1][0]
    whole = finished(RunOptions(resume=path), output)  # where the rope holds, it goes on
    assert output.complete and whole.state.time == END


def test_the_largest_of_a_figure_that_stays_negative_is_negative() -> None:
    problem = Pendulum()
    steps = [
        Step(i, problem, None, Attempt(0.1, 0.0, None, largest={"tip": tip}), Plan(0.1), 0, 0.0)
        for i, tip in enumerate([-70.0, -60.0, -65.0])
    ]
    stats = Stats()
    for step in steps:
        stats = stats.and_window(step)
    assert stats["tip"] == -60.0 and stats["none"] == 0


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.h5"
    finished(RunOptions(checkpoint=path), Written())
    with pytest.raises(InputError, match=r"push was 0\.7 and is now 0\.8"):
        load(path, SERIAL, Pendulum(), {"push": "0.8"})


def test_a_stationary_problem_has_one_attempt(tmp_path: Path) -> None:
    asked: list[float] = []

    class Still(Pendulum):
        def attempt(self, state: Swing, length: float, reuse: Any) -> Attempt[Swing, np.ndarray]:
            asked.append(length)
            return Attempt(length, 1e-6, Swing(state.time, state.pair + 1.0))

    still, path = Still(stops=np.zeros(0)), tmp_path / "checkpoint.h5"
    reached = finished(RunOptions(checkpoint=path), Written(), still)
    assert asked == [0.0] and reached.state.pair.tolist() == [2.0, 1.0]
    finished(RunOptions(resume=path), Written(), still)
    assert asked == [0.0]  # nothing is left
