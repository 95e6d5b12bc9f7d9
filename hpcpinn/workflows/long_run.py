"""A long protocol in split windows: slot after slot into one result file, with flat memory."""

import resource
import time as clock
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.errors import InputError, OutputError, SolveError
from hpcpinn.io import checkpoint
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.timestepping.cable_equation import VoltageState
from hpcpinn.timestepping.motifs import DriveState, Motif, MotifBook
from hpcpinn.timestepping.slot_windows import packed_windows, restore_windows
from hpcpinn.timestepping.slots import Slot, unpacked
from hpcpinn.timestepping.splitting import Frames
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.workflows.forward import ProgressDisplay, WindowReport
from hpcpinn.workflows.march import NOTHING
from hpcpinn.workflows.places import checkpoint_path
from hpcpinn.workflows.resumption import stop_where_done
from hpcpinn.workflows.split_problem import SMALL, SplitProblem, build_split_problem

RESUMABLE = (
    "morphology", "physics", "voltage", "field", "stimulation", "clamp", "channels", "cable", "synapse", "flux",
    "pieces", "split",
)  # fmt: skip
"""Tables of the run description that shape the state: they must not change on resume."""

COMPANION_ORDER = 3.0
"""2² − 1: windows twice as long are off by this many times the error of the windows themselves."""


@dataclass(frozen=True)
class LongState:
    """Where a long run is.

    Attributes:
        time: ms.
        calcium: Calcium and calbindin.
        companion: The same, followed in windows twice as long: their distance is the error estimate.
        drive: Membrane and channels.
    """

    time: float
    calcium: ReactionState
    companion: ReactionState
    drive: DriveState


@dataclass(frozen=True)
class LongTally:
    """Sums over the slots; plain numbers, kept in checkpoints.

    Attributes:
        slots, windows: So far.
        solved, reused: Slots whose voltage was solved, and was that of an earlier one.
        mismatch: Largest difference at the start of a slot with which an earlier one was reused.
        outside: States that the flow map's box did not hold, advanced by a stiff sub-step.
        evaluated: States that were advanced in all.
        reach: Largest distance from rest in a slot so far, µM, root mean square over tree and slot.
        error: Largest error estimate so far, relative to `reach`.
        next_frame, next_sample: Numbers of the next ones.
        seconds_voltage, seconds_windows, seconds_companion, seconds_output: Wall time of the parts.
    """

    slots: int = 0
    windows: int = 0
    solved: int = 0
    reused: int = 0
    mismatch: float = 0.0
    outside: int = 0
    evaluated: int = 0
    reach: float = 0.0
    error: float = 0.0
    next_frame: int = 1
    next_sample: int = 1
    seconds_voltage: float = 0.0
    seconds_windows: float = 0.0
    seconds_companion: float = 0.0
    seconds_output: float = 0.0


@dataclass(frozen=True)
class LongSummary:
    """What a long run says of itself at the end; also in metrics.json. Times in ms, wall times in s."""

    result: str
    duration: float
    pulses: int
    sections: int
    cells: int
    voltage_compartments: int
    slots: int
    windows: int
    motifs_solved: int
    motifs_reused: int
    motif_mismatch: float
    error_estimate: float
    outside_flow_map: float
    seconds: float
    seconds_setup: float
    seconds_voltage: float
    seconds_windows: float
    seconds_companion: float
    seconds_output: float
    seconds_per_second: float
    memory_gib: float
    output_mib: float


