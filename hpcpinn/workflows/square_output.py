"""What a run on a square writes: frames of the whole, put together from all ranks, and rows of windows."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.errors import InputError
from hpcpinn.io import square
from hpcpinn.marching.march import Step
from hpcpinn.marching.tally import Tally
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.training.rectangles import field_on
from hpcpinn.wording import biology
from hpcpinn.workflows.square_problem import SquareProblem, duration_of, release
from hpcpinn.workflows.square_run import SquareRun


def _read_in_space(solver: RectangleWindow, line: Float[np.ndarray, " n"]) -> Callable[[Array], Array]:
    """What heads make of places (ξ, η), both from `line`: (p, n, n, L), a head for every feature in time.

    The times of frames differ from window to window; this part does not and is compiled once.
    """
    along, all_features = solver.table.along(line), jnp.eye(solver.table.clock.n_features)

    def run(heads: Array) -> Array:
        return field_on(solver.equation, solver.geometry, along, all_features, heads)[:, 0]

    return jax.jit(run)


class SquareOutput:
    """Frames of the whole square, put together on rank 0, and rows of windows. Collective over all ranks.

    Raises:
        InputError: Frames would be farther apart than the run is long.
        OutputError: The result cannot be written.
    """

    def __init__(self, problem: SquareProblem, communicator: Communicator) -> None:
        self._communicator = communicator
        cells, end = problem.config.run.cells, duration_of(problem.config)
        interval = problem.config.run.output_interval
        if interval > end:
            raise InputError(
                f"run.output_interval: {biology(interval, 6)} is longer than the run ({biology(end, 6)}); "
                f"use at most {end:g}",
                ("run", "output_interval"),
            )
        self._line = (2.0 * np.arange(cells) + 1.0) / cells - 1.0
        self._adopt(problem)
        frames = np.arange(0, np.floor(end / interval * (1.0 + 1e-12)) + 1) * interval
        self._times = frames if frames[-1] > end * (1.0 - 1e-9) else np.append(frames, end)
        low, size, count = np.array(problem.domain.low), problem.domain.size, problem.domain.count
        self.x, self.y = (
            low[axis] + ((np.arange(count[axis])[:, None] + 0.5 + 0.5 * self._line) * size[axis]).ravel()
            for axis in range(2)
        )

        config = problem.config
        header = square.SquareHeader(
            self.x, self.y, problem.domain.centre, problem.owner, config.to_json(), config.run.seed
        )
        self._writer = square.SquareWriter(config.run.output, communicator, header)

    def _adopt(self, problem: SquareProblem) -> None:
        """Goes on with a problem that differs in its trunks."""
        self._problem, self._in_space = problem, _read_in_space(problem.solver, self._line)

    def frame_at_start(self) -> None:
        """The release itself."""
        x, y = np.meshgrid(self.x, self.y)
        frame = np.asarray(release(self._problem.constants, x, y))
        self._writer.append(np.zeros(1), frame[None], None)

    def window(self, step: Step[SquareRun], tally: Tally) -> None:
        """The frames that are due in a window, and its row."""
        if step.problem.problem is not self._problem:  # its trunks have been trained
            self._adopt(step.problem.problem)
        start, length, solved = step.before.time, step.attempt.length, step.attempt.inside
        row = {
            "start": start, "length": length, "newton_steps": solved.solution.newton_steps,
            "sweeps": solved.solution.sweeps, "jump": solved.solution.jump, "error_estimate": step.attempt.error,
            "exact_error": solved.exact_error, "rejected": step.rejected, "seconds": step.seconds,
        }  # fmt: skip
        late = 1e-9 * max(length, 1e-300)
        due = self._times[(self._times > start + late) & (self._times <= start + length + late)]
        frames = None
        if len(due):
            in_time = self._problem.solver.table.clock.features(2.0 * (due - start) / length - 1.0).value
            in_space = np.asarray(self._in_space(solved.solution.traces.heads))
            frames = self._assembled(in_space @ np.asarray(in_time).T)
        self._writer.append(due, frames, row)

    def flush(self) -> None:
        """Does nothing: windows are written as they come."""

    def close(self, *, complete: bool = True) -> None:
        """Ends the file."""
        self._writer.close(complete=complete)

    def _assembled(self, local: Float[np.ndarray, "p X Y T"]) -> Float[np.ndarray, "T Y X"] | None:
        parts = self._communicator.gather((self._problem.local, local))
        if parts is None:
            return None
        cells, n_times = local.shape[1], local.shape[-1]
        frames = np.empty((n_times, len(self.y), len(self.x)))
        for pieces, values in parts:
            for piece, value in zip(pieces, values, strict=True):
                column, row = self._problem.domain.place[piece] * cells
                frames[:, row : row + cells, column : column + cells] = value.transpose(2, 1, 0)
        return frames
