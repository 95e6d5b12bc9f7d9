"""Numbers with units."""

import pytest

from hpcpinn.errors import InputError
from hpcpinn.units import CONCENTRATION, LENGTH, POTENTIAL, TIME, length_per_unit, quantity


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
        ("6 sec", TIME, 6000.0),
        ("6 seconds", TIME, 6000.0),
        ("6 msec", TIME, 6.0),
        ("10 Minutes", TIME, 600_000.0),
        ("1 hour", TIME, 3_600_000.0),
        ("20 µsec", TIME, 0.02),
        ("5 microseconds", TIME, 0.005),
        ("5 microns", LENGTH, 5.0),
        ("5 micrometers", LENGTH, 5.0),
        ("8 nanometre", LENGTH, 0.008),
        ("2 millimolar", CONCENTRATION, 2000.0),
        ("-70 millivolts", POTENTIAL, -70.0),
    ],
)
def test_worth(text, table, value):
    assert quantity(text, table) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "min", "5", "5 miles", "5 5 s", "1,5 s", "5 MS", "nan s", "1e s"])
def test_refused(text):
    with pytest.raises(InputError, match="number followed by one of us, ms, s, min, h"):
        quantity(text, TIME)


@pytest.mark.parametrize("mu", ["u", "µ", "μ", "Âµ", "Î¼", "\ufffd", "\ufffd\ufffd", "&micro;", b"\xb5", b"\xc2\xb5"])
def test_micro_in_any_encoding(mu):
    if isinstance(mu, bytes):  # an argument that is no text where LANG is C
        mu = mu.decode("ascii", "surrogateescape")
    assert quantity(f"3 {mu}m", LENGTH) == 3.0
    assert length_per_unit(f"0.25 {mu}m") == 0.25


@pytest.mark.parametrize(
    ("text", "worth"),
    [("nm", 1e-3), ("NM", 1e-3), ("8nm", 8e-3), ("8 nanometers", 8e-3), ("0.25um", 0.25), ("micron", 1.0),
     ("1e-6m", 1.0), (".5 millimetre", 500.0), ("centimeter", 1e4), ("m", 1e6), ("2um", 2.0)],
)  # fmt: skip
def test_units_of_length_with_their_multiples(text, worth):
    assert length_per_unit(text) == pytest.approx(worth, rel=1e-15)


@pytest.mark.parametrize("text", ["", "inch", "8", "0nm", "-8nm", "1e400um", "M", "8 nm nm", "8,5nm", "voxel"])
def test_other_units_of_length_are_refused(text):
    with pytest.raises(InputError, match=f"units is '{text}'; use auto, nm, um, mm, cm, m, or a number .* 8nm"):
        length_per_unit(text)
