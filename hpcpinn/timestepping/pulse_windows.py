"""Window ends that follow pulses, bursts and trains: found once per motif from the local error.

A motif (the time from one pulse, burst or train to the next) is walked through with windows whose
error is estimated by doing each one twice: whole, and in two halves. The ends found serve every
later repetition. Lengths are even numbers of ticks of the influx's table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.core.system import Attempt
from hpcpinn.errors import InputError, SolveError
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.march import March, next_stop
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.timestepping.influx import InfluxTable
from hpcpinn.timestepping.splitting import Splitting, plan_windows
from hpcpinn.training.flow_map import ReactionState


class PulseWindows(NamedTuple):
    """The windows of a motif.

    Attributes:
        ends: Ticks at which they end.
        errors: Estimated local errors, relative, per window.
        rejected: Windows tried and rejected.
        state: State at the end of the motif.
    """

    ends: Int[ndarray, " K"]
    errors: Float[ndarray, " K"]
    rejected: int
    state: ReactionState


class Held(NamedTuple):
    """What lives in a volume along the cable.

    Attributes:
        volume: Volume of it in the compartments, µm³, (N,).
        species: Numbers of its species: free calcium, then what is free of its buffers.
        floor: Excursion of its free calcium below which errors are absolute, µM (root mean square).
    """

    volume: Float[ndarray, " N"]
    species: tuple[int, ...]
    floor: float


@dataclass(frozen=True)
class Excursion:
    """Size of a difference of states: volume-weighted, relative to the excursion from rest.

    Attributes:
        rest: Value of every species at rest, µM.
        volumes: Volumes along the cable, each with what lives in it.
        communicator: All ranks, where the compartments are spread over them.
    """

    rest: ReactionState
    volumes: tuple[Held, ...]
    communicator: Communicator = field(default_factory=SerialCommunicator)

    @classmethod
    def of_cytosol(cls, volume: Float[ndarray, " N"], rest: ReactionState, floor: float = 1e-3) -> "Excursion":
        """That of species which all live in the cytosol."""
        return cls(rest, (Held(volume, tuple(range(len(rest.species))), floor),))

    def error(self, one: ReactionState, other: ReactionState) -> float:
        """The largest of the relative differences of free calcium and of the total c − Σ b in every volume.

        Collective over all ranks.
        """
        return max(self._error_in(held, one, other) for held in self.volumes)

    def _error_in(self, held: Held, one: ReactionState, other: ReactionState) -> float:
        ours, theirs = ([np.asarray(state.species[i]) for i in held.species] for state in (one, other))
        rest = [self.rest.species[i] for i in held.species]
        away: list[ndarray] = [np.asarray(x - at_rest) for x, at_rest in zip(theirs, rest, strict=True)]
        of_free = self._size(held, ours[0] - theirs[0]) / (self._size(held, away[0]) + held.floor)
        moved = _content(ours) - _content(theirs)
        bound: Any = sum(away[2:], away[1]) if away[1:] else 0.0
        # without buffers the total is what is free of it
        floor = float(held.floor * sum(rest[2:], rest[1]) / rest[0]) if rest[1:] else held.floor
        return float(max(of_free, self._size(held, moved) / (self._size(held, away[0] - bound) + floor)))

    def _size(self, held: Held, x: ndarray) -> float:
        parts = self.communicator.share((float(held.volume @ (x * x)), float(held.volume.sum())))
        square, volume = np.sum(parts, axis=0)
        return float(np.sqrt(square / volume))


def _content(species: Sequence[ndarray]) -> Float[ndarray, " N"]:
    """Calcium less what is free of its buffers: the total, but for a constant."""
    content = species[0]
    for b in species[1:]:
        content = content - b
    return content


def pulse_windows(
    splitting: Splitting,
    state: ReactionState,
    influx: InfluxTable,
    excursion: Excursion,
    *,
    tolerance: float,
    longest: float,
    stops: Int[ndarray, " S"] | tuple[int, ...] = (),
    settle: bool = False,
) -> PulseWindows:
    """Walks through a motif and finds its windows.

    Args:
        splitting: A Strang composition.
        state: State at the start of the motif.
        influx: Influx of the motif.
        excursion: Measure of errors.
        tolerance: Largest relative local error of a window.
        longest: Longest window, s: no more than the flow map's box allows.
        stops: Ticks at which windows must end besides the last: onsets of pulses, times to record.
        settle: Whether to take the shortest window where it does not meet the tolerance either.

    Raises:
        InputError: The splitting is not of order 2, or a stop is odd or outside the motif.
        SolveError: The tolerance is not met by the shortest window, four ticks, or an error is not finite.
    """
    if splitting.order != 2:
        raise InputError(f"pulse windows: a splitting of order {splitting.order}; give one of order 2 (Strang)")
    last = influx.ticks
    stops = np.unique(np.append(np.asarray(stops, int), last))
    if stops[0] <= 0 or stops[-1] > last or np.any(stops % _SHORTEST):
        raise InputError(f"pulse windows: stops {stops} must be multiples of 4 ticks within 1 … {last}")
    rule = WindowRule(
        first=_SHORTEST,
        shortest=_SHORTEST,
        longest=max(_SHORTEST, longest / influx.tick),
        tolerance=tolerance,
        order=3.0,
        safety=0.7,
        growth=2.5,
        keep=1.0,
        restart=False,
    )
    most = min(rule.longest, float(last)) * influx.tick
    terms = max(_TERMS, splitting.diffusion.width(most))
    problem = _Halving(splitting, influx, excursion, rule, stops, terms, settle)
    march = March.begun(problem, _AtTick(0, state))
    ends: list[int] = []
    errors: list[float] = []
    rejected = 0
    for step in march:
        ends.append(step.attempt.after.time)
        errors.append(step.attempt.inside)
        rejected += step.rejected
    return PulseWindows(np.array(ends), np.array(errors), rejected, march.state.calcium)


class _AtTick(NamedTuple):
    """Calcium at a tick."""

    time: int
    calcium: ReactionState


@dataclass(frozen=True)
class _Halving:
    """Windows in whole ticks, judged by their halves, as the march sees them."""

    splitting: Splitting
    influx: InfluxTable
    excursion: Excursion
    rule: WindowRule
    stops: Int[ndarray, " S"]
    terms: int
    settle: bool

    def attempt(self, state: _AtTick, length: float, reuse: None) -> Attempt[_AtTick, float]:
        """A window of about this length, and its halves, which count; inside: the error that is left in them."""
        rule, ticks = self.rule, _whole(length, next_stop(self.stops, state.time) - state.time)
        coarse, fine = _whole_and_halves(
            self.splitting, state.calcium, self.influx.after(state.time), ticks, self.terms
        )
        error = self.excursion.error(coarse, fine) / 3.0  # what is left in the halves, order 2
        judged = max(error, 1e-12)
        if ticks <= _SHORTEST and not error <= rule.tolerance:
            if not (self.settle and np.isfinite(error)):
                raise SolveError(
                    f"split windows: error {error:.1e} above the tolerance {rule.tolerance:g} at the shortest "
                    f"window ({1e3 * ticks * self.influx.tick:g} ms); use a finer tick or a larger tolerance"
                )
            judged = rule.tolerance
        return Attempt(float(ticks), judged, _AtTick(state.time + ticks, fine), inside=error)


def halved(ends: Int[ndarray, " K"]) -> Int[ndarray, " halves"]:
    """The ends of the halves of windows that start at tick 0."""
    ends = np.asarray(ends, int)
    return np.sort(np.append(ends, (np.append(0, ends[:-1]) + ends) // 2))


def _whole_and_halves(
    splitting: Splitting, state: ReactionState, influx: InfluxTable, length: int, terms: int
) -> tuple[ReactionState, ReactionState]:
    """State after one window, and after two of half the length, two compilations for all lengths."""
    fine = plan_windows(np.array([length // 2, length]), influx, splitting.diffusion, terms)
    one = plan_windows(np.array([length]), influx, splitting.diffusion, terms)
    coarse, _ = splitting.advance(state, one)
    halves, _ = splitting.advance(state, fine)
    return coarse.each(jnp.asarray), halves.each(jnp.asarray)


_SHORTEST = 4
"""Ticks: a window, its halves and the middles of these."""

_TERMS = 48
"""Least length to which diffusion's series is padded while windows are sought: one compilation for all."""


def _whole(length: float, room: float) -> int:
    """A multiple of four ticks, at least four, no more than the room."""
    return int(min(_SHORTEST * max(1, round(length / _SHORTEST)), room))
