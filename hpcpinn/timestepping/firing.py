"""Action potentials in a voltage: how often it rises above zero where no pulse holds it there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

FIRED = 0.0
"""mV; an action potential is above it."""

SETTLED = 0.25
"""What a pulse itself does to the voltage has gone so long after its end, ms."""


@dataclass(frozen=True)
class Rises:
    """Action potentials by place.

    Attributes:
        count: Number of action potentials at every place, (P,).
        first: Time at which the first one rose, ms, (P,); infinite where there is none.
    """

    count: Int[ndarray, " P"]
    first: Float[ndarray, " P"]

    @classmethod
    def none(cls, places: int) -> "Rises":
        """Before anything has fired."""
        return cls(np.zeros(places, int), np.full(places, np.inf))

    def and_then(self, later: "Rises", since: float) -> "Rises":
        """With those of a stretch of time that begins at `since`, ms."""
        return Rises(self.count + later.count, np.minimum(self.first, since + later.first))


def rises(
    times: Float[ndarray, " T"],
    V: Float[ndarray, "T P"],
    pulses: Sequence[float] | Float[ndarray, " pulses"] = (),
    length: float = 0.0,
) -> Rises:
    """Counts action potentials.

    Args:
        times: Times of the rows, increasing, ms, (T,).
        V: Voltage at these times, mV, (T, P).
        pulses: Onsets of pulses: from there until `SETTLED` after their end the voltage is not looked at.
        length: Length of a pulse, ms.
    """
    seen = ~_in_pulses(times, pulses, length + SETTLED)
    times, above = times[seen], V[seen] >= FIRED
    if len(times) < 2:
        return Rises.none(V.shape[1])
    rise = above[1:] & ~above[:-1]
    count = rise.sum(axis=0)
    return Rises(count, np.where(count > 0, times[1:][rise.argmax(axis=0)], np.inf))


def _in_pulses(times: Float[ndarray, " T"], pulses: Sequence[float] | ndarray, length: float) -> Bool[ndarray, " T"]:
    """Whether a moment is in (onset, onset + length) of any pulse; at an onset the voltage is still as before."""
    onsets = np.sort(np.asarray(pulses, float))
    if not len(onsets):
        return np.zeros(len(times), bool)
    last = np.searchsorted(onsets, times - 1e-9) - 1
    inside: Bool[ndarray, " T"] = (last >= 0) & (times - onsets[np.maximum(last, 0)] < length - 1e-9)
    return inside
