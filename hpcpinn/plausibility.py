"""What quantities can be: the unit of each, its usual and its possible values, and the units that it is mistaken for.

One table for everything that a user gives as a bare number, in job files and in others: a current in pA where nA
are meant is as much a number as any. What has no physical meaning is refused; what is only unusual is taken, with
a warning.
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
        name: As people write it.
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
        unit: Its own.
        usual: Smallest and largest magnitude that needs no question; zero never does.
        possible: Least and largest value that means anything.
        others: Units that it is mistaken for, the likeliest first.
        is_negative: Whether a value above zero has lost its sign.
    """

    unit: str
    usual: tuple[float, float]
    possible: tuple[float, float] = NO_LIMIT
    others: tuple[Unit, ...] = ()
    is_negative: bool = False

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
        is_refused: It cannot be meant.
        text: Value, limits and fix.
    """

    is_refused: bool
    text: str


def finding(quantity: str, value: float) -> Finding | None:
    """What is odd about a value of a quantity of `QUANTITIES`; None if nothing is."""
    known = QUANTITIES[quantity]
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
        value: In its unit.
        what: Place and name of the value, for the message.
        key: As in `InputError`.

    Raises:
        InputError: The value cannot be meant.
    """
    found = finding(quantity, value)
    if found is None:
        return
    if found.is_refused:
        raise InputError(f"{what}: {found.text}", key)
    warn(f"{what}: {found.text}", key)


_KELVIN = 273.15
_CELSIUS = Unit("°C", 1.0, _KELVIN)
_FAHRENHEIT = 5.0 / 9.0

_S, _US, _NS = Unit("s", 1e3), Unit("µs", 1e-3), Unit("ns", 1e-6)
_NM, _M, _MM = Unit("nm", 1e-3), Unit("m", 1e6), Unit("mm", 1e3)
_NANOMOLAR, _MILLIMOLAR, _MOLAR = Unit("nM", 1e-3), Unit("mM", 1e3), Unit("M", 1e6)
_VOLTS = Unit("V", 1e3)
_MEMBRANE = (-500.0, 500.0)
"""mV; no membrane survives more."""
_MOST_CONCENTRATED = (-math.inf, 1e6)
"""µM; nothing in a cell is as concentrated as 1 M."""

_NO_MORE = (-1e12, 1e12)
"""Far beyond all that could be measured, and yet no overflow."""


def _time(low: float, high: float) -> Quantity:
    return Quantity("ms", (low, high), others=(_S, _US, _NS))


def _concentration(low: float, high: float) -> Quantity:
    return Quantity("µM", (low, high), _MOST_CONCENTRATED, (_NANOMOLAR, _MILLIMOLAR, _MOLAR))


def _length(low: float, high: float) -> Quantity:
    return Quantity("µm", (low, high), others=(_NM, _M, _MM))


def _flux(low: float, high: float) -> Quantity:
    return Quantity("µM·µm/s", (low, high), _NO_MORE, (Unit("µM·µm/ms", 1e3), Unit("mol/(m² s)", 1e9)))


def _diffusion(low: float, high: float) -> Quantity:
    others = (Unit("µm²/ms", 1e3), Unit("cm²/s", 1e8), Unit("m²/s", 1e12), Unit("mm²/s", 1e6))
    return Quantity("µm²/s", (low, high), (-math.inf, 1e5), others)


