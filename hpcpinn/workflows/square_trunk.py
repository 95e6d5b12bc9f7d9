"""How a run on a square trains its trunks: on its first window, and again when the error estimate asks."""

from dataclasses import replace

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from hpcpinn.training.rectangle_projection import SharedAxes
from hpcpinn.training.rectangles import RectangleTable
from hpcpinn.workflows.square_problem import SquareAttempt, SquareProblem, attempted
from hpcpinn.workflows.trunk_rule import TrunkRule

OPTIMISER = LevenbergMarquardt(steps=15, tolerance=3e-3)
"""How; it ends by its steps, mostly: the sum of squares falls in stairs, by less than a hundredth between them."""


class SquareTrunkTraining(TrunkRule):
    """Trains the trunks of a run where its description asks for it. Collective over all ranks."""

    @classmethod
    def of(cls, problem: SquareProblem) -> "SquareTrunkTraining":
        return cls.of_trainer(problem.config.training.trainer, OPTIMISER)

    def due(self, attempt: SquareAttempt, tolerance: float, windows: int) -> bool:
        """Whether the trunks should learn from this window; the first has the release, and is lively.

        Args:
            attempt: The window with the trunks so far.
            tolerance: Of the error estimate.
            windows: Windows accepted so far.
        """
        return self.asks(attempt.error, True, tolerance, windows)

    def improved(
        self, problem: SquareProblem, communicator: Communicator, attempt: SquareAttempt, windows: int
    ) -> tuple[SquareProblem, SquareAttempt]:
        """Problem and attempt with trunks trained on the window; unchanged if they are no better."""
        assert self.optimiser is not None  # `due` has said so
        self.last = windows
        table, _ = shared_axes(problem, communicator, attempt).trained(self.optimiser)
        candidate = with_table(problem, table)
        again = attempted(candidate, attempt.window.initial, attempt.length)
        return (candidate, again) if again.error < attempt.error else (problem, attempt)


def with_table(problem: SquareProblem, table: RectangleTable) -> SquareProblem:
    """The problem with other trunks; the field between windows lives on nodes and does not depend on them."""
    return replace(problem, solver=replace(problem.solver, table=table))


def shared_axes(problem: SquareProblem, communicator: Communicator, attempt: SquareAttempt) -> SharedAxes:
    """What a solved window asks of the trunks, the traces held."""
    solver = problem.solver
    return SharedAxes(
        equation=solver.equation,
        table=solver.table,
        geometry=solver.geometry,
        edges=solver.interfaces.rows,
        weights=solver.weights,
        window=attempt.window,
        told=attempt.solution.traces.told,
        total=communicator.sum,
    )
