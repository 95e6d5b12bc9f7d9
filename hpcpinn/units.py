"""Units as users write them: ``"10 min"``, ``"0.5 mm"``, or a bare number in the house unit.

Files, flags and pictures speak ms, µm, µM and mV. This table is the only place that knows what
the other spellings are worth.
"""

import re
from collections.abc import Mapping

from hpcpinn.errors import InputError

TIME: Mapping[str, float] = {"us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
"""Worth of one unit of time in ms."""
LENGTH: Mapping[str, float] = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Worth of one unit of length in µm."""
CONCENTRATION: Mapping[str, float] = {"nM": 1e-3, "uM": 1.0, "mM": 1e3, "M": 1e6}
"""Worth of one unit of concentration in µM."""
POTENTIAL: Mapping[str, float] = {"uV": 1e-3, "mV": 1.0, "V": 1e3}
"""Worth of one unit of potential in mV."""

_QUANTITY = re.compile(r"\s*(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>\D*?)\s*")


def quantity(text: str, table: Mapping[str, float]) -> float:
    """Reads a number with its unit, such as ``"10 min"``, into the house unit of `table`.

    Args:
        text: Number and unit; µ may be written ``u``.
        table: One of the tables above; its unit of worth 1 is what is returned.

    Raises:
        InputError: No number, or a unit that the table does not hold.
    """
    spelled = text.replace("µ", "u").replace("μ", "u")
    match = _QUANTITY.fullmatch(spelled)
    if match is None or match["unit"] not in table:
        raise InputError(f"{text!r} is not a number followed by one of {', '.join(table)}")
    return float(match["number"]) * table[match["unit"]]
