"""Window after window: attempt, judge, accept or retry with a shorter one. Knows nothing of what is solved.

The one loop of this kind. Coupled windows of cells, squares, the stretches of a long protocol, the pilot of an
inference and systems that others bring all go through it; what they share besides are checkpoints and the driver
of a run (`hpcpinn.marching.run`).
"""

import math
import time as clock
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from jaxtyping import Num
from numpy import ndarray

from hpcpinn.core.system import Attempt
from hpcpinn.errors import InputError, SolveError, note_where, noted_where
from hpcpinn.marching.controller import Plan, WindowRule, after_accepted, after_rejected, first_plan, next_length

ROUNDING = 1e-12
"""Relative difference below which two times are the same."""


class WindowProblem(Protocol):
    """What the march must know of a problem; every member is the same on all ranks, methods are collective."""

    @property
    def rule(self) -> WindowRule:
        """How long windows may be, and how accurate they must be."""

    @property
    def stops(self) -> Num[ndarray, " s"]:
        """Increasing internal times at which windows must end; the last is the end of the run.

        Empty for a stationary problem, which has one window, of length 0.
        """

    def attempt(self, state: Any, length: float, reuse: Any) -> Attempt[Any, Any]:
        """Solves the window of this length that starts at the state.

        Args:
            state: State at the start of the window.
            length: Length of the window, internal time.
            reuse: `Attempt.reuse` of the window before; None after a rejected one or a checkpoint.
        """


P = TypeVar("P", bound=WindowProblem)


class Improvement(Protocol[P]):
    """What may change how a problem is solved while a run goes on, such as the training of a shared trunk."""

    def improved(self, problem: P, state: Any, attempt: Attempt[Any, Any], windows: int) -> tuple[P, Attempt[Any, Any]]:
        """Problem and attempt, better ones where the attempt asks for it. Collective over all ranks.

        Args:
            problem: Problem as it is so far; states must not depend on what changes.
            state: State at the start of the window.
            attempt: Solved window that asks for an improvement, or not.
            windows: Number of windows accepted so far.
        """

    def scalars(self, problem: P) -> Mapping[str, Any]:
        """What a checkpoint must keep of it: numbers, text and arrays that all ranks share."""

    def restored(self, problem: P, scalars: Mapping[str, Any]) -> P:
        """The problem as it was when `scalars` were taken."""


@dataclass(frozen=True, eq=False)
class Step(Generic[P]):
    """An accepted window.

    Attributes:
        number: Windows accepted before it.
        problem: The problem that solved it.
        before: State at its start.
        attempt: The window.
        plan: Length of the next one.
        rejected: Tries that were rejected before it.
        seconds: Wall time of all tries.
    """

    number: int
    problem: P
    before: Any
    attempt: Attempt[Any, Any]
    plan: Plan
    rejected: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Lineage:
    """Windows that were solved each with what the one before it had left, from one on that was solved without.

    Attributes:
        state: State at the start of the first.
        lengths: Lengths that they were asked to have, internal time.
    """

    state: Any
    lengths: tuple[float, ...]

    def left_by(self, problem: WindowProblem) -> Any:
        """What its last window leaves for the next: its windows are solved again. Collective over all ranks."""
        state, reuse = self.state, None
        for length in self.lengths:
            attempt = problem.attempt(state, length, reuse)
            if not attempt.error <= problem.rule.tolerance:  # on other ranks, whose round-off is another
                return None
            state, reuse = attempt.after, attempt.reuse
        return reuse


def next_stop(stops: Num[ndarray, " s"], time: float) -> float:
    """The first stop after a time; the time itself where there are none."""
    if not len(stops):
        return time
    return float(stops[np.searchsorted(stops, time * (1.0 + ROUNDING), side="right")])


def what_is_wrong(rule: WindowRule, time: float, attempt: Attempt[Any, Any]) -> str:
    """Why a window that starts at an internal time is rejected, for messages."""
    where = f"{_window(rule, time)}: "
    if not math.isfinite(attempt.error):
        return where + (attempt.why or "no finite solution")
    return f"{where}error estimate {attempt.error:.2g} above window.tolerance = {rule.tolerance:.2g}"


def _window(rule: WindowRule, time: float) -> str:
    return f"window at t = {rule.since + time / rule.unit:.6g}"


def _check_attempt(who: str, given: Any) -> None:
    """Refuses what is no attempt, or has no number where the march needs one.

    Raises:
        InputError: As above.
    """
    if not isinstance(given, Attempt):
        raise InputError(f"{who}: attempt gives a {type(given).__name__}, not a hpcpinn.core.system.Attempt")
    for name in ("length", "error"):
        number = getattr(given, name)
        if np.ndim(number) or np.asarray(number).dtype.kind not in "biuf":
            raise InputError(f"{who}: attempt has {name} = {number!r}, which is no number")


