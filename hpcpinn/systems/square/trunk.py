"""How a run on a square trains its trunks: on its first window, and again when the error estimate asks."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from hpcpinn.networks import axis
from hpcpinn.systems.common.trunk_rule import TrunkRule, heeding
from hpcpinn.systems.square.windows import SquareAttempt, SquareRun, SquareState
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from hpcpinn.training.rectangle_projection import SharedAxes
from hpcpinn.training.rectangles import RectangleTable, tabulated

OPTIMISER = LevenbergMarquardt(steps=15, tolerance=3e-3)
"""How; it ends by its steps, mostly: the sum of squares falls in stairs, by less than a hundredth between them."""


class SquareTrunkTraining(TrunkRule[SquareRun]):
    """Trains the trunks of a run where its description asks for it. Collective over all ranks.

    The first window has the release, and is lively.
    """

    def trained(
        self, optimiser: LevenbergMarquardt, problem: SquareRun, state: SquareState, attempt: SquareAttempt
    ) -> SquareRun:
        """The run with trunks that have learned from the window."""
        table, _ = shared_axes(problem, attempt).trained(optimiser, heeding(problem.communicator))
        return with_table(problem, table)

    def weights(self, problem: SquareRun) -> Float[np.ndarray, " n"]:
        """Those of all trunks, in one vector."""
        table = problem.setup.solver.table
        return axis.flattened((*table.trunks, table.clock))

    def with_weights(self, problem: SquareRun, weights: Float[np.ndarray, " n"]) -> SquareRun:
        """The run with the trunks of `weights`."""
        table = problem.setup.solver.table
        *trunks, clock = axis.restored((*table.trunks, table.clock), weights)
        return with_table(problem, tabulated(tuple(trunks), clock, table.grid))


def with_table(run: SquareRun, table: RectangleTable) -> SquareRun:
    """The run with other trunks; the field between windows lives on nodes and does not depend on them."""
    setup = run.setup
    return replace(run, setup=replace(setup, solver=replace(setup.solver, table=table)))


def shared_axes(run: SquareRun, attempt: SquareAttempt) -> SharedAxes:
    """What a solved window asks of the trunks, the traces held."""
    solver = run.setup.solver
    return SharedAxes(
        equation=solver.equation,
        table=solver.table,
        geometry=solver.geometry,
        edges=solver.interfaces.rows,
        weights=solver.weights,
        window=attempt.inside.window,
        robin_in=attempt.inside.solution.traces.robin_in,
        total=run.communicator.sum,
    )
