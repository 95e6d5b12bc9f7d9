"""Ion channels of the membrane, in sets that are chosen by name (EQUATIONS §2).

A set is a few currents g_max Π x^power (V − E) whose gates x obey x' = α(V)(1 − x) − β(V) x. With
the gates frozen the current is linear in V, with V frozen each gate is linear: the time steppers
use both. Potentials in mV, times in ms, conductances in mS/cm², currents in µA/cm². Sets are data:
`hpcpinn.physics.membranes` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Constants, Scalar, constant, nested
from hpcpinn.core.pytrees import traced
from hpcpinn.errors import InputError
from hpcpinn.physics.formulas import Formula, evaluate
from hpcpinn.physics.membrane_constants import Current, FormulaConstant, RateGate

for _part in (Current, FormulaConstant, RateGate):
    traced(_part)


@traced
@dataclass(frozen=True)
class ChannelSet(Constants):
    """The channels of one kind of membrane.

    Attributes:
        name: Name by which users choose it.
        currents: Ionic currents of the set.
        gates: Gates of the currents.
        constants: Numbers that formulas of the gates name.
        rest: Voltage at which no current flows, about; mV.
    """

    name: str
    currents: tuple[Current, ...] = nested(Current, "Currents of the set")
    gates: tuple[RateGate, ...] = nested(RateGate, "Gates of the currents", default=())
    constants: tuple[FormulaConstant, ...] = nested(FormulaConstant, "Numbers that formulas name", default=())
    rest: float = -70.0
    celsius: Scalar = constant(
        "Temperature where a run gives none", "°C", measure=10.0, default=20.0, is_learnable=False
    )


def rates(
    channels: ChannelSet, V: Float[Array, "..."], celsius: Any = None
) -> tuple[Float[Array, "gates ..."], Float[Array, "gates ..."]]:
    """Opening and closing rates α, β of every gate, 1/ms.

    Args:
        V: Membrane voltage, mV.
        celsius: Temperature, which may be traced; None takes the set's own.
    """
    V = jnp.asarray(V, float)
    pairs = [_rates(gate, channels, V, channels.celsius if celsius is None else celsius) for gate in channels.gates]
    if not pairs:
        return (jnp.zeros((0, *V.shape)),) * 2
    opening, closing = (jnp.stack([jnp.broadcast_to(one, V.shape) for one in own]) for own in zip(*pairs, strict=True))
    return opening, closing


def _rates(
    gate: RateGate, channels: ChannelSet, V: Float[Array, "..."], celsius: Any
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Opening and closing rate of a gate."""
    values: dict[str, Any] = {one.name: one.value for one in channels.constants} | {"V": V, "celsius": celsius}
    faster = gate.q10 ** ((celsius - gate.measured_at) / 10.0)

    def at(formula: Formula) -> Float[Array, "..."]:
        value: Float[Array, "..."] = evaluate(formula, values, jnp, lambda x: _bernoulli(-x))
        return value

    if gate.alpha is not None and gate.beta is not None:
        values |= {"alpha": at(gate.alpha), "beta": at(gate.beta)}
    if gate.steady is None and gate.tau is None:
        opening, closing = faster * values["alpha"], faster * values["beta"]
    else:
        total = values.get("alpha", 0.0) + values.get("beta", 0.0)
        target = values["alpha"] / total if gate.steady is None else at(gate.steady)
        rate = faster * (total if gate.tau is None else 1.0 / at(gate.tau))
        opening, closing = rate * target, rate * (1.0 - target)
    if gate.tau_min is not None:
        slower = jnp.minimum(1.0, 1.0 / (gate.tau_min * (opening + closing)))
        opening, closing = slower * opening, slower * closing
    return opening, closing


def steady(channels: ChannelSet, V: Float[Array, "..."], celsius: Any = None) -> Float[Array, "gates ..."]:
    """Steady gates x∞ = α/(α + β) at a temperature, as in `rates`."""
    opening, closing = rates(channels, V, celsius)
    return opening / (opening + closing)


def advance(
    channels: ChannelSet,
    gates: Float[Array, "gates ..."],
    V: Float[Array, "..."],
    dt: Float[Array, ""] | float,
    celsius: float | None = None,
) -> Float[Array, "gates ..."]:
    """The gates after dt (ms) at a voltage that stays: x∞ + (x − x∞) e^{−(α + β) dt}, exact."""
    opening, closing = rates(channels, V, celsius)
    total = opening + closing
    target = opening / total
    return target + (gates - target) * jnp.exp(-total * dt)


Factors = tuple[Any, ...]
"""Factor of every current of a set where its conductance varies along the cell, (n,); None where it does not."""


def conductance(
    channels: ChannelSet, gates: Float[Array, "gates ..."], factors: Factors = ()
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The current as a linear function of V: I = g V − drive.

    Args:
        gates: Gates of the set.
        factors: Factors of conductances; none where they are alike everywhere.

    Returns:
        g = Σ g_i, mS/cm², and drive = Σ g_i E_i, µA/cm².
    """
    total = jnp.zeros(gates.shape[1:])
    drive = jnp.zeros(gates.shape[1:])
    for current, factor in zip(channels.currents, factors or (None,) * len(channels.currents), strict=True):
        g = current.conductance * (jnp.ones(gates.shape[1:]) if factor is None else factor)
        for x, power in zip(gates, current.powers, strict=False):
            g = g * x**power if power else g
        total, drive = total + g, drive + g * current.reversal
    return total, drive


def current_density(
    channels: ChannelSet, V: Float[Array, "..."], gates: Float[Array, "gates ..."], factors: Factors = ()
) -> Float[Array, "..."]:
    """Ionic current I_ion, µA/cm², positive outwards; `factors` as in `conductance`."""
    g, drive = conductance(channels, gates, factors)
    return g * V - drive


_SERIES_BELOW = 1e-2
"""The first term left out, x⁶/30240, is then below 4e-17."""


def _bernoulli(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x/(eˣ − 1), to 1e-14. `ghk.bernoulli` has two more digits and takes four times as long."""
    small = jnp.abs(x) < _SERIES_BELOW
    away = jnp.where(small, 1.0, x)
    square = x * x
    series = 1.0 - x / 2.0 + square / 12.0 * (1.0 - square / 60.0)
    return jnp.where(small, series, away / (jnp.exp(away) - 1.0))


def with_constants(channels: ChannelSet, changes: Mapping[str, Mapping[str, Any]]) -> ChannelSet:
    """The set with other conductances and reversals, which may be traced.

    Args:
        channels: The set.
        changes: Values by current, then ``conductance`` or ``reversal``.

    Raises:
        InputError: The set has no such current.
    """
    if not changes:
        return channels
    there = [current.name for current in channels.currents]
    for name in changes:
        if name not in there:
            raise InputError(f"channels {channels.name!r}: no current {name!r}; there are {', '.join(there)}")
    return channels.replace(
        currents=tuple(current.replace(**changes.get(current.name, {})) for current in channels.currents)
    )
