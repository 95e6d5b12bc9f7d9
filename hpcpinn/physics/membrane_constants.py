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
from hpcpinn.physics.formulas import Formula


@dataclass(frozen=True)
class CableConstants(Constants):
    """Constants of the cable itself."""

    R_i: Scalar = constant(
        "Axial resistivity", "Ω·cm", POSITIVE, default=100.0, note="as C_m",
        quantity=Quantity(
            "Ω·cm", (20.0, 1e3), (-math.inf, 1e7),
            (Unit("Ω·m or MΩ·µm", 100.0), Unit("kΩ·cm", 1e3), Unit("Ω·mm", 0.1)), name="axial resistivity",
        ),
    )  # fmt: skip
    C_m: Scalar = constant(
        "Capacitance of the membrane", "µF/cm²", POSITIVE, default=1.0,
        note="where it is left out, a region of a channel set may have its own",
        quantity=Quantity(
            "µF/cm²", (0.2, 10.0), (-math.inf, 1e6),
            (Unit("F/m² or pF/µm²", 100.0), Unit("nF/cm²", 1e-3), Unit("F/cm²", 1e6)), name="capacitance",
        ),
    )  # fmt: skip
    temperature: Scalar | None = constant(
        "Temperature", "°C", NON_NEGATIVE, measure=10.0, default=None,
        note="where it is left out, every channel set is at its own",
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
class FormulaConstant(Constants):
    """A number that formulas of a set call by its name.

    Attributes:
        name: Name of it in the formulas.
    """

    name: str
    value: Scalar = constant("Value", measure=1.0, is_learnable=False)


@dataclass(frozen=True)
class RateGate(Constants):
    """A gate x of a channel set, x' = α(V)(1 − x) − β(V) x = (x∞(V) − x)/τ(V); formulas are in V, mV, and 1/ms or ms.

    Attributes:
        name: Name of the gate, as in the paper.
        alpha: Opening rate α; None where x∞ and τ are given instead.
        beta: Closing rate β; None as `alpha`.
        steady: Steady value x∞ in V, alpha and beta; None: α/(α + β).
        tau: Time constant in V, alpha and beta; None: 1/(α + β).
    """

    name: str
    alpha: Formula | None = None
    beta: Formula | None = None
    steady: Formula | None = None
    tau: Formula | None = None
    tau_min: Scalar | None = constant(
        "Shortest time constant at the temperature of the run", "ms", POSITIVE, default=None, is_learnable=False
    )
    q10: Scalar = constant("Factor of the rates per 10 °C", bounds=POSITIVE, default=1.0, is_learnable=False)
    measured_at: Scalar = constant(
        "Temperature at which the rates are as the formulas say", "°C", measure=10.0, default=20.0, is_learnable=False
    )


CONDUCTANCE_OF: Mapping[str, Quantity] = MappingProxyType(
    {
        "sodium": conductance("conductance of sodium", 0.5, 5e3),
        "leak": conductance("conductance of a leak", 2e-3, 10.0),
    }
)
"""What the conductance of a current can be, by its ion, where that is known better."""
