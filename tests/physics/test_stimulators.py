"""Pulses of stimulators: the fits to recorded ones, rectangles of any width, and coils turned round."""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import lfilter

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.waveforms import Rectangular, Reversed, Waveform, net_share, waveform_named
from hpcpinn.systems.cell.build.stimulus import stimulus_of
from hpcpinn.systems.jobs import load_order

NAMES = ("magpro-monophasic", "magpro-biphasic")
CONSTANTS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Time constants of membranes, ms."""


def low_passed(course: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Peaks of either sign that membranes with `CONSTANTS` make of a field."""
    t = np.linspace(0.0, 1.5, 40_001)
    found = []
    for tau in CONSTANTS:
        share = np.exp(-t[1] / tau)
        V = lfilter([1.0 - share], [1.0, -share], course(t))
        found += [V.max(), -V.min()]
    return np.array(found)


def recorded(shared: Path, name: str) -> Callable[[np.ndarray], np.ndarray]:
    file = shared / "reference" / "aberra_l23" / f"magpro_x100_{name.removeprefix('magpro-')}.csv"
    times, values = np.loadtxt(file, delimiter=",", skiprows=1).T
    return lambda t: np.interp(t, times, values, right=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_membranes_see_the_recorded_pulse_in_the_fit(shared, name):
    """Of either phase, so that thresholds of either direction are those of the record: within 1 %."""
    fit = waveform_named(name)
    own, wanted = low_passed(lambda t: np.asarray(fit(jnp.asarray(t)))), low_passed(recorded(shared, name))
    np.testing.assert_allclose(own, wanted, rtol=0.01)


PHASES = {  # crossings of zero, ms; area of the first phase, µs; extreme of the second
    "magpro-monophasic": ([0.0755], 44.9, -0.30),
    "magpro-biphasic": ([0.0757, 0.228, 0.308], 45.0, -0.883),
}


@pytest.mark.parametrize("name", NAMES)
def test_phases_of_the_fits(name):
    """Few numbers that anybody can read off the published pulses."""
    fit, (crossings, area, trough) = waveform_named(name), PHASES[name]
    t = np.linspace(0.0, fit.duration, 200_001)
    values = np.asarray(fit(jnp.asarray(t)))
    found = t[1:][(np.diff(np.sign(values)) != 0) & (t[1:] > 0.01)][: len(crossings)]
    np.testing.assert_allclose(found, crossings, atol=1e-3)
    first = t <= crossings[0]
    assert np.trapezoid(values[first], t[first]) * 1e3 == pytest.approx(area, rel=0.01)
    assert values.min() == pytest.approx(trough, abs=0.01) and values.max() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(("name", "share"), zip(NAMES, (-0.012, -0.003), strict=True))
def test_as_much_charge_is_left_as_the_records_leave(name, share):
    """A coil's field adds up to zero; the records do to 1.3 and 0.4 % of their absolute area."""
    assert net_share(*waveform_named(name).curve(2000)) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_fits_are_continuous_and_smooth_between_their_breakpoints(name):
    fit = waveform_named(name)
    for edge in fit.breakpoints[1:-1]:
        before, after = np.asarray(fit(jnp.array([edge - 1e-9, edge + 1e-9])))
        assert abs(before - after) < 1e-6
    for begin, end in zip(fit.breakpoints, fit.breakpoints[1:], strict=False):
        t = np.linspace(begin, end, 2001)[1:-1]
        assert np.abs(np.diff(np.asarray(fit(jnp.asarray(t))), 3)).max() < 1e-5


def pulse(*settings: str) -> Waveform:
    return stimulus_of(load_order(None, ["field.magnitude=1", *settings]).described).waveform


def test_rectangles_have_any_width_and_coils_are_turned_round():
    assert pulse("stimulation.waveform=rectangular", "stimulation.width='30 us'") == Rectangular(0.03, 0.2)
    narrow = pulse("stimulation.waveform=rectangular", "stimulation.width=0.12", "stimulation.reversal=0.0")
    assert narrow == Rectangular(0.12, 0.0) and narrow.duration == 0.12
    turned = pulse("stimulation.waveform=magpro-biphasic", "stimulation.is_reversed=true")
    forward = waveform_named("magpro-biphasic")
    t = jnp.linspace(-0.1, 0.5, 601)
    np.testing.assert_array_equal(turned(t), -forward(t))
    assert turned == Reversed(forward) and turned.breakpoints == forward.breakpoints
    assert turned.name == "magpro-biphasic, reversed"


REFUSED = {
    ("stimulation.waveform=biphasic", "stimulation.width=0.1"): r"stimulation\.width: is of rectangles, .* is biphasic",
    ("stimulation.reversal=0.5",): r"stimulation\.reversal: is of rectangles",
    ("stimulation.waveform=rectangular", "stimulation.width=1.0"): r"stimulation\.width: .*give 0\.01 to 0\.31 ms",
    ("stimulation.waveform=rectangular", "stimulation.reversal=2.0"): r"stimulation\.reversal: 2\.0 is not allowed",
    ("stimulation.waveform=magpro",): r"stimulation\.waveform: waveform 'magpro': no such waveform",
}


@pytest.mark.parametrize("settings", REFUSED)
def test_what_cannot_be_is_one_line(settings):
    with pytest.raises(InputError, match=REFUSED[settings]) as caught:
        pulse(*settings)
    assert "\n" not in str(caught.value)
