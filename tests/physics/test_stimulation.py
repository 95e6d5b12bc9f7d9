"""rTMS: pulse times against the published numbers, waveforms against their properties."""

import math
from dataclasses import replace
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.physics.stimulation.protocols import PROTOCOLS, PulseProtocol, every, protocol_named
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import (
    WAVEFORMS,
    Biphasic,
    Monophasic,
    Rectangular,
    net_share,
    read_waveform,
    waveform_named,
)

SECOND, MINUTE = 1e3, 6e4

PUBLISHED = {
    "1Hz": (600, 10 * MINUTE),
    "10Hz": (3000, 37.5 * MINUTE),
    "10Hz-dash": (3000, 18.75 * MINUTE),
    "20Hz": (800, 20 * 30 * SECOND),
    "iTBS600": (600, 192 * SECOND),
    "cTBS600": (600, 40 * SECOND),
    "cTBS300": (300, 20 * SECOND),
    "30Hz-TBS": (600, 40 * SECOND),
    "QPS5": (1440, 30 * MINUTE),
    "QPS50": (1440, 30 * MINUTE),
    "deep-18Hz": (1980, 55 * 22 * SECOND),
}
"""Pulses and duration in ms (EQUATIONS §2; where it gives no duration, trains times on and off)."""

GAPS = {
    "1Hz": {"burst": (1000.0, 599)},
    "10Hz": {"burst": (100.0, 75 * 39), "train": (26_100.0, 74)},
    "10Hz-dash": {"burst": (100.0, 75 * 39), "train": (11_100.0, 74)},
    "20Hz": {"burst": (50.0, 20 * 39), "train": (28_050.0, 19)},
    "iTBS600": {"pulse": (20.0, 400), "burst": (160.0, 180), "train": (8_160.0, 19)},
    "cTBS600": {"pulse": (20.0, 400), "burst": (160.0, 199)},
    "cTBS300": {"pulse": (20.0, 200), "burst": (160.0, 99)},
    "30Hz-TBS": {"pulse": (100 / 3, 400), "burst": (400 / 3, 199)},
    "QPS5": {"pulse": (5.0, 1080), "burst": (4985.0, 359)},
    "QPS50": {"pulse": (50.0, 1080), "burst": (4850.0, 359)},
    "deep-18Hz": {"burst": (500 / 9, 55 * 35), "train": (20_000 + 500 / 9, 54)},
}


def test_every_published_protocol_is_known_and_no_other():
    assert PROTOCOLS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_pulse_counts_and_durations_are_the_published_ones(name):
    protocol = protocol_named(name)
    times = protocol.pulse_times()
    assert (protocol.count, protocol.duration) == PUBLISHED[name]
    assert times.shape == (protocol.count,) and times.dtype == np.float64
    assert times[0] == 0.0 and times[-1] < protocol.duration


@pytest.mark.parametrize("name", PUBLISHED)
def test_gaps_are_those_between_the_pulses(name):
    protocol = protocol_named(name)
    assert {gap.after: (gap.length, gap.count) for gap in protocol.gaps} == GAPS[name]
    between = np.diff(protocol.pulse_times())
    for length, count in GAPS[name].values():
        assert np.isclose(between, length, rtol=1e-6, atol=0.0).sum() == count
    assert sum(gap.count for gap in protocol.gaps) == protocol.count - 1
    assert protocol.shortest_gap == min(length for length, _ in GAPS[name].values())


@pytest.mark.parametrize("name", ["QPS5", "QPS50"])
def test_quadripulses_are_monophasic(name):
    assert protocol_named(name).waveform == "monophasic"
    assert protocol_named("10Hz").waveform == "biphasic"


@pytest.mark.parametrize(
    "name, index, time",
    [
        ("1Hz", 599, 599_000.0),
        ("10Hz", 40, 30_000.0),
        ("10Hz", 2999, 74 * 30_000.0 + 3_900.0),
        ("10Hz-dash", 40, 15_000.0),
        ("20Hz", 41, 30_050.0),
        ("iTBS600", 5, 240.0),
        ("iTBS600", 30, 10_000.0),
        ("iTBS600", 599, 191_840.0),
        ("cTBS600", 599, 39_840.0),
        ("QPS50", 1439, 359 * 5_000.0 + 150.0),
        ("deep-18Hz", 36, 22_000.0),
    ],
)
def test_single_pulses_come_when_they_should(name, index, time):
    assert protocol_named(name).pulse_times()[index] == time


