"""Slots: they cover a protocol once, begin at bursts, and never cut a pulse."""

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.protocols import PROTOCOLS, PulseProtocol
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import waveform_named
from hpcpinn.timestepping.slots import Course, Slot, Source, slots, unpacked
from hpcpinn.timestepping.window_lengths import WindowLengths

ONSET = 3.0


def stimulus_of(protocol: PulseProtocol) -> Stimulus:
    return Stimulus(protocol, waveform_named(protocol.waveform))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_slots_follow_each_other_and_hold_every_pulse_once(name: str) -> None:
    protocol = PROTOCOLS[name]
    stimulus, until = stimulus_of(protocol), min(ONSET + protocol.duration, 70_000.0)
    found = list(slots(stimulus, ONSET, until))
    assert found[0].start == 0.0
    assert found[-1].end == pytest.approx(until, rel=1e-12)
    assert np.allclose([a.end for a in found[:-1]], [b.start for b in found[1:]], rtol=0.0, atol=1e-6)
    assert max(slot.duration for slot in found) <= 100.0 + 1e-6
    held = np.array([slot.start + pulse for slot in found for pulse in slot.pulses])
    expected = ONSET + stimulus.pulse_times
    assert held == pytest.approx(expected[expected < until - 1e-9], abs=1e-6)
    for slot in found:
        inside = slot.pulses and slot.pulses[-1] + stimulus.waveform.duration <= slot.duration + 1e-6
        assert inside or not slot.pulses or slot.end == pytest.approx(until)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_has_few_kinds_of_slots(name: str) -> None:
    """Before the first pulse, with pulses, without, and what is left before a pulse and at the end."""
    protocol = PROTOCOLS[name]
    until = min(ONSET + protocol.duration, 70_000.0)
    assert len({slot.kind for slot in slots(stimulus_of(protocol), ONSET, until)}) <= 6


def test_a_pulse_on_the_edge_is_kept_whole() -> None:
    """Pulses every 99.9 ms in one burst: a slot of 100 ms would end inside the second."""
    protocol = PulseProtocol("edge", pulses=4, bursts=1, trains=1, burst_interval=1000, pulse_interval=99.9)
    stimulus = stimulus_of(protocol)
    first = next(slots(stimulus, 0.0, 1000.0))
    assert first.duration == pytest.approx(99.9 + stimulus.waveform.duration)
    assert first.pulses == pytest.approx((0.0, 99.9))


def test_without_pulses_slots_are_as_long_as_allowed() -> None:
    found = list(slots(None, 0.0, 250.0, longest=100.0))
    assert [slot.duration for slot in found] == [100.0, 100.0, 50.0]
    assert found[0].kind == found[1].kind != found[2].kind


@pytest.mark.parametrize("slot", [
    Slot(5.0, 100.0, (0.0,)), Slot(0.0, 200.0, (0.0, 20.0, 40.0)), Slot(0.0, 55.55555, (0.0,)), Slot(0.0, 3.0),
    Slot(0.0, 0.05),
])  # fmt: skip
def test_windows_end_with_the_slot_and_have_middles(slot: Slot) -> None:
    lengths = WindowLengths()
    ends, ticks = lengths.ends(slot), lengths.ticks(slot)
    assert ends[-1] == ticks
    assert (np.diff(ends, prepend=0) > 0).all()
    assert (np.diff(ends, prepend=0) % 2 == 0).all()
    tick = slot.duration / ticks
    assert tick <= lengths.tick * (1.0 + 1e-9)
    longest = lengths.longest if slot.pulses else lengths.quiet
    assert np.diff(ends, prepend=0).max() * tick <= longest + 2.0 * tick
    for pulse in slot.pulses:  # no window is long where action potentials last
        during = (ends * tick > pulse + 1e-9) & (ends * tick <= pulse + lengths.first_for)
        assert np.diff(ends, prepend=0)[during].max() * tick <= lengths.first + 2.0 * tick


def busy(*onsets: float) -> Course:
    """A clamp of 7 ms, a train of releases of 1 ms at the given onsets, and a flux from 40 ms on."""
    return Course((
        Source(np.array([12.0]), 7.0, True),
        Source(np.array(onsets), 1.0, False),
        Source(np.array([40.0]), np.inf, True),
    ))  # fmt: skip


def test_slots_begin_where_something_switches_and_say_what_is_on() -> None:
    stimulus = stimulus_of(PROTOCOLS["10Hz"])
    found = list(slots(stimulus, ONSET, 310.0, course=busy(30.0, 130.0, 230.0)))
    starts = [slot.start for slot in found]
    assert {0.0, 3.0, 12.0, 19.0, 30.0, 40.0, 103.0, 130.0, 203.0, 230.0} <= set(starts)
    assert np.allclose([a.end for a in found[:-1]], starts[1:], rtol=0.0, atol=1e-9)
    by_start = {slot.start: slot for slot in found}
    assert by_start[12.0].acting == ((0, 0.0, np.inf),)  # switched on here, on to the end
    assert by_start[19.0].acting == ((0, -np.inf, 0.0),)  # off here
    assert by_start[30.0].acting == ((1, 0.0, 1.0),)
    assert by_start[130.0].acting == ((1, 0.0, 1.0), (2, -np.inf, np.inf))
    assert by_start[130.0].kind == by_start[230.0].kind
    assert by_start[30.0].kind != by_start[130.0].kind
    assert by_start[103.0].kind == by_start[203.0].kind  # the flux has been on for other times, but is steady
    assert all(again == slot for slot, again in ((slot, unpacked(slot.packed())) for slot in found))


