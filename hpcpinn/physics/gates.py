"""Gates of the calcium channel, integrated ahead of the calcium solve.

A gate obeys x' = (x∞(V) − x)/τ(V) and depends on the voltage alone (EQUATIONS §1). Measured in
its own time θ = ∫dt/τ it reads dx/dθ = x∞ − x, whose solution for a parabola x∞(θ) is closed:
one step is exact at constant voltage, fourth order in the sampling otherwise, and stable for
steps of any length.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.physics.constants import CalciumConstants, Gate
from hpcpinn.physics.ghk import per_millivolt

_SERIES_TERMS = 18  # 1/19! is below the rounding of float64

_Drive = tuple[Float[Array, "... gates"], Float[Array, "... gates"]]
"""What the voltage asks of the gates: (x∞, 1/τ); rates that do not depend on it have no positions."""

_Carry = tuple[Float[Array, "... gates"], _Drive]
"""Gates and the drive at the moment they belong to."""


def steady(V: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "... gates"]:
    """Steady state x∞(V) of every gate, stacked along the last axis.

    Args:
        V: Membrane voltage, mV.
        k: Constants with the gates of the channel.
    """
    return _stack([_steady(gate, V, k) for gate in k.gates], V)


def time_constants(V: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "... gates"]:
    """Time constant τ(V) of every gate in internal time units, stacked along the last axis."""
    return _stack([_time_constant(gate, V, k) for gate in k.gates], V)


def opening(state: Float[Array, "... gates"], k: CalciumConstants) -> Float[Array, "..."]:
    """Open fraction of the channels, G = Π x_gate^power."""
    fraction = jnp.ones_like(state[..., 0]) if k.gates else jnp.ones(state.shape[:-1])
    for index, gate in enumerate(k.gates):
        fraction = fraction * state[..., index] ** gate.power
    return fraction


def advance(
    state: Float[Array, "... gates"],
    voltage: tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]],
    dt: Float[Array, ""] | float,
    k: CalciumConstants,
) -> Float[Array, "... gates"]:
    """One step of every gate.

    Args:
        state: Gates at the start of the step.
        voltage: Membrane voltage at the start, the middle and the end of the step, mV.
        dt: Length of the step, internal time units; zero is allowed.
        k: Constants.

    Returns:
        Gates at the end of the step.
    """
    start, middle, end = (_drive(V, k) for V in voltage)
    return _advance(state, start, middle, end, dt)


def follow(
    state: Float[Array, "... gates"],
    voltage: Callable[[Float[Array, ""]], Float[Array, "..."]],
    start: Float[Array, ""] | float,
    times: Float[Array, " T"],
    k: CalciumConstants,
    longest_step: Float[Array, ""] | float,
) -> Float[Array, "T ... gates"]:
    """The gates at the requested times, stepping from one to the next in equal steps.

    The number of steps is found while running, so windows of any length share one compilation.

    Args:
        state: Gates at time `start`, one set per position.
        voltage: Traceable V(t) in mV at all positions (the batch shape of `state`).
        start: Time of `state`, internal units.
        times: Times at which the gates are wanted, not decreasing, none before `start`.
        k: Constants.
        longest_step: No step is longer; infinite for a constant voltage, the `resolution` of a
            table otherwise.

    Returns:
        The gates at `times`; `opening` of it is G.
    """
    origins = jnp.concatenate([jnp.reshape(jnp.asarray(start, times.dtype), 1), times[:-1]])

    def to_next(carry: _Carry, span: tuple[Array, Array]) -> tuple[_Carry, Array]:
        origin, target = span
        # an interval that is a whole number of steps up to rounding takes no further step
        count = jnp.maximum(jnp.ceil((target - origin) / longest_step - 1e-6), 1.0)
        dt = (target - origin) / count

        def step(index: Array, carry: _Carry) -> _Carry:
            gates, drive = carry
            t = origin + index * dt
            middle, end = _drive(voltage(t + 0.5 * dt), k), _drive(voltage(t + dt), k)
            return _advance(gates, drive, middle, end, dt), end

        carry = jax.lax.fori_loop(0, count.astype(int), step, carry)
        return carry, carry[0]

    first = (state, _drive(voltage(origins[0]), k))
    return jax.lax.scan(to_next, first, (origins, times))[1]


def follow_samples(
    state: Float[Array, "P gates"],
    V: Float[Array, "moments P"],
    steps: Float[Array, " T"],
    k: CalciumConstants,
) -> Float[Array, "T P gates"]:
    """The gates after every step, from a voltage sampled at the start, the middle and the end of each.

    Args:
        state: Gates at the start.
        V: Voltage at the start, then in the middle and at the end of every step, mV, (2T + 1, P).
        steps: Lengths, internal units; zero is allowed.
        k: Constants.
    """

    def one(carry: _Carry, row: tuple[Array, Array, Array]) -> tuple[_Carry, Array]:
        gates, drive = carry
        middle, end = _drive(row[0], k), _drive(row[1], k)
        after = _advance(gates, drive, middle, end, row[2])
        return (after, end), after

    return jax.lax.scan(one, (state, _drive(V[0], k)), (V[1::2], V[2::2], steps))[1]


def _drive(V: Float[Array, "..."], k: CalciumConstants) -> _Drive:
    if all(gate.rate is None for gate in k.gates):
        # One row serves all positions: what depends on the rates alone is done once.
        return steady(V, k), 1.0 / jnp.array([gate.tau for gate in k.gates])
    return steady(V, k), 1.0 / time_constants(V, k)


def _advance(
    state: Float[Array, "... gates"],
    start: _Drive,
    middle: _Drive,
    end: _Drive,
    dt: Float[Array, ""] | float,
) -> Float[Array, "... gates"]:
    """The step of `advance`, in the gates' own time θ = ∫dt/τ."""
    (x0, rate0), (x_mid, rate_mid), (x1, rate1) = start, middle, end
    weight = rate0 + 4.0 * rate_mid + rate1  # Simpson's rule; the half step from the same parabola
    theta = dt / 6.0 * weight
    # share of θ that has passed at half time; bounded should the rates swing wildly
    half = jnp.clip((5.0 * rate0 + 8.0 * rate_mid - rate1) / (4.0 * weight), 0.05, 0.95)
    # x∞ as the parabola x0 + rise u + bend u² through u = 0, half and 1
    bend = ((x_mid - x0) / half - (x1 - x0)) / (half - 1.0)
    rise = (x1 - x0) - bend
    w0, w1, w2 = _decay_moments(theta)
    return state * (1.0 - w0) + x0 * w0 + rise * w1 + bend * w2


