"""How a run on cables trains its trunk: on its first lively window, and again when the error estimate asks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.networks.trunk import Trunk, flattened, restored
from hpcpinn.systems.cell.cable_windows import CableAttempt, CableState
from hpcpinn.systems.cell.coupled_run import CoupledRun
from hpcpinn.systems.common.trunk_rule import TrunkRule, heeding
from hpcpinn.training.collocation import feature_table
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from hpcpinn.training.local import Window, collocated
from hpcpinn.training.rows import resolvent_at
from hpcpinn.training.variable_projection import SharedTrunk, TrainedPieces

OPTIMISER = LevenbergMarquardt(steps=10, tolerance=0.02)
"""How the trunk is trained."""


class TrunkTraining(TrunkRule[CoupledRun]):
    """Trains the trunk of a run where its description asks for it. Collective over all ranks."""

    def is_lively(self, state: CableState, attempt: CableAttempt) -> bool:
        """Whether a window moves farther from rest than those before."""
        return bool(np.any(attempt.inside.away_norm > state.reach))

    def trained(
        self, optimiser: LevenbergMarquardt, problem: CoupledRun, state: CableState, attempt: CableAttempt
    ) -> CoupledRun:
        """The run with a trunk that has learned from the window."""
        trunk, _ = shared_trunk(problem, state, attempt).trained(optimiser, heeding(problem.communicator))
        return with_trunk(problem, trunk)

    def weights(self, problem: CoupledRun) -> Float[np.ndarray, " n"]:
        """The trunk's, in one vector."""
        return np.asarray(flattened(problem.setup.solver.table.trunk))

    def with_weights(self, problem: CoupledRun, weights: Float[np.ndarray, " n"]) -> CoupledRun:
        """The run with the trunk of `weights`."""
        return with_trunk(problem, restored(problem.setup.solver.table.trunk, jnp.asarray(weights)))


def with_trunk(run: CoupledRun, trunk: Trunk) -> CoupledRun:
    """The run with another trunk; states do not depend on the trunk."""
    setup = run.setup
    table = setup.solver.table
    solver = replace(setup.solver, table=feature_table(trunk, table.grid, table.points))
    return replace(run, setup=replace(setup, solver=solver, sampler=replace(setup.sampler, trunk=trunk)))


def shared_trunk(run: CoupledRun, state: CableState, attempt: CableAttempt) -> SharedTrunk:
    """What a solved window asks of the trunk, the traces held."""
    solver, traces = run.setup.solver, attempt.inside.solution.traces
    assert isinstance(solver, CoupledWindow)
    table = solver.table
    window = collocated(table, Window(jnp.asarray(attempt.length), state.field, attempt.inside.drive.inside))
    n_pieces, n_points = len(run.setup.local), len(table.points.weight)
    resolvent = jax.jit(lambda window, heads: resolvent_at(solver.equation, table, window, heads))
    return SharedTrunk(
        equation=solver.equation,
        trunk=table.trunk,
        grid=table.grid,
        points=table.points,
        weights=solver.weights,
        duration=window.duration,
        pieces=TrainedPieces(
            geometry=solver.geometry,
            edges=solver.interfaces.rows,
            taper=jnp.swapaxes(solver.geometry.taper @ table.points.from_space.T, 1, 2),
            initial=state.field,
            forcing=window.forcing,
            emphasis=jnp.ones((n_pieces, n_points)),
            robin_in=traces.robin_in,
            resolvent=resolvent(window, traces.heads),
            heads=traces.heads,
        ),
        total=run.communicator.sum,
    )
