"""A forward run on a square: dopamine, window after window, on all ranks, into one result file."""

import resource
import time as clock
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.config.square import SquareConfig
from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.errors import InputError, SolveError, concerning
from hpcpinn.io import places, square
from hpcpinn.io.metrics import metrics_path, write_metrics
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import exact
from hpcpinn.progress import ProgressDisplay
from hpcpinn.solve.controller import (
    Plan,
    WindowRule,
    after_accepted,
    after_rejected,
    first_plan,
    next_length,
)
from hpcpinn.training.collocation import gauss_grid
from hpcpinn.training.first_order import REMEDIES
from hpcpinn.training.rectangles import field_on
from hpcpinn.wording import biology
from hpcpinn.workflows.forward import window_detail
from hpcpinn.workflows.square_problem import (
    SquareAttempt,
    SquareProblem,
    attempted,
    build_square,
    duration_of,
    positions,
    release,
    released,
)
from hpcpinn.workflows.square_trunk import SquareTrunkTraining
from hpcpinn.workflows.verdict import Accuracy, Verdict

FINER = "use more network.features_space, domain.subdomains or schwarz.max_sweeps"
"""What helps where the shortest window fails, besides what its trainer wants."""
ANOTHER = "name another file with --output (run.output)"


@dataclass(frozen=True)
class SquareSummary:
    """What a run says of itself at the end; also in its file of metrics.

    Attributes:
        duration: Simulated time, ms.
        exact_error: L2 difference from the closed form over the box and all times, relative to its L2 norm.
        exact_error_worst: The largest of a single window, in the same measure.
        exact_error_max: Largest difference at any point and time, µM.
        error_estimate: Largest error estimate of a window.
        interface_jump: Largest relative jump left in a window.
        seconds: Wall time from set-up to the end; `seconds_setup` of it before the first window was done
            (compilation).
        memory_gib: Largest resident memory of a rank.
        verdict: What came of it.
    """

    result: str
    ranks: int
    subdomains: tuple[int, int]
    duration: float
    windows: int
    rejected: int
    newton_steps: int
    sweeps: int
    exact_error: float
    exact_error_worst: float
    exact_error_max: float
    error_estimate: float
    tolerance: float
    interface_jump: float
    seconds: float
    seconds_setup: float
    memory_gib: float
    verdict: Verdict


