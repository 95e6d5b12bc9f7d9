"""What came of a long run: what it counted, action potentials of members, calcium, errors, limits of the flow map."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.marching.stats import Stats
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.systems.cell.verdict import CellsVerdict, Firing, cells_of, firing_of, held, impossible_in
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import MotifCache

SHORTER = "shorten windows: split.first, split.growth, split.longest, or split.windows = 'adaptive'"
"""What helps where split windows are off by too much."""


def windows_in(stats: Stats) -> int:
    """Number of windows, split and coupled, in the slots that were counted."""
    return int(stats["split_windows"] + stats["coupled_windows"])


def figures_of(setup: SlotSetup, cache: MotifCache, stats: Stats) -> Mapping[str, Any]:
    """What a run has counted and measured; wall times in s."""
    seconds, duration, of = stats["seconds_solve"] + stats["seconds_io"], setup.spec.duration, setup.constants
    return {
        "pulses": int(np.sum(setup.spec.pulses < duration)),
        "members": len(setup.member_volume),
        "sections": setup.geometry.cable.n_neurite_sections,
        "cells": int(np.prod(setup.geometry.shape)),
        "voltage_compartments": setup.n_compartments,
        "slots": stats.windows,
        "windows": windows_in(stats),
        "coupled_windows": stats["coupled_windows"],
        "coupled_error": stats["coupled_error"],
        "motifs_solved": cache.solved,
        "motifs_reused": cache.reused,
        "motif_mismatch": cache.mismatch,
        "error_estimate": stats.error,
        # None: no map is there, as other species than calcium and calbindin go through the stiff integrator
        "outside_flow_map": None if of.buffers or of.organelles else stats["outside"] / max(stats["evaluated"], 1),
        **{f"seconds_{name}": stats[f"seconds_{name}"] for name in ("voltage", "windows", "coarse")},
        "seconds_output": stats["seconds_io"],
        "seconds_per_second": seconds / max(1e-3 * duration, 1e-300),
    }


def verdict_of(setup: SlotSetup, rises: Float[ndarray, "P 2"], stats: Stats, result: Path) -> CellsVerdict:
    """What came of a run whose result is finished. Serial.

    Args:
        setup: What the run was made of.
        rises: Number and first time of action potentials at all compartments.
        stats: Figures at the end of the run.
        result: Result file of the run.

    Raises:
        InputError: The file is no result.
    """
    spec, tolerance, key = setup.spec, setup.spec.tolerance, "window.tolerance"
    of = "the estimate for windows of time (not for the cells' length), relative to calcium's distance from rest"
    accuracy = [Accuracy(stats.error, tolerance, of, key, SHORTER)]
    if stats["coupled_windows"]:
        accuracy.append(Accuracy(stats["coupled_error"], tolerance, "the largest estimate of a coupled window", key))
    left = []
    if stats["outside"]:
        share = 100.0 * stats["outside"] / max(stats["evaluated"], 1)
        left.append(
            f"{share:.2g} % of the states were beyond what the trained map of the reaction covers (solved stiffly)"
        )
    names = [member.name for member in setup.members]
    cells = cells_of(result, names, _firing(setup, rises))
    return CellsVerdict(tuple(accuracy), tuple(left), impossible_in(result, spec), cells, spec.field)


def _firing(setup: SlotSetup, rises: Float[ndarray, "P 2"]) -> list[Firing]:
    """Of every member, in their order."""
    compartments = setup.solver.cable.compartments
    given = setup.solver.given
    members = max(1, len(setup.members))
    if given is not None and len(given.times) == 1:
        return [held(setup.spec.held_at)] * members
    # Members lie one after the other, as their sections do.
    pieces = [member.pieces for member in setup.members] or [setup.geometry.cable.n_frusta]
    first_piece = np.cumsum([0, *pieces[:-1]])
    first = np.searchsorted(compartments.section, setup.geometry.cable.section[first_piece])
    distance = np.arange(compartments.count)  # sections are in the order of the tree: the first is the root's
    found = []
    for low, high in zip(first, [*first[1:], compartments.count], strict=True):
        rows = slice(int(low), int(high))
        one = Rises(rises[rows, 0].astype(int), rises[rows, 1])
        found.append(firing_of(one, partial(_name, compartments, int(low)), compartments.kind[rows], distance[rows]))
    return found


def _name(compartments: Compartments, first: int, number: int) -> str:
    return compartments.site_name(first + number)
