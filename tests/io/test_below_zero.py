"""Concentrations below zero: found with place and time, and told from what a good solution may undershoot."""

import dataclasses

import numpy as np
import pytest

from hpcpinn.io import extremes
from hpcpinn.io.below_zero import below_zero
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io.runs import header

TIMES = np.arange(7.0)


def written(path, calcium, calbindin, probes=None):
    with ResultWriter(path, SerialCommunicator(), dataclasses.replace(header(1), members=())) as writer:
        for time, c, b in zip(TIMES, calcium, calbindin, strict=True):
            writer.frame(time, {"calcium": c, "calbindin": b, "voltage": np.full(33, -70.0)})
        if probes is not None:
            writer.probes(TIMES, {"calcium": probes, "calbindin": probes + 40.0, "voltage": probes - 70.0})
    return path


@pytest.fixture
def fields():
    """Calcium and calbindin at rest."""
    return np.full((len(TIMES), 33), 0.05), np.full((len(TIMES), 33), 40.0)


@pytest.mark.parametrize("at_once", [10, 66, 10_000])  # one row, two, all
def test_the_lowest_of_every_species_is_found_whatever_is_read_at_once(tmp_path, fields, monkeypatch, at_once):
    monkeypatch.setattr(extremes, "_VALUES_AT_ONCE", at_once)
    calcium, calbindin = fields
    calcium[3, 2], calcium[4, 31], calbindin[6, 0] = -1.0, -15.9, -2.0
    found = below_zero(written(tmp_path / "run.h5", calcium, calbindin))
    assert [(one.field, one.value, one.time) for one in found] == [("calcium", -15.9, 4.0), ("calbindin", -2.0, 6.0)]
    assert found[0].site == "apic[0](0.861)"  # (7.8 + 1.5) of 10.8 um
    assert found[0].words().startswith("calcium falls to -15.9 uM at apic[0](0.861), at 4 ms: below zero")
    assert found[0].words("", "").startswith("calcium falls to -15.9 at apic[0](0.861), at 4: ")


def test_a_probe_may_have_seen_less(tmp_path, fields):
    probes = np.full((len(TIMES), 3), 0.05)
    probes[2, 1] = -0.87  # "tip"
    (found,) = below_zero(written(tmp_path / "run.h5", *fields, probes))
    assert (found.value, found.time, found.site) == (-0.87, 2.0, "apic[0](1)")


@pytest.mark.parametrize(
    ("risen", "lowest", "count"), [(0.0, -4e-4, 0), (0.0, -6e-4, 1), (10.0, -0.04, 0), (10.0, -0.06, 1)]
)
def test_what_a_good_solution_may_undershoot_is_nothing_of_note(tmp_path, fields, risen, lowest, count):
    calcium, calbindin = fields
    calcium[3, 2] += risen
    calcium[5, 7] = lowest
    assert len(below_zero(written(tmp_path / "run.h5", calcium, calbindin))) == count
