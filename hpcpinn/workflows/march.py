"""Window after window: attempt, judge, accept or retry. State in, state out."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.flows import calcium_content, membrane_flows
from hpcpinn.domain.window_solver import WindowSolution, WindowSolver
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.solve.controller import Plan, first_plan
from hpcpinn.timestepping.forcing import WindowDrive
from hpcpinn.training.local import Window
from hpcpinn.workflows.problem import Problem

FORGOTTEN = 10.0
"""First windows (1 ms by default) from which an error counts in full, see `attempted`."""
QUIET = 0.05
"""Excursions below this share of a species' scale are measured as if they had that size."""
NOTHING = 1e-6
"""An excursion below this share of a species' scale is none: round-off over round-off says nothing."""


class Factors(NamedTuple):
    """What the solver kept of the last window (`WindowSolution.linear`), and the length it belongs to."""

    linear: Any
    length: float


class State(NamedTuple):
    """All that the next window depends on, apart from factors that may be reused.

    Attributes:
        time: Internal time.
        field: At the space nodes, (P, K, X).
        gates: At the space nodes, (P, X, gates).
        plan: Of the window controller.
        size: Largest excursion of every species so far.
        reach: Largest volume-weighted L2 norm of the excursion in a window so far.
    """

    time: float
    field: Float[Array, "P K X"]
    gates: Float[Array, "P X gates"]
    plan: Plan
    size: Float[np.ndarray, " K"]
    reach: Float[np.ndarray, " K"]


class Attempt(NamedTuple):
    """A window that was solved but not yet judged.

    Attributes:
        length: Its length.
        solution: Heads, traces and work.
        drive: Its forcing.
        error: Relative error estimate, the largest of the species; NaN where the solve failed.
        error_norm, away_norm: Of every species, root mean square over the window, volume-weighted.
    """

    length: float
    solution: WindowSolution
    drive: WindowDrive
    error: float
    error_norm: Float[np.ndarray, " K"]
    away_norm: Float[np.ndarray, " K"]


@dataclass(frozen=True)
class Tally:
    """Sums over the accepted windows; plain numbers, kept in checkpoints.

    Attributes:
        gained, net, came_in: Calcium in the cell more than at the start, that came in minus that
            went out, and that came in (channels, releases, leak, ends); µM·µm³.
        error_square, away_square: Time integrals of the squared norms of error and excursion, of
            the species with the largest ratio.
        window_error: Largest error estimate of a window, as `Attempt.error` has it.
        seconds_train, seconds_exchange, seconds_io: Wall time of the parts.
    """

    windows: int = 0
    rejected: int = 0
    newton_steps: int = 0
    sweeps: int = 0
    factorisations: int = 0
    most_sweeps_per_step: int = 0
    most_sweeps_per_window: int = 0
    gained: float = 0.0
    net: float = 0.0
    came_in: float = 0.0
    error_square: float = 0.0
    away_square: float = 0.0
    window_error: float = 0.0
    jump: float = 0.0
    seconds_train: float = 0.0
    seconds_exchange: float = 0.0
    seconds_io: float = 0.0

    @property
    def balance(self) -> float:
        """Calcium gained minus net inflow, over all that came in, or went out where that is more."""
        return abs(self.gained - self.net) / max(self.passed, 1e-300)

    @property
    def passed(self) -> float:
        """Calcium that came in, or what left the cell where that is more; µM·µm³."""
        return max(self.came_in, abs(self.net))

    @property
    def error(self) -> float:
        """L2 error estimate over tree and time, over the same norm of the run's excursion from rest."""
        return math.sqrt(self.error_square / max(self.away_square, 1e-300))


def attempted(
    solver: WindowSolver, first: float, drive: WindowDrive, state: State, length: float, factors: Factors | None
) -> Attempt:
    """Solves a window and estimates its error. Collective over all ranks.

    Args:
        solver: Of the windows.
        first: Length of first windows (`WindowRule.first`).
        drive: Forcing of the window.
        state: At its start.
        length: Its length.
        factors: Of the last window, used again where it was as long.
    """
    window = Window(jnp.asarray(length), state.field, drive.inside)
    reuse = factors is not None and math.isclose(factors.length, length, rel_tol=1e-9)
    solution = solver.solve(
        window,
        solver.continued(state.field, length),
        solver.given_flux(drive.end_flux, 0, length),
        jax.device_put(state.size),
        factors.linear if factors is not None and reuse else None,
    )
    error_norm, away_norm = solver.estimate(drive.checks, length, solution.traces.heads)
    relative = error_norm / np.maximum(state.reach, away_norm)
    # What counts is the error over tree and time. A species with a fast loss forgets, so that
    # in a short window (a layer that has just begun to grow) it weighs as little as it lasts.
    forgets = np.array(solver.equation.rate) > 0.0
    share = math.sqrt(min(1.0, length / (FORGOTTEN * first)))
    weighted = float(np.max(np.where(forgets, share, 1.0) * relative))
    error = weighted if solution.converged else math.nan
    return Attempt(length, solution, drive, error, error_norm, away_norm)


