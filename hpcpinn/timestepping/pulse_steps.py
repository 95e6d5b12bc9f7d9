"""Time steps for the voltage: they end where the field jumps and are short within pulses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import Waveform

_GAUSS_POINTS = 4

_DAMPED = 2
"""Steps behind every jump that are taken as two half steps of backward Euler each (R. Rannacher,
Numer. Math. 43 (1984) 309): the trapezoidal rule alone would ring, and stays of second order."""


_TAIL = 0.1
"""Steps stay short so long after a pulse, ms, while the charge that it moved evens out along the cable."""


class Steps(NamedTuple):
    """A sequence of time steps.

    Attributes:
        length: Length of every step, ms, (n,).
        implicit: 1 for backward Euler, ½ for the trapezoidal rule.
        drive: Mean over the step of the waveform of every source.
    """

    length: Float[ndarray, " n"]
    implicit: Float[ndarray, " n"]
    drive: Float[ndarray, "n sources"]

    @property
    def ends(self) -> Float[ndarray, " n"]:
        """Ends of the steps after the start of the first, ms."""
        return np.cumsum(self.length)

    def in_parts(self, size: int) -> Iterator[tuple[tuple[Shaped[ndarray, "..."], ...], int]]:
        """Columns in parts of one length, the last one padded with ones, and how many steps of each are meant."""
        for first in range(0, len(self.length), size):
            part = [column[first : first + size] for column in self]
            room = size - len(part[0])
            yield tuple(np.concatenate([a, np.ones((room, *a.shape[1:]))]) for a in part), len(part[0])


@dataclass(frozen=True)
class CurrentClamp:
    """A current into one place, constant while it lasts.

    Attributes:
        start: Start of the current, ms.
        duration: Duration of the current, ms.
    """

    start: float
    duration: float

    @property
    def end(self) -> float:
        """When it stops, ms."""
        return self.start + self.duration


@dataclass(frozen=True)
class VoltageStepRule:
    """How long steps are.

    Attributes:
        longest: Longest step between pulses, ms.
        in_pulse: Longest step while a pulse lasts, and a moment longer, ms.
        quiet: Longest step where the voltage hardly moves, in `voltage_course`, ms; 0: nowhere longer.
        is_euler: Whether all steps are of backward Euler, as NEURON takes them by default: of first order.

    Raises:
        InputError: A length that is not positive.
    """

    longest: float = 0.025
    in_pulse: float = 0.005
    quiet: float = 0.0
    is_euler: bool = False

    def __post_init__(self) -> None:
        for name in ("longest", "in_pulse"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise InputError(f"voltage step {name} = {getattr(self, name)}; give a positive number of ms")


def steps_between(
    since: float,
    until: float,
    rule: VoltageStepRule,
    stimulus: Stimulus | None = None,
    onset: float = 0.0,
    clamps: Sequence[CurrentClamp] = (),
    marks: Sequence[float] | Float[ndarray, " m"] = (),
) -> Steps:
    """Steps over [since, until], ms; source 0 is the field (if there is a stimulus), then the clamps.

    Args:
        stimulus: Pulses, the first of them at `onset`.
        marks: Further times at which steps shall end.
    """
    jumps = [edge for clamp in clamps for edge in (clamp.start, clamp.end)]
    pulses = np.zeros(0)
    if stimulus is not None:
        jumps += (onset + stimulus.breakpoints(since - onset, until - onset)).tolist()
        pulses = onset + stimulus.pulse_times
        tails = pulses + stimulus.waveform.duration + _TAIL
        marks = [*marks, *tails[(tails > since) & (tails < until)]]
    if any(clamp.start <= since <= clamp.end for clamp in clamps) or since in pulses:
        jumps.append(since)
    edges = _distinct([since, *(t for t in [*jumps, *marks] if since < t < until), until])
    length, implicit = [], []
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        inside = stimulus is not None and _near_pulse(0.5 * (start + end), pulses, stimulus)
        damped = _is_near(start, jumps) and not rule.is_euler
        own = _interval(start, end, rule.in_pulse if inside else rule.longest, damped)
        length.append(own[0])
        implicit.append(own[1])
    lengths = np.concatenate(length)
    ends = since + np.cumsum(lengths)
    drive = _means(ends - lengths, lengths, stimulus, onset, clamps)
    return Steps(lengths, np.ones(len(lengths)) if rule.is_euler else np.concatenate(implicit), drive)


def _distinct(times: Sequence[float]) -> Float[ndarray, " k"]:
    """Sorted; times that only rounding keeps apart are given once."""
    found = np.unique(np.asarray(times, float))
    apart = np.diff(found) > 1e-9
    return found[np.r_[True, apart]] if apart[-1:].all() else np.r_[found[:-1][np.r_[True, apart[:-1]]], found[-1]]


def _is_near(time: float, others: Sequence[float]) -> bool:
    return bool(np.any(np.abs(np.asarray(others) - time) <= 1e-9)) if len(others) else False


def _near_pulse(time: float, pulses: Float[ndarray, " p"], stimulus: Stimulus) -> bool:
    last = np.searchsorted(pulses, time, side="right") - 1
    return bool(last >= 0 and time - pulses[last] < stimulus.waveform.duration + _TAIL)


def _interval(
    start: float, end: float, longest: float, damped: bool
) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Equal steps, the first ones halved and damped where something jumped."""
    count = max(1, int(np.ceil((end - start) / longest * (1.0 - 1e-9))))
    step = (end - start) / count
    halves = 2 * min(_DAMPED, count) if damped else 0
    length = np.r_[np.full(halves, 0.5 * step), np.full(count - halves // 2, step)]
    return length, np.where(np.arange(len(length)) < halves, 1.0, 0.5)


def _means(
    start: Float[ndarray, " n"],
    length: Float[ndarray, " n"],
    stimulus: Stimulus | None,
    onset: float,
    clamps: Sequence[CurrentClamp],
) -> Float[ndarray, "n sources"]:
    columns = []
    if stimulus is not None:
        columns.append(_means_of_pulses(start - onset, length, stimulus))
    middle = start + 0.5 * length
    columns += [((middle >= c.start) & (middle < c.end)).astype(float) for c in clamps]
    return np.stack(columns, axis=1) if columns else np.zeros((len(start), 0))


def _means_of_pulses(
    start: Float[ndarray, " n"], length: Float[ndarray, " n"], stimulus: Stimulus
) -> Float[ndarray, " n"]:
    pulses = stimulus.pulse_times
    middle = start + 0.5 * length
    last = np.searchsorted(pulses, middle, side="right") - 1
    inside = np.flatnonzero((last >= 0) & (middle - pulses[last] < stimulus.waveform.duration))
    means = np.zeros(len(start))
    if len(inside):
        x, weight = np.polynomial.legendre.leggauss(_GAUSS_POINTS)
        t = middle[inside, None] - pulses[last[inside], None] + 0.5 * length[inside, None] * x
        room = (1 << (t.size - 1).bit_length()) - t.size  # few sizes, few compilations
        values = _values(stimulus.waveform, np.r_[t.ravel(), np.zeros(room)])
        means[inside] = np.asarray(values)[: t.size].reshape(t.shape) @ (0.5 * weight)
    return means


@partial(jax.jit, static_argnums=0)
def _values(waveform: Waveform, t: Float[Array, " n"]) -> Float[Array, " n"]:
    return waveform(t)
