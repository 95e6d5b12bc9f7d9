"""A long protocol in split windows, or mixed ones: slot after slot into one result file, with flat memory."""

import resource
import time as clock
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.errors import OutputError, SolveError
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.size import warn_of_space
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import Motif, MotifBook
from hpcpinn.timestepping.slots import Slot
from hpcpinn.timestepping.splitting import COMPANION_ORDER, Frames, extrapolated
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.wording import biology, counted
from hpcpinn.workflows import long_checkpoint
from hpcpinn.workflows.coupled_slots import CoupledWork
from hpcpinn.workflows.forward import size_in_mib
from hpcpinn.workflows.long_plan import plan_of
from hpcpinn.workflows.long_state import LongState, LongSummary, LongTally, SlotWork
from hpcpinn.workflows.long_verdict import verdict_of
from hpcpinn.workflows.march import NOTHING
from hpcpinn.workflows.resumption import stop_where_done
from hpcpinn.workflows.split_problem import SMALL, SplitProblem, build_split_problem

_NONE = np.zeros(0, int)


def run_long(
    config: RunConfig,
    communicator: Communicator,
    progress: ProgressDisplay,
    resume: Path | None = None,
) -> LongSummary:
    """Runs a long protocol from its description to its result file. Collective over all ranks.

    Args:
        config: The run description, with ``window.kind`` ``"split"`` or ``"mixed"``.
        communicator: All ranks.
        progress: Told what is being done, and about the slots.
        resume: Checkpoint to go on from.

    Raises:
        InputError: Something the user gave cannot be used.
        NothingToDoError: The checkpoint is at the end of the run, or beyond.
        SolveError: The solution is not finite; what came before is in the file.
        OutputError: The result cannot be written; what was flushed is kept.
    """
    began = clock.perf_counter()
    progress.doing("setting up")
    asked = config.run.model_fields_set
    problem = build_split_problem(config, communicator)
    config = problem.config
    book, tally = problem.new_book(), LongTally()
    reach = np.zeros(len(problem.member_volume))
    state = LongState(0.0, problem.rest, problem.rest, problem.drive, reach, Rises.none(len(problem.solver.cable.own)))
    path = Path(config.run.output)
    if resume is None:
        writer = ResultWriter(path, communicator, problem.header)
    else:
        state, tally = long_checkpoint.load(resume, problem, book)
        stop_where_done(config, state.time)
        writer = ResultWriter.resume(path, communicator, problem.header, state.time)
    plan = communicator.on_root(plan_of, problem, asked, state.time)
    for line in plan.lines:
        progress.tell(*line)
    communicator.on_root(warn_of_space, config.run.output, plan.size, plan.free)
    progress.doing("compiling and solving the first slots")
    loop = _Loop(problem, book, writer, progress)
    if resume is None:
        loop.first_frame(state)
    ready = clock.perf_counter()
    try:
        state, tally = loop.to_end(state, tally)
    except OutputError:
        raise
    except SolveError:
        writer.close(complete=False)
        raise
    writer.close()
    summary = _summary(problem, state, tally, clock.perf_counter() - began, ready - began)
    write_metrics(config.run.output, communicator, asdict(summary))
    return summary


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


