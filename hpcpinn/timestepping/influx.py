"""What comes in through channels and releases over a window, exact in calcium.

Between binding and diffusion stands c' = σ (source(t) − sink(t) c), affine in c (EQUATIONS §1: GHK
with gates that depend on the voltage alone, releases, and whatever part of the leak the reaction does
not hold). With S = ∫sink from the window's start,

    c(h) = e^{−σS(h)} c(0) + σ ∫ source e^{−σ(S(h) − S(t))} dt
         = e^{−σS(h)} c(0) + σ (J₀ − σJ₁ + σ²J₂ …),   J_n = ∫ source (S(h) − S(t))ⁿ/n! dt.

The moments know nothing of the geometry; σS ≪ 1 in a window, so four of them give all digits.
They are kept as running integrals over a motif, from which those of any window follow: at every tick, or
only at those where windows and their halves end and as many more as the voltage moves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import comb, factorial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.core.parameters import Scalar
from hpcpinn.errors import InputError
from hpcpinn.physics import calcium, gates, ghk
from hpcpinn.physics.constants import CalciumConstants

_MOMENTS = 4
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_MOST_MOVED = 4.0
"""mV that the voltage may move between two rows of a table that could be closer."""


class _Ticks(NamedTuple):
    """S over every tick (ticks, P), and ∫ source sⁿ/n! dt with s = ∫sink from the tick's own start."""

    sink: Float[Array, "T P"]
    powers: tuple[Float[Array, "T P"], ...]


class InfluxWindow(NamedTuple):
    """The influx over windows; a leading axis of windows, then positions (1: everywhere the same).

    Attributes:
        sink: Integral S(h) of the sink over every window, µm.
        moments: J_0 … J_3.
        released: Moments of what comes into some cells besides (`CellWeights.released`); None for nothing.
    """

    sink: Float[Array | ndarray, "K P"]
    moments: Float[Array | ndarray, "K moments P"]
    released: Float[Array | ndarray, "K moments m"] | None = None


@dataclass(frozen=True)
class InfluxTable:
    """Running integrals of source and sink at ticks of a motif.

    Attributes:
        tick: Length of a tick, s.
        sink: S at ticks, (T, P), µm.
        powers: ∫ source Sⁿ/n! dt at ticks, (T, moments, P).
        gates: Gates at the end of the motif, (P, gates).
        edges: Ticks of the rows, increasing from 0; None: every tick has one.
    """

    tick: float
    sink: Float[ndarray, "T P"]
    powers: Float[ndarray, "T moments P"]
    gates: Float[ndarray, "_ gates"]
    edges: Int[ndarray, " T"] | None = None

    @property
    def ticks(self) -> int:
        """Ticks of the motif."""
        return len(self.sink) - 1 if self.edges is None else int(self.edges[-1])

    @property
    def at(self) -> Int[ndarray, " T"]:
        """Ticks of the rows."""
        return np.arange(len(self.sink)) if self.edges is None else self.edges

    def after(self, tick: int) -> "InfluxTable":
        """What is left of the motif after a tick that has a row."""
        first = int(self._rows(np.array([tick]))[0])
        edges = None if self.edges is None else self.edges[first:] - tick
        return replace(self, sink=self.sink[first:], powers=self.powers[first:], edges=edges)

    def _rows(self, ticks: Int[ndarray, " K"]) -> Int[ndarray, " K"]:
        """Where ticks have their rows."""
        ticks = np.asarray(ticks, int)
        if self.edges is None:
            return ticks
        rows = np.searchsorted(self.edges, ticks)
        missing = ticks[self.edges[np.minimum(rows, len(self.edges) - 1)] != ticks]
        if len(missing):
            raise InputError(f"influx: no row for tick {missing[0]}; give `table_edges` all windows")
        return rows

    def over(self, first: Int[ndarray, " K"], last: Int[ndarray, " K"]) -> InfluxWindow:
        """The influx between pairs of ticks.

        Raises:
            InputError: A tick has no row.
        """
        first, last = self._rows(first), self._rows(last)
        end = self.sink[last]
        gained = self.powers[last] - self.powers[first]
        moments = [
            sum(
                (-1.0) ** j * comb(n, j) * factorial(j) / factorial(n) * end ** (n - j) * gained[:, j]
                for j in range(n + 1)
            )
            for n in range(_MOMENTS)
        ]
        return InfluxWindow(end - self.sink[first], np.stack(moments, axis=1))


