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
    """What the reference solver takes, and how good it is.

    Attributes:
        seconds: Wall time.
        cells: Cells per piece.
        tolerance: Time tolerance.
        extrapolated: Whether from two meshes, `cells` and half as many; else from one.
        error: Relative errors of calcium and calbindin.
    """

    seconds: float
    cells: int
    tolerance: float
    extrapolated: bool
    error: tuple[float, float]


@dataclass(frozen=True)
class Settled:
    """A reference that no longer moves, as far as the error it measures is concerned.

    Attributes:
        answer: The reference.
        error: Relative errors of calcium and calbindin of what was judged.
        movement: How much the reference moved with the last refinement, in the same norms.
        still: Whether the movement is below a tenth of the error for both species.
        solves: The plain solves behind it, coarse to fine, each judged by the reference.
        pairs: The errors of their extrapolated pairs; of the last pair, the movement.
    """

    answer: Answer
    error: tuple[float, float]
    movement: tuple[float, float]
    still: bool
    solves: tuple[Cost, ...]
    pairs: tuple[tuple[float, float], ...]

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
    max_level: int = 6,
    patience: float = 300.0,
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
        patience: No solve is begun that would take longer, s.
        watch: Told about every level.
    """
    solves = [task.solve(0, _tolerance(0))]
    answers: list[Answer] = []
    for level in range(1, max_level + 1):
        solves.append(task.solve(level, _tolerance(level)))
        answers.append(solves[-1].extrapolated(solves[-2]))
        settled = _judge(task, c, b, norms, solves, answers)
        watch(settled)
        # Twice the cells and some twice the steps.
        if settled.still or 4.0 * settled.finest.seconds > patience:
            break
    return settled


def _tolerance(level: int) -> float:
    return max(1e-5 * 0.1**level, 1e-9)


def _judge(
    task: Task, c: ndarray, b: ndarray, norms: Norms, solves: list[Answer], answers: list[Answer]
) -> Settled:
    answer = answers[-1]
    last = answers[-2] if len(answers) > 1 else solves[-1]
    error, movement = norms.error(c, b, answer), norms.error(last.c, last.b, answer)
    costs = (
        Cost(
            x.solution.seconds,
            task.parts * 2**level,
            _tolerance(level),
            False,
            norms.error(x.c, x.b, answer),
        )
        for level, x in enumerate(solves)
    )
    pairs = (*(norms.error(x.c, x.b, answer) for x in answers[:-1]), movement)
    return Settled(answer, error, movement, _within(movement, error, MOVEMENT), tuple(costs), pairs)


def _within(mine: tuple[float, float], theirs: tuple[float, float], part: float = 1.0) -> bool:
    return all(x <= part * y for x, y in zip(mine, theirs, strict=True))


def at_equal_error(task: Task, settled: Settled, norms: Norms) -> Cost | None:
    """What the reference solver takes to be as good as what was judged, one mesh or two extrapolated.

    Of each kind the coarsest mesh that can do it follows from the solves at hand; on it the
    loosest tolerance that serves is looked for.

    Returns:
        The quicker one; None where even the reference is not known to be as good.
    """
    found = [cost for cost in (_plain(task, settled, norms), _pair(task, settled, norms)) if cost]
    return min(found, key=lambda cost: cost.seconds, default=None)


_TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


def _plain(task: Task, settled: Settled, norms: Norms) -> Cost | None:
    known = settled.solves[0]
    excess = max(mine / theirs for mine, theirs in zip(known.error, settled.error, strict=True))
    if 0.25 ** (len(settled.solves) - 1) * excess > 1.0:
        return None
    # Second order; one mesh coarser is tried in any case, since that order is the asymptotic one.
    level = int(np.ceil(0.5 * np.log2(excess))) - 1
    for cells in (int(known.cells * 2.0**power) for power in range(level, len(settled.solves))):
        if cells < 1 or (cells < task.parts and task.parts % cells):
            continue
        best = np.inf
        for tolerance in _TOLERANCES:
            answer = _solve_with(task, cells, tolerance)
            own = norms.error(answer.c, answer.b, settled.answer)
            if _within(own, settled.error):
                return Cost(answer.solution.seconds, cells, tolerance, False, own)
            worst = max(x / y for x, y in zip(own, settled.error, strict=True))
            if worst > 0.9 * best:  # what is left is the mesh
                break
            best = worst
    return None


def _pair(task: Task, settled: Settled, norms: Norms) -> Cost | None:
    for level, error in enumerate(settled.pairs, start=1):
        if not _within(error, settled.error):
            continue
        for tolerance in _TOLERANCES:
            coarse, fine = (_solve_with(task, task.parts * 2**i, tolerance) for i in (level - 1, level))
            answer = fine.extrapolated(coarse)
            own = norms.error(answer.c, answer.b, settled.answer)
            if _within(own, settled.error):
                seconds = coarse.solution.seconds + fine.solution.seconds
                return Cost(seconds, task.parts * 2**level, tolerance, True, own)
    return None


def _solve_with(task: Task, cells: int, tolerance: float) -> Answer:
    if cells < task.parts:
        return task.coarse(cells, tolerance)
    return task.solve(int(np.log2(cells // task.parts)), tolerance)