@dataclass
class _Loop:
    """The loop over slots and what it holds on to."""

    problem: SplitProblem
    book: MotifBook
    writer: ResultWriter
    progress: ProgressDisplay
    last_saved: float = field(default_factory=clock.perf_counter)

    def first_frame(self, state: LongState) -> None:
        """Writes the state of rest."""
        solver = self.problem.solver
        V = solver.hear(solver.cable.voltage(state.drive.voltage))
        frame = Frames(*(np.asarray(x)[None] for x in state.calcium))
        self._write(np.zeros(1), frame, V[None], Due(np.zeros(1, int), 1, np.zeros(1, int), 1))

    def to_end(self, state: LongState, tally: LongTally) -> tuple[LongState, LongTally]:
        """Goes through the slots that are left."""
        begun = False
        for slot in self._left(state.time):
            state, tally = self.one_slot(slot, state, tally)
            if not begun:
                self.progress.doing("solving", self.problem.config.run.duration, "ms")
                begun = True
            self.progress.done(slot.end, slot_detail(tally))
            last = slot.end >= self.problem.config.run.duration * (1.0 - 1e-12)
            if last or self._is_time_to_save():
                began_output = clock.perf_counter()
                self.writer.flush()
                long_checkpoint.save(self.problem, self.book, state, tally)
                self.last_saved = clock.perf_counter()
                tally = replace(tally, seconds_output=tally.seconds_output + self.last_saved - began_output)
        return state, tally

    def _is_time_to_save(self) -> bool:
        """Rank 0 looks at the clock for all."""
        waited = clock.perf_counter() - self.last_saved
        return self.problem.communicator.broadcast(waited >= self.problem.config.split.checkpoint_every)

    def _left(self, time: float) -> Iterator[Slot]:
        return (slot for slot in self.problem.slots() if slot.start >= time - 1e-6)

    def one_slot(self, slot: Slot, state: LongState, tally: LongTally) -> tuple[LongState, LongTally]:
        """Voltage and influx, the windows, the companion's, and what is written of them.

        Collective over all ranks.
        """
        marks = [clock.perf_counter()]
        motif = self.book.motif(slot, state.drive, state.calcium)
        marks.append(clock.perf_counter())
        ends = motif.ends[motif.shared]
        due = self._due(slot, ends, tally)
        asked = compared(ends, np.concatenate([due.frames, due.samples]))
        calcium, frames, done = self._windows(state, motif, motif.shared[asked])
        marks.append(clock.perf_counter())
        companion, coarse = self._companion(state, motif, asked)
        reach, apart, own = self._distances(ends[asked], frames, coarse, state)
        if not np.all(np.isfinite(reach)):
            raise SolveError(
                f"calcium is not finite at t = {biology(slot.end, 6)}; shorten split.first and split.longest"
            )
        small, nothing = (share * self.problem.constants.c_rest for share in (SMALL, NOTHING))
        self.book.judge(slot, float(np.max(own / COMPANION_ORDER / np.maximum(reach, small))))
        reach = np.maximum(reach, state.reach)
        fired = state.rises.and_then(motif.rises, slot.start)
        after = LongState(slot.end, calcium, companion, motif.end, reach, fired)
        error = float(np.max(apart / COMPANION_ORDER / np.maximum(reach, nothing)))
        marks.append(clock.perf_counter())
        tally = replace(
            tally.with_windows(done),
            slots=tally.slots + 1,
            solved=self.book.solved,
            reused=self.book.reused,
            mismatch=self.book.mismatch,
            error=max(tally.error, error),
            next_frame=due.next_frame,
            next_sample=due.next_sample,
        )
        # the companion of coupled windows has another tolerance, and not windows of twice the length
        written = frames if self.problem.coupled is not None else extrapolated(frames, coarse)
        self._write(slot.start + ends, written.in_rows(asked, len(ends)), motif.voltage[motif.shared], due)
        self._record(slot, done.coupled, error, np.diff(marks))
        marks.append(clock.perf_counter())
        spent = np.diff(marks)
        return after, replace(
            tally,
            seconds_voltage=tally.seconds_voltage + spent[0],
            seconds_windows=tally.seconds_windows + spent[1],
            seconds_companion=tally.seconds_companion + spent[2],
            seconds_output=tally.seconds_output + spent[3],
        )

    def _windows(self, state: LongState, motif: Motif, rows: ndarray) -> tuple[ReactionState, Frames, SlotWork]:
        """Goes through a slot; waits for it to be done. Collective over all ranks."""
        problem, begin = self.problem, state.calcium
        if problem.coupled is not None and motif.slot.coupled:
            end, frames, work = problem.coupled.follow(begin, motif, rows, problem.norm(state.reach))
            return end, frames, SlotWork(coupled=work)
        end, frames, count = problem.splitting.follow(begin, motif.plan, rows)
        outside = sum(problem.communicator.share(int(count)))
        return end, frames, SlotWork(len(motif.ends), outside, (len(motif.ends) + 1) * problem.n_points)

    def _companion(self, state: LongState, motif: Motif, asked: ndarray) -> tuple[ReactionState, Frames]:
        """The same in windows about twice as long. Collective over all ranks."""
        problem, begin = self.problem, state.companion
        if problem.coupled is not None and motif.slot.coupled:
            rows, reach = motif.shared[asked], problem.norm(state.reach)
            return problem.coupled.follow(begin, motif, rows, reach, loosely=True)[:2]
        return problem.splitting.follow(begin, motif.coarse, asked)[:2]

    def _due(self, slot: Slot, ends: Float[ndarray, " k"], tally: LongTally) -> "Due":
        """What is written of a slot, at ends of windows that the companion has, too."""
        run, times = self.problem.config.run, slot.start + ends
        frames, next_frame = _due(times, run.output_interval, tally.next_frame)
        samples, next_sample = _due(times, run.probe_interval, tally.next_sample)
        wanted = self.problem.frame_times
        wanted = wanted[(wanted > slot.start) & (wanted <= slot.end)]
        passed = np.searchsorted(times, wanted * (1.0 - 1e-12)).clip(max=len(times) - 1)
        return Due(np.union1d(frames, passed), next_frame, samples, next_sample)

    def _distances(
        self, ends: Float[ndarray, " n"], frames: Frames, companion: Frames, begin: LongState
    ) -> tuple[Float[ndarray, " M"], Float[ndarray, " M"], Float[ndarray, " M"]]:
        """Every member's calcium from rest, from the companion's, and what the slot itself adds to that.

        Root mean squares over tree and slot.
        """
        time = np.diff(ends, prepend=0.0) / ends[-1]
        c, coarse = np.asarray(frames.c), np.asarray(companion.c)
        apart = c - coarse
        added = apart - (np.asarray(begin.calcium.c) - np.asarray(begin.companion.c))
        away = c - np.asarray(self.problem.rest.c)
        squares = (self.problem.per_member(time @ x**2) for x in (away, apart, added))
        reach, distance, own = (np.sqrt(square) for square in squares)
        return reach, distance, own

    def _record(self, slot: Slot, work: CoupledWork, error: float, spent: ndarray) -> None:
        """Notes how a slot went."""
        row: dict[str, Any] = {
            "start": slot.start, "length": slot.duration, "newton_steps": work.newton_steps,
            "sweeps": work.sweeps, "jump": work.jump, "error_estimate": error, "balance": 0.0,
            "rejected": work.rejected,
            "seconds_train": float(spent[:3].sum()), "seconds_exchange": 0.0, "seconds_io": 0.0,
        }  # fmt: skip
        self.writer.windows([row])

    def _write(self, times: Float[ndarray, " K"], frames: Frames, V: Float[ndarray, "K P"], due: "Due") -> None:
        c, b = (np.asarray(x) for x in frames)
        to_points, output = self.problem.solver.to_cells, self.problem.to_output
        for row in due.frames:
            points = {"calcium": c[row], "calbindin": b[row], "voltage": to_points @ V[row]}
            self.writer.frame(float(times[row]), {name: output @ values for name, values in points.items()})
        if len(due.samples) and self.problem.header.probes:  # every rank, with a probe or without
            # Few points are near a probe: take those alone out of the long arrays.
            near = np.unique(self.problem.to_probes.indices)
            weights = self.problem.to_probes[:, near].toarray().T
            at_probes = {
                "calcium": c[np.ix_(due.samples, near)] @ weights,
                "calbindin": b[np.ix_(due.samples, near)] @ weights,
                "voltage": (to_points[near] @ V[due.samples].T).T @ weights,
            }
            self.writer.probes(times[due.samples], at_probes)


