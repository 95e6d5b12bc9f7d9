"""A protocol cut into slots: short stretches of time, most of which are repeated many times.

A slot begins at a burst, or where the last one reached its longest allowed length, and never
inside a pulse. Two slots with the same length and the same pulses do the same to a cell that is in
the same state: that is what `motifs` makes use of. Times in ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics.stimulation.stimulus import Stimulus

_DIGITS = 6
"""Slots that differ by less than a nanosecond are the same."""


@dataclass(frozen=True)
class Slot:
    """A stretch of a protocol.

    Attributes:
        start: ms.
        duration: ms.
        pulses: Onsets of its pulses after its start, ms.
    """

    start: float
    duration: float
    pulses: tuple[float, ...] = ()

    @property
    def end(self) -> float:
        """ms."""
        return self.start + self.duration

    @property
    def kind(self) -> tuple[float, ...]:
        """The same for slots that do the same."""
        return tuple(round(x, _DIGITS) + 0.0 for x in (self.duration, *self.pulses))


def slots(stimulus: Stimulus | None, onset: float, until: float, longest: float = 100.0) -> Iterator[Slot]:
    """The slots of [0, until].

    Args:
        stimulus: The pulses; None for none at all.
        onset: Time of its first pulse.
        until: End of the last slot.
        longest: No slot is longer, but for a pulse that it must not cut.
    """
    pulses = np.zeros(0) if stimulus is None else onset + stimulus.pulse_times
    length = 0.0 if stimulus is None else stimulus.waveform.duration
    begins = _bursts(pulses, stimulus)
    start = 0.0
    while start < until * (1.0 - 1e-12):
        later = begins[begins > start + 1e-9]
        stop = min(float(later[0]) if len(later) else until, until)
        end = stop if stop - start <= longest * (1.0 + 1e-9) else start + longest
        cut = pulses[(pulses < end - 1e-9) & (pulses + length > end + 1e-9)]
        end = min(stop, max(end, float(cut[0]) + length)) if len(cut) else end
        inside = pulses[(pulses >= start - 1e-9) & (pulses < end - 1e-9)]
        yield Slot(start, end - start, tuple((inside - start).clip(min=0.0).tolist()))
        start = float(end)


def _bursts(pulses: Float[ndarray, " p"], stimulus: Stimulus | None) -> Float[ndarray, " b"]:
    """Onsets of the bursts."""
    return pulses if stimulus is None else pulses[:: stimulus.protocol.pulses]

