"""A long protocol as a problem to march, write, and keep in checkpoints: its windows are slots, always accepted."""

import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.core.system import Attempt, Packed, Record, Rows
from hpcpinn.errors import SolveError
from hpcpinn.io.layout import MemberEntry
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.march import Step
from hpcpinn.marching.run import Cadence
from hpcpinn.marching.stats import Stats
from hpcpinn.systems.cell.cable_windows import NOTHING
from hpcpinn.systems.cell.cell_run import CellRun
from hpcpinn.systems.cell.long_plan import memory_of, plan_of
from hpcpinn.systems.cell.long_verdict import figures_of, verdict_of, windows_in
from hpcpinn.systems.cell.slot_output import at_cells, compared, due_of, inside_of, written_of
from hpcpinn.systems.cell.slot_setup import SMALL, SlotSetup
from hpcpinn.systems.cell.slot_state import SlotState, SolvedSlot, packed, rises_of_all, unpacked
from hpcpinn.systems.cell.verdict import CellsVerdict
from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import Motif, MotifCache
from hpcpinn.timestepping.splitting import RICHARDSON_DIVISOR, Frames
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.wording import biology, counted

ALWAYS = WindowRule(first=math.inf, shortest=math.inf, longest=math.inf, tolerance=math.inf)
"""The rule of slots: as long as the protocol says, and accepted whatever their error."""

SlotAttempt = Attempt[SlotState, SolvedSlot]


