"""How a run on cables trains its trunk: on its first lively window, and again when the error estimate asks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.networks.trunk import Trunk, flattened, restored
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.training.collocation import feature_table
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from hpcpinn.training.local import Window, collocated
from hpcpinn.training.rows import resolvent_at
from hpcpinn.training.variable_projection import Pieces, SharedTrunk
from hpcpinn.workflows.march import Attempt, March, State
from hpcpinn.workflows.problem import Problem
from hpcpinn.workflows.trunk_rule import TrunkRule


class TrunkTraining(TrunkRule):
    """Trains the trunk of a run where its description asks for it. Collective over all ranks."""

    @classmethod
    def of(cls, problem: Problem) -> "TrunkTraining":
        return cls.of_trainer(problem.config.training.trainer, LevenbergMarquardt(steps=10, tolerance=0.02))

    def due(self, state: State, attempt: Attempt, tolerance: float, windows: int) -> bool:
        """Whether the trunk should learn from this window.

        Args:
            state: At its start.
            attempt: The window with the trunk so far.
            tolerance: Of the error estimate.
            windows: Windows accepted so far.
        """
        return self.asks(attempt.error, bool(np.any(attempt.away_norm > state.reach)), tolerance, windows)

    def improved(
        self, problem: Problem, communicator: Communicator, state: State, attempt: Attempt, windows: int
    ) -> tuple[Problem, Attempt]:
        """Problem and attempt with a trunk trained on the window; unchanged if it is no better."""
        assert self.optimiser is not None  # `due` has said so
        self.last = windows
        trunk, _ = shared_trunk(problem, communicator, state, attempt).trained(self.optimiser)
        candidate = with_trunk(problem, trunk)
        again = March(candidate, communicator).attempt(state, attempt.length, None)
        return (candidate, again) if again.error < attempt.error else (problem, attempt)

    def scalars(self, problem: Problem) -> dict[str, Any]:
        """What a checkpoint must keep."""
        if self.optimiser is None:
            return {}
        return {"trunk_last": self.last, "trunk": np.asarray(flattened(problem.solver.table.trunk))}

    def restored(self, problem: Problem, scalars: Mapping[str, Any]) -> Problem:
        """The problem with the trunk of a checkpoint."""
        if self.optimiser is None:
            return problem
        self.last = int(scalars["trunk_last"])
        return with_trunk(problem, restored(problem.solver.table.trunk, scalars["trunk"]))


def with_trunk(problem: Problem, trunk: Trunk) -> Problem:
    """The problem with another trunk; the state of a run does not depend on the trunk."""
    table = problem.solver.table
    solver = replace(problem.solver, table=feature_table(trunk, table.grid, table.points))
    return replace(problem, solver=solver, sampler=replace(problem.sampler, trunk=trunk))


def shared_trunk(problem: Problem, communicator: Communicator, state: State, attempt: Attempt) -> SharedTrunk:
    """What a solved window asks of the trunk, the traces held."""
    solver, traces = problem.solver, attempt.solution.traces
    assert isinstance(solver, CoupledWindow)
    table = solver.table
    window = collocated(table, Window(jnp.asarray(attempt.length), state.field, attempt.drive.inside))
    n_pieces, n_points = len(problem.local), len(table.points.weight)
    resolvent = jax.jit(lambda window, heads: resolvent_at(solver.equation, table, window, heads))
    return SharedTrunk(
        equation=solver.equation,
        trunk=table.trunk,
        grid=table.grid,
        points=table.points,
        weights=solver.weights,
        duration=window.duration,
        pieces=Pieces(
            geometry=solver.geometry,
            edges=solver.interfaces.rows,
            taper=solver.geometry.taper @ table.points.from_space.T,
            initial=state.field,
            forcing=window.forcing,
            emphasis=jnp.ones((n_pieces, n_points)),
            told=traces.told,
            resolvent=resolvent(window, traces.heads),
            heads=traces.heads,
        ),
        total=communicator.sum,
    )
