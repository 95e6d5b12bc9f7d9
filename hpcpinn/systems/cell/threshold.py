"""The weakest field that makes a cell fire, by bisection."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hpcpinn.errors import InputError
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.systems.cell.driven_cable import DrivenCable
from hpcpinn.timestepping.cable_equation import VoltageState
from hpcpinn.timestepping.firing import FIRED, SETTLED
from hpcpinn.wording import biology

_LADDER = 6
"""The bracket is climbed to by doubling from 2^-6 of the highest: far too strong a field blocks the spike."""

HIGHEST = 1000.0
"""Where a search ends at least, if nobody says where, V/m."""


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        site: Place where a spike is looked for.
        highest: Strongest field that is tried, V/m (or a factor of a sampled field).
        tolerance: Width of the last bracket over the threshold.
        wait: Time after the first pulse that a spike may take, ms.
        is_typed: Whether these were given as flags of a command, for messages.
    """

    site: str = "soma"
    highest: float = HIGHEST
    tolerance: float = 0.01
    wait: float = 20.0
    is_typed: bool = False

    def __post_init__(self) -> None:
        for name in ("highest", "tolerance", "wait"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                key = name.replace("highest", "up_to")
                raise InputError(f"threshold: {key} = {value}; give a positive number")

    def argument(self, name: str) -> str:
        """An argument as it is given: ``--up-to``, or ``up_to`` in Python."""
        return f"--{name.replace('_', '-')}" if self.is_typed else name

    @property
    def without_clamps(self) -> str:
        """What leaves the clamps of a job out."""
        return "--set 'clamp=[]'" if self.is_typed else 'job.replace({"clamp": []})'


@dataclass(frozen=True)
class Threshold:
    """What was found.

    Attributes:
        silent: Strongest field without a spike.
        firing: Weakest field with one.
        spike_time: Time of that spike after the onset of the first pulse, ms.
        tried: Every field that was tried, with its outcome.
    """

    silent: float
    firing: float
    spike_time: float
    tried: tuple[tuple[float, bool], ...] = field(default=())

    @property
    def value(self) -> float:
        """Middle of the last bracket."""
        return 0.5 * (self.silent + self.firing)


@dataclass(frozen=True)
class Trial:
    """A cell in a field whose strength is tried.

    Attributes:
        driven: Cell in a field of unit strength.
        compartment: Number of the compartment where a spike is looked for.
        unit: Unit of strengths, in words.
    """

    driven: DrivenCable
    compartment: int
    unit: str


def find_threshold(
    trial: Trial,
    search: Search,
    watch: Callable[[float, bool], None] = lambda strength, fired: None,
    progress: ProgressDisplay = NO_PROGRESS,
) -> Threshold:
    """Halves the bracket of the field's strength until it is narrow; clamps of the job act as they are.

    Args:
        trial: Cell, and where it is looked at.
        search: Place, and bounds of the search.
        watch: Function of a strength that was tried and whether it made a spike, called after each.
        progress: Display that is told what is being done.

    Raises:
        InputError: No spike up to the highest strength, or one without any field.
        SolveError: The cell has no rest.
    """
    driven = trial.driven
    rest = driven.equation.resting_state()
    tried: list[tuple[float, bool]] = []

    def spike(strength: float) -> float | None:
        time = _spike_time(driven, rest, trial.compartment, strength, search.wait)
        tried.append((strength, time is not None))
        progress.done(len(tried))
        watch(*tried[-1])
        return time

    # At most: without field, the ladder, and the halvings of the bracket that it ends with.
    progress.doing("trying fields", 1 + _LADDER + 1 + math.ceil(math.log2(1.0 / search.tolerance)), "fields at most")
    if spike(0.0) is not None:
        how = f"; leave the clamps out with {search.without_clamps}" if driven.clamps else ""
        raise InputError(f"threshold: {search.site} fires without any field{how}")
    low, high, time = 0.0, 0.0, None
    for halvings in range(_LADDER, -1, -1):
        low, high = high, search.highest / 2.0**halvings
        time = spike(high)
        if time is not None:
            break
    if time is None:
        raise InputError(
            f"threshold: no spike at {search.site} within {biology(search.wait, 6)} up to {search.highest:g} "
            f"{trial.unit}; raise {search.argument('up_to')} (if left out, {HIGHEST:g} or twice field.magnitude) or "
            f"{search.argument('wait')}, or turn field.direction"
        )
    while high - low > search.tolerance * high:
        middle = 0.5 * (low + high)
        found = spike(middle)
        if found is None:
            low = middle
        else:
            high, time = middle, found
    return Threshold(low, high, time, tuple(tried))


def _spike_time(
    driven: DrivenCable, rest: VoltageState, compartment: int, strength: float, wait: float
) -> float | None:
    """When the voltage is first above `FIRED` after the first pulse, ms since its onset."""
    assert driven.stimulus is not None
    settled = driven.onset + driven.stimulus.waveform.duration + SETTLED
    _, t, V = driven.march(rest, 0.0, driven.onset + wait, np.zeros(0), strength)
    here = V[:, compartment]
    after = t >= settled
    above = np.flatnonzero(after & (here >= FIRED))
    return float(t[above[0]] - driven.onset) if len(above) else None