def run_long(
    config: RunConfig,
    communicator: Communicator,
    progress: ProgressDisplay,
    resume: Path | None = None,
) -> LongSummary:
    """Runs a long protocol from its description to its result file.

    Args:
        config: The run description, with ``window.kind = "split"``.
        communicator: One rank.
        progress: Told about the slots.
        resume: Checkpoint to go on from.

    Raises:
        InputError: Something the user gave cannot be used.
        NothingToDoError: The checkpoint is at the end of the run, or beyond.
        SolveError: The solution is not finite; what came before is in the file.
        OutputError: The result cannot be written; what was flushed is kept.
    """
    if communicator.size > 1:
        raise InputError(
            f"window.kind = 'split' runs one cell on one rank so far, and {communicator.size} were started; "
            "start it without mpirun, or use window.kind = 'coupled'"
        )
    began = clock.perf_counter()
    problem = build_split_problem(config)
    config = problem.config
    settings = checkpoint.fingerprint(
        config.model_dump(mode="json", include=set(RESUMABLE)), problem.header.cable
    )
    book, tally = problem.new_book(), LongTally()
    state = LongState(0.0, problem.rest, problem.rest, problem.drive)
    path = Path(config.run.output)
    if resume is None:
        writer = ResultWriter(path, communicator, problem.header)
    else:
        state, tally = _restored(resume, problem, communicator, settings, book)
        stop_where_done(config, state.time)
        writer = ResultWriter.resume(path, communicator, problem.header, state.time)
    progress.start(config.run.duration, "ms")
    loop = _Loop(problem, book, writer, communicator, progress, settings)
    if resume is None:
        loop.first_frame(state)
    ready = clock.perf_counter()
    try:
        tally = loop.to_end(state, tally)
    except OutputError:
        raise
    except SolveError:
        writer.close(complete=False)
        raise
    writer.close()
    summary = _summary(problem, tally, clock.perf_counter() - began, ready - began)
    write_metrics(config.run.output, communicator, asdict(summary))
    return summary