def why_rejected(attempt: Attempt, time: float, tolerance: float) -> str:
    """What is wrong with a window that starts at a time (user units), for messages."""
    return f"window at t = {time:.6g}: " + (
        f"error estimate {attempt.error:.2g} above window.tolerance = {tolerance:.2g}"
        if math.isfinite(attempt.error)
        else f"no convergence (last change {attempt.solution.change:.2g}, interface jump {attempt.solution.jump:.2g})"
    )


@dataclass(frozen=True)
class March:
    """The steps of a run on one rank; every method is collective over all ranks."""

    problem: Problem
    communicator: Communicator

    def begin(self) -> State:
        """Rest everywhere, gates in equilibrium with the first voltage."""
        equation, drive = self.problem.solver.equation, self.problem.drive
        shape = (len(self.problem.local), len(equation.rest), len(drive.grid.space))
        rest = jax.device_put(np.full(shape, np.asarray(equation.rest)[:, None]))
        return State(
            time=0.0,
            field=rest,
            gates=drive.steady_gates(0.0),
            plan=first_plan(self.problem.windows),
            size=QUIET * np.array(equation.scale),
            reach=QUIET * self._unit_reach,
        )

    @cached_property
    def _unit_reach(self) -> Float[np.ndarray, " K"]:
        """Norm of an excursion by every species' scale everywhere."""
        volume = float(self.problem.cell.pieces.cable.volume.sum())
        return np.array(self.problem.solver.equation.scale) * math.sqrt(volume)

    def attempt(self, state: State, length: float, factors: Factors | None) -> Attempt:
        """Solves the window of the given length that starts at the state."""
        problem = self.problem
        drive = problem.drive.window(state.gates, state.time, length)
        return attempted(problem.solver, problem.windows.first, drive, state, length, factors)

    @cached_property
    def _flows(self):
        solver = self.problem.solver

        def run(window: Window, heads: Array, end_flux: Array) -> Float[Array, " 3"]:
            net, inward = membrane_flows(solver, window, heads)
            time_weight = jnp.asarray(solver.table.grid.time_weight)
            given = window.duration * jnp.sum(end_flux * time_weight)
            before = calcium_content(solver, window.initial)
            after = calcium_content(solver, solver.at_end(heads))
            entered = window.duration * jnp.sum(jnp.maximum(end_flux, 0.0) * time_weight)
            local = jnp.stack([after - before, net + given, inward + entered])
            return self.communicator.sum(local)

        return jax.jit(run)

    def accept(self, state: State, attempt: Attempt, plan: Plan, tally: Tally) -> tuple[State, Tally]:
        """The state after a window, and the sums with the window counted in."""
        solution, length = attempt.solution, attempt.length
        window = Window(jnp.asarray(length), state.field, attempt.drive.inside)
        heads = solution.traces.heads
        gained, net, came_in = np.asarray(self._flows(window, heads, attempt.drive.end_flux)).tolist()
        per_step = np.isfinite(solution.histories).sum(axis=1)
        worst = int(np.argmax(attempt.error_norm / np.maximum(state.reach, attempt.away_norm)))
        away = max(float(attempt.away_norm[worst]), NOTHING * float(self._unit_reach[worst]))
        after = State(
            time=state.time + length,
            field=self.problem.solver.at_end(heads),
            gates=attempt.drive.gates,
            plan=plan,
            size=np.maximum(state.size, solution.size),
            reach=np.maximum(state.reach, attempt.away_norm),
        )
        return after, replace(
            tally,
            windows=tally.windows + 1,
            newton_steps=tally.newton_steps + solution.newton_steps,
            sweeps=tally.sweeps + solution.sweeps,
            factorisations=tally.factorisations + solution.factorisations,
            most_sweeps_per_step=max(tally.most_sweeps_per_step, int(per_step.max())),
            most_sweeps_per_window=max(tally.most_sweeps_per_window, solution.sweeps),
            gained=tally.gained + gained,
            net=tally.net + net,
            came_in=tally.came_in + came_in,
            error_square=tally.error_square + length * float(attempt.error_norm[worst]) ** 2,
            away_square=tally.away_square + length * away**2,
            window_error=max(tally.window_error, attempt.error),
            jump=max(tally.jump, solution.jump),
        )
