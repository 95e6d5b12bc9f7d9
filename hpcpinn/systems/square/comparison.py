"""Holds a result on a square against the closed form, against finite differences and, if asked, against DeepXDE."""

import time as clock
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io.read import Result, read
from hpcpinn.io.sidecar import DEEPXDE, EXACT, FINITE_DIFFERENCE, Solution, read_reference, write_reference
from hpcpinn.physics.dopamine import DopamineConstants, exact
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.reference.deepxde_peer import PeerRun, Training, require_deepxde, solve_by_deepxde
from hpcpinn.reference.square import ReferenceSquare, solve_square
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.systems.square.build import constants_in
from hpcpinn.systems.square.recorded import DOPAMINE
from hpcpinn.wording import duration

_STEP = 0.1
"""Time steps of the coarsest finite differences, as a share of the time since the release began to spread."""


@dataclass(frozen=True)
class Level:
    """Finite differences on one grid.

    Attributes:
        cells: Along x and y.
        error: L2 difference from the closed form over all frames, relative.
        seconds: Wall time.
    """

    cells: tuple[int, int]
    error: float
    seconds: float


@dataclass(frozen=True)
class Peer:
    """DeepXDE as a third check.

    Attributes:
        python: An interpreter that can import deepxde and torch.
        training: How it trains, and how long at most.
    """

    python: str
    training: Training = Training()


@dataclass(frozen=True)
class SquareValidation:
    """How a result compares.

    Attributes:
        result: The run.
        error_exact: L2 difference from the closed form over all frames, relative.
        error_exact_max: Largest difference at any frame and place, µM.
        error_difference: L2 difference from the finest finite differences, relative.
        frame_error: Error of every frame, relative to the frame, (T,).
        levels: Finite differences, coarsest first.
        seconds_ours: Wall time of the run's windows, compilation included.
        peer: What DeepXDE found, now or in an earlier validation; None where it was never asked.
        error_peer: L2 difference of DeepXDE from the closed form over all frames, relative.
        sidecar: File with the other solutions.
    """

    result: Result
    error_exact: float
    error_exact_max: float
    error_difference: float
    frame_error: Float[ndarray, " T"]
    levels: tuple[Level, ...]
    seconds_ours: float
    peer: PeerRun | None
    error_peer: float | None
    sidecar: Path

    @property
    def accuracy(self) -> Accuracy:
        """The error against the tolerance of the run."""
        tolerance = float(self.result.config["window"]["tolerance"])
        of = "the distance from the closed form, all frames"
        return Accuracy(self.error_exact, tolerance, of, "window.tolerance")

    def figures(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "result": str(self.result.path),
            "error_exact": self.error_exact,
            "error_exact_max": self.error_exact_max,
            "error_difference": self.error_difference,
            "time": self.result.time.tolist(),
            "frame_error": self.frame_error.tolist(),
            "finite_differences": [asdict(level) for level in self.levels],
            "seconds_ours": self.seconds_ours,
            "deepxde": None if self.peer is None else {"error": self.error_peer} | self.peer.figures(),
            "sidecar": str(self.sidecar),
            "verdict": {"accuracy": [asdict(self.accuracy) | {"passes": self.accuracy.passes}], "left": []},
        }


