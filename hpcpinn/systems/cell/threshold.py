"""The weakest field that makes a cell fire, by bisection."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.systems.cell.driven_cable import DrivenCable
from hpcpinn.timestepping.cable_equation import VoltageState
from hpcpinn.timestepping.firing import FIRED, SETTLED
from hpcpinn.timestepping.pulse_steps import Steps
from hpcpinn.wording import biology

_LADDER = 6
"""The bracket is climbed to by doubling from 2^-6 of the highest: far too strong a field blocks the spike."""
_FIRST_REACH, _MOST_REACHES = 8, 6
"""Steps from a guess to the first strength beyond it, twice as many to the next, and how often."""

HIGHEST = 1000.0
"""Where a search ends at least, if nobody says where, V/m."""

ANYWHERE = "any"
"""Site of a spike that may start anywhere."""
AT_LEAST = 3
"""Compartments whose voltage rises through 0 mV where a spike starts anywhere (A. S. Aberra et al., Brain Stimul. 13
(2020) 175)."""
_WAITS = {True: 3.0, False: 20.0}
"""Time that a spike may take where nobody says, ms: anywhere, and at a site."""


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        site: Place where a spike is looked for, or ``any``: three compartments, wherever they are.
        highest: Strongest field that is tried, V/m (or a factor of a sampled field).
        tolerance: Width of the last bracket over the threshold.
        wait: Time after the first pulse that a spike may take, ms; None: 20, or 3 where it may start anywhere.
        is_typed: Whether these were given as flags of a command, for messages.
    """

    site: str = "soma"
    highest: float = HIGHEST
    tolerance: float = 0.01
    wait: float | None = None
    is_typed: bool = False

    def __post_init__(self) -> None:
        for name in ("highest", "tolerance", "wait"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0.0):
                key = name.replace("highest", "up_to")
                raise InputError(f"threshold: {key} = {value}; give a positive number")

    @property
    def is_anywhere(self) -> bool:
        """Whether a spike may start anywhere."""
        return self.site == ANYWHERE

    @property
    def longest_wait(self) -> float:
        """Time after the first pulse that a spike may take, ms."""
        return _WAITS[self.is_anywhere] if self.wait is None else self.wait

    @property
    def place(self) -> str:
        """Where a spike is looked for, in words."""
        return "anywhere" if self.is_anywhere else f"at {self.site}"

    def argument(self, name: str) -> str:
        """An argument as it is given: ``--up-to``, or ``up_to`` in Python."""
        return f"--{name.replace('_', '-')}" if self.is_typed else name

    @property
    def without_clamps(self) -> str:
        """What leaves the clamps of a job out."""
        return "--set 'clamp=[]'" if self.is_typed else 'job.replace({"clamp": []})'


@dataclass(frozen=True)
class Spike:
    """A spike that a field has made.

    Attributes:
        time: Time at which it is first seen after the onset of the first pulse, ms.
        rises: Times at which the voltage of every compartment first rose, ms after that onset, infinite: never;
            None where only one place was looked at.
    """

    time: float
    rises: Float[ndarray, " n"] | None = None


@dataclass(frozen=True)
class Threshold:
    """What was found.

    Attributes:
        silent: Strongest field without a spike.
        firing: Weakest field with one.
        spike_time: Time of that spike after the onset of the first pulse, ms.
        tried: Every field that was tried, with its outcome.
        spike: That spike.
    """

    silent: float
    firing: float
    spike_time: float
    tried: tuple[tuple[float, bool], ...] = field(default=())
    spike: Spike | None = field(default=None, repr=False, compare=False)

    @property
    def value(self) -> float:
        """Middle of the last bracket."""
        return 0.5 * (self.silent + self.firing)


@dataclass(frozen=True)
class Trial:
    """A cell in a field whose strength is tried.

    Attributes:
        driven: Cell in a field of unit strength.
        rest: Voltage and gates at rest.
        steps: Steps from time 0 until a spike may be no later.
        compartment: Number of the compartment where a spike is looked for; None: anywhere.
        unit: Unit of strengths, in words.
    """

    driven: DrivenCable
    rest: VoltageState
    steps: Steps
    compartment: int | None
    unit: str

    def spike(self, strength: float) -> Spike | None:
        """What a strength makes; None: no spike."""
        if self.compartment is None:
            rises = self.driven.first_rises(self.rest, self.steps, FIRED, strength) - self.driven.onset
            few = np.sort(rises)[:AT_LEAST]
            return Spike(float(few[0]), rises) if len(few) == AT_LEAST and np.isfinite(few[-1]) else None
        assert self.driven.stimulus is not None
        settled = self.driven.onset + self.driven.stimulus.waveform.duration + SETTLED
        V, t = self.driven.voltages(self.rest, self.steps, self.compartment, strength), self.steps.ends
        above = np.flatnonzero((t >= settled) & (V >= FIRED))
        return Spike(float(t[above[0]] - self.driven.onset)) if len(above) else None