def test_no_rounding_accumulates_over_tens_of_thousands_of_pulses():
    protocol = PulseProtocol("long", 3, 20, 1000, 200, pulse_interval=every(30), train_interval=10_000.1)
    times, place = protocol.pulse_times(), protocol.structure()
    assert len(times) == 60_000
    exact = [float(i * Fraction(100_001, 10) + j * 200 + k * Fraction(100, 3)) for i, j, k in place[::7].tolist()]
    np.testing.assert_array_equal(times[::7], exact)


def test_a_float_is_the_decimal_number_that_it_prints_as():
    tenths = PulseProtocol("tenths", 1, 10_001, 1, 0.1).pulse_times()
    np.testing.assert_array_equal(tenths[::10], np.arange(1001.0))
    assert every(0.1) == 10_000


def test_structure_names_train_burst_and_pulse():
    protocol = protocol_named("iTBS600")
    place = protocol.structure()
    assert place[[0, 2, 3, 29, 30, 599]].tolist() == [
        [0, 0, 0], [0, 0, 2], [0, 1, 0], [0, 9, 2], [1, 0, 0], [19, 9, 2],
    ]  # fmt: skip
    np.testing.assert_array_equal(protocol.pulse_times(), place @ [10_000.0, 200.0, 20.0])
    assert (protocol.on_time, protocol.off_time) == (2000.0, 8000.0)


def test_a_single_pulse():
    single = PulseProtocol("single", 1, 1, 1, burst_interval=100.0)
    assert single.pulse_times().tolist() == [0.0]
    assert single.gaps == () and single.shortest_gap == math.inf and single.duration == 100.0


def test_trains_without_a_pause_follow_each_other():
    protocol = PulseProtocol("free", 2, 3, 2, burst_interval=50, pulse_interval=10)
    assert protocol.pulse_times().tolist() == [0, 10, 50, 60, 100, 110, 150, 160, 200, 210, 250, 260]
    assert protocol.duration == 300.0 and protocol.off_time == 0.0


@pytest.mark.parametrize("spelled", ["iTBS600", "itbs600", "iTBS 600", "ITBS-600"])
def test_names_are_read_as_people_write_them(spelled):
    assert protocol_named(spelled) is PROTOCOLS["iTBS600"]


@pytest.mark.parametrize(
    "name, message",
    [
        ("iTBS", "protocol 'iTBS': no such protocol; did you mean 'iTBS600'?"),
        ("QPS55", "protocol 'QPS55': .* did you mean 'QPS5'?"),
        ("alpha", "protocol 'alpha': no such protocol; known are 1Hz, 10Hz, .*deep-18Hz"),
    ],
)
def test_an_unknown_protocol(name, message):
    with pytest.raises(InputError, match=message):
        protocol_named(name)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"pulses": 0}, "mine: pulses = 0; give a whole number, 1 or more"),
        ({"bursts": 2.5}, "mine: bursts = 2.5; give a whole number"),
        ({"trains": True}, "mine: trains = True; give a whole number"),
        ({"burst_interval": 0.0}, "mine: burst_interval = 0.0; give a positive number of ms"),
        ({"burst_interval": math.nan}, "mine: burst_interval = nan; give a positive"),
        ({"pulse_interval": -20}, "mine: pulse_interval = -20; give a positive"),
        ({"train_interval": math.inf}, "mine: train_interval = inf; give a positive"),
        ({"train_interval": "8 s"}, "mine: train_interval = '8 s'; give a positive"),
        ({"pulse_interval": None}, "mine: pulse_interval is missing; 3 pulses per burst need one"),
        ({"burst_interval": 40}, "mine: burst_interval = 40 ms, but the last pulse .* 40 ms after its first"),
        ({"train_interval": 1999}, "mine: train_interval = 1999 ms, but a train takes 2000 ms"),
    ],
)
def test_refused_protocols(change, message):
    good = {
        "pulses": 3, "bursts": 10, "trains": 2, "burst_interval": 200, "pulse_interval": 20, "train_interval": 2000,
    }  # fmt: skip
    PulseProtocol("mine", **good)
    with pytest.raises(InputError, match=message):
        PulseProtocol("mine", **(good | change))


