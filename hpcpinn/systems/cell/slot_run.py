"""A long protocol as the march and its checkpoints see it: its windows are slots, which are always accepted.

In a checkpoint cells lie by piece and the membrane by compartment, whatever rank had them. What a motif began with is
kept, not what came of it: on resuming, the motifs that were known are solved again, and the run goes on to the last
bit on as many ranks.
"""

import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.core.system import Attempt, Packed, Rows
from hpcpinn.errors import SolveError
from hpcpinn.io import checkpoint
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.stats import Stats
from hpcpinn.systems.cell.cable_windows import NOTHING
from hpcpinn.systems.cell.slot_setup import SMALL, SlotSetup
from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import DriveState, Motif, MotifCache
from hpcpinn.timestepping.slot_windows import packed_windows, restore_windows
from hpcpinn.timestepping.slots import Slot, unpacked
from hpcpinn.timestepping.splitting import RICHARDSON_DIVISOR, Frames
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.wording import biology

RESUMABLE = (
    "morphology", "physics", "buffer", "voltage", "field", "stimulation", "clamp", "channels", "cable", "synapse",
    "flux", "pieces", "split", "network", "training", "schwarz", "window", "population",
)  # fmt: skip
"""Tables of the run description that shape the state: they must not change on resume."""

ALWAYS = WindowRule(first=math.inf, shortest=math.inf, longest=math.inf, tolerance=math.inf)
"""The rule of slots: as long as the protocol says, and accepted whatever their error."""

_NONE = np.zeros(0, int)


class SlotState(NamedTuple):
    """Where a long run is.

    Attributes:
        time: Biological time, ms.
        calcium: Calcium and its buffers.
        coarse: The same, followed in windows twice as long: their distance is the error estimate.
        drive: Membrane and channels.
        reach: Largest distance of every member's calcium from rest in a slot so far, µM, root mean
            square over tree and slot.
        rises: Action potentials at this rank's compartments so far.
        next_frame, next_sample: Which multiple of their interval is written next.
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
        next_frame, next_sample: Which multiple of their interval is due next.
    """

    frames: Int[ndarray, " f"]
    next_frame: int
    samples: Int[ndarray, " s"]
    next_sample: int


