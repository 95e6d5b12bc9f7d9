"""Refines the reference until it may judge: where it matters, and until it no longer moves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CALCIUM, CalciumConstants
from hpcpinn.reference.finite_volume import FvSolution, solve
from hpcpinn.reference.forcing import Forcing

MOVEMENT = 0.1
"""A reference stands still when it moves by less than this part of the error it measures."""

Errors = Mapping[str, float]
"""Relative errors by species."""

Fields = Mapping[str, Float[ndarray, "T N"]]
"""Values by species."""


@dataclass(frozen=True)
class Task:
    """What a run was asked to solve, and where its answer is recorded.

    Attributes:
        cable: The pieces.
        constants, forcing: The problem, internal units.
        times: Times of the frames, internal units.
        parts: Recorded cells per piece.
        points: Pieces and fractions on them that are followed finely, (P,).
        point_times: Times at which these points are recorded, internal units, (S,).
        watch: Function of the time that a solve has reached, internal units.
    """

    cable: Cable
    constants: CalciumConstants
    forcing: Forcing
    times: Float[ndarray, " T"]
    parts: int
    points: tuple[Int[ndarray, " P"], Float[ndarray, " P"]]
    point_times: Float[ndarray, " S"]
    watch: Callable[[float], None] = lambda time: None

    def solve(self, cells: int | Int[ndarray, " F"], tolerance: float) -> "Answer":
        """Solves with so many cells per piece, multiples of `parts` or a number that divides it."""
        times = np.union1d(self.times, self.point_times)
        solution = solve(
            self.cable, self.constants, self.forcing, times,
            cells=cells, parts=self.parts, points=self.points, tolerance=tolerance,
            watch=self.watch,
        )  # fmt: skip
        frame, sample = np.searchsorted(times, self.times), np.searchsorted(times, self.point_times)
        return Answer(
            {name: values[frame] for name, values in solution.fields.items()},
            {name: values[sample] for name, values in solution.points.items()},
            solution,
        )


@dataclass(frozen=True)
class Answer:
    """Fields on the recorded cells and values at the points.

    Attributes:
        fields: Averages over the recorded cells at the frames by species, µM.
        points: Values at the points by species, µM, (S, P).
        solution: The (finest) solve behind it.
    """

    fields: Fields
    points: Mapping[str, Float[ndarray, "S P"]]
    solution: FvSolution

    def extrapolated(self, coarser: "Answer") -> "Answer":
        """Richardson extrapolation from twice as long cells (the error goes with their square)."""

        def mixed(fine: Fields, coarse: Fields) -> Fields:
            return {name: values + (values - coarse[name]) / 3.0 for name, values in fine.items()}

        return Answer(mixed(self.fields, coarser.fields), mixed(self.points, coarser.points), self.solution)


@dataclass(frozen=True)
class Norms:
    """Relative errors, weighted by volume, over all cells and frames.

    ‖c − c_ref‖/‖c_ref − c_rest‖ for calcium, ‖b − b_ref‖/‖b_ref‖ for a buffer.

    Attributes:
        volume: Volumes of the recorded cells, in which a species lives, by its name, (N,).
        origin: Values that species are counted from where they are measured; zero for those that are left out.
    """

    volume: Mapping[str, Float[ndarray, " N"]]
    origin: Mapping[str, float]

    def error(self, fields: Fields, reference: Answer) -> Errors:
        """Errors over tree and time."""
        return {name: float(np.sqrt(share.sum())) for name, share in self.shares(fields, reference).items()}

    def shares(self, fields: Fields, reference: Answer) -> dict[str, Float[ndarray, " N"]]:
        """What every recorded cell contributes to the squares of the errors."""
        return {
            name: self.volume[name] * ((fields[name] - values) ** 2).sum(axis=0) / self._size(name, values).sum()
            for name, values in reference.fields.items()
        }

    def per_frame(self, fields: Fields, reference: Answer) -> dict[str, Float[ndarray, " T"]]:
        """The errors frame by frame; zero where hardly anything has happened yet."""
        return {
            name: _rooted(((fields[name] - values) ** 2) @ self.volume[name], self._size(name, values))
            for name, values in reference.fields.items()
        }

    def _size(self, name: str, values: Float[ndarray, "T N"]) -> Float[ndarray, " T"]:
        size: Float[ndarray, " T"] = ((values - self.origin.get(name, 0.0)) ** 2) @ self.volume[name]
        return size


def _rooted(above: Float[ndarray, " T"], below: Float[ndarray, " T"]) -> Float[ndarray, " T"]:
    known = below > 1e-10 * below.max()
    size: Float[ndarray, " T"] = np.sqrt(np.divide(above, below, out=np.zeros_like(above), where=known))
    return size


@dataclass(frozen=True)
class Pair:
    """One pair of meshes the reference was extrapolated from.

    Attributes:
        cells: Cells per piece of the coarser one; the finer one has twice as many.
        tolerance: Time tolerance.
        seconds: Wall time of both solves.
        busy: Time of both solves in which this thread computed, s: other work on the machine does not lengthen it.
    """

    cells: Int[ndarray, " F"]
    tolerance: float
    seconds: float
    busy: float


@dataclass(frozen=True)
class Settled:
    """A reference that no longer moves, as far as the error it measures is concerned.

    Attributes:
        answer: The reference.
        error: Relative errors of what was judged.
        movement: How much the reference moved with the last refinement, in the same norms.
        still: Whether the movement is below a tenth of the error for every species.
        meshes: The meshes behind it, coarse to fine.
        own: Errors of the answers on those meshes; of the last one, the movement.
        first: The answers on the first pair of meshes, coarse and fine.
    """

    answer: Answer
    error: Errors
    movement: Errors
    still: bool
    meshes: tuple[Pair, ...]
    own: tuple[Errors, ...]
    first: tuple[Answer, Answer]

    @property
    def finest(self) -> Pair:
        """The last pair of meshes."""
        return self.meshes[-1]


def settle(
    task: Task,
    judged: Fields,
    norms: Norms,
    *,
    max_level: int = 8,
    patience: float = 300.0,
    watch: Callable[[Settled], None] = lambda settled: None,
    begins: Callable[[int, int], None] = lambda level, cells: None,
) -> Settled:
    """Refines in space and time until the reference stands still against the error of what is judged.

    Every answer is extrapolated from two meshes, one with twice the cells of the other. From one
    level to the next the tolerance falls, and cells are halved in the pieces where the last
    refinement moved the answer by more than their part of what is allowed. The movement is the
    change from level to level (at the first: what the extrapolation changed, an upper bound).

    Args:
        task: The problem.
        judged: Every species on the recorded cells.
        norms: Norms in which it is judged.
        max_level: Most refinements.
        patience: No level is begun that would take longer to compute, s (`Pair.busy`).
        watch: Function called after every level.
        begins: Function of the level, from 1, and its number of cells, called before every solve.
    """
    cells, tolerance = np.full(task.cable.n_frusta, task.parts), 1e-5
    first: tuple[Answer, Answer] | None = None
    answers: list[Answer] = []
    meshes: list[Pair] = []
    for level in range(1, max_level + 1):
        begins(level, int(cells.sum()))
        coarse = task.solve(cells, tolerance)
        begins(level, int(2 * cells.sum()))
        fine = task.solve(2 * cells, tolerance)
        answer = fine.extrapolated(coarse)
        last = answers[-1] if answers else fine
        first = first or (coarse, fine)
        both = coarse.solution, fine.solution
        meshes.append(Pair(cells, tolerance, sum(s.seconds for s in both), sum(s.busy for s in both)))
        error, movement = norms.error(judged, answer), norms.error(last.fields, answer)
        own = (*(norms.error(x.fields, answer) for x in answers), movement)
        still = within(movement, error, MOVEMENT)
        settled = Settled(answer, error, movement, still, tuple(meshes), own, first)
        watch(settled)
        if settled.still:
            break
        factor = _refined(task, norms, settled, last)
        growth = np.sum(cells * factor) / cells.sum()
        if 1.5 * growth * meshes[-1].busy > patience:
            break
        answers.append(answer)
        cells = cells * factor
        tolerance = max(min(tolerance / 3.0, 0.03 * error[CALCIUM]), 1e-9)
    return settled


def _refined(task: Task, norms: Norms, settled: Settled, last: Answer) -> Int[ndarray, " F"]:
    """By how much each piece's cells are cut: 1, 2 or 4."""
    n = task.cable.n_frusta
    excess = np.zeros(n)
    for name, share in norms.shares(last.fields, settled.answer).items():
        allowed = (MOVEMENT * settled.error[name]) ** 2 / n
        excess = np.maximum(excess, share.reshape(n, -1).sum(axis=1) / max(allowed, 1e-300))
    # Half of what is allowed is kept for the pieces that stay as they are.
    return np.where(excess > 64.0, 4, np.where(excess > 0.25, 2, 1))


def within(mine: Errors, theirs: Errors, part: float = 1.0) -> bool:
    """Whether all errors are at most so large a part of the others."""
    return all(mine[name] <= part * theirs[name] for name in theirs)