@pytest.mark.parametrize("frequency", [0, -5.0, math.nan])
def test_refused_frequencies(frequency):
    with pytest.raises(InputError, match=f"frequency = {frequency}; give a positive number of Hz"):
        every(frequency)


BALANCED = [Monophasic(), Biphasic(), Rectangular(), Rectangular(width=0.05, reversal=1.0)]


@pytest.mark.parametrize("waveform", BALANCED, ids=repr)
def test_the_charge_balances(waveform):
    edges = waveform.breakpoints
    charge = sum(
        quad(lambda t: float(waveform(t)), a, b, epsabs=1e-13, epsrel=1e-12)[0]
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    )
    assert abs(charge) < 1e-11 * waveform.duration


def test_the_ideal_rectangle_does_not_balance():
    ideal = Rectangular(width=0.2, reversal=0.0)
    assert ideal.breakpoints == (0.0, 0.2)
    np.testing.assert_array_equal(ideal(jnp.array([0.0, 0.1, 0.199, 0.2])), [1.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("waveform", BALANCED, ids=repr)
def test_the_peak_is_one_at_the_onset_and_nothing_is_outside(waveform):
    t, values = waveform.curve()
    assert t.dtype == values.dtype == np.float64
    assert waveform(0.0) == values.max() == 1.0 and values.min() >= -1.0
    assert waveform.breakpoints[0] == 0.0 and waveform.duration == waveform.breakpoints[-1]
    assert np.all(np.diff(waveform.breakpoints) > 0.0)
    outside = jnp.array([-1e3, -1e-12, waveform.duration, waveform.duration + 1e-12, 1e6])
    np.testing.assert_array_equal(waveform(outside), 0.0)


@pytest.mark.parametrize("waveform", [Monophasic(), Biphasic()], ids=repr)
def test_smooth_between_breakpoints_and_continuous_at_them(waveform):
    edges = np.array(waveform.breakpoints)
    before, after = waveform(jnp.asarray(edges[1:] - 1e-12)), waveform(jnp.asarray(edges[1:]))
    np.testing.assert_allclose(before, after, atol=1e-9)
    slope, bend = jax.vmap(jax.grad(waveform)), jax.vmap(jax.grad(jax.grad(waveform)))
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        t = jnp.linspace(a, b, 2002)[1:-1]
        steps = np.diff(slope(t))
        # A kink inside would be a step of the slope far above what the curvature explains.
        allowed = 2.0 * float(jnp.abs(bend(t)).max()) * (b - a) / 2001 + 1e-9
        assert np.abs(steps).max() <= allowed


def test_monophasic_goes_through_the_published_points():
    field = Monophasic()
    np.testing.assert_allclose(field(jnp.array([0.0756, 0.105])), [0.0, -0.30], atol=1e-12)
    np.testing.assert_allclose(field(jnp.linspace(0.15, 0.2, 11)), -0.14, atol=1e-12)
    assert (field(jnp.linspace(0.0, 0.0755, 100)) > 0.0).all()
    t, values = field.curve()
    assert field.duration == 0.73 and t[values.argmin()] == pytest.approx(0.105)
    assert (values[(t > 0.0757) & (t < 0.729)] < 0.0).all()


def test_biphasic_is_the_published_damped_cosine():
    field = Biphasic()
    t = np.linspace(0.0, 0.296, 500)
    np.testing.assert_allclose(field(jnp.asarray(t)), np.exp(-t / 1.2) * np.cos(2 * np.pi * t / 0.303), atol=1e-13)
    t, values = field.curve(2000)
    assert t[values.argmin()] == pytest.approx(0.149, abs=1e-3)
    assert values.min() == pytest.approx(-0.895, abs=0.015)
    crossings = t[:-1][np.diff(np.sign(values)) != 0]
    np.testing.assert_allclose(crossings[:2], [0.0758, 0.228], atol=1e-3)
    assert field.duration == 0.308 and 0.29 < field.breakpoints[1] < 0.303


def test_rectangular_has_two_levels():
    field = Rectangular(width=0.1, reversal=0.5)
    np.testing.assert_allclose(field.breakpoints, [0.0, 0.1, 0.3], rtol=1e-15)
    np.testing.assert_array_equal(field(jnp.array([0.05, 0.1, 0.29])), [1.0, -0.5, -0.5])


@pytest.mark.parametrize("numbers", [{"width": 0.0}, {"width": -0.1}, {"width": 0.5}, {"width": math.nan}])
def test_refused_widths(numbers):
    with pytest.raises(InputError, match=f"width = {numbers['width']}; give 0.01 to 0.31 ms"):
        Rectangular(**numbers)


@pytest.mark.parametrize("reversal", [-0.1, 1.5, math.nan])
def test_refused_reversals(reversal):
    with pytest.raises(InputError, match=f"reversal = {reversal}; give 0 to 1"):
        Rectangular(reversal=reversal)


@pytest.mark.parametrize("waveform", BALANCED, ids=repr)
def test_waveforms_can_be_traced(waveform):
    t = jnp.linspace(-0.1, 1.0, 50)
    np.testing.assert_allclose(jax.jit(waveform)(t), waveform(t), atol=1e-14)
    assert np.isfinite(jax.vmap(jax.grad(waveform))(t)).all()
    assert hash(waveform) == hash(replace(waveform))


def test_waveforms_by_name():
    assert waveform_named("Biphasic") == Biphasic() and set(WAVEFORMS) == {
        "monophasic", "biphasic", "rectangular", "magpro-monophasic", "magpro-biphasic",
    }  # fmt: skip
    with pytest.raises(InputError, match="waveform 'biphase': no such waveform; did you mean 'biphasic'?"):
        waveform_named("biphase")
    with pytest.raises(InputError, match="waveform 'x': no such waveform; known are monophasic, biphasic"):
        waveform_named("x")


def test_a_recorded_waveform(tmp_path):
    path = tmp_path / "coil.csv"
    path.write_text("\ufeff# device 3\ntime_ms, value\n1.0, 0\n\n1.1, -4\n1.3, 2\n1.4, 0\n", encoding="utf-8")
    field = waveform_named(str(path))
    np.testing.assert_allclose(field.breakpoints, [0.0, 0.1, 0.3, 0.4], rtol=1e-13)
    t = jnp.array([-0.1, 0.05, 0.1, 0.2, 0.3, 0.35, 0.41])
    np.testing.assert_allclose(field(t), [0.0, -0.5, -1.0, -0.25, 0.5, 0.25, 0.0], atol=1e-12)
    assert field.name == "coil.csv" and hash(field) == hash(read_waveform(path))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the first line is 'nothing'; it must be time_ms,value"),
        ("t,v\n0,1\n", "the first line is 't,v'; it must be time_ms,value"),
        ("time_ms,value\n0,1\n", "1 rows of numbers; a waveform needs two or more"),
        ("time_ms,value\n0,1\n0.1,nan\n", ":3: value is nan; every number must be finite"),
        ("time_ms,value\n0,1\ninf,0\n", ":3: time_ms is inf; every number must be finite"),
        ("time_ms,value\n0,1\n\n0.2,0\n0.2,1\n", ":5: time 0.2 does not follow 0.2; sort the rows"),
        ("time_ms,value\n0,1\n-1,0\n", ":3: time -1 does not follow 0"),
        ("time_ms,value\n0,high\n", ":2: value is 'high', which is not a number"),
        ("time_ms,value\n0,1,2\n", ":2: 3 columns instead of 2"),
        ("time_ms,value\n0,0\n1,0\n", "every value is 0; a waveform needs a peak"),
    ],
)
def test_refused_waveform_files(tmp_path, text, message):
    path = tmp_path / "coil.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refusal:
        read_waveform(path)
    assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)


