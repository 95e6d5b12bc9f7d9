"""A run on a square as the march and its checkpoints see it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.system import Attempt, Packed, Rows
from hpcpinn.domain.window_solver import WindowSolution
from hpcpinn.io import checkpoint
from hpcpinn.marching.controller import WindowRule
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import exact
from hpcpinn.training.collocation import gauss_grid
from hpcpinn.training.first_order import REMEDIES
from hpcpinn.training.rectangles import RectangleData, field_on
from hpcpinn.workflows.square_problem import SquareProblem, duration_of, positions, released

FINER = "use more network.features_space, domain.subdomains or schwarz.max_sweeps"
"""What helps where the shortest window fails, besides what its trainer wants."""
RESUMABLE = ("domain", "physics", "network", "training", "schwarz", "window")
"""Tables of the run description that shape the state: they must not change on resume."""


class SquareState(NamedTuple):
    """All that the next window depends on.

    Attributes:
        time: Biological time, ms.
        field: Dopamine at the nodes of this rank's subdomains, µM, (P, K, X, X).
    """

    time: float
    field: Float[Array, "P K X X"]


class SolvedSquare(NamedTuple):
    """The inside of a solved window.

    Attributes:
        window: Length and start of it.
        solution: Heads, traces and work.
        exact_error: L2 difference from the closed form over the box and the window, relative to its norm; NaN where
            the solve failed.
    """

    window: RectangleData
    solution: WindowSolution
    exact_error: float


SquareAttempt = Attempt[SquareState, SolvedSquare]


@dataclass(frozen=True)
class SquareRun:
    """A run on one rank; every method is collective over all ranks.

    Attributes:
        problem: What is solved.
        communicator: All ranks.
    """

    problem: SquareProblem
    communicator: Communicator

    @cached_property
    def rule(self) -> WindowRule:
        """Lengths and tolerance of windows."""
        config = self.problem.config
        given = config.window
        return WindowRule(
            first=min(given.first, duration_of(config)),
            shortest=given.shortest,
            longest=given.longest,
            tolerance=given.tolerance,
            growth=given.growth,
            remedy=REMEDIES.get(config.training.trainer, FINER),
        )

    @cached_property
    def stops(self) -> Float[np.ndarray, " s"]:
        """The end of the run, ms."""
        return np.array([duration_of(self.problem.config)])

    def start(self) -> SquareState:
        """The release."""
        return SquareState(0.0, released(self.problem))

    def attempt(self, state: SquareState, length: float, reuse: None) -> SquareAttempt:
        """Solves a window, estimates its error, and holds it against the closed form."""
        solver, window = self.problem.solver, RectangleData(jnp.asarray(length), state.field)
        solution = solver.solve(window, solver.continued(state.field, length), jnp.asarray(solver.equation.scale))
        heads = solution.traces.heads
        error, away = solver.estimate(window, heads)
        notes: dict[str, float] = {"newton_steps": solution.newton_steps, "sweeps": solution.sweeps}
        largest = {"jump": solution.jump}
        exact_error = math.nan
        if solution.converged:
            missed, norm, most = (float(value) for value in self._compare(heads, state.time, length))
            exact_error = (missed / norm) ** 0.5
            notes |= {"missed": missed * length, "norm": norm * length}
            largest |= {"exact_error": exact_error, "exact_error_max": most}
        return Attempt(
            length,
            float(np.max(error / away)) if solution.converged else math.nan,
            SquareState(state.time + length, solver.at_end(heads)),
            notes=notes,
            largest=largest,
            why=f"sides disagree by {solution.jump:.1e} after {solution.sweeps} sweeps "
            f"(schwarz.jump_tolerance = {solver.sweeping.tolerance:.1e})",
            inside=SolvedSquare(window, solution, exact_error),
        )

    @cached_property
    def _compare(self) -> Callable[[Array, float, float], tuple[Array, Array, Array]]:
        """Squared difference from the closed form and its norm, mean over the window, and the largest difference.

        At points that were not trained on.
        """
        problem, communicator = self.problem, self.communicator
        solver, table = problem.solver, problem.solver.table
        grid = gauss_grid(len(table.grid.space) + 3, len(table.grid.time) + 3)
        along, in_time = table.along(grid.space), table.clock.features(grid.time).value
        x, y = positions(solver.geometry, grid.space)
        weights = [jnp.asarray(weight) for weight in (grid.space_weight, grid.space_weight, grid.time_weight)]
        moments = jnp.asarray(0.5 * (grid.time + 1.0))

        def compare(heads: Array, start: float, length: float) -> tuple[Array, Array, Array]:
            field = field_on(solver.equation, solver.geometry, along, in_time, heads)[:, 0]
            wanted = exact(x[..., None], y[..., None], start + length * moments, problem.constants)
            squares = jnp.stack([(field - wanted) ** 2, wanted**2])
            total = communicator.sum(jnp.einsum("spxyt,x,y,t->s", squares, *weights))
            return total[0], total[1], communicator.max(jnp.max(jnp.abs(field - wanted), initial=0.0))

        return jax.jit(compare)

    @property
    def rows(self) -> Rows:
        """This rank's subdomains."""
        return Rows(self.problem.local, len(self.problem.owner))

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """What states depend on."""
        config = self.problem.config
        tables = config.model_dump(mode="json", include=set(RESUMABLE)) | {"run": {"seed": config.run.seed}}
        return checkpoint.fingerprint(tables)

    def pack(self, state: SquareState) -> Packed:
        """A state for a checkpoint."""
        return Packed({"field": np.asarray(state.field)}, {"time": state.time})

    def unpack(self, packed: Packed) -> SquareState:
        """The state of a checkpoint."""
        return SquareState(float(packed.scalars["time"]), jnp.asarray(packed.arrays["field"]))
