"""What quantities can be: the unit of each, its usual and its possible values, and the units that it is mistaken for.

For everything that a user gives as a bare number, in job files and in others: a current in pA where nA are meant
is as much a number as any. What has no physical meaning is refused; what is only unusual is taken, with a warning.
Constants of a model bring their quantity with their declaration (`hpcpinn.core.parameters`); `QUANTITIES` are the
others, and those that several keys share.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hpcpinn.errors import InputError, Key, warn

NO_LIMIT = (-math.inf, math.inf)


@dataclass(frozen=True)
class Unit:
    """A unit that a number may be in by mistake.

    Attributes:
        name: Name as people write it.
        factor: Worth in the quantity's own unit.
        offset: Added to that: 273.15 from °C to K.
    """

    name: str
    factor: float
    offset: float = 0.0

    def convert(self, value: float) -> float:
        """The value in the quantity's own unit."""
        return self.factor * value + self.offset


@dataclass(frozen=True)
class Quantity:
    """What a number can be.

    Attributes:
        unit: Unit of the quantity.
        usual: Smallest and largest magnitude that needs no question; zero never does.
        possible: Least and largest value that means anything.
        others: Units that it is mistaken for, the likeliest first.
        is_negative: Whether a value above zero has lost its sign.
        name: Name of the quantity in messages.
    """

    unit: str
    usual: tuple[float, float]
    possible: tuple[float, float] = NO_LIMIT
    others: tuple[Unit, ...] = ()
    is_negative: bool = False
    name: str = ""

    def mistaken_for(self, value: float) -> tuple[Unit, float] | None:
        """The unit that the value looks to be in, and what it is in the right one; None where none explains it."""
        low, high = self.usual
        for unit in self.others:
            if low <= abs(unit.convert(value)) <= high:
                return unit, unit.convert(value)
        return None

    def advice(self, value: float) -> str:
        """``it looks like pA: write 0.3``; empty where nothing explains the value."""
        found = self.mistaken_for(value)
        return f"it looks like {found[0].name}: write {found[1]:.6g}" if found else ""


@dataclass(frozen=True)
class Finding:
    """What is odd about a value.

    Attributes:
        is_refused: True for a value that cannot be meant.
        text: Value, limits and fix.
    """

    is_refused: bool
    text: str


def finding(known: Quantity, value: float) -> Finding | None:
    """What is odd about a value of a quantity; None if nothing is."""
    if value == 0.0 or not math.isfinite(value):
        return None  # nothing, or for ever: other checks say where these do not go
    (least, most), (low, high) = known.possible, known.usual
    shown, advice = f"{value:.6g} {known.unit}".rstrip(), known.advice(value)
    if not least <= value <= most:
        limit = f"below {least:g}" if value < least else f"above {most:g}"
        limit = f"{limit} {known.unit}".rstrip()
        return Finding(True, f"{shown} is {limit}, which cannot be; {advice or 'correct it, or the unit'}")
    if not low <= abs(value) <= high:
        usual = f"outside the usual {low:g} to {high:g} {known.unit}".rstrip()
        check = "check its unit" if known.unit else "check it"
        return Finding(False, f"{shown} is {usual}; {advice or check} (it is taken as it stands)")
    if known.is_negative and value > 0.0:
        lost = f"is a minus missing? Then write {-value:.6g}"
        above = f"{shown} is above 0 {known.unit}, where no membrane rests"
        return Finding(False, f"{above}; {lost} (it is taken as it stands)")
    return None


def check(quantity: str, value: float, what: str, key: Key = ()) -> None:
    """Refuses a value that cannot be meant, and warns of an unusual one.

    Args:
        quantity: One of `QUANTITIES`.
        value: Value in the unit of the quantity.
        what: Place and name of the value, for the message.
        key: Path of the key in the run description, as in `InputError`.

    Raises:
        InputError: The value cannot be meant.
    """
    found = finding(QUANTITIES[quantity], value)
    if found is None:
        return
    if found.is_refused:
        raise InputError(f"{what}: {found.text}", key)
    warn(f"{what}: {found.text}", key)


KELVIN = 273.15
"""0 °C in K."""
FAHRENHEIT = 5.0 / 9.0
"""A degree Fahrenheit in K."""