def _conductance(low: float, high: float) -> Quantity:
    return Quantity("mS/cm²", (low, high), (-math.inf, 1e6), (Unit("S/cm²", 1e3), Unit("pS/µm² or S/m²", 0.1)))


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        # times
        "duration of a run": _time(0.5, 8.64e7),
        "interval of output": _time(5e-3, 8.64e7),
        "interval of probes": _time(5e-4, 8.64e7),
        "duration of a clamp": _time(0.02, 1e4),
        "duration of a release": _time(0.02, 500.0),
        "duration of a flux": _time(0.02, 8.64e7),
        "interval of releases": _time(0.5, 1e5),
        "interval of pulses": _time(0.9, 2e3),
        "interval of bursts": _time(5.0, 6e4),
        "interval of trains": _time(50.0, 3.6e6),
        "length of a pulse": _time(0.02, 10.0),
        "longest step": _time(1e-4, 1.0),
        "step in pulses": _time(1e-4, 0.1),
        "step at rest": _time(1e-3, 5.0),
        "sample of the voltage": _time(1e-3, 1.0),
        "time constant of a gate": Quantity("s", (2e-5, 0.5), others=(Unit("ms", 1e-3), Unit("µs", 1e-6))),
        "duration of releases": Quantity("s", (2e-5, 0.5), others=(Unit("ms", 1e-3), Unit("µs", 1e-6))),
        "wall time": Quantity("s", (0.5, 8.64e4), others=(Unit("ms", 1e-3), Unit("min", 60.0))),
        # electricity
        "current": Quantity("nA", (2e-3, 60.0), others=(Unit("pA", 1e-3), Unit("µA", 1e3), Unit("A", 1e9))),
        "potential": Quantity("mV", (1.0, 150.0), _MEMBRANE, (_VOLTS,)),
        "potential at rest": Quantity("mV", (1.0, 150.0), _MEMBRANE, (_VOLTS,), is_negative=True),
        "reversal potential": Quantity("mV", (1.0, 200.0), _MEMBRANE, (_VOLTS,)),
        "half activation": Quantity("mV", (0.3, 150.0), _MEMBRANE, (_VOLTS,)),
        "field": Quantity(
            "V/m", (1.0, 2e4), (-3e6, 3e6),  # air breaks down
            (Unit("kV/m or V/mm", 1e3), Unit("mV/m", 1e-3), Unit("µV/mm", 1e-3)),
        ),
        "axial resistivity": Quantity(
            "Ω·cm", (20.0, 1e3), (-math.inf, 1e7), (Unit("Ω·m or MΩ·µm", 100.0), Unit("kΩ·cm", 1e3), Unit("Ω·mm", 0.1))
        ),
        "capacitance": Quantity(
            "µF/cm²", (0.2, 10.0), (-math.inf, 1e6),
            (Unit("F/m² or pF/µm²", 100.0), Unit("nF/cm²", 1e-3), Unit("F/cm²", 1e6))
        ),
        "conductance": _conductance(1e-3, 5e3),
        "conductance of a leak": _conductance(2e-3, 10.0),
        "conductance of sodium": _conductance(0.5, 5e3),
        # temperature
        "temperature, °C": Quantity(
            "°C", (1.0, 45.0), (-23.15, 60.0), (Unit("K", 1.0, -_KELVIN), Unit("°F", _FAHRENHEIT, -32.0 * _FAHRENHEIT))
        ),
        "temperature, K": Quantity(
            "K", (_KELVIN, _KELVIN + 45.0), (250.0, _KELVIN + 60.0),
            (_CELSIUS, Unit("°F", _FAHRENHEIT, _KELVIN - 32.0 * _FAHRENHEIT)),
        ),
        # calcium
        "calcium at rest": _concentration(5e-3, 2.0),
        "calcium outside": _concentration(10.0, 2e4),
        "buffer": _concentration(1.0, 1e4),
        "affinity of a fast pump": _concentration(5e-3, 20.0),
        "affinity of an exchanger": _concentration(0.05, 500.0),
        "affinity of an indicator": _concentration(0.01, 50.0),
        "measured calcium": _concentration(1e-4, 500.0),
        "binding": Quantity(
            "1/(µM s)", (0.5, 5e3), (-math.inf, 1e7),
            (Unit("1/(µM ms)", 1e3), Unit("1/(M s)", 1e-6), Unit("1/(mM s)", 1e-3)),
        ),
        "unbinding": Quantity("1/s", (0.1, 1e5), _NO_MORE, (Unit("1/ms", 1e3), Unit("1/µs", 1e6))),
        "rate of a pump": _flux(0.05, 1e4),
        "flux of a release": _flux(5.0, 1e6),
        "flux through an end": _flux(0.05, 1e7),
        "leak": Quantity("µm/s", (1e-7, 100.0), _NO_MORE, (Unit("m/s", 1e6), Unit("cm/s", 1e4), Unit("µm/ms", 1e3))),
        "diffusion of calcium": _diffusion(2.0, 2e3),
        "diffusion of a buffer": _diffusion(0.02, 1e3),
        "density of channels": Quantity(
            "1/µm²", (1e-3, 1e3), (-math.inf, 1e7), (Unit("1/cm²", 1e-8), Unit("1/m²", 1e-12))
        ),
        "permeability": Quantity(
            "µm³/s", (1e-4, 100.0), (-math.inf, 1e9), (Unit("cm³/s", 1e12), Unit("m³/s", 1e18), Unit("µm³/ms", 1e3))
        ),
        "valence": Quantity("", (1.0, 3.0), (-math.inf, 10.0)),
        # shares
        "tolerance": Quantity("", (1e-15, 0.1), others=(Unit("%", 0.01),)),
        # lengths
        "merging": _length(1e-3, 50.0),
        "radius of the reticulum": _length(1e-3, 10.0),
        "patch": _length(0.02, 800.0),
        "piece": _length(0.02, 500.0),
        # dopamine on a square
        "diffusion of dopamine": Quantity(
            "µm²/ms", (1e-3, 10.0), (-math.inf, 1e3),
            (Unit("µm²/s", 1e-3), Unit("cm²/s", 1e5), Unit("m²/s", 1e9)),
        ),
        "uptake": Quantity("1/ms", (1e-5, 10.0), (-math.inf, 1e6), (Unit("1/s", 1e-3), Unit("1/µs", 1e3))),
        "peak of a release": _concentration(1e-3, 1e5),
        "width of a release": _length(0.02, 100.0),
        "half width of a square": _length(0.2, 1e3),
    }
)  # fmt: skip
"""By name. Ranges are those of experiments and models on neurons, widened until no honest number is asked about."""
