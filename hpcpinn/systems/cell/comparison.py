"""Holds a result against the independent finite-volume reference on the same pieces."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import ValidationError

from hpcpinn.errors import InputError
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.places import check_usable
from hpcpinn.io.read import Result, read
from hpcpinn.io.schema import REFERENCE_FORMAT
from hpcpinn.io.sidecar import FINITE_VOLUMES, Solution, reference_path, write_reference
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.sites import Site
from hpcpinn.physics.constants import CALCIUM, PRESETS, CalciumConstants
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.reference.forcing import EndFlux, Forcing, SynapticRelease, VoltageTable
from hpcpinn.reference.mesh import Mesh
from hpcpinn.reference.price import Price, price_of
from hpcpinn.reference.refinement import MOVEMENT, Norms, Settled, Task, settle
from hpcpinn.systems.cell.build.coupled import describe_cell
from hpcpinn.systems.cell.build.places import input_files
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.coupled_setup import Cell
from hpcpinn.systems.cell.verdict import CellsVerdict, cells_verdict_in
from hpcpinn.systems.common.verdict import Accuracy

_MEASURES = {CALCIUM: "its excursion from rest"}
"""What errors of species are relative to; of the others, to themselves."""


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
        balance_reference: The same of the reference.
        seconds_ours: Wall time of the run's windows: solving, exchange, writing.
        seconds_first: Of these, the first window's, in which everything is compiled.
        price: The quickest reference solve found that is at least as good as the result; None where there is
            none, or where it was not looked for.
        sidecar: Where the reference is kept for pictures.
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
        return {
            name: Accuracy(error, tolerance, f"{name}, relative to {_MEASURES.get(name, 'itself')}", key)
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
        told = [
            f"{name}'s error of {error:.1e} is known to within {self.settled.movement[name]:.1e} only"
            for name, error in self.settled.error.items()
            if not self.settled.movement[name] <= MOVEMENT * error
        ]
        return " and ".join(told)

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
        watch: Told about every level of refinement.
        progress: Told what is being done.

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
    config = _config(result)
    check_usable(
        reference_path(result.path),
        input_files(config),
        "the reference goes there: rename the result",
        REFERENCE_FORMAT,
    )
    cell = describe_cell(config, int(result.attributes["ranks"]))
    _check_same_cell(result, cell)
    unit, end = cell.constants.time_unit, float(result.time[-1])
    task = replace(reference_task(result, config, cell), watch=lambda time: progress.done(time / unit))

    def begins(level: int, cells: int) -> None:
        what = f"reference, refinement {level} of at most {refinement}, {cells} cells"
        progress.doing(what, end, "" if unit == 1.0 else "ms")

    norms = Norms(result.cells.volume, {CALCIUM: task.constants.c_rest})
    judged = {name: result.fields[name] for name in task.constants.species}
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
        balance=float(np.abs(balance[-1])) if len(balance) and config.window.kind == "coupled" else None,
        balance_reference=float(np.abs(answer.solution.balance).max()),
        seconds_ours=float(spent.sum()),
        seconds_first=float(spent[0]) if len(spent) else 0.0,
        price=price_of(task, settled, norms) if timed else None,
        sidecar=write_reference(result, {FINITE_VOLUMES: found}),
    )


def reference_task(result: Result, config: RunConfig, cell: Cell) -> Task:
    """The run as the reference understands it; only places and files are read as the run does."""
    constants = reference_constants(config, cell)
    unit = constants.time_unit
    return Task(
        cable=result.cable,
        constants=constants,
        forcing=reference_forcing(config, cell, constants),
        times=result.time * unit,
        parts=result.cells_per_piece,
        points=(result.probes.piece, result.probes.fraction),
        point_times=result.probes.time * unit if result.probes.name else np.zeros(0),
    )


def reference_constants(config: RunConfig, cell: Cell) -> CalciumConstants:
    """The run's constants with the leak as the user gave it: the reference balances its own."""
    given = config.physics.constants.leak
    leak = PRESETS[config.physics.preset].leak if given is None else given
    return cell.constants.replace(leak=leak)


def reference_forcing(config: RunConfig, cell: Cell, k: CalciumConstants) -> Forcing:
    """Voltage, releases and fluxes in the reference's own words."""
    synapses = []
    for synapse, acts in zip(config.releases, cell.pieces.release, strict=True):
        duration = k.release_duration if synapse.duration is None else synapse.duration * k.time_unit
        flux = k.j_release if synapse.flux is None else synapse.flux
        patch = tuple((int(piece), 0.0, 1.0) for piece in np.flatnonzero(acts))
        synapses.append(SynapticRelease(patch, synapse.start * k.time_unit, duration, flux))
    ends = []
    for given, node, area in zip(config.flux, cell.flux_nodes, cell.flux_areas, strict=True):
        start = given.start * k.time_unit
        ends.append(EndFlux(node, given.value, start, start + given.duration * k.time_unit, area))
    return Forcing(_voltage(cell), tuple(synapses), tuple(ends))


def _voltage(cell: Cell) -> float | VoltageTable:
    source = cell.source
    if not cell.voltage_sites:
        return float(np.asarray(source.values)[0, 0])
    weights = partial(_site_weights, cell, list(cell.voltage_sites))
    return VoltageTable(np.asarray(source.times), np.asarray(source.values), weights)


def _site_weights(cell: Cell, sites: list[Site], mesh: Mesh) -> Any:
    return tree_weights(cell.pieces.cable, sites, (mesh.frustum, mesh.middle))


def _config(result: Result) -> RunConfig:
    try:
        return RunConfig.model_validate(result.config, strict=False)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise InputError(
            f"{result.path}: its run description does not fit this version: {key}: {problem['msg']}; run the job again"
        ) from error


def _check_same_cell(result: Result, cell: Cell) -> None:
    now, then = cell.pieces.cable, result.cable
    same = now.n_frusta == then.n_frusta
    same = same and np.array_equal(now.node, then.node) and np.allclose(now.length, then.length, rtol=1e-9)
    same = same and np.allclose(now.radius, then.radius, rtol=1e-9)
    if not same:
        raise InputError(
            f"{result.path}: the morphology file now gives {now.n_frusta} pieces that differ from the "
            f"{then.n_frusta} of the result; restore the file or run the job again"
        )
