"""Constants of the cable equation, of the field that drives it, and of currents and gates of channels (EQUATIONS §2).

Units: Ω·cm, µF/cm², mS/cm², mV, V/m, °C. Plain numbers only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hpcpinn.core.parameters import (
    LOGARITHM,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    Constants,
    Scalar,
    constant,
    nested,
    setting,
)
from hpcpinn.core.plausibility import (
    FAHRENHEIT,
    KELVIN,
    MEMBRANE_VOLTAGES,
    QUANTITIES,
    VOLTS,
    Quantity,
    Unit,
    conductance,
)


@dataclass(frozen=True)
class CableConstants(Constants):
    """Constants of the cable itself."""

    R_i: Scalar = constant(
        "Axial resistivity", "Ω·cm", POSITIVE, default=100.0,
        quantity=Quantity(
            "Ω·cm", (20.0, 1e3), (-math.inf, 1e7),
            (Unit("Ω·m or MΩ·µm", 100.0), Unit("kΩ·cm", 1e3), Unit("Ω·mm", 0.1)), name="axial resistivity",
        ),
    )  # fmt: skip
    C_m: Scalar = constant(
        "Capacitance of the membrane", "µF/cm²", POSITIVE, default=1.0,
        quantity=Quantity(
            "µF/cm²", (0.2, 10.0), (-math.inf, 1e6),
            (Unit("F/m² or pF/µm²", 100.0), Unit("nF/cm²", 1e-3), Unit("F/cm²", 1e6)), name="capacitance",
        ),
    )  # fmt: skip
    temperature: Scalar | None = constant(
        "Temperature", "°C", NON_NEGATIVE, measure=10.0, default=None,
        note="without it every channel set is at the temperature it was measured at",
        quantity=Quantity(
            "°C", (1.0, 45.0), (-23.15, 60.0),
            (Unit("K", 1.0, -KELVIN), Unit("°F", FAHRENHEIT, -32.0 * FAHRENHEIT)), name="temperature, °C",
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class FieldConstants(Constants):
    """Constants of the induced field."""

    magnitude: Scalar | None = constant(
        "Magnitude of a uniform field at its peak", "V/m", REAL, measure=LOGARITHM, default=None,
        note="or, with `file`, a factor of the sampled one", quantity=QUANTITIES["field"],
    )  # fmt: skip


@dataclass(frozen=True)
class Current(Constants):
    """One current of a channel set, g_max Π x^power (V − E).

    Attributes:
        name: Name of the ion, or ``leak``.
        powers: Power of every gate of the set, in its order.
    """

    name: str
    conductance: Scalar = constant(
        "Largest conductance", "mS/cm²", NON_NEGATIVE, symbol="g_max", quantity=conductance("conductance", 1e-3, 5e3)
    )
    reversal: Scalar = constant(
        "Reversal potential", "mV", REAL, measure=10.0, symbol="E",
        quantity=Quantity("mV", (1.0, 200.0), MEMBRANE_VOLTAGES, (VOLTS,), name="reversal potential"),
    )  # fmt: skip
    powers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rate(Constants):
    """A rate of a gate over the voltage, in x = (V − half)/width.

    Attributes:
        form: Dependence on x: ``exponential``, height·e^(−x); ``sigmoid``, height/(1 + e^(−x)); ``linear``,
            height·x/(1 − e^(−x)).
    """

    form: str = setting("Dependence on the voltage", choices=("exponential", "sigmoid", "linear"))
    height: Scalar = constant("Height of the rate", "1/ms", POSITIVE, is_learnable=False)
    half: Scalar = constant("Voltage at which x is 0", "mV", measure=10.0, is_learnable=False)
    width: Scalar = constant("Width in voltage, negative where the rate falls", "mV", is_learnable=False)


@dataclass(frozen=True)
class RateGate(Constants):
    """A gate x of a channel set, x' = α(V)(1 − x) − β(V) x.

    Attributes:
        name: Name of the gate, as in the paper.
    """

    name: str
    rates: tuple[Rate, ...] = nested(Rate, "Opening rate α and closing rate β")


CONDUCTANCE_OF: Mapping[str, Quantity] = MappingProxyType(
    {
        "sodium": conductance("conductance of sodium", 0.5, 5e3),
        "leak": conductance("conductance of a leak", 2e-3, 10.0),
    }
)
"""What the conductance of a current can be, by its ion, where that is known better."""
