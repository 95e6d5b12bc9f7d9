"""What came of a run, in plain words."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hpcpinn.errors import SolveError
from hpcpinn.io.extremes import Peak
from hpcpinn.systems.cell.coupled_verdict import Balance, imbalance
from hpcpinn.systems.cell.run import print_long_summary, print_summary
from hpcpinn.systems.cell.verdict import (
    Accuracy,
    CellsVerdict,
    CellVerdict,
    Firing,
    cells_verdict_in,
    firing_of,
    held,
    lines_of_cells,
)
from hpcpinn.systems.common.run_summary import RunSummary
from hpcpinn.systems.common.verdict import Verdict, check_possible
from hpcpinn.timestepping.firing import Rises

SITES = ["soma[0](0.5)", "dend[0](0.00980392)", "apic[0](0.5)"]
KINDS, DISTANCE = np.array([1, 3, 4]), np.array([0.0, 20.0, 50.0])


def fired(count: list[int], first: list[float]) -> Firing:
    return firing_of(Rises(np.array(count), np.array(first)), SITES.__getitem__, KINDS, DISTANCE)


SILENT = fired([0, 0, 0], [np.inf] * 3)
SOMATIC = fired([3, 0, 4], [5.9, np.inf, 5.8])
PEAK = Peak(12.345, 46.0, "apic[3](0.7)", "frames and probes")
GOOD = Accuracy(2.4e-4, 1e-3, "error estimate", "window.tolerance")


def said(*cells: CellVerdict, **more) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for label, text in lines_of_cells(CellsVerdict((GOOD,), cells=cells, **more), "my.toml"):
        lines.setdefault(label, []).append(text)
    return lines


def test_action_potentials_are_counted_at_the_soma():
    assert (SOMATIC.site, SOMATIC.count, SOMATIC.most, SOMATIC.sites) == ("soma[0](0.5)", 3, 4, 2)
    assert (SOMATIC.first, SOMATIC.first_site) == (5.8, "apic[0](0.5)")
    assert SILENT.known and not SILENT.any and SILENT.first is None


def test_a_cell_without_a_soma_is_looked_at_near_its_root():
    rises = Rises(np.array([1, 2, 0]), np.array([3.0, 1.0, np.inf]))
    found = firing_of(rises, SITES.__getitem__, KINDS + 5, DISTANCE[::-1])
    assert (found.site, found.count) == ("apic[0](0.5)", 0)


def test_what_nobody_knows_is_not_claimed():
    found = firing_of(Rises(np.zeros(3, int), np.full(3, np.nan)), SITES.__getitem__, KINDS, DISTANCE)
    assert not found.known
    assert said(CellVerdict("", found, PEAK))["fired"][0].startswith("not known: ")


def test_places_are_named_to_three_digits():
    assert fired([0, 1, 0], [np.inf, 2.0, np.inf]).first_site == "dend[0](0.0098)"


def test_a_run_that_fired():
    lines = said(CellVerdict("", SOMATIC, PEAK))
    assert lines["fired"] == ["3 action potentials at soma[0](0.5); first at 5.8 ms at apic[0](0.5), in 2 of 3 places"]
    assert lines["calcium"] == ["up to 12.3 uM above rest, at 46 ms at apic[3](0.7) (by frames and probes)"]
    assert lines["error"] == ["pass: error 2.4e-04, tolerance 1e-03 (window.tolerance): error estimate"]
    assert lines["unsolved"] == ["nothing"]


def test_a_field_that_fires_nothing_is_named_with_what_finds_one_that_does():
    (line,) = said(CellVerdict("", SILENT, PEAK), field=200.0)["fired"]
    assert "no action potential" in line and "at a field of 200 V/m" in line
    assert line.endswith("hpcpinn threshold my.toml finds the weakest field that fires it")
    (line,) = said(CellVerdict("", SILENT, PEAK))["fired"]
    assert "threshold" not in line


def test_a_cell_that_fires_but_not_at_its_soma():
    (line,) = said(CellVerdict("", fired([0, 0, 1], [np.inf, np.inf, 5.8]), PEAK))["fired"]
    assert line.startswith("not soma[0](0.5), but up to 1 action potential elsewhere")


def test_a_constant_voltage_cannot_fire():
    assert said(CellVerdict("", held(-70.0), PEAK))["fired"] == ["nothing: the voltage is held at -70 mV"]


HELD = replace(PEAK, by_probe=True, frames_every=10.0, probes_every=0.1, moved=12.345, rest=0.05)


@pytest.mark.parametrize(
    ("peak", "words"),
    [
        (HELD, "highest seen {} (probe, every 0.1 ms; frames of the whole cell every 10 ms may miss more elsewhere)"),
        (replace(HELD, by_probe=False), "highest seen {} (frames every 10 ms, probes every 0.1 ms)"),
        (replace(HELD, by_probe=False, probes_every=None), "highest seen {} (frames every 10 ms)"),
        (replace(HELD, frames_every=0.1), "up to {} (by frames and probes)"),
    ],
)
def test_between_frames_only_probes_see_calcium(peak, words):
    rise = "12.3 uM above rest, at 46 ms at apic[3](0.7)"
    assert said(CellVerdict("", SOMATIC, peak))["calcium"] == [words.format(rise)]


def test_an_error_of_calcium_at_rest_is_no_warning():
    """It is relative to how far calcium moves, which is less than one per cent of what it is."""
    bad = Accuracy(5.8e-3, 1e-3, "error estimate", "window.tolerance", "shorten windows")
    rest = replace(HELD, rise=1.2e-6, moved=1.6e-6)
    lines = dict(lines_of_cells(CellsVerdict((bad, bad), cells=(CellVerdict("", SILENT, rest),))))
    moves = "moves by at most 1.6e-06 uM"
    assert lines["error"] == f"calcium stays at rest ({moves}): its error is relative to next to nothing"
    assert lines["calcium"] == f"stays at rest: {moves} (by frames and probes)"
    moves = CellVerdict("", SILENT, replace(rest, moved=6e-4))
    assert dict(lines_of_cells(CellsVerdict((bad,), cells=(moves,))))["error"].startswith("warn: error 5.8e-03")


def test_a_verdict_comes_back_from_the_metrics():
    two = (CellVerdict("", SOMATIC, PEAK), CellVerdict("b", Firing(), None))
    verdict = CellsVerdict((GOOD,), ("a thing",), cells=two, field=200.0)
    assert cells_verdict_in(json.loads(json.dumps({"verdict": asdict(verdict)}))) == verdict
    assert cells_verdict_in({}) is None
    assert cells_verdict_in({"verdict": {"cells": [{"of": "another version"}]}}) is None


def test_members_are_told_apart():
    low = Peak(0.5, 1.0, "soma[0](0.5)", "frames")
    cells = [CellVerdict("along 0 1 0", SOMATIC, PEAK), CellVerdict("along 0 -1 0", SILENT, low)]
    lines = said(*cells, field=2000.0)
    assert lines["fired"] == [
        "1 of 2 members at a field of 2000 V/m (along 0 1 0: 3 action potentials at soma[0](0.5)); not along 0 -1 0"
    ]
    assert lines["calcium"][0].startswith("most in along 0 1 0: up to 12.3 uM")
    assert lines["calcium"][0].endswith("least in along 0 -1 0: up to 0.5 uM")
    (line,) = said(*[CellVerdict(f"{n}", SILENT, low) for n in range(9)])["fired"]
    assert line.startswith("none of 9 members")


@pytest.mark.parametrize("error", [2e-3, np.nan])
def test_an_error_above_its_tolerance_is_a_warning(error):
    accuracy = Accuracy(error, 1e-3, "error estimate", "window.tolerance", "shorten windows")
    assert not accuracy.passes
    assert accuracy.words.startswith("warn: ") and accuracy.words.endswith("; shorten windows")


def test_a_run_that_no_cell_could_have_has_failed():
    negative = "calcium falls to -15.9 uM"
    verdict = CellsVerdict((GOOD,), ("a thing",), (negative,), (CellVerdict("", SILENT, PEAK),))
    assert [text for label, text in lines_of_cells(verdict) if label == "unsolved"] == [negative, "a thing"]
    with pytest.raises(SolveError, match=r"run\.h5: calcium falls to -15\.9 uM"):
        check_possible(verdict, "run.h5")
    assert SolveError.exit_code == 1
    check_possible(Verdict((GOOD,), ("a thing",)), "run.h5")
    told = json.loads(json.dumps({"verdict": asdict(verdict)}))
    assert cells_verdict_in(told) == verdict
    del told["verdict"]["impossible"]  # an older version's
    assert cells_verdict_in(told) == replace(verdict, impossible=())


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        (Balance(gained=1.0, net=1.0005, came_in=2.0), None),
        (Balance(gained=1.0, net=1.1, came_in=2.0), "differ by 5 % of what came in"),
        (Balance(gained=-20.0, net=-21.0, came_in=1e-12), "differ by 4.8 % of what came in, or went out"),
        (Balance(gained=7.0, net=0.0), "differ by 7 uM um3, 7 % of what the cell holds at rest"),
        (Balance(gained=1e-9, net=0.0), None),
    ],
)
def test_a_balance_is_held_against_what_passed_and_where_nothing_did_against_the_cell(balance, said):
    sentences = imbalance(balance, 100.0, 1e-3)
    assert len(sentences) == (said is not None)
    assert said is None or said in sentences[0]


@pytest.mark.parametrize("error", [np.nan, np.inf])
def test_an_error_that_is_no_number_is_not_judged_by_a_tolerance(error: float):
    accuracy = replace(GOOD, error=error)
    assert not accuracy.passes
    assert accuracy.words == f"warn: error {error}, no number, so nothing is known of error estimate; {accuracy.advice}"


@pytest.mark.parametrize("impossible", [(), ("calcium falls to -1 uM",)])
def test_a_run_that_cannot_be_is_drawn_and_not_validated(impossible: tuple[str, ...]):
    """And of a long run's reaction is said what took it."""
    figures = dict.fromkeys(
        ("sections", "pieces", "windows", "rejected", "newton_steps", "sweeps", "most_sweeps_per_step", "members",
         "error_estimate", "window_error", "tolerance", "calcium_balance", "interface_jump", "exchange_share", "cells",
         "motifs_solved", "motifs_reused", "voltage_compartments", "pulses", "coupled_windows", "motif_mismatch",
         "seconds_voltage", "seconds_windows", "seconds_coarse", "seconds_output", "seconds_per_second"), 1,
    )  # fmt: skip
    verdict = CellsVerdict((GOOD,), impossible=impossible, cells=(CellVerdict("", SILENT, PEAK),))

    def shown(show: Any, outside: float | None) -> str:
        console = Console(highlight=False, markup=False, width=400)
        with console.capture() as capture:
            figured = {**figures, "outside_flow_map": outside}
            show(RunSummary("run.h5", 1.0, figured, 1, 1.0, 1.0, 1.0, 1.0, verdict=verdict), console)
        return capture.get()

    assert ("hpcpinn validate" in shown(print_summary, None)) != bool(impossible)
    assert "hpcpinn plot run.h5" in shown(print_summary, None)
    assert "25 % of the states beyond what the trained map" in shown(print_long_summary, 0.25)
    stiff = shown(print_long_summary, None)
    assert "through the stiff integrator" in stiff and "trained map" not in stiff
