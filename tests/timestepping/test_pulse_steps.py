"""Steps of the voltage: where they end, how long they are, what they say of the field."""

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.protocols import PulseProtocol
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import Biphasic, Monophasic, Rectangular
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule, steps_between

PAIR = PulseProtocol("pair", pulses=2, bursts=1, trains=1, burst_interval=20, pulse_interval=5)
RULE = VoltageStepRule(0.025, 0.005)


def holds(ends, times):
    return all(np.abs(ends - time).min() < 1e-12 for time in times)


def test_steps_end_at_every_breakpoint_and_are_short_within_pulses():
    stimulus = Stimulus(PAIR, Monophasic())
    steps = steps_between(0.0, 10.0, RULE, stimulus, onset=1.0, marks=[3.33])
    ends = np.r_[0.0, steps.ends]
    edges = 1.0 + np.add.outer([0.0, 5.0], Monophasic().breakpoints).ravel()
    assert holds(ends, [*edges, 3.33, 10.0])
    middle = ends[:-1] + 0.5 * steps.length
    inside = ((middle > 1.0) & (middle < 1.83)) | ((middle > 6.0) & (middle < 6.83))
    assert steps.length[inside].max() <= 0.005 + 1e-12
    assert steps.length.max() <= 0.025 + 1e-12
    assert steps.length[~inside].mean() > 0.024
    assert np.all(steps.drive[~inside] == 0.0) and np.all(steps.length > 0.0)


@pytest.mark.parametrize("waveform", [Monophasic(), Biphasic(), Rectangular(0.1, 0.2)], ids=lambda w: w.name)
def test_the_means_keep_the_charge_of_every_pulse(waveform):
    """The integral over a coil's pulse is zero; over its first phase it is the waveform's own."""
    steps = steps_between(0.0, 10.0, RULE, Stimulus(PAIR, waveform), onset=1.0)
    assert abs(steps.drive[:, 0] @ steps.length) < 1e-9
    first = steps.ends < 1.0 + waveform.breakpoints[1] + 1e-9
    t = np.linspace(0.0, waveform.breakpoints[1], 200_001)
    t[-1] = np.nextafter(t[-1], 0.0)  # the value from the left
    area = np.trapezoid(np.asarray(waveform(t)), t)
    np.testing.assert_allclose(steps.drive[first, 0] @ steps.length[first], area, atol=1e-6)


def test_jumps_are_followed_by_half_steps_of_backward_euler():
    steps = steps_between(0.0, 4.0, RULE, clamps=[CurrentClamp(1.0, 0.5)])
    after = np.flatnonzero(steps.implicit == 1.0)
    begin = (steps.ends - steps.length)[after]
    np.testing.assert_allclose(begin, [1.0, 1.0125, 1.025, 1.0375, 1.5, 1.5125, 1.525, 1.5375], atol=1e-9)
    np.testing.assert_allclose(steps.length[after], 0.0125, atol=1e-12)
    assert steps.drive[:, 0] @ steps.length == pytest.approx(0.5, abs=1e-12)


def test_pieces_of_time_fit_together():
    """What a clamp or a pulse does in two stretches of time is what it does in one."""
    stimulus, clamps = Stimulus(PAIR, Biphasic()), [CurrentClamp(2.0, 3.0)]
    parts = [steps_between(a, b, RULE, stimulus, 1.0, clamps) for a, b in ((0.0, 1.1), (1.1, 2.0), (2.0, 6.0))]
    whole = steps_between(0.0, 6.0, RULE, stimulus, 1.0, clamps, marks=[1.1])
    np.testing.assert_allclose(np.concatenate([p.drive for p in parts]), whole.drive, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([p.implicit for p in parts]), whole.implicit)


def test_refused_lengths():
    with pytest.raises(InputError, match=r"voltage step in_pulse = 0.0; give a positive number of ms"):
        VoltageStepRule(0.025, 0.0)
