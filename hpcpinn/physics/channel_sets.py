"""Ion channels of the membrane, in sets that are chosen by name (EQUATIONS §2).

A set is a few currents g_max Π x^power (V − E) whose gates x obey x' = α(V)(1 − x) − β(V) x. With
the gates frozen the current is linear in V, with V frozen each gate is linear: the time steppers
use both. Potentials in mV, times in ms, conductances in mS/cm², currents in µA/cm².

Sources: `squid` A. L. Hodgkin, A. F. Huxley, J. Physiol. 117 (1952) 500; `code` the sodium and
delayed-rectifier kinetics of M. Pospischil et al., Biol. Cybern. 99 (2008) 427.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.core.parameters import POSITIVE, Constants, Scalar, constant, nested
from hpcpinn.core.pytrees import traced
from hpcpinn.errors import InputError
from hpcpinn.physics.membrane_constants import Current, Rate, RateGate
from hpcpinn.wording import meant

for _part in (Current, Rate, RateGate):
    traced(_part)


@traced
@dataclass(frozen=True)
class ChannelSet(Constants):
    """The channels of one kind of membrane.

    Attributes:
        name: Name by which users choose it.
        currents: Ionic currents of the set.
        rest: Voltage at which no current flows, about; mV.
    """

    name: str
    currents: tuple[Current, ...] = nested(Current, "Currents of the set")
    gates: tuple[RateGate, ...] = nested(RateGate, "Gates of the currents", default=())
    rest: float = -70.0
    temperature: Scalar = constant(
        "Temperature at which the rates were measured", "°C", measure=10.0, default=20.0, is_learnable=False
    )
    q10: Scalar = constant("Factor of all rates per 10 °C", bounds=POSITIVE, default=1.0, is_learnable=False)

    def speed(self, celsius: Any) -> Any:
        """Factor of all rates at a temperature (a number that may be traced); 1 at the set's own (None)."""
        return 1.0 if celsius is None else self.q10 ** ((celsius - self.temperature) / 10.0)


def rates(
    channels: ChannelSet, V: Float[Array, "..."], celsius: Any = None
) -> tuple[Float[Array, "gates ..."], Float[Array, "gates ..."]]:
    """Opening and closing rates α, β of every gate, 1/ms.

    Args:
        V: Membrane voltage, mV.
        celsius: Temperature; None takes the one the rates were measured at.
    """
    V, speed = jnp.asarray(V, float), channels.speed(celsius)
    pairs = [[_rate(one, V) for one in gate.rates] for gate in channels.gates]
    if not pairs:
        return (jnp.zeros((0, *V.shape)),) * 2
    opening, closing = (jnp.stack(column) for column in zip(*pairs, strict=True))
    return speed * opening, speed * closing


def steady(channels: ChannelSet, V: Float[Array, "..."]) -> Float[Array, "gates ..."]:
    """Steady gates x∞ = α/(α + β)."""
    opening, closing = rates(channels, V)
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


def conductance(
    channels: ChannelSet, gates: Float[Array, "gates ..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The current as a linear function of V: I = g V − drive.

    Returns:
        g = Σ g_i, mS/cm², and drive = Σ g_i E_i, µA/cm².
    """
    total = jnp.zeros(gates.shape[1:])
    drive = jnp.zeros(gates.shape[1:])
    for current in channels.currents:
        g = current.conductance * jnp.ones(gates.shape[1:])
        for x, power in zip(gates, current.powers, strict=False):
            g = g * x**power if power else g
        total, drive = total + g, drive + g * current.reversal
    return total, drive


def current_density(
    channels: ChannelSet, V: Float[Array, "..."], gates: Float[Array, "gates ..."]
) -> Float[Array, "..."]:
    """Ionic current I_ion, µA/cm², positive outwards."""
    g, drive = conductance(channels, gates)
    return g * V - drive


def _rate(k: Rate, V: Float[Array, "..."]) -> Float[Array, "..."]:
    """A rate at a voltage, 1/ms."""
    back = (k.half - V) / k.width
    if k.form == "linear":  # smooth through the half voltage
        return k.height * _bernoulli(back)
    return k.height * jnp.exp(back) if k.form == "exponential" else k.height / (1.0 + jnp.exp(back))


_SERIES_BELOW = 1e-2
"""The first term left out, x⁶/30240, is then below 4e-17."""


def _bernoulli(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x/(eˣ − 1), to 1e-14. `ghk.bernoulli` has two more digits and takes four times as long."""
    small = jnp.abs(x) < _SERIES_BELOW
    away = jnp.where(small, 1.0, x)
    square = x * x
    series = 1.0 - x / 2.0 + square / 12.0 * (1.0 - square / 60.0)
    return jnp.where(small, series, away / (jnp.exp(away) - 1.0))


PASSIVE = ChannelSet("passive", (Current("leak", 0.1, -70.0),))
"""A leak alone: 0.1 mS/cm², a membrane time constant of 10 ms at 1 µF/cm²."""

SQUID = ChannelSet(
    "squid",
    currents=(
        Current("sodium", 120.0, 50.0, (3, 1, 0)),
        Current("potassium", 36.0, -77.0, (0, 0, 4)),
        Current("leak", 0.3, -54.3),
    ),
    gates=(
        RateGate("m", (Rate("linear", 1.0, -40.0, 10.0), Rate("exponential", 4.0, -65.0, 18.0))),
        RateGate("h", (Rate("exponential", 0.07, -65.0, 20.0), Rate("sigmoid", 1.0, -35.0, 10.0))),
        RateGate("n", (Rate("linear", 0.1, -55.0, 10.0), Rate("exponential", 0.125, -65.0, 80.0))),
    ),
    rest=-65.0,
    temperature=6.3,
    q10=3.0,
)

_V_T = -60.0
"""Shifts the threshold of the `code` set, mV."""

CODE = ChannelSet(
    "code",
    currents=(
        Current("sodium", 50.0, 50.0, (3, 1, 0)),
        Current("potassium", 5.0, -90.0, (0, 0, 4)),
        Current("leak", 0.005, -70.0),
    ),
    gates=(
        RateGate("m", (Rate("linear", 0.32 * 4.0, _V_T + 13.0, 4.0), Rate("linear", 0.28 * 5.0, _V_T + 40.0, -5.0))),
        RateGate("h", (Rate("exponential", 0.128, _V_T + 17.0, 18.0), Rate("sigmoid", 4.0, _V_T + 40.0, 5.0))),
        RateGate("n", (Rate("linear", 0.032 * 5.0, _V_T + 15.0, 5.0), Rate("exponential", 0.5, _V_T + 10.0, 40.0))),
    ),
    rest=-70.0,
    temperature=36.0,
    q10=3.0,
)

CHANNEL_SETS: Mapping[str, ChannelSet] = MappingProxyType({c.name: c for c in (PASSIVE, SQUID, CODE)})
"""The named channel sets of EQUATIONS §2."""


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


def channel_set_named(name: str, changes: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None) -> ChannelSet:
    """The channel set of that name.

    Args:
        name: Name of the set.
        changes: Constants that differ, by set, current and name.

    Raises:
        InputError: Nobody is called so; the message has the nearest name.
    """
    if name.lower() in CHANNEL_SETS:
        return with_constants(CHANNEL_SETS[name.lower()], (changes or {}).get(name.lower(), {}))
    advice = meant(name, CHANNEL_SETS) or f"known are {', '.join(CHANNEL_SETS)}"
    raise InputError(f"channels {name!r}: no such channel set; {advice}")