def test_what_switches_inside_a_pulse_does_not_cut_it() -> None:
    stimulus = stimulus_of(PROTOCOLS["10Hz"])
    course = Course((Source(np.array([ONSET + 0.1]), 0.1, True),))
    slot = next(slot for slot in slots(stimulus, ONSET, 90.0, course=course) if slot.pulses)
    assert slot.start == ONSET and slot.duration == pytest.approx(87.0)
    assert slot.acting[0][1:] == pytest.approx((0.1, 0.2))
    assert slot.switches == pytest.approx((0.0, 0.1, 0.2))


@pytest.mark.parametrize("period, lengths", [(30.0, [90.0]), (250.0, [100.0, 100.0, 50.0])])
def test_slots_follow_a_given_voltage_that_repeats(period: float, lengths: list[float]) -> None:
    """Several short periods make one slot, a long one several."""
    found = list(slots(None, 0.0, 1000.0, course=Course(period=period)))
    assert [slot.duration for slot in found[: 2 * len(lengths)]] == pytest.approx(2 * lengths)
    count = len(lengths)
    assert [slot.kind for slot in found[:count]] == [slot.kind for slot in found[count : 2 * count]]
    assert len({slot.kind for slot in found[:count]}) == count
    once = list(slots(None, 0.0, 1000.0, course=Course(period=np.inf)))
    assert len({slot.kind for slot in once}) == len(once)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_slots_after_pulses_and_switches_are_coupled(name: str) -> None:
    """Each pulse and switch is followed by 5 ms of coupled slots, and nothing else is coupled."""
    protocol = PROTOCOLS[name]
    stimulus, until, course = stimulus_of(protocol), min(ONSET + protocol.duration, 5_000.0), busy(30.0, 131.0)
    found = list(slots(stimulus, ONSET, until, course=course, coupled_for=5.0))
    assert np.allclose([a.end for a in found[:-1]], [b.start for b in found[1:]], rtol=0.0, atol=1e-6)
    held = np.array([slot.start + pulse for slot in found for pulse in slot.pulses])
    pulses = ONSET + stimulus.pulse_times
    assert held == pytest.approx(pulses[pulses < until - 1e-9], abs=1e-6)
    moments = np.concatenate([pulses, [12.0, 19.0, 30.0, 40.0, 131.0]])
    coupled = sum(slot.duration for slot in found if slot.coupled)
    times = np.arange(0.05, until, 0.1)
    wanted = np.any((times[:, None] > moments) & (times[:, None] < moments + 5.0), axis=1)
    starts = np.array([slot.start for slot in found])
    ours = np.array([slot.coupled for slot in found])[np.searchsorted(starts, times, side="right") - 1]
    assert not np.any(wanted & ~ours)
    assert 0.0 < coupled == pytest.approx(0.1 * wanted.sum(), rel=0.03)
    for before, slot in zip(found[:-1], found[1:], strict=True):
        assert slot.after_coupled == (before.coupled and not slot.coupled)
        assert not (slot.switches and not slot.coupled)
    assert all(unpacked(slot.packed()) == slot for slot in found)
    assert len({slot.kind for slot in found}) < 25


def test_windows_after_a_coupled_slot_grow_as_if_it_were_split() -> None:
    lengths = WindowLengths(coupled_for=5.0)
    after, quiet = (Slot(8.0, 90.0, after_coupled=after) for after in (True, False))
    tick = 90.0 / lengths.ticks(after)
    grown = tick * np.diff(lengths.ends(after), prepend=0)
    assert grown[:10] == pytest.approx(lengths.first)
    split = lengths.ends(Slot(3.0, 95.0, (0.0,))) * 95.0 / lengths.ticks(Slot(3.0, 95.0))
    assert np.abs(np.cumsum(grown)[:-1] + 5.0 - split[split > 5.0 + 1e-9][: len(grown) - 1]).max() < 2.0 * tick
    assert grown.max() <= lengths.longest + 2.0 * tick
    assert len(lengths.ends(quiet)) == 9
    every = np.diff(lengths.ends(Slot(3.0, 5.0, (0.0,), coupled=True)), prepend=0)
    assert every.max() == 2  # where its states are looked at


def test_what_is_left_of_a_slot_begins_where_a_run_has_ended():
    stimulus = stimulus_of(PROTOCOLS["itbs"] if "itbs" in PROTOCOLS else next(iter(PROTOCOLS.values())))
    whole = next(slot for slot in slots(stimulus, ONSET, 90.0) if len(slot.pulses) or slot.start)
    middle = whole.start + (whole.pulses[0] if whole.pulses else 0.0) + 2.0 * stimulus.waveform.duration
    left = next(slots(stimulus, ONSET, whole.end, since=middle))
    assert (left.start, left.end) == pytest.approx((middle, whole.end), rel=1e-12)
    later = [whole.start + pulse - middle for pulse in whole.pulses if whole.start + pulse > middle]
    assert left.pulses == pytest.approx(later, abs=1e-9)


def test_no_slot_begins_within_a_pulse():
    stimulus = stimulus_of(next(iter(PROTOCOLS.values())))
    inside = ONSET + 0.5 * stimulus.waveform.duration
    with pytest.raises(InputError, match=f"within the pulse at {ONSET:g} ms: what ended there cannot be gone on with"):
        next(slots(stimulus, ONSET, 90.0, since=inside))