def add_influx(c: Float[Array, " N"], window: InfluxWindow, ratio: Float[Array, " N"]) -> Float[Array, " N"]:
    """Calcium after the influx of one window (rows of an `InfluxWindow`).

    Args:
        c: Free calcium, µM, (N,).
        window: Influx of the window, without the axis of windows.
        ratio: σ, 1/µm.
    """
    total = window.moments[-1]
    for n in range(_MOMENTS - 2, -1, -1):
        total = window.moments[n] - ratio * total
    return c * jnp.exp(-ratio * window.sink) + ratio * total


@dataclass(frozen=True)
class Influx:
    """What comes in during a motif of equally spaced ticks.

    Attributes:
        voltage: Traceable V(t) in mV at all positions.
        constants: Constants.
        ticks: Number of ticks of a motif.
        tick: Length of a tick, s; four Gauss nodes stand in each, so jumps of V belong on ticks.
        gate_step: No step of the gates is longer (the voltage's resolution), s.
        release: Release flux at times, (times, P), µM·µm/s; jumps of it belong on ticks.
    """

    voltage: Callable[[Float[Array, ""]], Float[Array, " P"]]
    constants: CalciumConstants
    ticks: int
    tick: float
    gate_step: float = float("inf")
    release: Callable[[Float[Array, " T"]], Float[Array, "T P"]] | None = None

    def __post_init__(self) -> None:
        if self.ticks < 1 or self.tick <= 0.0:
            raise InputError(f"influx: {self.ticks} ticks of {self.tick:g} s; give at least one of positive length")

    def table(self, start: float, state: Float[ndarray, "P gates"] | None = None) -> InfluxTable:
        """Follows the gates along the motif and integrates the influx between its ticks.

        Args:
            start: Time at which the motif starts, s.
            state: Gates then; in equilibrium with the voltage where None.
        """
        steady = gates.steady(self.voltage(jnp.asarray(start)), self.constants)
        gated = steady if state is None else jnp.asarray(state)
        own, end = self._followed(gated, jnp.asarray(float(start)))
        return _running(own, self.tick, end)

    @cached_property
    def _followed(self) -> Callable[[Array, Array], tuple[_Ticks, Array]]:
        k = self.constants
        begin = self.tick * np.arange(self.ticks)
        inside = np.append((begin[:, None] + self.tick * _NODES).ravel(), self.ticks * self.tick)
        surplus = surplus_leak(k)

        @jax.jit
        def run(state: Array, start: Array) -> tuple[_Ticks, Array]:
            times = start + inside
            followed = gates.follow(state, self.voltage, start, times, k, self.gate_step)
            voltage = jax.vmap(self.voltage)(times[:-1])
            source, sink = ghk.channel(voltage, gates.opening(followed[:-1], k), k)
            source, sink = source + surplus * k.c_o, sink + surplus
            if self.release is not None:
                source = source + self.release(times[:-1])
            return _of_ticks(source, sink, jnp.asarray(self.tick)), followed[-1]

        return run


def surplus_leak(k: CalciumConstants) -> Scalar:
    """The leak of the constants less the one that the reaction holds, µm/s.

    What makes rest steady for the influx by itself: at rest it is minus what the channel lets in.
    """
    return calcium.balanced_leak(k) - k.pump_leak


def _of_ticks(source: Float[Array, "n P"], sink: Float[Array, "n P"], width: Float[Array, "..."]) -> _Ticks:
    """From values at the Gauss nodes, (intervals·nodes, P); `width` of the intervals, s. Traceable."""
    count = len(_NODES)
    source, sink = (x.reshape(-1, count, x.shape[-1]) for x in (source, sink))
    nodes = [(width * source[:, i], width * sink[:, i]) for i in range(count)]
    own = [sum(row[j] * nodes[j][1] for j in range(count)) for row in _integration()]
    powers = tuple(
        sum(_WEIGHTS[i] / factorial(n) * nodes[i][0] * own[i] ** n for i in range(count)) for n in range(_MOMENTS)
    )
    return _Ticks(sum(_WEIGHTS[i] * nodes[i][1] for i in range(count)), powers)