def validate_square(
    path: Path,
    *,
    refinement: int = 3,
    peer: Peer | None = None,
    watch: Callable[[Level], None] = lambda level: None,
    progress: ProgressDisplay = NO_PROGRESS,
) -> SquareValidation:
    """Compares a result with the closed form, finite differences on finer and finer grids, and DeepXDE. Serial.

    What DeepXDE found in an earlier validation of the same result is kept where it is not asked again.

    Args:
        path: The result.
        refinement: How many grids: 1, 3, 5, ... times as fine as the output's cells, so that middles meet.
        peer: DeepXDE, if it is asked.
        watch: Function that is called with every grid.
        progress: Display that is told what is being done.

    Raises:
        InputError: There is no such result, it has no frames, or DeepXDE is not there.
        SolveError: DeepXDE failed; closed form and finite differences are kept.
        OutputError: The solutions cannot be kept.
    """
    progress.doing("reading the result")
    result = read(path)
    if len(result.time) < 2:
        raise InputError(f"{path}: holds no frames after the start; run the job again")
    if peer is not None:
        require_deepxde(peer.python)  # before anything that takes time
    constants = constants_in(result)
    progress.doing("computing the closed form")
    wanted = np.asarray(closed_form(constants, result.box.x, result.box.y, result.time))
    levels, frames = [], wanted
    for number in range(refinement):
        factor = 2 * number + 1
        progress.doing(f"finite differences, grid {number + 1} of {refinement}")
        begun = clock.perf_counter()
        frames = _finite_differences(constants, result, factor)
        level = Level(_cells(result, factor), relative_difference(frames, wanted), clock.perf_counter() - begun)
        levels.append(level)
        watch(level)
    run = _kept(result)
    sidecar = _keep(result, wanted, frames, run)
    if peer is not None:
        progress.doing(f"DeepXDE trains, {duration(peer.training.limit)} at most")
        told = peer_problem(constants)
        run = solve_by_deepxde(told, result.box.x, result.box.y, result.time, peer.training, peer.python)
        _keep(result, wanted, frames, run)
    missed = result.dopamine - wanted
    per_frame = np.linalg.norm(missed, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2))
    return SquareValidation(
        result=result,
        error_exact=relative_difference(result.dopamine, wanted),
        error_exact_max=float(np.abs(missed).max()),
        error_difference=relative_difference(result.dopamine, frames),
        frame_error=per_frame,
        levels=tuple(levels),
        seconds_ours=float(result.windows["seconds"].sum()),
        peer=run,
        error_peer=None if run is None else relative_difference(run.values, wanted),
        sidecar=sidecar,
    )


def _kept(result: Result) -> PeerRun | None:
    """What DeepXDE found in an earlier validation of the same result."""
    try:
        reference = read_reference(result)
    except InputError:
        return None  # damaged or of another version: it is replaced
    if reference is None or len(reference.time) != len(result.time) or DEEPXDE not in reference:
        return None
    kept = reference[DEEPXDE]
    return PeerRun(kept.fields[DOPAMINE.name], **kept.figures)


def _keep(result: Result, wanted: ndarray, frames: ndarray, run: PeerRun | None) -> Path:
    name = DOPAMINE.name
    solutions = {EXACT: Solution({name: wanted}), FINITE_DIFFERENCE: Solution({name: frames})}
    if run is not None:
        solutions[DEEPXDE] = Solution({name: run.values}, figures=run.figures())
    return write_reference(result, solutions)


def closed_form(
    constants: DopamineConstants, x: Float[ndarray, " X"], y: Float[ndarray, " Y"], t: Float[ndarray, " T"]
) -> Any:
    """The closed form at all times and places, (t, y, x), µM."""

    def run(x: Array, y: Array, t: Array) -> Array:
        return exact(x[None, None, :], y[None, :, None], t[:, None, None], constants)

    return jax.jit(run)(x, y, t)


def peer_problem(constants: DopamineConstants) -> dict[str, float]:
    """The constants by name, as a peer takes them."""
    return {name: float(getattr(constants, name)) for name in ("D", "k", "C0", "sigma", "half_width")}


def _finite_differences(constants: DopamineConstants, result: Result, factor: int) -> ndarray:
    def release(x: ndarray, y: ndarray) -> ndarray:
        peak: ndarray = constants.C0 * _bells(constants, x) * _bells(constants, y)
        return peak

    problem = ReferenceSquare(constants.D, constants.k, constants.half_width, release)
    settling = constants.sigma**2 / (2.0 * constants.D)
    frames = solve_square(problem, result.time, _cells(result, factor), step=_STEP / factor, settling=settling)
    return frames[:, factor // 2 :: factor, factor // 2 :: factor]


def _cells(result: Result, factor: int) -> tuple[int, int]:
    return factor * len(result.box.x), factor * len(result.box.y)


def _bells(constants: DopamineConstants, x: ndarray) -> ndarray:
    """The release along one axis with its nearest images, for a solver that shares nothing with ours."""
    side = 2.0 * constants.half_width
    centres = side * np.arange(-2, 3)
    bells: ndarray = np.exp(-((x[..., None] - centres) ** 2) / (2.0 * constants.sigma**2)).sum(axis=-1)
    return bells


def relative_difference(values: Float[ndarray, "..."], wanted: Float[ndarray, "..."]) -> float:
    """L2 difference, relative to what is wanted."""
    return float(np.linalg.norm(values - wanted) / np.linalg.norm(wanted))
