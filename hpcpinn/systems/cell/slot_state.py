"""Where a long run is, and how a checkpoint keeps it.

In a checkpoint cells lie by piece and the membrane by compartment, whatever rank had them. What a motif began with is
kept, not what came of it: on resuming, the motifs that were known are solved again, and the run goes on to the last
bit on as many ranks.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.core.system import Packed
from hpcpinn.marching.stats import Stats
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.timestepping import slots
from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import DriveState, Motif, MotifCache
from hpcpinn.timestepping.slot_windows import packed_windows, restore_windows
from hpcpinn.timestepping.slots import Slot
from hpcpinn.timestepping.splitting import Frames
from hpcpinn.training.flow_map import ReactionState


class SlotState(NamedTuple):
    """Where a long run is.

    Attributes:
        time: Biological time, ms.
        calcium: Calcium and its buffers.
        coarse: Calcium and its buffers, followed in windows twice as long: their distance is the error estimate.
        drive: Membrane and channels.
        reach: Largest distance of every member's calcium from rest in a slot so far, µM, root mean
            square over tree and slot.
        rises: Action potentials at this rank's compartments so far.
        next_frame, next_sample: Multiples of their interval that are written next.
    """

    time: float
    calcium: ReactionState
    coarse: ReactionState
    drive: DriveState
    reach: Float[ndarray, " M"]
    rises: Rises
    next_frame: int = 1
    next_sample: int = 1


class Due(NamedTuple):
    """What is written of a slot.

    Attributes:
        frames, samples: Rows of the ends of windows, for the whole cell and for the probes.
        next_frame, next_sample: Multiples of their interval that are due next.
    """

    frames: Int[ndarray, " f"]
    next_frame: int
    samples: Int[ndarray, " s"]
    next_sample: int


class SolvedSlot(NamedTuple):
    """The inside of a slot.

    Attributes:
        slot: The slot.
        motif: Voltage and influx of the slot.
        ends: Ends of the windows that the coarse solution has, too, ms after its start.
        asked: Rows of `ends` at which there is calcium.
        frames, coarse: Calcium there, and of the coarse solution.
        due: What is written.
        coupled: What coupled windows took.
    """

    slot: Slot
    motif: Motif
    ends: Float[ndarray, " k"]
    asked: Int[ndarray, " n"]
    frames: Frames
    coarse: Frames
    due: Due
    coupled: Stats


def packed(setup: SlotSetup, cache: MotifCache, state: SlotState) -> Packed:
    """A state, and what the motifs of the cache began with, for a checkpoint. Collective over all ranks."""
    n = len(setup.pieces)
    arrays = {
        f"{who}_{name}": np.asarray(values).reshape(n, -1)
        for who, of in (("run", state.calcium), ("coarse", state.coarse))
        for name, values in of.by_name(setup.constants.species).items()
    }
    starts = cache.starts
    scalars: dict[str, Any] = {"time": state.time, "reach": state.reach, "motifs": len(starts)}
    scalars |= {name: getattr(state, name) for name in ("next_frame", "next_sample")}
    scalars |= {name: getattr(cache, name) for name in ("solved", "reused", "mismatch")}
    scalars["rises"] = rises_of_all(setup, state.rises)
    scalars |= _packed("drive", state.drive, setup) | packed_windows(cache.windows)
    for number, (slot, begin, ends) in enumerate(starts):
        scalars[f"motif{number}_slot"] = slot.packed()
        scalars[f"motif{number}_ends"] = ends
        scalars |= _packed(f"motif{number}", begin, setup)
    return Packed(arrays, scalars)


def unpacked(setup: SlotSetup, cache: MotifCache, packed: Packed) -> SlotState:
    """The state of a checkpoint; the cache learns the motifs that were known then."""
    arrays, scalars = packed.arrays, packed.scalars
    starts = []
    for number in range(int(scalars["motifs"])):
        slot = slots.unpacked(np.asarray(scalars[f"motif{number}_slot"]))
        begin = _unpacked(f"motif{number}", scalars, setup)
        starts.append((slot, begin, np.asarray(scalars[f"motif{number}_ends"])))
    cache.learn(starts)
    restore_windows(cache.windows, scalars)
    cache.solved, cache.reused = int(scalars["solved"]), int(scalars["reused"])
    cache.mismatch = float(scalars["mismatch"])
    names = setup.constants.species
    calcium, coarse = (
        ReactionState.named({name: jnp.asarray(arrays[f"{who}_{name}"].ravel()) for name in names}, names)
        for who in ("run", "coarse")
    )
    count, first = np.asarray(scalars["rises"])[setup.solver.cable.own].T
    return SlotState(
        time=float(scalars["time"]),
        calcium=calcium,
        coarse=coarse,
        drive=_unpacked("drive", scalars, setup),
        reach=np.atleast_1d(np.asarray(scalars["reach"], float)),
        rises=Rises(count.astype(int), first),
        next_frame=int(scalars["next_frame"]),
        next_sample=int(scalars["next_sample"]),
    )


def _packed(name: str, drive: DriveState, setup: SlotSetup) -> dict[str, Any]:
    """Membrane and channels of all compartments, on rank 0; collective over all ranks."""
    cable = setup.solver.cable
    membrane = cable.rows_of(drive.voltage)
    return {
        f"{name}_membrane": _of_all(membrane, setup),
        f"{name}_channels": _of_all(np.asarray(drive.gates)[: len(cable.own)], setup),
        f"{name}_lag": float(drive.voltage.lag),
    }


def rises_of_all(setup: SlotSetup, own: Rises) -> Float[ndarray, "P 2"]:
    """Number and first time of action potentials at all compartments, on rank 0; collective over all ranks."""
    return _of_all(np.column_stack([own.count, own.first]), setup)


def _of_all(own: Float[ndarray, "n k"], setup: SlotSetup) -> Float[ndarray, "P k"]:
    parts = setup.communicator.gather((setup.solver.cable.own, own))
    whole = np.zeros((setup.n_compartments, own.shape[1]))
    for rows, values in parts or ():
        whole[rows] = values
    return whole


def _unpacked(name: str, scalars: Mapping[str, Any], setup: SlotSetup) -> DriveState:
    cable, halo = setup.solver.cable, setup.halo_compartments
    membrane = np.asarray(scalars[f"{name}_membrane"])[cable.own]
    voltage = cable.state_of(membrane, float(scalars[f"{name}_lag"]))
    return DriveState(voltage, np.asarray(scalars[f"{name}_channels"])[halo])