_S, _US, _NS = Unit("s", 1e3), Unit("µs", 1e-3), Unit("ns", 1e-6)
_NM, _M, _MM = Unit("nm", 1e-3), Unit("m", 1e6), Unit("mm", 1e3)
_NANOMOLAR, _MILLIMOLAR, _MOLAR = Unit("nM", 1e-3), Unit("mM", 1e3), Unit("M", 1e6)
VOLTS = Unit("V", 1e3)
MEMBRANE_VOLTAGES = (-500.0, 500.0)
"""mV; no membrane survives more."""
_MOST_CONCENTRATED = (-math.inf, 1e6)
"""µM; nothing in a cell is as concentrated as 1 M."""

NO_MORE = (-1e12, 1e12)
"""Far beyond all that could be measured, and yet no overflow."""


def period(name: str, low: float, high: float) -> Quantity:
    """A length of time in ms."""
    return Quantity("ms", (low, high), others=(_S, _US, _NS), name=name)


def seconds(name: str, low: float, high: float) -> Quantity:
    """A length of time in s."""
    return Quantity("s", (low, high), others=(Unit("ms", 1e-3), Unit("µs", 1e-6)), name=name)


def concentration(name: str, low: float, high: float) -> Quantity:
    """A concentration in µM."""
    return Quantity("µM", (low, high), _MOST_CONCENTRATED, (_NANOMOLAR, _MILLIMOLAR, _MOLAR), name=name)


def length(name: str, low: float, high: float) -> Quantity:
    """A length in µm."""
    return Quantity("µm", (low, high), others=(_NM, _M, _MM), name=name)


def flux(name: str, low: float, high: float) -> Quantity:
    """A flux density in µM·µm/s."""
    others = (Unit("µM·µm/ms", 1e3), Unit("mol/(m² s)", 1e9))
    return Quantity("µM·µm/s", (low, high), NO_MORE, others, name=name)


def conductance(name: str, low: float, high: float) -> Quantity:
    """A conductance per area in mS/cm²."""
    others = (Unit("S/cm²", 1e3), Unit("pS/µm² or S/m²", 0.1))
    return Quantity("mS/cm²", (low, high), (-math.inf, 1e6), others, name=name)


_QUANTITIES = (
    # times
    period("duration of a run", 0.5, 8.64e7),
    period("interval of output", 5e-3, 8.64e7),
    period("interval of probes", 5e-4, 8.64e7),
    period("duration of a clamp", 0.02, 1e4),
    period("duration of a release", 0.02, 500.0),
    period("duration of a flux", 0.02, 8.64e7),
    period("interval of releases", 0.5, 1e5),
    period("interval of pulses", 0.9, 2e3),
    period("interval of bursts", 5.0, 6e4),
    period("interval of trains", 50.0, 3.6e6),
    period("length of a pulse", 0.02, 10.0),
    period("width of a rectangle", 0.009, 0.4),
    period("longest step", 1e-4, 1.0),
    period("step in pulses", 1e-4, 0.1),
    period("step at rest", 1e-3, 5.0),
    period("sample of the voltage", 1e-3, 1.0),
    Quantity("s", (0.5, 8.64e4), others=(Unit("ms", 1e-3), Unit("min", 60.0)), name="wall time"),
    # electricity
    Quantity("nA", (2e-3, 60.0), others=(Unit("pA", 1e-3), Unit("µA", 1e3), Unit("A", 1e9)), name="current"),
    Quantity("mV", (1.0, 150.0), MEMBRANE_VOLTAGES, (VOLTS,), is_negative=True, name="potential at rest"),
    Quantity(
        "V/m",
        (1.0, 2e4),
        (-3e6, 3e6),  # air breaks down
        (Unit("kV/m or V/mm", 1e3), Unit("mV/m", 1e-3), Unit("µV/mm", 1e-3)),
        name="field",
    ),
    # calcium
    concentration("affinity of an indicator", 0.01, 50.0),
    concentration("measured calcium", 1e-4, 500.0),
    flux("flux of a release", 5.0, 1e6),
    flux("flux through an end", 0.05, 1e7),
    # shares
    Quantity("", (1e-15, 0.1), others=(Unit("%", 0.01),), name="tolerance"),
    # lengths
    length("merging", 1e-3, 50.0),
    length("radius of the reticulum", 1e-3, 10.0),
    length("patch", 0.02, 800.0),
    length("piece", 0.02, 500.0),
    length("compartment", 0.2, 1000.0),
    length("axon", 20.0, 2e4),
    length("diameter of an axon", 0.1, 20.0),
)
QUANTITIES: Mapping[str, Quantity] = MappingProxyType({quantity.name: quantity for quantity in _QUANTITIES})
"""By name. Ranges are those of experiments and models on neurons, widened until no honest number is asked about."""
