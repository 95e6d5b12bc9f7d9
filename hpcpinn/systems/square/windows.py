"""A run on a square as the march and its checkpoints see it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.system import Attempt, Packed, Rows
from hpcpinn.domain.window_solver import WindowSolution
from hpcpinn.io.geometry import Box, Subdomains
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.march import Improvement
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import DopamineConstants, exact
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.systems.square.recorded import COLUMNS, DOPAMINE
from hpcpinn.systems.square.setup import SquareSetup, positions, release, released
from hpcpinn.training.collocation import gauss_grid
from hpcpinn.training.rectangles import RectangleData, field_on


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
    """

    window: RectangleData
    solution: WindowSolution


SquareAttempt = Attempt[SquareState, SolvedSquare]


@dataclass(frozen=True)
class SquareRun:
    """A run on one rank; every method is collective over all ranks.

    Attributes:
        setup: What it is made of.
        communicator: All ranks.
        improvement: What trains the trunks on the way; None: nothing.
    """

    setup: SquareSetup
    communicator: Communicator
    improvement: "Improvement[SquareRun] | None" = None

    fields = (DOPAMINE,)
    columns = COLUMNS

    @property
    def parameters(self) -> DopamineConstants:
        """The constants of the equation."""
        return self.setup.constants

    @cached_property
    def geometry(self) -> Box:
        """The output cells."""
        domain, line = self.setup.domain, self._line
        low, size, count = np.array(domain.low), domain.size, domain.count
        x, y = (
            low[axis] + ((np.arange(count[axis])[:, None] + 0.5 + 0.5 * line) * size[axis]).ravel() for axis in range(2)
        )
        return Box(x, y, subdomains=Subdomains(domain.centre, self.setup.owner))

    @cached_property
    def _line(self) -> Float[np.ndarray, " n"]:
        """Middles of the output cells along a side of a subdomain, ξ."""
        cells = self.setup.cells
        return (2.0 * np.arange(cells) + 1.0) / cells - 1.0

    @cached_property
    def times(self) -> Float[np.ndarray, " T"]:
        """When frames are written, ms: at multiples of the interval, and at the end."""
        interval, end = self.setup.frame_interval, float(self.stops[-1])
        frames = np.arange(0, np.floor(end / interval * (1.0 + 1e-12)) + 1) * interval
        return frames if frames[-1] > end * (1.0 - 1e-9) else np.append(frames, end)

    @property
    def rule(self) -> WindowRule:
        """Lengths and tolerance of windows."""
        return self.setup.rule

    @cached_property
    def stops(self) -> Float[np.ndarray, " s"]:
        """The end of the run, ms."""
        return np.array([self.setup.duration])

    def start(self) -> SquareState:
        """The release."""
        return SquareState(0.0, released(self.setup))

    def attempt(self, state: SquareState, length: float, reuse: None) -> SquareAttempt:
        """Solves a window, estimates its error, and holds it against the closed form."""
        solver, window = self.setup.solver, RectangleData(jnp.asarray(length), state.field)
        solution = solver.solve(window, solver.continued(state.field, length), None, jnp.asarray(solver.equation.scale))
        heads = solution.traces.heads
        error, away = solver.estimate(window, heads)
        notes: dict[str, float] = {"newton_steps": solution.newton_steps, "sweeps": solution.sweeps}
        largest = {"jump": solution.jump}
        if solution.converged:
            missed, norm, most = (float(value) for value in self._compare(heads, state.time, length))
            notes |= {"missed": missed * length, "norm": norm * length}
            largest |= {"exact_error": (missed / norm) ** 0.5, "exact_error_max": most}
        return Attempt(
            length,
            float(np.max(error / away)) if solution.converged else math.nan,
            SquareState(state.time + length, solver.at_end(heads)),
            notes=notes,
            largest=largest,
            why=f"sides disagree by {solution.jump:.1e} after {solution.sweeps} sweeps "
            f"(schwarz.jump_tolerance = {solver.sweeping.tolerance:.1e})",
            inside=SolvedSquare(window, solution),
        )

    @cached_property
    def _compare(self) -> Callable[[Array, float, float], tuple[Array, Array, Array]]:
        """Squared difference from the closed form and its norm, mean over the window, and the largest difference.

        At points that were not trained on.
        """
        setup, communicator = self.setup, self.communicator
        solver, table = setup.solver, setup.solver.table
        grid = gauss_grid(len(table.grid.space) + 3, len(table.grid.time) + 3)
        along, in_time = table.along(grid.space), table.clock.features(grid.time).value
        x, y = positions(solver.geometry, grid.space)
        weights = [jnp.asarray(weight) for weight in (grid.space_weight, grid.space_weight, grid.time_weight)]
        moments = jnp.asarray(0.5 * (grid.time + 1.0))

        def compare(heads: Array, start: float, length: float) -> tuple[Array, Array, Array]:
            field = field_on(solver.equation, solver.geometry, along, in_time, heads)[:, 0]
            wanted = exact(x[..., None], y[..., None], start + length * moments, setup.constants)
            squares = jnp.stack([(field - wanted) ** 2, wanted**2])
            total = communicator.sum(jnp.einsum("spxyt,x,y,t->s", squares, *weights))
            return total[0], total[1], communicator.max(jnp.max(jnp.abs(field - wanted), initial=0.0))

        return jax.jit(compare)

    def initially(self) -> dict[str, Float[np.ndarray, "1 Y X"]]:
        """The release itself, on the output cells."""
        x, y = np.meshgrid(self.geometry.x, self.geometry.y)
        return {DOPAMINE.name: np.asarray(release(self.setup.constants, x, y))[None]}

    def observe(self, attempt: SquareAttempt, times: Float[np.ndarray, " n"]) -> dict[str, Float[np.ndarray, "n Y X"]]:
        """Frames of the whole square at times inside a window, counted from its start; nothing on other ranks."""
        clock = self.setup.solver.table.clock
        in_time = np.asarray(clock.features(2.0 * times / attempt.length - 1.0).value)
        in_space = np.asarray(self._in_space(attempt.inside.solution.traces.heads))
        parts = self.communicator.gather((self.setup.local, in_space @ in_time.T))
        if parts is None:
            return {}
        cells = self.setup.cells
        frames = np.empty((len(times), len(self.geometry.y), len(self.geometry.x)))
        for pieces, values in parts:
            for piece, value in zip(pieces, values, strict=True):
                column, row = self.setup.domain.place[piece] * cells
                frames[:, row : row + cells, column : column + cells] = value.transpose(2, 1, 0)
        return {DOPAMINE.name: frames}

    @cached_property
    def _in_space(self) -> Callable[[Array], Array]:
        """What heads make of the output cells: (p, n, n, L), a head for every feature in time.

        The times of frames differ from window to window; this part does not and is compiled once.
        """
        solver = self.setup.solver
        along, all_features = solver.table.along(self._line), jnp.eye(solver.table.clock.n_features)
        return jax.jit(lambda heads: field_on(solver.equation, solver.geometry, along, all_features, heads)[:, 0])

    @property
    def rows(self) -> Rows:
        """This rank's subdomains."""
        return Rows(self.setup.local, len(self.setup.owner))

    def pack(self, state: SquareState) -> Packed:
        """A state for a checkpoint."""
        return Packed({"field": np.asarray(state.field)}, {"time": state.time})

    def unpack(self, packed: Packed) -> SquareState:
        """The state of a checkpoint."""
        return SquareState(float(packed.scalars["time"]), jnp.asarray(packed.arrays["field"]))

    def figures(self, stats: Stats) -> dict[str, Any]:
        """What a run has counted and measured.

        ``exact_error`` is the L2 difference from the closed form over the box and all times, relative to its L2 norm;
        ``exact_error_worst`` the largest of a single window, in the same measure; ``exact_error_max`` the largest
        difference at any point and time, µM; ``error_estimate`` the largest of a window.
        """
        return {
            "subdomains": self.setup.domain.count,
            "windows": stats.windows,
            "rejected": stats.rejected,
            "newton_steps": stats["newton_steps"],
            "sweeps": stats["sweeps"],
            "exact_error": _exact_error(stats),
            "exact_error_worst": stats["exact_error"],
            "exact_error_max": stats["exact_error_max"],
            "error_estimate": stats.error,
            "tolerance": self.rule.tolerance,
            "interface_jump": stats["jump"],
        }

    def accuracy(self, stats: Stats) -> Accuracy:
        """How far a run is from the closed form."""
        of = "the distance from the closed form, over the square and all times"
        return Accuracy(_exact_error(stats), self.rule.tolerance, of, "window.tolerance")


def _exact_error(stats: Stats) -> float:
    return float((stats["missed"] / stats["norm"]) ** 0.5)