def refuse_unusable_places(config: SquareConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a run cannot, or must not, write its files.

    Raises:
        InputError: One of them is an input, a directory or a file of another kind, or cannot be made.
    """
    given = {"the job file": job, "the data file (data.file)": config.data.file}
    inputs = {name: Path(file) for name, file in given.items() if file is not None}
    output = Path(config.run.output)
    with concerning("run", "output"):
        places.refuse_unusable(output, inputs, ANOTHER, square.FORMAT)
        places.refuse_unusable(metrics_path(output), inputs, f"the metrics go there: {ANOTHER}")


def run_square(config: SquareConfig, communicator: Communicator, progress: ProgressDisplay) -> SquareSummary:
    """Runs a job from its description to its result file. Collective over all ranks.

    Raises:
        InputError: Something the user gave cannot be used.
        SolveError: A window does not reach its tolerance; what was accepted is in the file.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    progress.doing("setting up")
    problem = build_square(config, communicator)
    output = _Output(problem, communicator)
    header = square.SquareHeader(
        output.x, output.y, problem.domain.centre, problem.owner, config.to_json(), config.run.seed
    )
    writer = square.SquareWriter(config.run.output, communicator, header)
    try:
        tally = _march(problem, communicator, progress, writer, output, began)
    except SolveError:
        writer.close(complete=False)  # all ranks come here together
        raise
    writer.close()
    summary = _summary(problem, communicator, tally, clock.perf_counter() - began)
    write_metrics(config.run.output, communicator, asdict(summary))
    return summary


@dataclass
class _Tally:
    """Sums and largest values over the accepted windows."""

    windows: int = 0
    rejected: int = 0
    newton_steps: int = 0
    sweeps: int = 0
    estimate: float = 0.0
    jump: float = 0.0
    missed: float = 0.0
    norm: float = 0.0
    worst: float = 0.0
    largest: float = 0.0
    seconds_setup: float = 0.0


def _march(
    problem: SquareProblem,
    communicator: Communicator,
    progress: ProgressDisplay,
    writer: square.SquareWriter,
    output: "_Output",
    began: float,
) -> _Tally:
    end, given = duration_of(problem.config), problem.config.window
    rule = WindowRule(
        first=min(given.first, end), shortest=given.shortest, longest=given.longest,
        tolerance=given.tolerance, growth=given.growth, remedy=REMEDIES.get(problem.config.training.trainer, FINER),
    )  # fmt: skip
    plan, time, tally = first_plan(rule), 0.0, _Tally()
    field = released(problem)
    training = SquareTrunkTraining.of(problem)
    against = _Comparison(problem, communicator)
    progress.doing("compiling and solving the first window")
    output.frame_at_start(writer)
    while time < end * (1.0 - 1e-12):
        begun = clock.perf_counter()
        accepted = _accepted(problem, communicator, training, rule, plan, time, end, field, tally.windows)
        attempt, plan, rejected = accepted.attempt, accepted.plan, accepted.rejected
        if accepted.problem is not problem:  # its trunks have been trained
            problem = accepted.problem
            against = _Comparison(problem, communicator)
            output.adopt(problem)
        length, solution, error = attempt.length, attempt.solution, attempt.error
        field = problem.solver.at_end(solution.traces.heads)
        missed, norm, largest = against(solution.traces.heads, time, length)
        tally.windows, tally.rejected = tally.windows + 1, tally.rejected + rejected
        tally.newton_steps += solution.newton_steps
        tally.sweeps += solution.sweeps
        tally.estimate, tally.jump = max(tally.estimate, error), max(tally.jump, solution.jump)
        tally.missed, tally.norm = tally.missed + missed * length, tally.norm + norm * length
        tally.worst = max(tally.worst, (missed / norm) ** 0.5)
        tally.largest = max(tally.largest, largest)
        row = {
            "start": time, "length": length, "newton_steps": solution.newton_steps, "sweeps": solution.sweeps,
            "jump": solution.jump, "error_estimate": error, "exact_error": (missed / norm) ** 0.5,
            "rejected": rejected, "seconds": clock.perf_counter() - begun,
        }  # fmt: skip
        output.window(writer, solution.traces.heads, time, length, row)
        time += length
        if not tally.seconds_setup:
            tally.seconds_setup = clock.perf_counter() - began
            progress.doing("solving", end, "ms")
        progress.done(time, window_detail(tally.windows, solution.sweeps, error))
    return tally


class _Accepted(NamedTuple):
    """An accepted window, the problem with the trunks that solved it, and how long the next may be."""

    problem: SquareProblem
    attempt: SquareAttempt
    plan: Plan
    rejected: int


def _accepted(
    problem: SquareProblem,
    communicator: Communicator,
    training: SquareTrunkTraining,
    rule: WindowRule,
    plan: Plan,
    time: float,
    end: float,
    field: Array,
    windows: int,
) -> _Accepted:
    """Tries shorter and shorter windows until one is within the tolerance."""
    rejected = 0
    while True:
        length = next_length(rule, plan, time, end)
        attempt = attempted(problem, field, length)
        if training.due(attempt, rule.tolerance, windows):
            problem, attempt = training.improved(problem, communicator, attempt, windows)
        solution, error = attempt.solution, attempt.error
        if error <= rule.tolerance:
            return _Accepted(problem, attempt, after_accepted(rule, plan, length, error, False), rejected)
        why = f"t = {biology(time, 6)}: error estimate {error:.1e} is above window.tolerance = {rule.tolerance:.1e}"
        if not solution.converged:
            why = (
                f"t = {biology(time, 6)}: sides disagree by {solution.jump:.1e} after {solution.sweeps} sweeps "
                f"(schwarz.jump_tolerance = {problem.solver.sweeping.tolerance:.1e})"
            )
        plan, rejected = after_rejected(rule, plan, length, error, why), rejected + 1


class _Comparison:
    """Holds windows against the closed form, at points that were not trained on."""

    def __init__(self, problem: SquareProblem, communicator: Communicator):
        solver, table = problem.solver, problem.solver.table
        grid = gauss_grid(len(table.grid.space) + 3, len(table.grid.time) + 3)
        along, in_time = table.along(grid.space), table.clock.features(grid.time).value
        x, y = positions(solver.geometry, grid.space)
        weights = [jnp.asarray(weight) for weight in (grid.space_weight, grid.space_weight, grid.time_weight)]
        moments = jnp.asarray(0.5 * (grid.time + 1.0))

        @jax.jit
        def compare(heads: Array, start: Array, length: Array) -> tuple[Array, Array, Array]:
            field = field_on(solver.equation, solver.geometry, along, in_time, heads)[:, 0]
            wanted = exact(x[..., None], y[..., None], start + length * moments, problem.constants)
            squares = jnp.stack([(field - wanted) ** 2, wanted**2])
            total = communicator.sum(jnp.einsum("spxyt,x,y,t->s", squares, *weights))
            return total[0], total[1], communicator.max(jnp.max(jnp.abs(field - wanted), initial=0.0))

        self._compare = compare

    def __call__(self, heads: Array, start: float, length: float) -> tuple[float, float, float]:
        """Squared difference and norm, mean over the window, and the largest difference. Collective."""
        missed, norm, largest = self._compare(heads, start, length)
        return float(missed), float(norm), float(largest)


def _read_in_space(solver: RectangleWindow, line: Float[np.ndarray, " n"]) -> Callable[[Array], Array]:
    """What heads make of places (ξ, η), both from `line`: (p, n, n, L), a head for every feature in time.

    The times of frames differ from window to window; this part does not and is compiled once.
    """
    along, all_features = solver.table.along(line), jnp.eye(solver.table.clock.n_features)

    def run(heads: Array) -> Array:
        return field_on(solver.equation, solver.geometry, along, all_features, heads)[:, 0]

    return jax.jit(run)


class _Output:
    """Frames of the whole square, put together on rank 0."""

    def __init__(self, problem: SquareProblem, communicator: Communicator):
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
        self.adopt(problem)
        frames = np.arange(0, np.floor(end / interval * (1.0 + 1e-12)) + 1) * interval
        self._times = frames if frames[-1] > end * (1.0 - 1e-9) else np.append(frames, end)
        low, size, count = np.array(problem.domain.low), problem.domain.size, problem.domain.count
        self.x, self.y = (
            low[axis] + ((np.arange(count[axis])[:, None] + 0.5 + 0.5 * self._line) * size[axis]).ravel()
            for axis in range(2)
        )

    def adopt(self, problem: SquareProblem) -> None:
        """Goes on with a problem that differs in its trunks."""
        self._problem, self._in_space = problem, _read_in_space(problem.solver, self._line)

    def frame_at_start(self, writer: square.SquareWriter) -> None:
        """The release itself. Collective over all ranks."""
        x, y = np.meshgrid(self.x, self.y)
        frame = np.asarray(release(self._problem.constants, x, y))
        writer.append(np.zeros(1), frame[None], None)

    def window(
        self, writer: square.SquareWriter, heads: Array, start: float, length: float, row: dict[str, float]
    ) -> None:
        """The frames that are due in a window, and its row. Collective over all ranks."""
        late = 1e-9 * max(length, 1e-300)
        due = self._times[(self._times > start + late) & (self._times <= start + length + late)]
        frames = None
        if len(due):
            in_time = self._problem.solver.table.clock.features(2.0 * (due - start) / length - 1.0).value
            in_space = np.asarray(self._in_space(heads))
            frames = self._assembled(in_space @ np.asarray(in_time).T)
        writer.append(due, frames, row)

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


def _summary(problem: SquareProblem, communicator: Communicator, tally: _Tally, seconds: float) -> SquareSummary:
    config = problem.config
    error = (tally.missed / tally.norm) ** 0.5
    of = "the distance from the closed form, over the square and all times"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return SquareSummary(
        result=config.run.output,
        ranks=communicator.size,
        subdomains=config.domain.subdomains,
        duration=duration_of(config),
        windows=tally.windows,
        rejected=tally.rejected,
        newton_steps=tally.newton_steps,
        sweeps=tally.sweeps,
        exact_error=error,
        exact_error_worst=tally.worst,
        exact_error_max=tally.largest,
        error_estimate=tally.estimate,
        tolerance=config.window.tolerance,
        interface_jump=tally.jump,
        seconds=seconds,
        seconds_setup=tally.seconds_setup,
        memory_gib=max(communicator.share(memory)),
        verdict=Verdict((), (Accuracy(error, config.window.tolerance, of, "window.tolerance"),)),
    )
