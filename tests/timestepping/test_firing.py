"""Counting action potentials."""

import numpy as np

from hpcpinn.timestepping.firing import FIRED, SETTLED, Rises, rises

TIMES = np.arange(0.0, 10.0, 0.05)


def spikes(*at: float) -> np.ndarray:
    """A voltage of -65 mV that is at 30 mV for 1 ms from each moment on."""
    V = np.full(len(TIMES), -65.0)
    for moment in at:
        V[np.abs(TIMES - moment - 0.475) < 0.5] = 30.0
    return V


def test_every_rise_above_zero_counts_once():
    V = np.column_stack([spikes(2.0, 5.0, 8.0), spikes(), spikes(4.0), spikes() + 80.0])
    found = rises(TIMES, V)
    np.testing.assert_array_equal(found.count, [3, 0, 1, 0])  # the last one is above zero all the time
    np.testing.assert_allclose(found.first, [2.0, np.inf, 4.0, np.inf])


def test_what_is_below_zero_does_not_fire():
    V = np.where(spikes(3.0) > 0.0, FIRED - 1e-9, -65.0)[:, None]
    assert rises(TIMES, V).count == 0
    assert rises(TIMES, V + 1e-9).count == 1


def test_what_a_pulse_does_itself_is_no_action_potential():
    during = np.full(len(TIMES), -65.0)
    during[(TIMES > 2.0) & (TIMES < 2.3 + SETTLED - 0.05)] = 200.0  # polarised while the pulse lasts
    assert rises(TIMES, during[:, None]).count == 1
    assert rises(TIMES, during[:, None], [2.0, 7.0], 0.3).count == 0
    evoked = np.maximum(during, spikes(2.2))  # still there once the pulse has gone
    found = rises(TIMES, evoked[:, None], [2.0, 7.0], 0.3)
    assert found.count == 1
    assert 2.3 + SETTLED - 1e-9 <= found.first[0] <= 2.3 + SETTLED + 0.1


def test_stretches_of_time_add_up():
    whole = rises(TIMES, np.column_stack([spikes(2.0, 7.0), spikes(8.0)]))
    cut = 100
    added = Rises.none(2)
    for part in (slice(0, cut + 1), slice(cut, None)):
        begin = TIMES[part][0]
        V = np.column_stack([spikes(2.0, 7.0), spikes(8.0)])[part]
        added = added.and_then(rises(TIMES[part] - begin, V), begin)
    np.testing.assert_array_equal(added.count, whole.count)
    np.testing.assert_allclose(added.first, whole.first)
