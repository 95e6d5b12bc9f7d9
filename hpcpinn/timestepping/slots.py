"""A protocol cut into slots: short stretches of time, most of which are repeated many times.

A slot begins at a burst, where something else switches (a clamp, a release, a flux) or a given
voltage begins a new period, or where the last one reached its longest allowed length, and never
inside a pulse. Two slots with the same length, the same pulses and the same sources in the same
places do the same to a cell that is in the same state: that is what `motifs` makes use of. Times
in ms.

Where coupled and split windows are mixed, slots also begin and end with the stretches after pulses and
switches that are coupled: a slot is one or the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.stimulus import Stimulus

_DIGITS = 6
"""Slots that differ by less than a nanosecond are the same."""
_SAME = 1e-9
NEAR = 1e-6
"""Moments this close are one where slots begin."""
_SLIVER = 1.0
"""ms: what is left between two coupled stretches is coupled as well where it is shorter."""


@dataclass(frozen=True)
class Source:
    """What is on now and then besides the pulses: a clamp, the releases of a synapse, a flux.

    Attributes:
        onsets: Times at which it switches on, increasing, (n,).
        duration: Time for which it then lasts; may be infinite.
        steady: Whether it stays the same while it lasts, and then jumps to nothing; otherwise it ends smoothly.
    """

    onsets: Float[ndarray, " n"]
    duration: float
    steady: bool

    def acting(self, since: float, until: float) -> list[tuple[float, float]]:
        """When it goes on and off for all that it does in [since, until), relative to `since`.

        One that is steady and has been on for longer, or stays on, does so forever.
        """
        off = self.onsets + self.duration
        left = off >= since - _SAME if self.steady else off > since + _SAME
        rows = np.flatnonzero((self.onsets < until - _SAME) & left)
        found = []
        for on, end in zip(self.onsets[rows] - since, off[rows] - since, strict=True):
            if self.steady:
                on = -np.inf if on < -_SAME else on
                end = np.inf if end >= until - since - _SAME else end
            found.append((float(on), float(end)))
        return found

    @property
    def switches(self) -> Float[ndarray, " m"]:
        """When it jumps."""
        return np.append(self.onsets, self.onsets + self.duration) if self.steady else self.onsets


@dataclass(frozen=True)
class Course:
    """All that happens to a cell besides pulses.

    Attributes:
        sources: What is on now and then.
        period: Time after which a given voltage repeats; infinite where it never does, None where the voltage is not
            given as a course in time.
    """

    sources: tuple[Source, ...] = ()
    period: float | None = None

    def acting(self, since: float, until: float) -> tuple["Acting", ...]:
        """All sources that do something in [since, until)."""
        return tuple(
            Acting(number, *times)
            for number, source in enumerate(self.sources)
            for times in source.acting(since, until)
        )

    def phase(self, time: float) -> float:
        """Where a given voltage is in its period."""
        if self.period is None:
            return 0.0
        if np.isinf(self.period):
            return time
        return float(max(0.0, time - self.period * np.floor(time / self.period + _SAME)))

    def begins(self, until: float, longest: float) -> Float[ndarray, " m"]:
        """When slots have to begin."""
        moments = [source.switches for source in self.sources]
        if self.period is not None and np.isfinite(self.period):
            block = self.period * max(1, int(longest / self.period * (1.0 + _SAME)))
            moments.append(block * np.arange(1, int(until / block) + 1))
        times = np.unique(np.concatenate([np.zeros(0), *moments]))
        return times[times < until]


class Acting(NamedTuple):
    """A source that does something in a slot.

    Attributes:
        source: Number of the source.
        on, off: Times at which it goes on and off after the start of the slot; infinite where that does not matter.
    """

    source: int
    on: float
    off: float


@dataclass(frozen=True)
class Slot:
    """A stretch of a protocol.

    Attributes:
        start: Start of the slot, ms.
        duration: Duration of the slot, ms.
        pulses: Onsets of its pulses after its start, ms.
        acting: Other sources that are on.
        phase: Place of the slot's start in the period of a given voltage, ms.
        coupled: Whether it is for coupled windows.
        after_coupled: Whether it is not, but the one before it is, or it is the rest of one that a run has ended in:
            everything still moves.
    """

    start: float
    duration: float
    pulses: tuple[float, ...] = ()
    acting: tuple[Acting, ...] = ()
    phase: float = 0.0
    coupled: bool = False
    after_coupled: bool = False

    @property
    def end(self) -> float:
        """ms."""
        return self.start + self.duration

    @property
    def kind(self) -> tuple[tuple[float, ...], ...]:
        """The same for slots that do the same."""
        parts = (self.duration, self.phase, self.coupled, self.after_coupled), self.pulses, *self.acting
        return tuple(tuple(round(x, _DIGITS) + 0.0 for x in part) for part in parts)

    @property
    def switches(self) -> tuple[float, ...]:
        """When something goes on or off, or a pulse begins, after the start of the slot."""
        times = [t for acting in self.acting for t in (acting.on, acting.off)]
        return tuple(sorted({*self.pulses, *(t for t in times if -_SAME <= t < self.duration - _SAME)}))

    def packed(self) -> Float[ndarray, " n"]:
        """All of it as one row of numbers."""
        head = self.start, self.duration, self.phase, self.coupled, self.after_coupled
        rest = *self.pulses, *(x for acting in self.acting for x in acting)
        return np.array([*head, len(self.pulses), *rest], float)


def unpacked(row: Float[ndarray, " n"]) -> Slot:
    """The slot that `Slot.packed` made a row of."""
    start, duration, phase, coupled, after_coupled, count, *rest = np.asarray(row, float).tolist()
    pulses, others = rest[: int(count)], np.reshape(rest[int(count) :], (-1, 3))
    acting = tuple(Acting(int(number), on, off) for number, on, off in others.tolist())
    return Slot(start, duration, tuple(pulses), acting, phase, bool(coupled), bool(after_coupled))


def slots(
    stimulus: Stimulus | None,
    onset: float,
    until: float,
    longest: float = 100.0,
    course: Course | None = None,
    coupled_for: float = 0.0,
    *,
    since: float = 0.0,
) -> Iterator[Slot]:
    """The slots of [since, until].

    Args:
        stimulus: The pulses; None for none at all.
        onset: Time of its first pulse.
        until: End of the last slot.
        longest: No slot is longer, but for a pulse that it must not cut.
        course: What else happens.
        coupled_for: How long slots are coupled after a pulse or a switch; 0: none is.
        since: Start of the first slot.

    Raises:
        InputError: The first slot would begin within a pulse.
    """
    course = course or Course()
    pulses = np.zeros(0) if stimulus is None else onset + stimulus.pulse_times
    length = 0.0 if stimulus is None else stimulus.waveform.duration
    begins = _begins(pulses, length, stimulus, course.begins(until, longest))
    first, last = _coupled(pulses, length, course, coupled_for)
    begins = _apart(np.concatenate([begins, first, last]))
    cut = pulses[(pulses < since - _SAME) & (pulses + length > since + _SAME)]
    if len(cut):
        raise InputError(
            f"no stretch of a protocol begins at {since:g} ms, within the pulse at {cut[0]:g} ms: what ended there "
            "cannot be gone on with; start without --resume"
        )
    start = since
    while start < until * (1.0 - 1e-12):
        later = begins[begins > start + 1e-9]
        stop = min(float(later[0]) if len(later) else until, until)
        end = stop if stop - start <= longest * (1.0 + 1e-9) else start + longest
        cut = pulses[(pulses < end - 1e-9) & (pulses + length > end + 1e-9)]
        end = min(stop, max(end, float(cut[0]) + length)) if len(cut) else end
        inside = pulses[(pulses >= start - 1e-9) & (pulses < end - 1e-9)]
        yield Slot(
            start,
            end - start,
            tuple((inside - start).clip(min=0.0).tolist()),
            course.acting(start, end),
            course.phase(start),
            coupled=bool(np.any((first < start + NEAR) & (last > start + NEAR))),
            after_coupled=bool(np.any(np.abs(last - start) <= NEAR)),
        )
        start = float(end)


def _begins(
    pulses: Float[ndarray, " p"], length: float, stimulus: Stimulus | None, others: Float[ndarray, " m"]
) -> Float[ndarray, " b"]:
    """Onsets of the bursts, and other moments unless they are in a pulse or near another one."""
    if stimulus is None or not len(pulses):
        return _apart(others)
    bursts = pulses[:: stimulus.protocol.pulses]
    last = np.clip(np.searchsorted(pulses, others, side="right") - 1, 0, None)
    inside = (others > pulses[last] - _SAME) & (others < pulses[last] + length - _SAME)
    after = np.clip(np.searchsorted(bursts, others), 0, len(bursts) - 1)
    near = np.abs(bursts[after] - others) <= NEAR
    return _apart(np.append(bursts, others[~inside & ~near]))


def _coupled(
    pulses: Float[ndarray, " p"], length: float, course: Course, coupled_for: float
) -> tuple[Float[ndarray, " s"], Float[ndarray, " s"]]:
    """Begins and ends of the stretches that are coupled; none of them begins or ends inside a pulse."""
    if coupled_for <= 0.0:
        return np.zeros(0), np.zeros(0)
    switches = np.concatenate([np.zeros(0), *(source.switches for source in course.sources)])
    switches = switches[np.isfinite(switches)]
    first = np.append(pulses, switches)
    last = first + np.append(np.full(len(pulses), max(coupled_for, length)), np.full(len(switches), coupled_for))
    order = np.argsort(first, kind="stable")
    first, last = first[order], np.maximum.accumulate(last[order])
    gap = first[1:] > last[:-1] + _SLIVER
    return first[np.append(True, gap)[: len(first)]], last[np.append(gap, True)[: len(first)]]


def _apart(times: Float[ndarray, " n"]) -> Float[ndarray, " m"]:
    """Increasing, of those that only rounding keeps apart the first."""
    times = np.sort(times)
    return times[np.diff(times, prepend=-np.inf) > NEAR]
