"""Long steps of the voltage where it hardly moves: the same voltage, and short ones wherever it fires."""

import numpy as np
import pytest

from hpcpinn.morphology.compartments import compartments
from hpcpinn.physics.membrane_constants import CableConstants
from hpcpinn.physics.membranes import channel_set_named
from hpcpinn.physics.stimulation.protocols import PulseProtocol
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import waveform_named
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule
from hpcpinn.timestepping.voltage_course import _stretches, voltage_course
from synthetic import y_cable

SHORT = VoltageStepRule(0.0125, 0.005)
LONG = VoltageStepRule(0.0125, 0.005, 0.1)


def squid() -> CableEquation:
    cells = compartments(y_cable(radii=(1.0, 0.63, 0.5), lengths=(200.0, 150.0, 100.0)), np.array([3, 3, 3]))
    return CableEquation(cells, [channel_set_named("squid")] * cells.count, CableConstants())


@pytest.mark.parametrize("duration, fires", [(1.0, 1), (70.0, 4)])
def test_the_voltage_is_that_of_short_steps(duration: float, fires: int) -> None:
    """After one spike, and while a steady current makes it fire again and again long after it began."""
    equation = squid()
    clamps = [CurrentClamp(2.0, duration)]
    current = equation.clamp_source(0, 0.35 if fires > 1 else 1.0)[None]
    rest = equation.resting_state()
    short, t, V = voltage_course(equation, rest, 0.0, 80.0, SHORT, current, clamps=clamps)
    long, times, values = voltage_course(equation, rest, 0.0, 80.0, LONG, current, clamps=clamps)
    onsets = np.count_nonzero((V[1:, 0] > 0.0) & (V[:-1, 0] <= 0.0))
    assert onsets >= fires
    assert len(times) < (0.35 if fires == 1 else 1.0) * len(t)
    off = [np.abs(np.interp(times, t, a) - b).max() for a, b in zip(V.T, values.T, strict=True)]
    assert max(off) < (0.02 if fires == 1 else 0.5)  # mV; on the slope of a spike 0.5 mV are 2 µs
    assert times[-1] == pytest.approx(80.0)
    assert abs(equation.voltage(long) - equation.voltage(short)).max() < 0.02


def test_stretches_cover_the_time_once_and_are_short_after_every_event() -> None:
    protocol = PulseProtocol("pairs", pulses=2, bursts=3, trains=1, pulse_interval=4.0, burst_interval=40.0)
    stimulus = Stimulus(protocol, waveform_named("rectangular"))
    clamps = [CurrentClamp(20.0, 30.0)]
    for since, until in ((0.0, 100.0), (3.0, 44.0), (43.0, 60.0), (60.0, 61.0)):
        found = _stretches(since, until, LONG, stimulus, 1.0, clamps)
        edges = [since, *(end for _, end, _ in found)]
        np.testing.assert_allclose([start for start, _, _ in found], edges[:-1])
        assert edges[-1] == until and all(a < b for a, b in zip(edges[:-1], edges[1:], strict=True))
        for event in [*(1.0 + stimulus.pulse_times), 20.0, 50.0]:
            for start, end, quiet in found:
                if quiet:
                    assert not (start < event < end) and not (event <= start < event + 6.0)