class SolvedSlot(NamedTuple):
    """The inside of a slot.

    Attributes:
        slot: The slot.
        motif: Its voltage and influx.
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


@dataclass(frozen=True)
class SlotRun:
    """A long protocol on one rank; every method is collective over all ranks.

    Attributes:
        problem: What is solved.
        cache: Motifs that are known.
    """

    problem: SlotSetup
    cache: MotifCache

    rule = ALWAYS

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of the protocol, in their order."""
        return tuple(self.problem.slots())

    @cached_property
    def stops(self) -> Float[ndarray, " s"]:
        """Ends of the slots, ms."""
        return np.array([slot.end for slot in self.slots])

    def start(self) -> SlotState:
        """Rest."""
        problem = self.problem
        reach, rises = np.zeros(len(problem.member_volume)), Rises.none(len(problem.solver.cable.own))
        return SlotState(0.0, problem.rest, problem.rest, problem.drive, reach, rises)

    def attempt(self, state: SlotState, length: float, reuse: None) -> Attempt[SlotState, SolvedSlot]:
        """Voltage and influx of the slot that starts at a state, its windows and the coarse ones.

        Raises:
            SolveError: Calcium is not finite.
        """
        slot = self.slots[int(np.searchsorted(self.stops, state.time + 1e-6))]
        marks = [clock.perf_counter()]
        motif = self.cache.motif(slot, state.drive, state.calcium)
        marks.append(clock.perf_counter())
        ends = motif.ends[motif.shared]
        due = self._due(slot, ends, state)
        asked = compared(ends, np.concatenate([due.frames, due.samples]))
        calcium, frames, done = self._windows(state, motif, motif.shared[asked])
        marks.append(clock.perf_counter())
        coarse, coarse_frames = self._coarse(state, motif, asked)
        reach, apart, own = self._distances(ends[asked], frames, coarse_frames, state)
        if not np.all(np.isfinite([reach, apart])):
            raise SolveError(
                f"calcium is not finite at t = {biology(slot.end, 6)}; shorten split.first and split.longest"
            )
        small, nothing = (share * self.problem.constants.c_rest for share in (SMALL, NOTHING))
        self.cache.judge(slot, float(np.max(own / RICHARDSON_DIVISOR / np.maximum(reach, small))))
        reach = np.maximum(reach, state.reach)
        fired = state.rises.and_then(motif.rises, slot.start)
        marks.append(clock.perf_counter())
        seconds = dict(zip(("voltage", "windows", "coarse"), np.diff(marks).tolist(), strict=True))
        return Attempt(
            length,
            float(np.max(apart / RICHARDSON_DIVISOR / np.maximum(reach, nothing))),
            SlotState(slot.end, calcium, coarse, motif.end, reach, fired, due.next_frame, due.next_sample),
            notes={**done.counts(), **{f"seconds_{name}": spent for name, spent in seconds.items()}},
            largest={"coupled_error": done.coupled.error},
            inside=SolvedSlot(slot, motif, ends, asked, frames, coarse_frames, due, done.coupled),
        )

    def _windows(self, state: SlotState, motif: Motif, rows: ndarray) -> tuple[ReactionState, Frames, "_Work"]:
        """Goes through a slot; waits for it to be done."""
        problem, begin = self.problem, state.calcium
        if problem.coupled is not None and motif.slot.coupled:
            end, frames, work = problem.coupled.follow(begin, motif, rows, problem.norm(state.reach))
            return end, frames, _Work(coupled=work)
        end, frames, count = problem.splitting.follow(begin, motif.plan, rows)
        outside = sum(problem.communicator.share(int(count)))
        return end, frames, _Work(len(motif.ends), outside, (len(motif.ends) + 1) * problem.n_points)

    def _coarse(self, state: SlotState, motif: Motif, asked: ndarray) -> tuple[ReactionState, Frames]:
        """The same in windows about twice as long."""
        problem, begin = self.problem, state.coarse
        if problem.coupled is not None and motif.slot.coupled:
            rows, reach = motif.shared[asked], problem.norm(state.reach)
            return problem.coupled.follow(begin, motif, rows, reach, loosely=True)[:2]
        return problem.splitting.follow(begin, motif.coarse, asked)[:2]

    def _due(self, slot: Slot, ends: Float[ndarray, " k"], state: SlotState) -> Due:
        """What is written of a slot, at ends of windows that the coarse solution has, too."""
        run, times = self.problem.config.run, slot.start + ends
        frames, next_frame = passed(times, run.output_interval, state.next_frame)
        samples, next_sample = passed(times, run.probe_interval, state.next_sample)
        wanted = self.problem.frame_times
        wanted = wanted[(wanted > slot.start) & (wanted <= slot.end)]
        then = np.searchsorted(times, wanted * (1.0 - 1e-12)).clip(max=len(times) - 1)
        return Due(np.union1d(frames, then), next_frame, samples, next_sample)

    def _distances(
        self, ends: Float[ndarray, " n"], frames: Frames, coarse: Frames, begin: SlotState
    ) -> tuple[Float[ndarray, " M"], Float[ndarray, " M"], Float[ndarray, " M"]]:
        """Every member's calcium from rest, from the coarse solution's, and what the slot itself adds to that.

        Root mean squares over tree and slot.
        """
        time = np.diff(ends, prepend=0.0) / ends[-1]
        c, c_coarse = np.asarray(frames.c), np.asarray(coarse.c)
        apart = c - c_coarse
        added = apart - (np.asarray(begin.calcium.c) - np.asarray(begin.coarse.c))
        away = c - np.asarray(self.problem.rest.c)
        squares = (self.problem.per_member(time @ x**2) for x in (away, apart, added))
        reach, distance, own = (np.sqrt(square) for square in squares)
        return reach, distance, own

    @property
    def rows(self) -> Rows:
        """This rank's pieces."""
        return Rows(self.problem.pieces, self.problem.header.cable.n_frusta)

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """What states depend on."""
        problem = self.problem
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

    def pack(self, state: SlotState) -> Packed:
        """A state, and what the motifs of the cache began with, for a checkpoint."""
        problem, cache, n = self.problem, self.cache, len(self.problem.pieces)
        arrays = {
            f"{who}_{name}": np.asarray(values).reshape(n, -1)
            for who, of in (("run", state.calcium), ("coarse", state.coarse))
            for name, values in zip(problem.constants.species, of.species, strict=True)
        }
        starts = cache.starts
        scalars: dict[str, Any] = {"time": state.time, "reach": state.reach, "motifs": len(starts)}
        scalars |= {name: getattr(state, name) for name in ("next_frame", "next_sample")}
        scalars |= {name: getattr(cache, name) for name in ("solved", "reused", "mismatch")}
        scalars["rises"] = rises_of_all(problem, state.rises)
        scalars |= _packed("drive", state.drive, problem) | packed_windows(cache.windows)
        for number, (slot, begin, ends) in enumerate(starts):
            scalars[f"motif{number}_slot"] = slot.packed()
            scalars[f"motif{number}_ends"] = ends
            scalars |= _packed(f"motif{number}", begin, problem)
        return Packed(arrays, scalars)

    def unpack(self, packed: Packed) -> SlotState:
        """The state of a checkpoint; the cache learns the motifs that were known then."""
        problem, cache, arrays, scalars = self.problem, self.cache, packed.arrays, packed.scalars
        starts = []
        for number in range(int(scalars["motifs"])):
            slot = unpacked(np.asarray(scalars[f"motif{number}_slot"]))
            begin = _unpacked(f"motif{number}", scalars, problem)
            starts.append((slot, begin, np.asarray(scalars[f"motif{number}_ends"])))
        cache.learn(starts)
        restore_windows(cache.windows, scalars)
        cache.solved, cache.reused = int(scalars["solved"]), int(scalars["reused"])
        cache.mismatch = float(scalars["mismatch"])
        calcium, coarse = (
            ReactionState.of(jnp.asarray(arrays[f"{who}_{name}"].ravel()) for name in problem.constants.species)
            for who in ("run", "coarse")
        )
        count, first = np.asarray(scalars["rises"])[problem.solver.cable.own].T
        return SlotState(
            time=float(scalars["time"]),
            calcium=calcium,
            coarse=coarse,
            drive=_unpacked("drive", scalars, problem),
            reach=np.atleast_1d(np.asarray(scalars["reach"], float)),
            rises=Rises(count.astype(int), first),
            next_frame=int(scalars["next_frame"]),
            next_sample=int(scalars["next_sample"]),
        )