Watch = Callable[[float, bool], None]
"""Function of a strength that was tried and whether it made a spike, called after each."""


def find_threshold(
    trial: Trial,
    search: Search,
    watch: Watch = lambda strength, fired: None,
    progress: ProgressDisplay = NO_PROGRESS,
) -> Threshold:
    """Halves the bracket of the field's strength until it is narrow; clamps of the job act as they are.

    Args:
        trial: Cell, and where it is looked at.
        search: Place, and bounds of the search.
        watch: Function that is told of every strength.
        progress: Display that is told what is being done.

    Raises:
        InputError: No spike up to the highest strength, or one without any field.
    """
    tried: list[tuple[float, bool]] = []

    def spike(strength: float) -> Spike | None:
        found = trial.spike(strength)
        tried.append((strength, found is not None))
        progress.done(len(tried))
        watch(*tried[-1])
        return found

    # At most: without field, the ladder, and the halvings of the bracket that it ends with.
    progress.doing("trying fields", 1 + _LADDER + 1 + math.ceil(math.log2(1.0 / search.tolerance)), "fields at most")
    if spike(0.0) is not None:
        raise fires_unasked(trial, search, search.site)
    low, high, found = 0.0, 0.0, None
    for halvings in range(_LADDER, -1, -1):
        low, high = high, search.highest / 2.0**halvings
        found = spike(high)
        if found is not None:
            break
    if found is None:
        raise InputError(
            f"threshold: no spike {search.place} within {biology(search.longest_wait, 6)} up to {search.highest:g} "
            f"{trial.unit}; raise {search.argument('up_to')} (if left out, {HIGHEST:g} or twice field.magnitude) or "
            f"{search.argument('wait')}, or turn field.direction"
        )
    while high - low > search.tolerance * high:
        middle = 0.5 * (low + high)
        one = spike(middle)
        if one is None:
            low = middle
        else:
            high, found = middle, one
    return Threshold(low, high, found.time, tuple(tried), found)


def fires_unasked(trial: Trial, search: Search, what: str) -> InputError:
    """The error of a cell, or a place, that fires without any field."""
    how = f"; leave the clamps out with {search.without_clamps}" if trial.driven.clamps else ""
    return InputError(f"threshold: {what} fires without any field{how}")


def threshold_among_steps(trial: Trial, search: Search, guess: float | None = None) -> Threshold | None:
    """The threshold among strengths that are a step of `search.tolerance` apart, (1 + tolerance)^n V/m.

    What is found does not depend on where the search begins, so that searches may share what they know of each other.

    Args:
        trial: Cell, and where it is looked at; it does not fire without a field.
        search: Place, and bounds of the search.
        guess: Strength near the threshold, such as that of a neighbouring direction.

    Returns:
        The threshold; None where no strength up to the highest makes a spike.
    """
    step = math.log1p(search.tolerance)
    top, double = math.floor(math.log(search.highest) / step + 1e-9), math.log(2.0) / step
    known: dict[int, Spike | None] = {}

    def fires(number: int) -> bool:
        if number not in known:
            known[number] = trial.spike(math.exp(number * step))
        return known[number] is not None

    bracket = None if guess is None else _bracket_near(fires, round(math.log(guess) / step), top)
    bracket = bracket or _bracket_from_below(fires, top, double)
    if bracket is None:
        return None
    low, high = bracket
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fires(middle) else (middle, high)
    found = known[high]
    assert found is not None
    tried = tuple((math.exp(number * step), one is not None) for number, one in known.items())
    return Threshold(math.exp(low * step), math.exp(high * step), found.time, tried, found)


def _bracket_near(fires: Callable[[int], bool], guess: int, top: int) -> tuple[int, int] | None:
    """Numbers of a strength without a spike and of one with, around a guess; None where none is near."""
    here = min(guess, top)
    down = fires(here)
    reach = _FIRST_REACH
    for _ in range(_MOST_REACHES):
        there = here - reach if down else min(here + reach, top)
        if fires(there) != down:
            return (there, here) if down else (here, there)
        if there == top:
            return None
        here, reach = there, 2 * reach
    return None


def _bracket_from_below(fires: Callable[[int], bool], top: int, double: float) -> tuple[int, int] | None:
    """The same by doubling from far below: far too strong a field blocks the spike."""
    ladder = [round(top - halvings * double) for halvings in range(_LADDER, -1, -1)]
    if fires(ladder[0]):
        low = ladder[0]
        while fires(low):
            low = round(low - double)
        return low, round(low + double)
    for low, high in zip(ladder[:-1], ladder[1:], strict=True):
        if fires(high):
            return low, high
    return None