def test_waveform_files_that_are_no_text(tmp_path):
    (tmp_path / "coil.csv").write_bytes(b"\xff\xfe\x00\x81time")
    with pytest.raises(InputError, match=r"coil\.csv: cannot be read as CSV"):
        read_waveform(tmp_path / "coil.csv")
    with pytest.raises(InputError, match=r"none\.csv: no such waveform file"):
        waveform_named(str(tmp_path / "none.csv"))


def test_a_stimulus_repeats_its_waveform_at_every_pulse():
    stimulus = Stimulus(protocol_named("iTBS600"), Monophasic())
    since = np.linspace(-0.5, 1.5, 41)
    for onset in stimulus.pulse_times[[0, 1, 3, 30, 599]]:
        np.testing.assert_allclose(stimulus(jnp.asarray(onset + since)), Monophasic()(jnp.asarray(since)), atol=1e-6)
    assert stimulus(jnp.array([-1.0, 10.0, 1e7])).tolist() == [0.0, 0.0, 0.0]
    assert jax.jit(stimulus)(20.0) == 1.0


def test_windows_end_at_the_breakpoints_of_the_pulses():
    stimulus = Stimulus(protocol_named("QPS5"), Rectangular(width=0.1, reversal=0.5))
    moments = stimulus.breakpoints(0.0, 10.2)
    np.testing.assert_allclose(moments, [0.1, 0.3, 5.0, 5.1, 5.3, 10.0, 10.1], rtol=1e-12)
    np.testing.assert_allclose(stimulus.breakpoints(5.1, 10.0), [5.3], rtol=1e-12)
    assert len(stimulus.breakpoints(0.0, 2e6)) == 3 * 1440 - 1
    assert stimulus.breakpoints(20.0, 4999.0).shape == (0,)


