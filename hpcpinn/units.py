"""Units as users write them: ``"10 min"``, ``"0.5 mm"``, or a bare number in the house unit.

Files, flags and pictures speak ms, µm, µM and mV. This table is the only place that knows what
the other spellings are worth.
"""

import re
from collections.abc import Mapping

from hpcpinn.errors import InputError
from hpcpinn.wording import shortened

TIME: Mapping[str, float] = {"us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
"""Worth of one unit of time in ms."""
LENGTH: Mapping[str, float] = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Worth of one unit of length in µm."""
CONCENTRATION: Mapping[str, float] = {"nM": 1e-3, "uM": 1.0, "mM": 1e3, "M": 1e6}
"""Worth of one unit of concentration in µM."""
POTENTIAL: Mapping[str, float] = {"uV": 1e-3, "mV": 1.0, "V": 1e3}
"""Worth of one unit of potential in mV."""

NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
UNIT_OF_LENGTH = (
    r"(?:(?:(?i:(?P<symbol{0}>[nuµμ\ufffd]m|mm|cm))|(?P<m{0}>m))"
    r"|(?i:(?P<prefix{0}>nano|micro|milli|centi|)[ -]?met(?:er|re)s?|(?P<micron{0}>microns?)))"
)
"""Pattern of a unit of length by its symbol or its name; `unit_in` reads its groups, which end on what
stands for {0}."""

_MU = re.compile(r"\udcc2\udcb5|\udcce\udcbc|\udcb5|Âµ|Î¼|&micro;|[µμ]|\ufffd+(?=m)")
"""Micro as U+00B5 and U+03BC, in UTF-8 read as another encoding, and as bytes that were not text."""
_VALUE = re.compile(rf"\s*(?P<number>{NUMBER})?\s*{UNIT_OF_LENGTH.format('')}\s*")
_QUANTITY = re.compile(r"\s*(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>\D*?)\s*")


def quantity(text: str, table: Mapping[str, float]) -> float:
    """Reads a number with its unit, such as ``"10 min"``, into the house unit of `table`.

    Args:
        text: Number and unit; µ may be written ``u``.
        table: One of the tables above; its unit of worth 1 is what is returned.

    Raises:
        InputError: No number, or a unit that the table does not hold.
    """
    match = _QUANTITY.fullmatch(plain_mu(text))
    unit = "" if match is None else symbol_of(match["unit"])
    if match is None or unit not in table:
        raise InputError(f"{shortened(text)!r} is not a number followed by one of {', '.join(table)}")
    return float(match["number"]) * table[unit]


def plain_mu(text: str) -> str:
    """The text with every spelling of µ as ``u``, whatever encoding it went through."""
    return _MU.sub("u", text)


def unit_in(match: re.Match[str], group: str = "") -> str:
    """Which unit of `LENGTH` a match of `UNIT_OF_LENGTH` names.

    Args:
        match: Match of a pattern that holds `UNIT_OF_LENGTH`.
        group: Ending of the names of its groups.
    """
    if symbol := match[f"symbol{group}"]:
        return plain_mu(symbol).lower()
    if match[f"micron{group}"]:
        return "um"
    if match[f"m{group}"]:
        return "m"
    return {"nano": "nm", "micro": "um", "milli": "mm", "centi": "cm", "": "m"}[match[f"prefix{group}"].lower()]


def length_per_unit(text: str) -> float:
    """Reads the unit of a file's lengths, ``"nm"``, ``"8 nanometers"`` or ``"0.25um"``, in µm.

    Raises:
        InputError: No unit of length, or a number before it that is not positive and finite.
    """
    match = _VALUE.fullmatch(plain_mu(text))
    worth = float(match["number"] or 1.0) * LENGTH[unit_in(match)] if match else 0.0
    if not 0.0 < worth < float("inf"):
        raise InputError(
            f"units is '{text}'; use auto, {', '.join(LENGTH)}, or a number with one of these, "
            "such as 8nm for voxels of 8 nm or 0.25um"
        )
    return worth


def symbol_of(unit: str) -> str:
    """The symbol of a unit in the tables, of its symbol or of one of its names; anything else as it is.

    Symbols keep their capitals apart (mM is no MM); names do not.
    """
    return _NAMES.get(unit.lower(), unit)


_PREFIXES = {"nano": "n", "micro": "u", "milli": "m", "centi": "c", "": ""}
_SPELLED = {
    "second": "s", "seconds": "s", "meter": "m", "meters": "m", "metre": "m", "metres": "m", "molar": "M",
    "volt": "V", "volts": "V",
}  # fmt: skip
_NAMES = {
    **{prefix + name: short + unit for prefix, short in _PREFIXES.items() for name, unit in _SPELLED.items()},
    **dict.fromkeys(("usec", "usecs"), "us"),
    **dict.fromkeys(("msec", "msecs"), "ms"),
    **dict.fromkeys(("sec", "secs"), "s"),
    **dict.fromkeys(("mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("micron", "microns"), "um"),
}
"""Symbols by the names of units, in lower case."""