def slot_detail(tally: LongTally) -> str:
    """What is said of a slot while a run goes on."""
    estimate = f", error estimate at most {tally.error:.1e}" if tally.error else ""
    return counted(tally.windows, "window") + estimate


def compared(ends: Float[ndarray, " k"], due: Int[ndarray, " d"] = _NONE) -> Int[ndarray, " n"]:
    """Ends of windows (ms after the slot's start) at which two solutions are compared.

    Each costs as much as a window in both: those that are due anyway, every eighth, one in every half of the
    slot, and the last.
    """
    halves = np.floor(2.0 * ends / ends[-1] + 1e-9)
    passed = np.flatnonzero(np.diff(halves, prepend=0.0) > 0.0)
    return np.unique(np.concatenate([due, np.arange(7, len(ends), 8), passed, [len(ends) - 1]]))


def _due(times: Float[ndarray, " K"], interval: float, following: int) -> tuple[ndarray, int]:
    """Rows at which, or right after which, a multiple of the interval falls due; and the next multiple."""
    passed = np.floor(times / interval * (1.0 + 1e-12) + 1e-9).astype(int)
    before = np.concatenate([[following - 1], passed[:-1]])
    rows = np.flatnonzero(passed > np.maximum(before, following - 1))
    return rows, max(following, int(passed[-1]) + 1)


def _summary(problem: SplitProblem, state: LongState, tally: LongTally, seconds: float, setup: float) -> LongSummary:
    config, stimulus = problem.config, problem.solver.stimulus
    onset, duration = problem.solver.onset, config.run.duration
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pulses = 0 if stimulus is None else int(np.sum(onset + stimulus.pulse_times < duration))
    return LongSummary(
        result=config.run.output,
        duration=duration,
        pulses=pulses,
        ranks=problem.communicator.size,
        members=len(problem.member_volume),
        sections=problem.header.cable.n_neurite_sections,
        cells=problem.header.n_values,
        voltage_compartments=problem.n_compartments,
        slots=tally.slots,
        windows=tally.windows,
        coupled_windows=tally.coupled_windows,
        coupled_error=tally.coupled_error,
        motifs_solved=tally.solved,
        motifs_reused=tally.reused,
        motif_mismatch=tally.mismatch,
        error_estimate=tally.error,
        outside_flow_map=tally.outside / max(tally.evaluated, 1),
        seconds=seconds,
        seconds_setup=setup,
        seconds_voltage=tally.seconds_voltage,
        seconds_windows=tally.seconds_windows,
        seconds_companion=tally.seconds_companion,
        seconds_output=tally.seconds_output,
        seconds_per_second=(seconds - setup) / max(1e-3 * duration, 1e-300),
        memory_gib=max(problem.communicator.share(memory)),
        output_mib=problem.communicator.on_root(size_in_mib, config.run.output),
        verdict=verdict_of(problem, state, tally),
    )