def test_pulses_may_touch_but_not_overlap():
    field = Rectangular(width=0.1, reversal=0.5)  # 0.30000000000000004 ms long
    touching = Stimulus(PulseProtocol("dense", 1, 3, 1, 0.3), field)
    np.testing.assert_allclose(touching.breakpoints(0.0, 1.0), [0.1, 0.3, 0.4, 0.6, 0.7, 0.9], rtol=1e-12)
    message = r"dense: pulses 0.29 ms apart are closer than the rectangular waveform is long \(0.3 ms\); space"
    with pytest.raises(InputError, match=message):
        Stimulus(PulseProtocol("dense", 1, 3, 1, 0.29), field)
    # bursts that come too close are caught as pulses are
    with pytest.raises(InputError, match="pulses 0.5 ms apart are closer than the monophasic"):
        Stimulus(PulseProtocol("dense", 2, 2, 1, 10.5, pulse_interval=10), Monophasic())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,1\n0.1,1\n0.2,0", "adds up to 100 % of its absolute area"),
        ("0,0\n0.1,1\n0.3,-1\n0.4,-0.2", "adds up to -.* %"),
        ("0,1\n0.00015,-1\n0.0003,1\n0.00045,-1", "0.00045 ms is outside .* looks like s: write 0.45"),
        ("0.5,1\n0.6,-1\n0.7,1\n0.8,-1", "coil.csv: time counts from its first row, 0.5 ms$"),
        ("0,250\n0.1,-250", r"coil.csv: values are divided by their largest magnitude, 250 \(field.magnitude says"),
        ("0,1\n150,-1\n300,1\n450,-1", "450 ms is outside .* looks like µs: write 0.45"),
    ],
)
def test_a_net_charge_and_another_unit_of_time_are_said(tmp_path, rows, said):
    (tmp_path / "coil.csv").write_text(f"time_ms,value\n{rows}\n")
    with pytest.warns(InputWarning, match=said) as warned:
        read_waveform(tmp_path / "coil.csv")
    assert len(warned) == 1


@pytest.mark.parametrize("name", [name for name in WAVEFORMS if not name.startswith("magpro")])
def test_the_ideal_waveforms_have_no_net_charge(name, tmp_path, recwarn):
    """As records too: points of a curve, straight in between."""
    times, values = WAVEFORMS[name].curve(400)
    kept = np.append(np.diff(times) > 0.0, True)
    assert abs(net_share(times[kept], values[kept])) < 1e-4
    rows = "\n".join(f"{t!r},{v!r}" for t, v in zip(times[kept].tolist(), values[kept].tolist(), strict=True))
    (tmp_path / "coil.csv").write_text(f"time_ms,value\n{rows}\n")
    read_waveform(tmp_path / "coil.csv")
    assert not recwarn.list


def test_the_share_of_a_net_charge_is_exact():
    assert net_share([0.0, 1.0, 2.0], [1.0, 1.0, -1.0]) == pytest.approx(1.0 / 1.5, rel=1e-15)
    assert net_share([0.0, 3.0], [2.0, -1.0]) == pytest.approx((4.0 - 1.0) / (4.0 + 1.0), rel=1e-15)
    assert net_share([0.0, 1.0], [0.0, 0.0]) == 0.0
