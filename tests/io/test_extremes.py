"""Where calcium rose highest, from the file."""

import dataclasses

import numpy as np
import pytest

from hpcpinn.io import extremes
from hpcpinn.io.layout import MemberEntry
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io.runs import FIELDS, header

TIMES = np.arange(7.0)


def written(path, calcium, probes=None, members=()):
    """A result with the given cell averages (T, N), and probe samples at the frames."""
    of = dataclasses.replace(header(1), members=members)
    with ResultWriter(path, SerialCommunicator(), of) as writer:
        for time, row in zip(TIMES, calcium, strict=True):
            writer.frame(time, dict.fromkeys(FIELDS, row))
        if probes is not None:
            writer.probes(TIMES, dict.fromkeys(FIELDS, probes))
    return path


@pytest.fixture
def calcium():
    """At 0.05 µM, more where a cell begins higher: a rise is meant, not a value."""
    values = np.full((len(TIMES), 33), 0.05)
    values[:, 3] = 5.0
    values[4, 31] = 0.95  # the second cell of the last piece, which ends its section
    return values


@pytest.mark.parametrize("at_once", [10, 66, 10_000])  # one row, two, all
def test_the_largest_rise_is_found_whatever_is_read_at_once(tmp_path, calcium, monkeypatch, at_once):
    monkeypatch.setattr(extremes, "_VALUES_AT_ONCE", at_once)
    (peak,) = extremes.peaks(written(tmp_path / "run.h5", calcium), "calcium")
    assert peak.rise == pytest.approx(0.9) and peak.time == 4.0 and peak.looked == "frames"
    assert peak.site == "apic[0](0.861)"  # (7.8 + 1.5) of 10.8 um


def test_a_probe_may_have_seen_more(tmp_path, calcium):
    probes = np.full((len(TIMES), 3), 0.05)
    probes[2, 1] = 3.05  # "tip"
    (peak,) = extremes.peaks(written(tmp_path / "run.h5", calcium, probes), "calcium")
    assert (peak.time, peak.site, peak.looked) == (2.0, "apic[0](1)", "frames and probes")
    assert peak.rise == pytest.approx(3.0) and peak.moved == pytest.approx(3.0)
    assert peak.by_probe and (peak.frames_every, peak.probes_every) == (1.0, 1.0)


def test_a_fall_is_a_move(tmp_path, calcium):
    calcium[4, 31] = 0.05
    calcium[2, 3] = 4.9
    (peak,) = extremes.peaks(written(tmp_path / "run.h5", calcium), "calcium")
    assert peak.rise == 0.0 and peak.moved == pytest.approx(0.1) and peak.rest == 0.05
    assert not peak.is_at_rest and dataclasses.replace(peak, moved=4e-4).is_at_rest


def test_every_member_has_its_own(tmp_path, calcium):
    members = (MemberEntry("one", 3, "{}"), MemberEntry("two", 8, "{}"))
    calcium[6, 5] = 0.45
    probes = np.full((len(TIMES), 3), 0.05)
    probes[1, 0] = 0.65  # on the first piece
    one, two = extremes.peaks(written(tmp_path / "run.h5", calcium, probes, members), "calcium")
    assert (one.time, one.site) == (1.0, "soma[0](0.139)") and one.rise == pytest.approx(0.6)
    assert two.time == 4.0 and two.rise == pytest.approx(0.9)


def test_a_run_without_frames_has_none(tmp_path):
    with ResultWriter(tmp_path / "run.h5", SerialCommunicator(), header(1)):
        pass
    assert extremes.peaks(tmp_path / "run.h5", "calcium") == ()