class _Work(NamedTuple):
    """What a slot took.

    Attributes:
        split_windows: Number of split windows.
        outside: States that the flow map's box did not hold, advanced by a stiff sub-step.
        evaluated: States that were advanced in all.
        coupled: What coupled windows took.
    """

    split_windows: int = 0
    outside: int = 0
    evaluated: int = 0
    coupled: Stats = Stats()

    def counts(self) -> dict[str, float]:
        """What a run adds up."""
        return {
            "split_windows": self.split_windows,
            "coupled_windows": self.coupled.windows,
            "outside": self.outside,
            "evaluated": self.evaluated,
        }


def compared(ends: Float[ndarray, " k"], due: Int[ndarray, " d"] = _NONE) -> Int[ndarray, " n"]:
    """Ends of windows (ms after the slot's start) at which two solutions are compared.

    Each costs as much as a window in both: those that are due anyway, every eighth, one in every half of the
    slot, and the last.
    """
    halves = np.floor(2.0 * ends / ends[-1] + 1e-9)
    then = np.flatnonzero(np.diff(halves, prepend=0.0) > 0.0)
    return np.unique(np.concatenate([due, np.arange(7, len(ends), 8), then, [len(ends) - 1]]))


def passed(times: Float[ndarray, " K"], interval: float, following: int) -> tuple[ndarray, int]:
    """Rows at which, or right after which, a multiple of the interval falls due; and the next multiple."""
    over = np.floor(times / interval * (1.0 + 1e-12) + 1e-9).astype(int)
    before = np.concatenate([[following - 1], over[:-1]])
    rows = np.flatnonzero(over > np.maximum(before, following - 1))
    return rows, max(following, int(over[-1]) + 1)


def _packed(name: str, drive: DriveState, problem: SlotSetup) -> dict[str, Any]:
    """Membrane and channels of all compartments, on rank 0; collective over all ranks."""
    cable = problem.solver.cable
    membrane = cable.rows_of(drive.voltage)
    return {
        f"{name}_membrane": _of_all(membrane, problem),
        f"{name}_channels": _of_all(np.asarray(drive.gates)[: len(cable.own)], problem),
        f"{name}_lag": float(drive.voltage.lag),
    }


def rises_of_all(problem: SlotSetup, own: Rises) -> Float[ndarray, "P 2"]:
    """Number and first time of action potentials at all compartments, on rank 0; collective over all ranks."""
    return _of_all(np.column_stack([own.count, own.first]), problem)


def _of_all(own: Float[ndarray, "n k"], problem: SlotSetup) -> Float[ndarray, "P k"]:
    parts = problem.communicator.gather((problem.solver.cable.own, own))
    whole = np.zeros((problem.n_compartments, own.shape[1]))
    for rows, values in parts or ():
        whole[rows] = values
    return whole


def _unpacked(name: str, scalars: Mapping[str, Any], problem: SlotSetup) -> DriveState:
    cable, halo = problem.solver.cable, problem.halo_compartments
    membrane = np.asarray(scalars[f"{name}_membrane"])[cable.own]
    voltage = cable.state_of(membrane, float(scalars[f"{name}_lag"]))
    return DriveState(voltage, np.asarray(scalars[f"{name}_channels"])[halo])
