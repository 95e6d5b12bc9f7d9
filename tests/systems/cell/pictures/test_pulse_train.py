"""The picture of a protocol, read back from what is drawn."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from hpcpinn.systems.cell.pictures.pulse_train import _draw_onsets, _time_axis


def bars(times, span):
    """Start and end of what is drawn, in the unit of the axis, and that unit."""
    axes = Figure().subplots()
    unit = _draw_onsets(axes, np.asarray(times, float), span)
    (drawn,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    return [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in drawn.get_paths()], unit


def test_pulses_that_can_be_told_apart_are_single_strokes():
    drawn, unit = bars([0.0, 20.0, 40.0, 200.0, 2000.0], 1000.0)
    assert unit == "ms"
    np.testing.assert_allclose(drawn, [(0, 0), (20, 20), (40, 40), (200, 200)])


def test_a_pulse_at_the_end_belongs_to_what_follows():
    drawn, _ = bars([0.0, 500 / 9, 1000 / 9, 1500 / 9], 3 * 55.55555555555556)  # the last one is less in bits
    assert len(drawn) == 3


def test_trains_seen_from_afar_are_blocks():
    times = (30_000.0 * np.arange(75)[:, None] + 100.0 * np.arange(40)).ravel()
    drawn, unit = bars(times, 75 * 30_000.0)
    starts = 0.5 * np.arange(75)
    assert unit == "min"
    np.testing.assert_allclose(drawn, np.stack([starts, starts + 3.9 / 60], axis=1), atol=1e-9)


@pytest.mark.parametrize("span, unit", [(0.73, "us"), (20.0, "ms"), (2000.0, "ms"), (192e3, "s"), (6e5, "min")])
def test_units_of_the_axis(span, unit):
    assert _time_axis(Figure().subplots(), span) == unit