@dataclass
class _Loop:
    """The loop over slots and what it holds on to."""

    problem: SplitProblem
    book: MotifBook
    writer: ResultWriter
    communicator: Communicator
    progress: ProgressDisplay
    settings: dict[str, str]
    last_saved: float = field(default_factory=clock.perf_counter)

    def first_frame(self, state: LongState) -> None:
        """Writes the state of rest."""
        V = self.problem.solver.cable.voltage(state.drive.voltage)
        frame = Frames(*(x[None] for x in state.calcium))
        self._write(np.zeros(1), frame, V[None], np.zeros(1, int), np.zeros(1, int))

    def to_end(self, state: LongState, tally: LongTally) -> LongTally:
        """Goes through the slots that are left."""
        began, since = clock.perf_counter(), state.time
        for slot in self._left(state.time):
            state, tally = self.one_slot(slot, state, tally)
            self._report(slot, tally, began, since)
            last = slot.end >= self.problem.config.run.duration * (1.0 - 1e-12)
            waited = clock.perf_counter() - self.last_saved
            if last or waited >= self.problem.config.split.checkpoint_every:
                began_output = clock.perf_counter()
                self.writer.flush()
                self._save(state, tally)
                self.last_saved = clock.perf_counter()
                tally = replace(tally, seconds_output=tally.seconds_output + self.last_saved - began_output)
        return tally

    def _left(self, time: float) -> Iterator[Slot]:
        return (slot for slot in self.problem.slots() if slot.start >= time - 1e-6)

    def one_slot(self, slot: Slot, state: LongState, tally: LongTally) -> tuple[LongState, LongTally]:
        """Voltage and influx, the windows, the companion's, and what is written of them."""
        splitting = self.problem.splitting
        marks = [clock.perf_counter()]
        motif = self.book.motif(slot, state.drive, state.calcium)
        marks.append(clock.perf_counter())
        calcium, frames, count = splitting.follow(state.calcium, motif.plan)
        outside = int(count)  # waits for the windows
        marks.append(clock.perf_counter())
        companion, coarse, _ = splitting.follow(state.companion, motif.coarse)
        after = LongState(slot.end, calcium, companion, motif.end)
        reach, apart, own = self._distances(motif, frames, coarse, state)
        if not np.isfinite(reach):
            raise SolveError(
                f"calcium is not finite at t = {slot.end:.6g} ms; shorten split.first and split.longest"
            )
        self.book.judge(slot, own / COMPANION_ORDER / max(reach, SMALL * self.problem.constants.c_rest))
        reach = max(reach, tally.reach)
        error = apart / COMPANION_ORDER / max(reach, NOTHING * self.problem.constants.c_rest)
        marks.append(clock.perf_counter())
        tally = replace(
            tally,
            slots=tally.slots + 1,
            windows=tally.windows + len(motif.ends),
            solved=self.book.solved,
            reused=self.book.reused,
            mismatch=self.book.mismatch,
            outside=tally.outside + outside,
            evaluated=tally.evaluated + (len(motif.ends) + 1) * len(self.problem.volume),
            reach=reach,
            error=max(tally.error, error),
        )
        tally = self._record(slot, motif, frames, error, tally, np.diff(marks))
        marks.append(clock.perf_counter())
        spent = np.diff(marks)
        return after, replace(
            tally,
            seconds_voltage=tally.seconds_voltage + spent[0],
            seconds_windows=tally.seconds_windows + spent[1],
            seconds_companion=tally.seconds_companion + spent[2],
            seconds_output=tally.seconds_output + spent[3],
        )

    def _distances(
        self, motif: Motif, frames: Frames, companion: Frames, begin: LongState
    ) -> tuple[float, float, float]:
        """Calcium's distance from rest, from the companion's, and what the slot itself adds to that.

        Root mean squares over tree and slot.
        """
        share = self.problem.volume / self.problem.volume.sum()
        time = np.diff(motif.ends[motif.shared], prepend=0.0) / motif.ends[-1]
        c, coarse = np.asarray(frames.c)[motif.shared], np.asarray(companion.c)[: len(motif.shared)]
        apart = c - coarse
        own = apart - (np.asarray(begin.calcium.c) - np.asarray(begin.companion.c))
        sizes = (np.sqrt(time @ x**2 @ share) for x in (c - np.asarray(self.problem.rest.c), apart, own))
        reach, distance, added = (float(size) for size in sizes)
        return reach, distance, added

    def _record(
        self, slot: Slot, motif: Motif, frames: Frames, error: float, tally: LongTally, spent: ndarray
    ) -> LongTally:
        """Remembers the frames and samples of a slot, at the ends of the windows where they fall due."""
        run = self.problem.config.run
        times = slot.start + motif.ends
        frame_rows, next_frame = _due(times, run.output_interval, tally.next_frame)
        sample_rows, next_sample = _due(times, run.probe_interval, tally.next_sample)
        self._write(times, frames, motif.voltage, frame_rows, sample_rows)
        row: dict[str, Any] = {
            "start": slot.start, "length": slot.duration, "newton_steps": 0, "sweeps": 0, "jump": 0.0,
            "error_estimate": error, "balance": 0.0, "rejected": 0,
            "seconds_train": float(spent[:3].sum()), "seconds_exchange": 0.0, "seconds_io": 0.0,
        }  # fmt: skip
        self.writer.windows([row])
        return replace(tally, next_frame=next_frame, next_sample=next_sample)

    def _write(
        self, times: Float[ndarray, " K"], frames: Frames, V: Float[ndarray, "K P"], frame_rows, sample_rows
    ) -> None:
        c, b = (np.asarray(x) for x in frames)
        to_cells, probes = self.problem.solver.to_cells, self.problem.probe_cell
        for row in frame_rows:
            values = {"calcium": c[row], "calbindin": b[row], "voltage": to_cells @ V[row]}
            self.writer.frame(float(times[row]), values)
        if len(sample_rows) and len(probes):
            at_probes = {
                "calcium": c[np.ix_(sample_rows, probes)],
                "calbindin": b[np.ix_(sample_rows, probes)],
                "voltage": (to_cells[probes] @ V[sample_rows].T).T,
            }
            self.writer.probes(times[sample_rows], at_probes)

    def _report(self, slot: Slot, tally: LongTally, began: float, since: float) -> None:
        end = self.problem.config.run.duration
        left = (clock.perf_counter() - began) / (slot.end - since) * (end - slot.end)
        self.progress.window(WindowReport(tally.windows, slot.end, 0, 0.0, tally.error, left))

    def _save(self, state: LongState, tally: LongTally) -> None:
        n = self.problem.header.cable.n_frusta
        arrays = {
            f"{who}_{name}": np.asarray(values).reshape(n, -1)
            for who, pair in (("calcium", state.calcium), ("companion", state.companion))
            for name, values in zip(ReactionState._fields, pair, strict=True)
        }
        starts = self.book.starts
        scalars: dict[str, Any] = {"time": state.time, "motifs": len(starts)}
        scalars |= _packed("drive", state.drive) | packed_windows(self.book.windows)
        for number, (slot, begin, ends) in enumerate(starts):
            scalars[f"motif{number}_slot"] = slot.packed()
            scalars[f"motif{number}_ends"] = ends
            scalars |= _packed(f"motif{number}", begin)
        scalars |= {f"tally_{name}": value for name, value in asdict(tally).items()}
        path = checkpoint_path(self.problem.config)
        checkpoint.save(path, self.communicator, np.arange(n), n, arrays, scalars, self.settings)