@dataclass(frozen=True)
class SlotRun(CellRun):
    """A long protocol on one rank, a `hpcpinn.core.system.Problem`; every method is collective over all ranks.

    Attributes:
        setup: What it is made of.
        cache: Motifs that are known.
    """

    setup: SlotSetup
    cache: MotifCache

    rule = ALWAYS
    called = "stretches"

    @property
    def members(self) -> tuple[MemberEntry, ...]:
        """Entries of a population; empty for one cell."""
        return self.setup.members

    @property
    def description(self) -> str:
        """The run description, with what the run has chosen itself."""
        return self.setup.description

    @property
    def cadence(self) -> Cadence:
        """Checkpoints by the clock: slots take very different times."""
        return Cadence(seconds=self.setup.checkpoint_every)

    @cached_property
    def times(self) -> Float[ndarray, " T"]:
        """When frames fall due, ms: each is written at the first end of windows from there."""
        spec, wanted = self.setup.spec, self.setup.frame_times
        return np.union1d(spec.times, wanted[wanted <= spec.duration])

    @cached_property
    def stops(self) -> Float[ndarray, " s"]:
        """Ends of the slots, ms."""
        return np.array([slot.end for slot in self.setup.slots])

    def start(self) -> SlotState:
        """Rest."""
        setup = self.setup
        reach, rises = np.zeros(len(setup.member_volume)), Rises.none(len(setup.solver.cable.own))
        return SlotState(0.0, setup.rest, setup.rest, setup.drive, reach, rises)

    def attempt(self, state: SlotState, length: float, reuse: None) -> SlotAttempt:
        """Voltage and influx of the slot that starts at a state, its windows and the coarse ones.

        Raises:
            InputError: The run goes on from the middle of a pulse.
            SolveError: Calcium is not finite.
        """
        slot = self.setup.slot_at(state.time)
        marks = [clock.perf_counter()]
        motif = self.cache.motif(slot, state.drive, state.calcium)
        marks.append(clock.perf_counter())
        ends = motif.ends[motif.shared]
        due = due_of(self.setup, slot, ends, state)
        asked = compared(ends, np.concatenate([due.frames, due.samples]))
        calcium, frames, coupled, outside = self._windows(state, motif, motif.shared[asked])
        marks.append(clock.perf_counter())
        coarse, coarse_frames = self._coarse(state, motif, asked)
        reach, apart, own = self._distances(ends[asked], frames, coarse_frames, state)
        if not np.all(np.isfinite([reach, apart])):
            raise SolveError(
                f"calcium is not finite at t = {biology(slot.end, 6)}; shorten split.first and split.longest"
            )
        small, nothing = (share * self.setup.constants.c_rest for share in (SMALL, NOTHING))
        self.cache.judge(slot, float(np.max(own / RICHARDSON_DIVISOR / np.maximum(reach, small))))
        reach = np.maximum(reach, state.reach)
        fired = state.rises.and_then(motif.rises, slot.start)
        marks.append(clock.perf_counter())
        seconds = dict(zip(("voltage", "windows", "coarse"), np.diff(marks).tolist(), strict=True))
        split = 0 if coupled.windows else len(motif.ends)
        counts = {
            "split_windows": split, "coupled_windows": coupled.windows, "outside": outside,
            "evaluated": (split + 1) * self.setup.n_points if split else 0,
        }  # fmt: skip
        return Attempt(
            length,
            float(np.max(apart / RICHARDSON_DIVISOR / np.maximum(reach, nothing))),
            SlotState(slot.end, calcium, coarse, motif.end, reach, fired, due.next_frame, due.next_sample),
            notes={**counts, **{f"seconds_{name}": spent for name, spent in seconds.items()}},
            largest={"coupled_error": coupled.error},
            inside=SolvedSlot(slot, motif, ends, asked, frames, coarse_frames, due, coupled),
        )

    def _windows(self, state: SlotState, motif: Motif, rows: ndarray) -> tuple[ReactionState, Frames, Stats, int]:
        """Goes through a slot: its end, some rows, what coupled windows took, states outside the flow map's box.

        Those are stepped by a stiff solver.
        """
        setup, begin = self.setup, state.calcium
        if setup.coupled is not None and motif.slot.coupled:
            end, frames, work = setup.coupled.follow(begin, motif, rows, setup.norm(state.reach))
            return end, frames, work, 0
        end, frames, count = setup.splitting.follow(begin, motif.plan, rows)
        outside = sum(setup.communicator.share(int(count)))
        return end, frames, Stats(), outside

    def _coarse(self, state: SlotState, motif: Motif, asked: ndarray) -> tuple[ReactionState, Frames]:
        """The same in windows about twice as long."""
        setup, begin = self.setup, state.coarse
        if setup.coupled is not None and motif.slot.coupled:
            rows, reach = motif.shared[asked], setup.norm(state.reach)
            return setup.coupled.follow(begin, motif, rows, reach, loosely=True)[:2]
        return setup.splitting.follow(begin, motif.coarse, asked)[:2]

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
        away = c - np.asarray(self.setup.rest.c)
        squares = (self.setup.per_member(time @ x**2) for x in (away, apart, added))
        reach, distance, own = (np.sqrt(square) for square in squares)
        return reach, distance, own

    def observe(self, attempt: SlotAttempt, times: Float[ndarray, " n"]) -> dict[str, Float[ndarray, "n c"]]:
        """This rank's output cells at the first ends of windows from times on (ms after the start) that were compared.

        Those at which something falls due are.
        """
        done = attempt.inside
        row = np.searchsorted(done.ends[done.asked], times * (1.0 - 1e-12)).clip(max=len(done.asked) - 1)
        return at_cells(self.setup, inside_of(self.setup, done), done.asked[row])

    def record(self, step: "Step[SlotRun]", stats: Stats) -> Record:
        """What is due of a slot, at ends of windows, and how it went."""
        done: SolvedSlot = step.attempt.inside
        frames, samples = written_of(self.setup, done, step.before if step.number == 0 else None)
        parts = ("seconds_voltage", "seconds_windows", "seconds_coarse")
        row = {
            "start": done.slot.start, "length": done.slot.duration, "newton_steps": done.coupled["newton_steps"],
            "sweeps": done.coupled["sweeps"], "jump": float(done.coupled["jump"]), "balance": 0.0,
            "rejected": done.coupled.rejected, "seconds_train": sum(step.attempt.notes[name] for name in parts),
            "seconds_exchange": 0.0, "seconds_io": 0.0,
        }  # fmt: skip
        return Record(row, frames=frames, samples=samples)

    @property
    def rows(self) -> Rows:
        """This rank's pieces."""
        return Rows(self.setup.pieces, self.setup.geometry.cable.n_frusta)

    def pack(self, state: SlotState) -> Packed:
        """A state, and what the motifs of the cache began with, for a checkpoint."""
        return packed(self.setup, self.cache, state)

    def unpack(self, kept: Packed) -> SlotState:
        """The state of a checkpoint; the cache learns the motifs that were known then."""
        return unpacked(self.setup, self.cache, kept)

    def plan(self, since: float, size: int, free: int) -> list[tuple[str, str]]:
        """What the run will write and need, for a person."""
        return plan_of(self.setup, since, size, free, memory_of(size, self.setup.communicator.size))

    def detail(self, stats: Stats, step: "Step[SlotRun]") -> str:
        """What is said of a slot while the run goes on."""
        estimate = f", error estimate at most {stats.error:.1e}" if stats.error else ""
        return counted(windows_in(stats), "window") + estimate

    def figures(self, stats: Stats) -> Mapping[str, Any]:
        """What the run has counted and measured."""
        return figures_of(self.setup, self.cache, stats)

    def verdict(self, state: SlotState, stats: Stats, result: Path) -> CellsVerdict:
        """What came of the run."""
        rises = rises_of_all(self.setup, state.rises)
        return self.setup.communicator.on_root(verdict_of, self.setup, rises, stats, result)
