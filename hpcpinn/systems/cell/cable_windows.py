"""Coupled windows of cables as the march sees them: what one depends on, how it is tried, how far off it is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.system import Attempt
from hpcpinn.domain.window_solver import WindowSolution, WindowSolver
from hpcpinn.marching.controller import WindowRule
from hpcpinn.physics.constants import CALCIUM
from hpcpinn.timestepping.forcing import WindowDrive
from hpcpinn.training.local import Window

FORGOTTEN = 10.0
"""First windows (1 ms by default) from which an error counts in full, see `CableWindows.attempt`."""
QUIET = 0.05
"""Excursions below this share of a species' scale are measured as if they had that size."""
NOTHING = 1e-6
"""An excursion below this share of a species' scale is none: round-off over round-off says nothing."""


class Factors(NamedTuple):
    """What the solver kept of the last window (`WindowSolution.linear`), and the length it belongs to."""

    linear: Any
    length: float


class CableState(NamedTuple):
    """All that the next window depends on, apart from factors that may be reused.

    Attributes:
        time: Internal time.
        field: Species at the space nodes, (P, K, X).
        gates: Gates at the space nodes, (P, X, gates).
        size: Largest excursion of every species so far.
        reach: Largest volume-weighted L2 norm of the excursion in a window so far.
    """

    time: float
    field: Float[Array, "P K X"]
    gates: Float[Array, "P X gates"]
    size: Float[np.ndarray, " K"]
    reach: Float[np.ndarray, " K"]


class SolvedCable(NamedTuple):
    """The inside of a solved window.

    Attributes:
        solution: Heads, traces and work.
        drive: Forcing of the window.
        begin: Internal time of its start.
        error_norm, away_norm: Error and excursion of every species, root mean square over the window,
            volume-weighted.
    """

    solution: WindowSolution
    drive: WindowDrive
    begin: float
    error_norm: Float[np.ndarray, " K"]
    away_norm: Float[np.ndarray, " K"]


CableAttempt = Attempt[CableState, SolvedCable]


def _as_it_is(state: CableState, attempt: CableAttempt) -> CableAttempt:
    return attempt


@dataclass(frozen=True)
class CableWindows:
    """Coupled windows under given forcing. Everything is collective over all ranks.

    Attributes:
        solver: Solves windows on this rank's pieces.
        rule: Lengths and tolerance.
        stops: Internal times at which windows end; the last is the end.
        drive: Forcing of the window of a length that starts at a state.
        counted: What a solved window that starts at a state is with further notes.
    """

    solver: WindowSolver
    rule: WindowRule
    stops: Float[np.ndarray, " s"]
    drive: Callable[[CableState, float], WindowDrive]
    counted: Callable[[CableState, CableAttempt], CableAttempt] = _as_it_is

    def attempt(self, state: CableState, length: float, reuse: Factors | None) -> CableAttempt:
        """Solves a window and estimates its error.

        Args:
            state: State at the start of the window.
            length: Length of the window, internal time.
            reuse: Factors of the last window, used again where it was as long.
        """
        solver, drive = self.solver, self.drive(state, length)
        window = Window(jnp.asarray(length), state.field, drive.inside)
        as_long = reuse is not None and math.isclose(reuse.length, length, rel_tol=1e-9)
        solution = solver.solve(
            window,
            solver.continued(state.field, length),
            solver.given_flux(drive.end_flux, solver.equation.names.index(CALCIUM), length),
            jax.device_put(state.size),
            reuse.linear if reuse is not None and as_long else None,
        )
        error_norm, away_norm = solver.estimate(drive.checks, length, solution.traces.heads)
        relative = error_norm / np.maximum(state.reach, away_norm)
        # What counts is the error over tree and time. A species with a fast loss forgets, so that
        # in a short window (a layer that has just begun to grow) it weighs as little as it lasts.
        forgets = np.array(solver.equation.rate) > 0.0
        share = math.sqrt(min(1.0, length / (FORGOTTEN * self.rule.first)))
        weighted = float(np.max(np.where(forgets, share, 1.0) * relative))
        after = CableState(
            time=state.time + length,
            field=solver.at_end(solution.traces.heads),
            gates=drive.gates,
            size=np.maximum(state.size, solution.size),
            reach=np.maximum(state.reach, away_norm),
        )
        attempt = Attempt(
            length,
            weighted if solution.converged else math.nan,
            after,
            notes={"newton_steps": solution.newton_steps, "sweeps": solution.sweeps},
            largest={"jump": solution.jump},
            why=f"no convergence (last change {solution.change:.2g}, interface jump {solution.jump:.2g})",
            effort=solution.sweeps / solver.sweep_limit,
            reuse=Factors(solution.linear, length),
            is_fresh=not as_long,
            inside=SolvedCable(solution, drive, state.time, error_norm, away_norm),
        )
        return self.counted(state, attempt) if math.isfinite(attempt.error) else attempt
