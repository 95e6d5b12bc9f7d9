"""Lengths of split windows that follow pulses and action potentials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.timestepping.slots import Slot

_OPEN = -40.0
"""mV: above it channels let calcium in."""
_FAST = 1.0
"""mV/ms: a voltage that is above and moves faster is that of an action potential."""

Stretch = tuple[float, float]
"""Start and end, ms; of windows after the start of a slot."""


@dataclass(frozen=True)
class WindowLengths:
    """Lengths of split windows, ms: short while something happens, then growing.

    Attributes:
        first: Length after pulses and while action potentials last, ms; a tick is half of it.
        samples: Samples of a given voltage per tick, linear between them.
        first_for: Time after a pulse or a switch in which windows have the first length, ms.
        settle: Time after an action potential has ended everywhere in which they have it, ms.
        growth: Ratio of successive lengths after that.
        longest: Longest window in a slot in which something happens, ms.
        quiet: Longest window in a slot in which nothing does, ms.
        multiple: Divisor of the number of ticks of a slot: 2, or 4 where windows are sought.
        coupled_for: Time that coupled slots last, where there are any, ms: windows after them go on as if they were
            split ones.
    """

    first: float = 0.1
    samples: int = 2
    first_for: float = 6.0
    settle: float = 4.0
    growth: float = 1.2
    longest: float = 5.0
    quiet: float = 10.0
    multiple: int = 2
    coupled_for: float = 0.0

    @property
    def tick(self) -> float:
        """Spacing of the times at which windows may end."""
        return 0.5 * self.first

    def ticks(self, slot: Slot) -> int:
        """Number of ticks of a slot, even."""
        least = self.multiple * self.tick
        return self.multiple * max(1, int(np.ceil(slot.duration / least * (1.0 - 1e-9))))

    def ends(self, slot: Slot, firing: Sequence[Stretch] = ()) -> Int[ndarray, " K"]:
        """Ticks at which the windows of a slot end, each after an even number of ticks.

        Args:
            slot: Windows end at its pulses and switches and are short after them.
            firing: Stretches in which action potentials last.
        """
        pair = 2.0 * slot.duration / self.ticks(slot)
        lively = [(start, start + self.first_for) for start in slot.switches]
        lively += [(start, end + self.settle) for start, end in firing]
        if slot.coupled:
            lively.append((0.0, slot.duration))
        elif slot.after_coupled:
            lively.append((0.0, max(self.first, self.first_for - self.coupled_for)))
        edges, now = list(slot.switches), 0.0
        for start, end in [*joined(lively, 0.0, slot.duration), (slot.duration, slot.duration)]:
            edges += self._growing(now, start)
            edges += np.append(np.arange(start, end, self.first), end).tolist()
            now = end
        pairs = np.unique(np.round(np.array(edges) / pair).astype(int))
        return 2 * pairs[pairs > 0]

    def _growing(self, start: float, end: float) -> list[float]:
        edges, t, length = [], start, self.quiet if start == 0.0 else self.first
        while t < end:
            if start > 0.0:
                length = min(length * self.growth, self.longest)
            t += length
            edges.append(min(t, end))
        return edges


def firing_times(V: Float[ndarray, "T P"], tick: float) -> Float[ndarray, " T-1"]:
    """Between ticks, 1 where any compartment has an action potential, else 0.

    Args:
        V: Voltage at ticks, mV, (T, P).
        tick: Length of a tick, ms.
    """
    still_open = (V[1:] > _OPEN) | (V[:-1] > _OPEN)
    fast = np.abs(np.diff(V, axis=0)) > _FAST * tick
    return (still_open & fast).any(axis=1).astype(float)


def stretches(firing: Float[ndarray, " T"], tick: float, settle: float) -> list[Stretch]:
    """When action potentials last, those that are less than `settle` ms apart as one.

    Args:
        firing: Ticks with an action potential, as `firing_times` gives them.
        tick: Length of a tick, ms.
        settle: Distance below which two stretches are one, ms.
    """
    on = np.flatnonzero(firing > 0.0)
    return joined([(tick * i, tick * (i + 1)) for i in on], 0.0, tick * len(firing), settle)


def joined(parts: Sequence[Stretch], since: float, until: float, apart: float = 0.0) -> list[Stretch]:
    """Stretches in order, what lies in [since, until] of them; those no more than `apart` apart as one."""
    found: list[Stretch] = []
    for start, end in sorted(parts):
        start, end = max(start, since), min(end, until)
        if found and start <= found[-1][1] + apart + 1e-9:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif start < until and end >= start:
            found.append((start, end))
    return found
