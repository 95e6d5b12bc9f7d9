"""What came of a run in coupled windows: what it counted, calcium's balance, errors, action potentials."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcpinn.marching.stats import Stats
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.verdict import CellsVerdict, Firing, cells_of, firing_of, held, impossible_in
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.timestepping.firing import rises

NOTHING_PASSED = 1e-7
"""Share of the calcium at rest; of less that came in or went out, a percentage says nothing."""


@dataclass(frozen=True)
class Balance:
    """Calcium over a whole run, µM·µm³.

    Attributes:
        gained: Calcium in the cell more than at the start.
        net: Calcium that came in minus that went out.
        came_in: Calcium that came in: channels, releases, leak, ends.
    """

    gained: float = 0.0
    net: float = 0.0
    came_in: float = 0.0

    @classmethod
    def of(cls, stats: Stats) -> "Balance":
        """What a run has counted."""
        return cls(stats["gained"], stats["net"], stats["came_in"])

    @property
    def passed(self) -> float:
        """Calcium that came in, or what left the cell where that is more; µM·µm³."""
        return max(self.came_in, abs(self.net))

    @property
    def relative(self) -> float:
        """Calcium gained minus net inflow, over all that came in, or went out where that is more."""
        return abs(self.gained - self.net) / max(self.passed, 1e-300)


def error_over_run(stats: Stats) -> float:
    """L2 error estimate over tree and time, over the same norm of the run's excursion from rest.

    Of every window the species with the largest ratio counts.
    """
    return math.sqrt(stats["error_square"] / max(stats["away_square"], 1e-300))


def figures_of(setup: CoupledSetup, stats: Stats) -> Mapping[str, Any]:
    """What a run has counted and measured.

    ``error_estimate`` is the L2 error estimate over tree and time, of the worse species, relative to its excursion from
    rest over the whole run, which may be smaller than what a window is judged by; ``window_error`` the largest of a
    window, in the measure of ``tolerance``, which takes excursions for no smaller than 5 % of a species' scale
    (`cable_windows.QUIET`). ``exchange_share`` is the share of the windows' time spent in exchange between ranks: half
    sweeps times the cost of one exchange, measured at the start.
    """
    pieces = setup.cell.pieces.cable
    counted = ("newton_steps", "sweeps", "factorisations", "most_sweeps_per_step", "most_sweeps_per_window")
    return {
        "sections": pieces.n_neurite_sections,
        "pieces": pieces.n_frusta,
        "windows": stats.windows,
        "rejected": stats.rejected,
        **{name: stats[name] for name in counted},
        "error_estimate": error_over_run(stats),
        "window_error": stats.error,
        "tolerance": setup.spec.tolerance,
        "calcium_balance": Balance.of(stats).relative,
        "interface_jump": stats["jump"],
        "exchange_share": stats["seconds_exchange"] / max(stats["seconds_solve"], 1e-9),
    }


def verdict_of(setup: CoupledSetup, stats: Stats, result: Path) -> CellsVerdict:
    """What came of a run whose result is finished. Serial.

    Args:
        setup: What the run was made of.
        stats: Figures at the end of the run.
        result: Result file of the run.

    Raises:
        InputError: The file is no result.
    """
    spec, tolerance = setup.spec, setup.spec.tolerance
    # Windows take excursions for no smaller than a share of the species' scale: over the run it may be more.
    over_run = error_over_run(stats)
    small = "so small an" if over_run > tolerance else "the"
    of = f"the largest estimate of a window; over the run it is {over_run:.1e} of {small} excursion from rest"
    accuracy = Accuracy(stats.error, tolerance, of, "window.tolerance")
    at_rest = setup.cell.constants.c_rest * float(setup.cell.pieces.cable.volume.sum())
    cells = cells_of(result, (), (_firing(setup),))
    left, impossible = imbalance(Balance.of(stats), at_rest, tolerance), impossible_in(result, spec)
    return CellsVerdict((accuracy,), left, impossible, cells, spec.field)


def imbalance(balance: Balance, content: float, tolerance: float) -> tuple[str, ...]:
    """What is to be said of calcium's balance, if anything.

    Args:
        balance: Calcium balance of the run.
        content: Calcium in the cell at rest, µM·µm³.
        tolerance: Tolerance that the balance should keep.
    """
    if balance.relative <= tolerance:
        return ()
    gap, advice = abs(balance.gained - balance.net), "use more network.features, or a lower window.tolerance"
    differ = "calcium's balance: what the cell gained and what came in differ by"
    if balance.passed > NOTHING_PASSED * content:
        return (f"{differ} {100.0 * balance.relative:.2g} % of what came in, or went out; {advice}",)
    if gap <= NOTHING_PASSED * content:
        return ()  # nothing came in, and nothing is there
    return (f"{differ} {gap:.2g} uM um3, {100.0 * gap / content:.2g} % of what the cell holds at rest; {advice}",)


def _firing(setup: CoupledSetup) -> Firing:
    """Action potentials in the voltage that the run was driven by, at the places where it is known."""
    spec, cell = setup.spec, setup.cell
    if not cell.voltage_sites:
        return Firing() if cell.constants.time_unit == 1.0 else held(spec.held_at)
    times, cable = np.asarray(cell.source.times) / cell.constants.time_unit, cell.pieces.cable
    within = times <= spec.duration * (1.0 + 1e-9)
    found = rises(times[within], np.asarray(cell.source.values)[within], spec.pulses, spec.pulse_length)
    frusta = np.array([site.frustum for site in cell.voltage_sites])
    return firing_of(found, cell.source.sites.__getitem__, cable.kind[frusta], cable.path[frusta].mean(axis=1))
