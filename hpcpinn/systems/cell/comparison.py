"""Holds a result against the independent finite-volume reference on the same pieces."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.read import Result, read
from hpcpinn.io.sidecar import FINITE_VOLUMES, Solution, write_reference
from hpcpinn.io.tree import equal_cells
from hpcpinn.physics.constants import CALCIUM
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.reference.price import Price, price_of
from hpcpinn.reference.refinement import MOVEMENT, Norms, Settled, settle
from hpcpinn.systems.cell.build.reference import task_of
from hpcpinn.systems.cell.verdict import CellsVerdict, cells_verdict_in
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.wording import counted


@dataclass(frozen=True)
class Validation:
    """What the reference says of a result.

    Attributes:
        result: The result file.
        settled: The reference and the errors of the result.
        time: Times of the frames, user units.
        error: Errors frame by frame, by species.
        balance: Calcium balance of the run, over all that came in; None of split windows, which keep it exactly and
            do not measure it.
        balance_reference: Calcium balance of the reference.
        seconds_ours: Wall time of the run's windows: solving, exchange, writing.
        seconds_first: Wall time of the first of these windows, in which everything is compiled.
        price: The quickest reference solve found that is at least as good as the result; None where there is
            none, or where it was not looked for.
        sidecar: File with the reference, for pictures.
    """

    result: Result
    settled: Settled
    time: Float[ndarray, " T"]
    error: Mapping[str, Float[ndarray, " T"]]
    balance: float | None
    balance_reference: float
    seconds_ours: float
    seconds_first: float
    price: Price | None
    sidecar: Path

    @property
    def seconds_reference(self) -> float:
        """Wall time of the reference at equal error (of the finest solve where none is as good)."""
        return self.settled.finest.seconds if self.price is None else self.price.seconds

    @property
    def accuracy(self) -> dict[str, Accuracy]:
        """The errors of every species against the tolerance of the run."""
        tolerance, key = float(self.result.config["window"]["tolerance"]), "window.tolerance"
        measures = {
            name: "its excursion from rest" if name.endswith(CALCIUM) else "itself" for name in self.settled.error
        }
        return {
            name: Accuracy(error, tolerance, f"{name}, relative to {measures[name]}", key)
            for name, error in self.settled.error.items()
        }

    @property
    def of_run(self) -> CellsVerdict | None:
        """What the run said of itself; None where its metrics are not there."""
        try:
            return cells_verdict_in(read_metrics(self.result.path))
        except InputError:
            return None

    @property
    def unsettled(self) -> str:
        """What the reference does not know well enough, in words; empty where it stands still."""
        parts = [
            f"{name}'s error of {error:.1e} is known to within {self.settled.movement[name]:.1e} only"
            for name, error in self.settled.error.items()
            if not self.settled.movement[name] <= MOVEMENT * error
        ]
        return " and ".join(parts)

    def figures(self) -> dict[str, Any]:
        """All numbers as one JSON object; relative errors, seconds, user time."""
        settled, finest, price = self.settled, self.settled.finest, self.price
        return {
            "result": str(self.result.path),
            "rel_l2": dict(settled.error),
            "balance": self.balance,
            "seconds_ours": self.seconds_ours,
            "seconds_reference": self.seconds_reference,
            "seconds_first_window": self.seconds_first,
            "ranks": self.result.attributes["ranks"],
            "pieces": self.result.cable.n_frusta,
            "complete": self.result.complete,
            "reference": {
                "cells": int(2 * finest.cells.sum()),
                "refinements": len(settled.meshes),
                "tolerance": finest.tolerance,
                "movement": dict(settled.movement),
                "settled": settled.still,
                "balance": self.balance_reference,
                "seconds": finest.seconds,
                "file": str(self.sidecar),
            },
            "equal_error": None if price is None else asdict(price),
            "verdict": {
                "accuracy": [asdict(one) | {"passes": one.passes} for one in self.accuracy.values()],
                "left": [self.unsettled] if self.unsettled else [],
                "run": None if self.of_run is None else asdict(self.of_run),
            },
            "time": self.time.tolist(),
            "rel_l2_by_time": {name: error.tolist() for name, error in self.error.items()},
        }


def validate(
    path: str | Path,
    *,
    refinement: int = 8,
    patience: float = 300.0,
    timed: bool = True,
    watch: Callable[[Settled], None] = lambda settled: None,
    progress: ProgressDisplay = NO_PROGRESS,
) -> Validation:
    """Solves a run again with the reference, refined until it no longer moves, and compares.

    Args:
        path: The result file; a run that was cut short is compared as far as it goes.
        refinement: How often the reference may be refined.
        patience: No refinement is begun that would take longer to compute, s; what else the machine does meanwhile
            does not count.
        timed: Whether the quickest reference solve that is as good as the result is looked for.
        watch: Function that is called with every level of refinement.
        progress: Display that is told what is being done.

    Raises:
        InputError: The file is no result or holds nothing to compare, the files that the run was
            made from are gone, or they no longer give the cell of the result; or the reference would
            replace one of them, or another file.
        SolveError: The reference cannot solve it.
        OutputError: The reference cannot be written beside the result.
    """
    progress.doing("reading the result")
    result = read(path)
    if len(result.time) < 2:
        raise InputError(f"{result.path}: holds {len(result.time)} frames; nothing to compare yet")
    if result.members:
        raise InputError(
            f"{result.path}: holds {counted(len(result.members), 'member')} of a population, and one cell is "
            "validated at a time; solve a member by itself, without [population], and validate that"
        )
    task = task_of(result)
    unit, end = task.constants.time_unit, float(result.time[-1])
    task = replace(task, watch=lambda time: progress.done(time / unit))

    def begins(level: int, cells: int) -> None:
        what = f"reference, refinement {level} of at most {refinement}, {cells} cells"
        progress.doing(what, end, "" if unit == 1.0 else "ms")

    k = task.constants
    inside = {
        volume: equal_cells(result.cable.within(volume), result.cells_per_piece).volume for volume in k.calcium_of
    }
    norms = Norms(
        {one.name: inside[one.volume] for one in k.all_species},
        {k.calcium_of[volume].name: c for volume, c in k.calcium_at_rest.items()},
    )
    judged = {name: result.fields[name] for name in k.species}
    settled = settle(task, judged, norms, max_level=refinement, patience=patience, watch=watch, begins=begins)
    answer = settled.answer
    found = Solution(answer.fields, answer.points)
    if timed:
        progress.doing("timing the reference at equal error")
    spent = result.windows["seconds_train"] + result.windows["seconds_io"]
    balance = result.windows["balance"]
    return Validation(
        result=result,
        settled=settled,
        time=result.time,
        error=norms.per_frame(judged, answer),
        balance=float(np.abs(balance[-1])) if len(balance) and result.config["window"]["kind"] == "coupled" else None,
        balance_reference=float(np.abs(answer.solution.balance).max()),
        seconds_ours=float(spent.sum()),
        seconds_first=float(spent[0]) if len(spent) else 0.0,
        price=price_of(task, settled, norms) if timed else None,
        sidecar=write_reference(result, {FINITE_VOLUMES: found}),
    )
