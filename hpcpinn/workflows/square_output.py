"""What a run on a square writes: frames of the whole, put together from all ranks, and rows of windows."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.errors import InputError
from hpcpinn.io.geometry import Box, Subdomains
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.marching.march import Step
from hpcpinn.marching.tally import Tally
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.training.rectangles import field_on
from hpcpinn.wording import biology
from hpcpinn.workflows.square_problem import SquareProblem, duration_of, release
from hpcpinn.workflows.square_recorded import DOPAMINE, WINDOWS
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

    def __init__(self, problem: SquareProblem, communicator: Communicator, resume_at: float | None = None) -> None:
        """Creates the result file, or goes on in it.

        Args:
            problem: What is solved.
            communicator: All ranks.
            resume_at: Time from which to go on, ms; None starts a new file.
        """
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
        x, y = (
            low[axis] + ((np.arange(count[axis])[:, None] + 0.5 + 0.5 * self._line) * size[axis]).ravel()
            for axis in range(2)
        )
        run, self._shape = problem.config.run, (len(y), len(x))
        header = ResultHeader(
            system="square",
            geometry=Box(x, y, subdomains=Subdomains(problem.domain.centre, problem.owner)),
            fields=(DOPAMINE,),
            windows=WINDOWS,
            config=problem.config.to_json(),
            seed=run.seed,
        )
        if resume_at is None:
            self._writer = ResultWriter(run.output, communicator, header)
            self._frame(0.0, np.asarray(release(problem.constants, *np.meshgrid(x, y))))
        else:
            self._writer = ResultWriter.resume(run.output, communicator, header, resume_at)

    def _adopt(self, problem: SquareProblem) -> None:
        """Goes on with a problem that differs in its trunks."""
        self._problem, self._in_space = problem, _read_in_space(problem.solver, self._line)

    def _frame(self, time: float, values: Float[np.ndarray, "Y X"]) -> None:
        self._writer.frame(time, {DOPAMINE.name: values})

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
        if len(due):
            in_time = self._problem.solver.table.clock.features(2.0 * (due - start) / length - 1.0).value
            in_space = np.asarray(self._in_space(solved.solution.traces.heads))
            frames = self._assembled(in_space @ np.asarray(in_time).T)
            for time, frame in zip(due, frames if frames is not None else (), strict=frames is not None):
                self._frame(float(time), frame)
        self._writer.windows([row])
        self._writer.flush()

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
        frames = np.empty((n_times, *self._shape))
        for pieces, values in parts:
            for piece, value in zip(pieces, values, strict=True):
                column, row = self._problem.domain.place[piece] * cells
                frames[:, row : row + cells, column : column + cells] = value.transpose(2, 1, 0)
        return frames
