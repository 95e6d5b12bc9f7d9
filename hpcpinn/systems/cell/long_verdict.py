"""What came of a long run: action potentials of every member, calcium, errors, what the flow map could not do."""

from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.marching.stats import Stats
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.systems.cell.build.stimulus import uniform_magnitude
from hpcpinn.systems.cell.slot_run import SlotState, rises_of_all
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.systems.cell.verdict import CellsVerdict, Firing, cells_of, firing_of, held, impossible_in
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.timestepping.firing import Rises

SHORTER = "shorten windows: split.first, split.growth, split.longest, or split.windows = 'adaptive'"
"""What helps where split windows are off by too much."""


def verdict_of(problem: SlotSetup, state: SlotState, stats: Stats) -> CellsVerdict:
    """What came of a run whose result is finished. Collective over all ranks.

    Args:
        problem: The run.
        state: At its end.
        stats: Likewise.
    """
    rises = rises_of_all(problem, state.rises)
    return problem.communicator.on_root(_verdict, problem, rises, stats)


def _verdict(problem: SlotSetup, rises: Float[ndarray, "P 2"], stats: Stats) -> CellsVerdict:
    config = problem.config
    tolerance, key = config.window.tolerance, "window.tolerance"
    of = "the estimate for windows of time (not for the cells' length), relative to calcium's distance from rest"
    accuracy = [Accuracy(stats.error, tolerance, of, key, SHORTER)]
    if stats["coupled_windows"]:
        accuracy.append(Accuracy(stats["coupled_error"], tolerance, "the largest estimate of a coupled window", key))
    left = []
    if stats["outside"]:
        share = 100.0 * stats["outside"] / max(stats["evaluated"], 1)
        left.append(
            f"{share:.2g} % of the states were outside the flow map's box and were stepped by a stiff solver instead"
        )
    names = [member.name for member in problem.header.members]
    cells = cells_of(config.run.output, names, _firing(problem, rises))
    return CellsVerdict(tuple(accuracy), tuple(left), impossible_in(config), cells, uniform_magnitude(config))


def _firing(problem: SlotSetup, rises: Float[ndarray, "P 2"]) -> list[Firing]:
    """Of every member, in their order."""
    compartments = problem.solver.cable.compartments
    given = problem.solver.given
    members = max(1, len(problem.header.members))
    if given is not None and len(given.times) == 1:
        return [held(problem.config.voltage.constant)] * members
    # Members lie one after the other, as their sections do.
    pieces = [member.pieces for member in problem.header.members] or [problem.header.cable.n_frusta]
    first_piece = np.cumsum([0, *pieces[:-1]])
    first = np.searchsorted(compartments.section, problem.header.cable.section[first_piece])
    distance = np.arange(compartments.count)  # sections are in the order of the tree: the first is the root's
    found = []
    for low, high in zip(first, [*first[1:], compartments.count], strict=True):
        rows = slice(int(low), int(high))
        one = Rises(rises[rows, 0].astype(int), rises[rows, 1])
        found.append(firing_of(one, partial(_name, compartments, int(low)), compartments.kind[rows], distance[rows]))
    return found


def _name(compartments: Compartments, first: int, number: int) -> str:
    return compartments.site_name(first + number)
