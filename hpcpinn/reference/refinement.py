"""How far to refine before the reference may judge, and what it costs at a given error."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.reference.finite_volume import FvSolution, solve
from hpcpinn.reference.forcing import Forcing

MOVEMENT = 0.1
"""A reference stands still when it moves by less than this part of the error it measures."""


@dataclass(frozen=True)
class Task:
    """What a run was asked to solve, and where its answer is recorded.

    Attributes:
        cable: The pieces.
        constants, forcing: The problem, internal units.
        times: Times of the frames, internal units.
        parts: Recorded cells per piece.
        points: Pieces and fractions on them that are followed finely.
        point_times: When, internal units.
    """

    cable: Cable
    constants: CalciumConstants
    forcing: Forcing
    times: Float[ndarray, " T"]
    parts: int
    points: tuple[Int[ndarray, " P"], Float[ndarray, " P"]]
    point_times: Float[ndarray, " S"]

    def solve(self, level: int, tolerance: float) -> "Answer":
        """Solves with every recorded cell halved `level` times."""
        times = np.union1d(self.times, self.point_times)
        solution = solve(
            self.cable, self.constants, self.forcing, times,
            cells=self.parts * 2**level, group=2**level, points=self.points, tolerance=tolerance,
        )  # fmt: skip
        frame, sample = np.searchsorted(times, self.times), np.searchsorted(times, self.point_times)
        return Answer(
            solution.c[frame], solution.b[frame],
            solution.point_c[sample], solution.point_b[sample], solution,
        )  # fmt: skip

    def coarse(self, cells: int, tolerance: float) -> "Answer":
        """Solves with fewer cells per piece than are recorded; `cells` must divide `parts`."""
        solution = solve(
            self.cable, self.constants, self.forcing, self.times,
            cells=cells, parts=self.parts // cells, tolerance=tolerance,
        )  # fmt: skip
        nothing = np.zeros((0, 0))
        return Answer(solution.c, solution.b, nothing, nothing, solution)


@dataclass(frozen=True)
class Answer:
    """Fields on the recorded cells and values at the points.

    Attributes:
        c, b: Averages over the recorded cells at the frames, µM.
        point_c, point_b: At the points, µM.
        solution: The last solve behind it.
    """

    c: Float[ndarray, "T N"]
    b: Float[ndarray, "T N"]
    point_c: Float[ndarray, "S P"]
    point_b: Float[ndarray, "S P"]
    solution: FvSolution

    def extrapolated(self, coarser: "Answer") -> "Answer":
        """Richardson extrapolation from twice as long cells (the error goes with their square)."""

        def mixed(fine: ndarray, coarse: ndarray) -> ndarray:
            return fine + (fine - coarse) / 3.0

        return Answer(
            mixed(self.c, coarser.c), mixed(self.b, coarser.b),
            mixed(self.point_c, coarser.point_c), mixed(self.point_b, coarser.point_b), self.solution,
        )  # fmt: skip


@dataclass(frozen=True)
class Norms:
    """Relative errors, weighted by volume, over all cells and frames.

    ‖c − c_ref‖/‖c_ref − c_rest‖ for calcium, ‖b − b_ref‖/‖b_ref‖ for calbindin.

    Attributes:
        volume: Of the recorded cells.
        c_rest: Calcium at rest.
    """

    volume: Float[ndarray, " N"]
    c_rest: float

    def error(self, c: ndarray, b: ndarray, reference: Answer) -> tuple[float, float]:
        """Errors of calcium and calbindin over tree and time."""
        return (
            _ratio(self._square(c - reference.c).sum(), self._square(reference.c - self.c_rest).sum()),
            _ratio(self._square(b - reference.b).sum(), self._square(reference.b).sum()),
        )

    def per_frame(
        self, c: ndarray, b: ndarray, reference: Answer
    ) -> tuple[Float[ndarray, " T"], Float[ndarray, " T"]]:
        """The same frame by frame; zero where nothing has happened yet."""
        pairs = (
            (self._square(c - reference.c), self._square(reference.c - self.c_rest)),
            (self._square(b - reference.b), self._square(reference.b)),
        )
        over_c, over_b = (
            np.sqrt(np.divide(x, y, out=np.zeros_like(x), where=y > 1e-20 * y.max())) for x, y in pairs
        )
        return over_c, over_b

    def _square(self, values: Float[ndarray, "T N"]) -> Float[ndarray, " T"]:
        return (values**2) @ self.volume


def _ratio(above: float, below: float) -> float:
    return float(np.sqrt(above / below)) if below > 0.0 else float(np.sqrt(above))


@dataclass(frozen=True)
class Cost:
    """One plain reference solve: what it takes and how good it is.

    Attributes:
        seconds: Wall time.
        cells: Cells per piece.
        tolerance: Time tolerance.
        error: Relative errors of calcium and calbindin.
    """

    seconds: float
    cells: int
    tolerance: float
    error: tuple[float, float]


@dataclass(frozen=True)
class Settled:
    """A reference that no longer moves, as far as the error it measures is concerned.

    Attributes:
        answer: The reference.
        error: Relative errors of calcium and calbindin of what was judged.
        movement: How much the reference moved with the last refinement, in the same norms.
        still: Whether the movement is below a tenth of the error for both species.
        solves: The solves behind it, coarse to fine, each judged by the reference.
    """

    answer: Answer
    error: tuple[float, float]
    movement: tuple[float, float]
    still: bool
    solves: tuple[Cost, ...]

    @property
    def finest(self) -> Cost:
        """The last solve."""
        return self.solves[-1]


def settle(
    task: Task,
    c: Float[ndarray, "T N"],
    b: Float[ndarray, "T N"],
    norms: Norms,
    *,
    max_level: int = 4,
    watch: Callable[[Settled], None] = lambda settled: None,
) -> Settled:
    """Refines in space and time until the reference stands still against the error of (c, b).

    Every level halves the cells and divides the time tolerance by ten; two levels are
    extrapolated. The movement is the change of the extrapolated answer (for the first pair: what
    the extrapolation changed, an upper bound).

    Args:
        task: The problem.
        c, b: What is judged, on the recorded cells.
        norms: How it is judged.
        max_level: Most halvings.
        watch: Told about every level.
    """
    tolerances = [max(1e-5 * 0.1**level, 1e-9) for level in range(max_level + 1)]
    solves = [task.solve(0, tolerances[0])]
    before: Answer | None = None
    for level in range(1, max_level + 1):
        solves.append(task.solve(level, tolerances[level]))
        answer = solves[-1].extrapolated(solves[-2])
        last = solves[-1] if before is None else before
        error, movement = norms.error(c, b, answer), norms.error(last.c, last.b, answer)
        still = all(m <= MOVEMENT * e for m, e in zip(movement, error, strict=True))
        costs = tuple(
            Cost(x.solution.seconds, task.parts * 2**i, tolerances[i], norms.error(x.c, x.b, answer))
            for i, x in enumerate(solves)
        )
        settled = Settled(answer, error, movement, still, costs)
        watch(settled)
        if still:
            break
        before = answer
    return settled


def at_equal_error(task: Task, settled: Settled, norms: Norms) -> Cost | None:
    """What the reference solver takes for the error that was measured (None: more than the finest solve).

    The coarsest mesh that can do it follows from the second order of the solves at hand; on it
    the loosest tolerance that serves is looked for.
    """
    known = settled.solves[0]
    excess = max(mine / theirs for mine, theirs in zip(known.error, settled.error, strict=True))
    # Coarser meshes lie beyond the range in which the order is known: try one in any case.
    level = int(np.ceil(0.5 * np.log2(1.2 * excess)))
    for cells in (int(known.cells * 2.0**power) for power in range(level - 1, len(settled.solves))):
        if cells < 1 or (cells < task.parts and task.parts % cells):
            continue
        for tolerance in (1e-3, 1e-4, 1e-5, 1e-6):
            answer = _solve_with(task, cells, tolerance)
            own = norms.error(answer.c, answer.b, settled.answer)
            if all(mine <= theirs for mine, theirs in zip(own, settled.error, strict=True)):
                return Cost(answer.solution.seconds, cells, tolerance, own)
            if any(mine > 4.0 * theirs for mine, theirs in zip(own, settled.error, strict=True)) and (
                tolerance < 1e-3
            ):
                break
    return None


def _solve_with(task: Task, cells: int, tolerance: float) -> Answer:
    if cells < task.parts:
        return task.coarse(cells, tolerance)
    return task.solve(int(np.log2(cells // task.parts)), tolerance)
