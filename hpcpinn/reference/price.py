"""What the reference solver takes for an answer as good as the one that was judged."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.physics.constants import CALCIUM
from hpcpinn.reference.refinement import Answer, Errors, Norms, Settled, Task, within

_TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
_FINEST = 6
"""Halvings of the recorded cells after which a uniform mesh is given up."""


@dataclass(frozen=True)
class Price:
    """One way to get there.

    Attributes:
        seconds: Wall time.
        cells: Number of cells, of the finer mesh where there are two.
        tolerance: Time tolerance.
        method: ``uniform`` (the same number of cells in each piece), ``extrapolated`` (two such
            meshes) or ``adapted`` (two meshes found while the reference was refined).
        error: Relative errors that it reaches, by species.
    """

    seconds: float
    cells: int
    tolerance: float
    method: str
    error: Errors


@dataclass(frozen=True)
class _Way:
    """A mesh, or two to extrapolate from."""

    method: str
    meshes: tuple[Int[ndarray, " F"] | int, ...]

    def solve(self, task: Task, tolerance: float) -> tuple[Answer, float, int]:
        """The answer, its wall time and its number of cells."""
        answers = [task.solve(cells, tolerance) for cells in self.meshes]
        seconds = sum(answer.solution.seconds for answer in answers)
        finest = int(np.sum(np.broadcast_to(self.meshes[-1], task.cable.n_frusta)))
        answer = answers[0] if len(answers) == 1 else answers[1].extrapolated(answers[0])
        return answer, seconds, finest


def price_of(task: Task, settled: Settled, norms: Norms) -> Price | None:
    """The quickest reference solve found whose errors are at most those that were judged.

    Tried are the adapted pairs, pairs of uniform meshes and uniform meshes, each from coarse to
    fine with the loosest tolerance that serves. A way is given up where it takes longer than the
    best one so far.

    Returns:
        None where none of them gets there.
    """
    best: Price | None = None
    patience = 2.0 * settled.finest.seconds
    for ways in (_adapted(settled), _extrapolated(task), _uniform(task, settled, norms)):
        for way in ways:
            limit = patience if best is None else best.seconds
            price, seconds = _cheapest(task, settled, norms, way, limit)
            best = price or best
            if price is not None or seconds > limit:
                break
    return best


def _uniform(task: Task, settled: Settled, norms: Norms) -> Iterator[_Way]:
    excess = _times(norms.error(settled.first[0].fields, settled.answer), settled.error)
    # Second order says where to begin; one mesh coarser is tried, that order being asymptotic.
    begin = int(np.ceil(0.5 * np.log2(excess))) - 1
    for power in range(begin, _FINEST):
        cells = int(task.parts * 2.0**power)
        if cells >= task.parts or (cells > 0 and task.parts % cells == 0):
            yield _Way("uniform", (cells,))


def _extrapolated(task: Task) -> Iterator[_Way]:
    for power in range(_FINEST):
        yield _Way("extrapolated", (task.parts * 2**power, task.parts * 2 ** (power + 1)))


def _adapted(settled: Settled) -> Iterator[_Way]:
    for mesh, own in zip(settled.meshes[1:], settled.own[1:], strict=True):
        if within(own, settled.error):
            yield _Way("adapted", (mesh.cells, 2 * mesh.cells))


def _cheapest(task: Task, settled: Settled, norms: Norms, way: _Way, limit: float) -> tuple[Price | None, float]:
    """The loosest tolerance that serves within the limit, and the time of the last try."""
    least, seconds = np.inf, 0.0
    # The error of a solve is some fraction of its tolerance, never a hundredth.
    for tolerance in (x for x in _TOLERANCES if x <= 100.0 * settled.error[CALCIUM]):
        answer, seconds, cells = way.solve(task, tolerance)
        if seconds > limit:
            break
        own = norms.error(answer.fields, settled.answer)
        if within(own, settled.error):
            return Price(seconds, cells, tolerance, way.method, own), seconds
        worst = _times(own, settled.error)
        if worst > 0.9 * least:  # what is left is the mesh
            break
        least = worst
    return None, seconds


def _times(mine: Errors, theirs: Errors) -> float:
    """How many times as large as the others the errors are, at most."""
    return max(mine[name] / theirs[name] for name in theirs)
