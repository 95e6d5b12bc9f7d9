"""A long run in split or mixed windows, as it was built for one rank."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import MemberEntry
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell.coupled_slots import CoupledSlots
from hpcpinn.systems.cell.run_spec import RunSpec
from hpcpinn.timestepping.motifs import DriveState, MotifCache, SlotSolver
from hpcpinn.timestepping.slot_windows import WindowCache, WindowSearch
from hpcpinn.timestepping.slots import NEAR, Slot
from hpcpinn.timestepping.splitting import Splitting
from hpcpinn.training.flow_map import ReactionState

SMALL = 0.02
"""Distances from rest below this share of it are not told apart when windows are sought."""


@dataclass(frozen=True)
class SlotSetup:
    """What a long run is made of, on one rank.

    Attributes:
        description: JSON text of the run description, with its duration and output intervals filled in.
        spec: What the run writes, and what is said of it.
        chosen: Whether the run has chosen the intervals between frames and between samples itself.
        checkpoint_every: Wall time between checkpoints, s.
        communicator: All ranks.
        geometry: The pieces of all members, each in its output cells.
        probes: Places that are written between frames.
        members: Entries of a population in the result; empty for one cell.
        constants: Constants of calcium; the leak balances the influx at the resting voltage of the first member.
        splitting: Advances calcium and its buffers over a slot.
        solver: Solves voltage and influx of a slot.
        slots: All slots of the protocol, in their order.
        cut: Function of `since` and `until` that cuts that part of the protocol into slots.
        motif_tolerance: Largest difference of a slot's start from a motif's that is taken for it.
        search: Finds windows; None where their lengths are fixed.
        coupled: Goes through slots for coupled windows; None where there are none.
        pieces: Pieces of this rank, increasing; its cells are theirs, in this order.
        volume: Volume that its points stand for, µm³, (N,). Points are its cells, or nodes of networks
            (`split_points`).
        member: Member of each of its points.
        member_volume: Volume of every member, µm³, (M,).
        to_output: Means over its output cells of what lives in a volume at its points, by its name, (cells, N).
        to_probes: Values at its probes of values at its points, (k, N).
        frame_times: Times at which a frame of the whole cell is written whatever the interval, ms, (t,).
        rest: Calcium and its buffers at the start.
        drive: Membrane and channels at the start.
    """

    description: str
    spec: RunSpec
    chosen: tuple[bool, bool]
    checkpoint_every: float
    communicator: Communicator
    geometry: Tree
    probes: tuple[ProbeSite, ...]
    members: tuple[MemberEntry, ...]
    constants: CalciumConstants
    splitting: Splitting
    solver: SlotSolver
    slots: tuple[Slot, ...]
    cut: Callable[..., Iterator[Slot]]
    motif_tolerance: float
    search: WindowSearch | None
    coupled: CoupledSlots | None
    pieces: Int[ndarray, " p"]
    volume: Float[ndarray, " N"]
    member: Int[ndarray, " N"]
    member_volume: Float[ndarray, " M"]
    to_output: Mapping[str, sparse.csr_matrix]
    to_probes: sparse.csr_matrix
    frame_times: Float[ndarray, " t"]
    rest: ReactionState
    drive: DriveState

    @property
    def halo_compartments(self) -> Int[ndarray, " P"]:
        """Compartments that this rank follows: its own, then those of others that its cells hear of."""
        halo, own = self.solver.halo, self.solver.cable.own
        return own if halo is None else halo.compartments

    @property
    def n_points(self) -> int:
        """Points of calcium, of all members and ranks."""
        per_piece = len(self.volume) // max(len(self.pieces), 1)
        return per_piece * self.geometry.cable.n_frusta

    @property
    def n_compartments(self) -> int:
        """Compartments of the voltage, of all members."""
        return self.solver.cable.compartments.count

    def slot_at(self, time: float) -> Slot:
        """The slot that begins at a time, ms: what is left of one where a run to an earlier end has ended in it.

        Raises:
            InputError: That end lies within a pulse.
        """
        slot = self.slots[bisect_left(self.slots, time + NEAR, key=lambda one: one.end)]
        if time <= slot.start + NEAR:
            return slot
        left = next(self.cut(since=time, until=slot.end))
        return replace(left, after_coupled=not left.coupled)  # all may still move

    def new_cache(self) -> MotifCache:
        """A cache without motifs."""
        windows = None if self.search is None else WindowCache(self.search)
        return MotifCache(self.solver, self.motif_tolerance, windows=windows, communicator=self.communicator)

    def per_member(self, values: Float[ndarray, " N"]) -> Float[ndarray, " M"]:
        """Means over the volume of every member, of values at own cells. Collective over all ranks."""
        own = np.bincount(self.member, self.volume * values, len(self.member_volume))
        return np.asarray(np.sum(self.communicator.share(own), axis=0) / self.member_volume)

    def norm(self, root_mean_square: Float[ndarray, " M"]) -> float:
        """L2 norm over the volume of all members, from the root mean square of each."""
        return float(np.sqrt(self.member_volume @ root_mean_square**2))
