"""Checkpoints of long runs: cells by piece, membrane by compartment, whatever rank had them.

What a motif began with is kept, not what came of it: on resuming, the motifs that were known are solved
again, and the run goes on to the last bit on as many ranks.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import checkpoint
from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import DriveState, MotifBook
from hpcpinn.timestepping.slot_windows import packed_windows, restore_windows
from hpcpinn.timestepping.slots import unpacked
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.workflows.long_state import LongState, LongTally
from hpcpinn.workflows.split_problem import SplitProblem

RESUMABLE = (
    "morphology", "physics", "voltage", "field", "stimulation", "clamp", "channels", "cable", "synapse", "flux",
    "pieces", "split", "network", "training", "schwarz", "window", "population",
)  # fmt: skip
"""Tables of the run description that shape the state: they must not change on resume."""


def settings_of(problem: SplitProblem) -> dict[str, str]:
    """What a checkpoint must agree with to be of this run."""
    tables = problem.config.model_dump(mode="json", include=set(RESUMABLE))
    # How often checkpoints are written shapes nothing.
    tables["split"].pop("checkpoint_every")
    if problem.coupled is None:
        del tables["schwarz"], tables["window"]
    if problem.config.by_networks:
        tables["run"] = {"seed": problem.config.run.seed}
    else:
        del tables["network"], tables["training"]
    return checkpoint.fingerprint(tables, problem.header.cable)


def save(problem: SplitProblem, book: MotifBook, state: LongState, tally: LongTally) -> None:
    """Replaces the checkpoint of a run. Collective over all ranks.

    Raises:
        OutputError: It cannot be written.
    """
    n = len(problem.pieces)
    arrays = {
        f"{who}_{name}": np.asarray(values).reshape(n, -1)
        for who, pair in (("calcium", state.calcium), ("companion", state.companion))
        for name, values in zip(ReactionState._fields, pair, strict=True)
    }
    starts = book.starts
    scalars: dict[str, Any] = {"time": state.time, "reach": state.reach, "motifs": len(starts)}
    scalars["rises"] = rises_of_all(problem, state.rises)
    scalars |= _packed("drive", state.drive, problem) | packed_windows(book.windows)
    for number, (slot, begin, ends) in enumerate(starts):
        scalars[f"motif{number}_slot"] = slot.packed()
        scalars[f"motif{number}_ends"] = ends
        scalars |= _packed(f"motif{number}", begin, problem)
    scalars |= {f"tally_{name}": value for name, value in asdict(tally).items()}
    checkpoint.save(
        checkpoint.checkpoint_path(problem.config.run.output),
        problem.communicator,
        problem.pieces,
        problem.header.cable.n_frusta,
        arrays,
        scalars,
        settings_of(problem),
    )


def load(path: Path, problem: SplitProblem, book: MotifBook) -> tuple[LongState, LongTally]:
    """The state of a checkpoint; the book learns the motifs that were known then. Collective over all ranks.

    Raises:
        InputError: The checkpoint cannot be used for this run.
    """
    arrays, scalars = checkpoint.load(path, problem.communicator, problem.pieces, settings_of(problem))
    starts = []
    for number in range(int(scalars["motifs"])):
        slot = unpacked(np.asarray(scalars[f"motif{number}_slot"]))
        begin = _unpacked(f"motif{number}", scalars, problem)
        starts.append((slot, begin, np.asarray(scalars[f"motif{number}_ends"])))
    book.learn(starts)
    restore_windows(book.windows, scalars)
    kinds = {name: type(value) for name, value in asdict(LongTally()).items()}
    tally = LongTally(**{name: kind(scalars[f"tally_{name}"]) for name, kind in kinds.items()})
    book.solved, book.reused, book.mismatch = tally.solved, tally.reused, tally.mismatch
    calcium, companion = (
        ReactionState(*(jnp.asarray(arrays[f"{who}_{name}"].ravel()) for name in ReactionState._fields))
        for who in ("calcium", "companion")
    )
    reach = np.atleast_1d(np.asarray(scalars["reach"], float))
    time, drive = float(scalars["time"]), _unpacked("drive", scalars, problem)
    return LongState(time, calcium, companion, drive, reach, _rises(scalars, problem)), tally


def _rises(scalars: dict[str, Any], problem: SplitProblem) -> Rises:
    own = problem.solver.cable.own
    if "rises" not in scalars:  # of an older version: nobody knows what fired before
        return Rises(np.zeros(len(own), int), np.full(len(own), np.nan))
    count, first = np.asarray(scalars["rises"])[own].T
    return Rises(count.astype(int), first)


def _packed(name: str, drive: DriveState, problem: SplitProblem) -> dict[str, Any]:
    """Membrane and channels of all compartments, on rank 0; collective over all ranks."""
    cable = problem.solver.cable
    membrane = cable.rows_of(drive.voltage)
    return {
        f"{name}_membrane": _of_all(membrane, problem),
        f"{name}_channels": _of_all(np.asarray(drive.gates)[: len(cable.own)], problem),
        f"{name}_lag": float(drive.voltage.lag),
    }


def rises_of_all(problem: SplitProblem, own: Rises) -> Float[ndarray, "P 2"]:
    """Number and first time of action potentials at all compartments, on rank 0; collective over all ranks."""
    return _of_all(np.column_stack([own.count, own.first]), problem)


def _of_all(own: Float[ndarray, "n k"], problem: SplitProblem) -> Float[ndarray, "P k"]:
    parts = problem.communicator.gather((problem.solver.cable.own, own))
    whole = np.zeros((problem.n_compartments, own.shape[1]))
    for rows, values in parts or ():
        whole[rows] = values
    return whole


def _unpacked(name: str, scalars: dict[str, Any], problem: SplitProblem) -> DriveState:
    cable, heard = problem.solver.cable, problem.heard_compartments
    membrane = np.asarray(scalars[f"{name}_membrane"])[cable.own]
    voltage = cable.state_of(membrane, float(scalars[f"{name}_lag"]))
    return DriveState(voltage, np.asarray(scalars[f"{name}_channels"])[heard])