def _due(times: Float[ndarray, " K"], interval: float, following: int) -> tuple[ndarray, int]:
    """Rows at which, or right after which, a multiple of the interval falls due; and the next multiple."""
    passed = np.floor(times / interval * (1.0 + 1e-12) + 1e-9).astype(int)
    before = np.concatenate([[following - 1], passed[:-1]])
    rows = np.flatnonzero(passed > np.maximum(before, following - 1))
    return rows, max(following, int(passed[-1]) + 1)


def _packed(name: str, drive: DriveState) -> dict[str, Any]:
    packed = {f"{name}_V": np.asarray(drive.voltage.V), f"{name}_lag": float(drive.voltage.lag)}
    packed |= {f"{name}_gates{i}": np.asarray(x) for i, x in enumerate(drive.voltage.gates)}
    return packed | {f"{name}_channels": np.asarray(drive.gates)}


def _unpacked(name: str, scalars: dict[str, Any], groups: int) -> DriveState:
    voltage_gates = tuple(jnp.asarray(scalars[f"{name}_gates{i}"]) for i in range(groups))
    voltage = VoltageState(
        jnp.asarray(scalars[f"{name}_V"]), voltage_gates, jnp.asarray(float(scalars[f"{name}_lag"]))
    )
    return DriveState(voltage, np.asarray(scalars[f"{name}_channels"]))


def _restored(
    path: Path,
    problem: SplitProblem,
    communicator: Communicator,
    settings: dict[str, str],
    book: MotifBook,
) -> tuple[LongState, LongTally]:
    """The state of a checkpoint; the book learns the motifs that were known then."""
    pieces = np.arange(problem.header.cable.n_frusta)
    arrays, scalars = checkpoint.load(path, communicator, pieces, settings)
    groups = len(problem.drive.voltage.gates)
    starts = []
    for number in range(int(scalars["motifs"])):
        slot = unpacked(np.asarray(scalars[f"motif{number}_slot"]))
        begin = _unpacked(f"motif{number}", scalars, groups)
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
    return LongState(float(scalars["time"]), calcium, companion, _unpacked("drive", scalars, groups)), tally


def _summary(problem: SplitProblem, tally: LongTally, seconds: float, setup: float) -> LongSummary:
    config, stimulus = problem.config, problem.solver.stimulus
    onset, duration = problem.solver.onset, config.run.duration
    pulses = 0 if stimulus is None else int(np.sum(onset + stimulus.pulse_times < duration))
    return LongSummary(
        result=config.run.output,
        duration=duration,
        pulses=pulses,
        sections=problem.header.cable.n_neurite_sections,
        cells=len(problem.volume),
        voltage_compartments=problem.solver.cable.compartments.count,
        slots=tally.slots,
        windows=tally.windows,
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
        memory_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        output_mib=Path(config.run.output).stat().st_size / 2**20,
    )