def _followed(lineage: Lineage, length: float, attempt: Attempt[Any, Any]) -> Lineage | None:
    """A lineage with one more window; None where that leaves nothing."""
    return None if attempt.reuse is None else Lineage(lineage.state, (*lineage.lengths, length))


def _check_length(rule: WindowRule, time: float, attempt: Attempt[Any, Any], asked: float) -> None:
    """Refuses an accepted window that an attempt has made shorter than any may be: a run of such ones has no end.

    Args:
        rule: Lengths of windows.
        time: Internal time of its start.
        attempt: The window.
        asked: Length that was asked for, internal time.

    Raises:
        SolveError: As above.
    """
    if attempt.length < min(asked, rule.shortest) * (1.0 - 1e-9):
        raise SolveError(
            f"{_window(rule, time)}: attempt was asked for a length of {asked / rule.unit:.3g} and took "
            f"{attempt.length / rule.unit:.3g}, below window.shortest = {rule.shortest / rule.unit:.3g}, with an error "
            f"estimate of {attempt.error:.2g} within window.tolerance = {rule.tolerance:.2g}; let it take the length "
            "it is asked for, or give an error above the tolerance where it cannot"
        )


@dataclass
class March(Generic[P]):
    """Goes from window to window. Collective over all ranks.

    Attributes:
        problem: What is solved, as the last improvement left it.
        state: State that the march is at.
        plan: Length of the next window.
        improvement: Improvement of every attempt before it is judged.
        windows: Number of windows accepted so far.
        reuse: Parts that the last window left for the next.
        lineage: Windows that made them; None where there are none.
        who: Name of what solves windows, for messages; empty: the class of the problem.
    """

    problem: P
    state: Any
    plan: Plan
    improvement: Improvement[P] | None = None
    windows: int = 0
    reuse: Any = None
    lineage: Lineage | None = None
    who: str = ""

    @classmethod
    def begun(cls, problem: P, state: Any) -> "March[P]":
        """A march at its start."""
        return cls(problem, state, first_plan(problem.rule))

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left to do."""
        stops = self.problem.stops
        return bool(self.state.time >= stops[-1] * (1.0 - ROUNDING)) if len(stops) else self.windows > 0

    def __iter__(self) -> Iterator[Step[P]]:
        return self

    def __next__(self) -> Step[P]:
        """The next window: shorter and shorter ones are tried until one is within the tolerance.

        A march that is stopped in a window is where it was before.

        Raises:
            SolveError: The shortest window allowed is not within the tolerance, or an attempt takes less than it.
            InputError: The problem gives something else than an attempt.
        """
        if self.is_at_end:
            raise StopIteration
        begun, rejected = clock.perf_counter(), 0
        problem, state, plan, reuse = self.problem, self.state, self.plan, self.reuse
        rule, stop = problem.rule, next_stop(problem.stops, state.time)
        is_last = stop == next_stop(problem.stops[-1:], state.time)
        while True:
            try:
                asked = next_length(rule, plan, state.time, stop)
                attempt = problem.attempt(state, asked, reuse)
                _check_attempt(self.who or type(problem).__name__, attempt)
                if self.improvement is not None:
                    problem, attempt = self.improvement.improved(problem, state, attempt, self.windows)
            except Exception as raised:
                if not noted_where(raised) and "window at t" not in str(raised):  # of a march inside this window
                    note_where(raised, f"in the {_window(rule, state.time)}")
                raise
            length, error = attempt.length, attempt.error
            if error <= rule.tolerance:
                _check_length(rule, state.time, attempt, asked)
                break
            plan = after_rejected(rule, plan, length, error, what_is_wrong(rule, state.time, attempt))
            reuse, rejected = None, rejected + 1
        at_stop = math.isclose(state.time + length, stop, rel_tol=ROUNDING) and not is_last
        self.plan = after_accepted(rule, plan, length, error, at_stop, attempt.effort)
        is_same = problem is self.problem
        begun_with = self.lineage if is_same and reuse is not None and not attempt.is_fresh else None
        self.lineage = _followed(begun_with or Lineage(state, ()), asked if is_same else length, attempt)
        self.problem, self.state, self.reuse = problem, attempt.after, attempt.reuse
        self.windows += 1
        return Step(self.windows - 1, problem, state, attempt, self.plan, rejected, clock.perf_counter() - begun)

    def forget(self) -> None:
        """Goes on as a march does that begins here: without what the last window left."""
        self.reuse = self.lineage = None