def _steady(gate: Gate, V: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "..."]:
    return jax.nn.sigmoid(gate.z * per_millivolt(k) * (V - gate.half))


def _time_constant(gate: Gate, V: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "..."]:
    if gate.rate is None:
        return jnp.full(jnp.shape(V), gate.tau)
    drive = gate.z * per_millivolt(k) * (V - gate.half)
    opening_rate = gate.rate * jnp.exp(gate.gamma * drive)
    closing_rate = gate.rate * jnp.exp((gate.gamma - 1.0) * drive)
    return 1.0 / (opening_rate + closing_rate) + gate.tau


def _stack(columns: list[Float[Array, "..."]], V: Float[Array, "..."]) -> Float[Array, "... gates"]:
    if not columns:  # a channel without gates is always open
        return jnp.zeros((*jnp.shape(V), 0))
    return jnp.stack(columns, axis=-1)


def _decay_moments(theta: Float[Array, "..."]) -> tuple[Float[Array, "..."], ...]:
    """∫₀¹ θ e^{−θ(1−u)} uⁿ du for n = 0, 1, 2, to rounding for every θ ≥ 0.

    The recursion w_n = 1 − n w_{n−1}/θ cancels for small θ; run downwards from a series of w_2
    it does not.
    """
    small = theta < 1.0
    short = jnp.where(small, theta, 0.0)
    term = short / 3.0
    series = term
    for j in range(1, _SERIES_TERMS):
        term = -term * short / (3.0 + j)
        series = series + term
    long = jnp.where(small, 1.0, theta)
    top = -jnp.expm1(-long)
    direct = 1.0 - 2.0 * (1.0 - top / long) / long
    w2 = jnp.where(small, series, direct)
    w1 = jnp.where(small, 0.5 * short * (1.0 - w2), 1.0 - top / long)
    w0 = jnp.where(small, short * (1.0 - w1), top)
    return w0, w1, w2
