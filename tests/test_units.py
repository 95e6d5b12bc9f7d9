"""Numbers with units."""

import pytest

from hpcpinn.errors import InputError
from hpcpinn.units import CONCENTRATION, LENGTH, POTENTIAL, TIME, quantity


@pytest.mark.parametrize(
    ("text", "table", "value"),
    [
        ("10 min", TIME, 600_000.0),
        ("0.5ms", TIME, 0.5),
        ("1e-3 s", TIME, 1.0),
        ("2 h", TIME, 7_200_000.0),
        ("3 µm", LENGTH, 3.0),
        ("3 μm", LENGTH, 3.0),
        (" .5 mm ", LENGTH, 500.0),
        ("50 nM", CONCENTRATION, 0.05),
        ("-0.07 V", POTENTIAL, -70.0),
    ],
)
def test_worth(text, table, value):
    assert quantity(text, table) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "min", "5", "5 miles", "5 5 s", "1,5 s", "5 MS", "nan s", "1e s"])
def test_refused(text):
    with pytest.raises(InputError, match="number followed by one of us, ms, s, min, h"):
        quantity(text, TIME)