def _running(own: _Ticks, tick: float, gated: Float[Array, "P gates"]) -> InfluxTable:
    """Running integrals from those of the ticks, by the binomial theorem. Host side."""
    sink = _summed(np.asarray(own.sink))
    parts = [np.asarray(x) for x in own.powers]
    before = [np.ones(1), sink[:-1]]
    before += [before[1] ** n / factorial(n) for n in range(2, _MOMENTS)]
    powers = [_summed(sum(before[n - j] * parts[j] for j in range(n + 1))) for n in range(_MOMENTS)]
    return InfluxTable(tick, sink, np.stack(powers, axis=1), np.asarray(gated))


def _summed(values: Float[ndarray, "T P"]) -> Float[ndarray, "edges P"]:
    """Sums of the rows so far, from nothing on."""
    out = np.zeros((len(values) + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=out[1:])
    return out


def _integration() -> Float[ndarray, "n n"]:
    """∫ from 0 to the nodes of the polynomial through values at the nodes."""
    powers = np.vander(_NODES, increasing=True)
    grown = _NODES[:, None] ** np.arange(1, len(_NODES) + 1) / np.arange(1, len(_NODES) + 1)
    return grown @ np.linalg.inv(powers)


class ChannelScale(NamedTuple):
    """How compartments differ from the constants in their channels.

    Attributes:
        strength: Density times permeability, as a multiple of that of the constants.
        surplus: Leak that balances the channel at rest, see `surplus_leak`, µm/s.
    """

    strength: Float[ndarray, " P"]
    surplus: Float[ndarray, " P"]


def table_edges(plans: Sequence[Int[ndarray, " K"]], moved: Float[ndarray, " T"], most: int) -> Int[ndarray, " t"]:
    """Ticks at which a table needs rows, so that windows and their halves end on one and none is too far.

    Args:
        plans: Ends of windows, all up to the same last tick.
        moved: How far the voltage has moved by every tick, mV, not decreasing.
        most: Ticks from one row to the next, where the voltage hardly moves.
    """
    starts = [np.append(0, ends[:-1]) for ends in plans]
    middles = [(start + ends) // 2 for start, ends in zip(starts, plans, strict=True)]
    needed = np.unique(np.concatenate([[0], *plans, *middles]))
    gap = np.diff(needed)
    parts = np.maximum(gap / most, np.diff(moved[needed]) / _MOST_MOVED)
    parts = np.clip(np.ceil(parts).astype(int), 1, gap)
    inner = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    within = inner * np.repeat(gap, parts) // np.repeat(parts, parts)
    return np.append(np.repeat(needed[:-1], parts) + within, needed[-1])


def sample_ticks(edges: Int[ndarray, " edges"]) -> Float[ndarray, " n"]:
    """When `influx_of_samples` wants the voltage, in ticks: the start, then pairs up to the end.

    Four Gauss nodes stand between two edges, and steps lead from one to the next: every step asks for the
    voltage in its middle and at its end.
    """
    ends = _step_ends(edges)
    middles = 0.5 * (np.append(edges[0], ends[:-1]) + ends)
    return np.append(float(edges[0]), np.column_stack([middles, ends]).ravel())


def _step_ends(edges: Int[ndarray, " edges"]) -> Float[ndarray, " n"]:
    nodes = edges[:-1, None] + np.diff(edges)[:, None] * _NODES
    return np.append(nodes.ravel(), float(edges[-1]))


def _steps(edges: Int[ndarray, " edges"], tick: float) -> Float[ndarray, " n"]:
    """Lengths of the steps, s."""
    return tick * np.diff(_step_ends(edges), prepend=float(edges[0]))


def influx_of_samples(
    V: Float[ndarray, "n P"],
    k: CalciumConstants,
    *,
    edges: Int[ndarray, " edges"],
    tick: float,
    state: Float[ndarray, "P gates"] | None = None,
    channels: ChannelScale | None = None,
) -> InfluxTable:
    """The influx of a voltage sampled at `sample_ticks`; tables of as many rows share one compilation.

    Args:
        V: Voltage at the samples, mV, (n, P).
        k: Constants.
        edges: Ticks of the table's rows, from 0; the last may be repeated to fill up.
        tick: Length of a tick, s.
        state: Gates at the start; in equilibrium with the voltage where None.
        channels: Differences between compartments in their channels; None: there are none.
    """
    gated = _steady(V[0], k) if state is None else state
    widths = tick * np.diff(edges)[:, None]
    own, after = _channels_along(V, gated, _steps(edges, tick), widths, channels, k)
    own = jax.tree.map(np.asarray, own)
    count = int(np.searchsorted(edges, edges[-1]))
    own = _Ticks(own.sink[:count], tuple(x[:count] for x in own.powers))
    return replace(_running(own, tick, after), edges=edges[: count + 1])


class ChannelCourse(NamedTuple):
    """What channels do in the course of a motif, at the four Gauss nodes of every tick.

    Attributes:
        tick: Length of a tick, s.
        source, sink: Source (µM·µm/s) and sink (µm/s) of the channels, (ticks, 4, P), as in a window of everything at
            once, where the leak belongs to the membrane.
    """

    tick: float
    source: Float[ndarray, "T 4 P"]
    sink: Float[ndarray, "T 4 P"]


def course_of_samples(
    V: Float[ndarray, "n P"],
    k: CalciumConstants,
    *,
    ticks: int,
    tick: float,
    state: Float[ndarray, "P gates"],
    channels: ChannelScale | None = None,
) -> ChannelCourse:
    """The channels of a voltage sampled at `sample_ticks` of every tick: the integrand of its influx.

    Args:
        V: Voltage at the samples, mV, (n, P).
        k: Constants.
        ticks: Number of ticks.
        tick: Length of a tick, s.
        state: Gates at the start.
        channels: Differences between compartments in their channels; None: there are none.
    """
    steps = _steps(np.arange(ticks + 1), tick)
    source, sink = _course_along(V, state, steps, channels, k)
    shape = (-1, len(_NODES), V.shape[1])
    return ChannelCourse(tick, np.asarray(source).reshape(shape), np.asarray(sink).reshape(shape))


def course_at(course: ChannelCourse, times: Float[Array, " n"]) -> tuple[Float[Array, "n P"], Float[Array, "n P"]]:
    """Source and sink at times after the start of the motif (s), each (n, P). Traceable."""
    place = times / course.tick
    number = jnp.clip(jnp.floor(place).astype(int), 0, len(course.source) - 1)
    powers = (place - number)[:, None] ** np.arange(len(_NODES))
    through = powers @ jnp.asarray(np.linalg.inv(np.vander(_NODES, increasing=True)))
    source, sink = (jnp.einsum("tn,tnp->tp", through, jnp.asarray(x)[number]) for x in course[1:])
    return source, sink


@jax.jit
def _steady(V: Float[Array, " P"], k: CalciumConstants) -> Float[Array, "P gates"]:
    return gates.steady(V, k)


@jax.jit
def _course_along(
    V: Float[Array, "moments P"],
    gated: Float[Array, "P gates"],
    steps: Float[Array, " s"],
    channels: ChannelScale | None,
    k: CalciumConstants,
) -> tuple[Float[Array, "n P"], Float[Array, "n P"]]:
    source, sink, _ = _channels_at_nodes(V, gated, steps, channels, k)
    if channels is None:
        return source, sink
    surplus = jnp.asarray(channels.surplus) - surplus_leak(k)
    return source + surplus * k.c_o, sink + surplus


@jax.jit
def _channels_along(
    V: Float[Array, "moments P"],
    gated: Float[Array, "P gates"],
    steps: Float[Array, " s"],
    widths: Float[Array, "T 1"],
    channels: ChannelScale | None,
    k: CalciumConstants,
) -> tuple[_Ticks, Float[Array, "P gates"]]:
    """Source and sink integrated between all edges, and the gates at the end."""
    source, sink, end = _channels_at_nodes(V, gated, steps, channels, k)
    surplus = surplus_leak(k) if channels is None else jnp.asarray(channels.surplus)
    return _of_ticks(source + surplus * k.c_o, sink + surplus, widths), end


def _channels_at_nodes(
    V: Float[Array, "moments P"],
    gated: Float[Array, "P gates"],
    steps: Float[Array, " s"],
    channels: ChannelScale | None,
    k: CalciumConstants,
) -> tuple[Float[Array, "n P"], Float[Array, "n P"], Float[Array, "P gates"]]:
    """Source and sink of the channels at the Gauss nodes between all edges, and the gates at the end."""
    followed = gates.follow_samples(gated, V, steps, k)
    opening = gates.opening(followed[:-1], k)
    if channels is not None:
        opening = opening * channels.strength
    source, sink = ghk.channel(V[2:-1:2], opening, k)
    return source, sink, followed[-1]
