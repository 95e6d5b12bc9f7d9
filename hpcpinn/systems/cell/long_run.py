"""A long protocol in split windows, or mixed ones: slot after slot into one result file, with flat memory."""

import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import checkpoint
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.size import warn_of_space
from hpcpinn.marching import run as driver
from hpcpinn.marching.checkpoints import Reached
from hpcpinn.marching.march import Step
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems.cell.build.long import build_split_problem
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.long_plan import plan_of
from hpcpinn.systems.cell.long_verdict import verdict_of
from hpcpinn.systems.cell.slot_run import Due, SlotRun, SlotState, SolvedSlot
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.systems.common.resumption import stop_where_done
from hpcpinn.systems.common.run_summary import RunSummary, summarised
from hpcpinn.timestepping.splitting import Frames, extrapolated, in_rows
from hpcpinn.wording import counted


def run_long(
    config: RunConfig,
    communicator: Communicator,
    progress: ProgressDisplay,
    resume: Path | None = None,
) -> RunSummary:
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
    config, path = problem.config, Path(problem.config.run.output)
    ready = began

    def opened(reached: Reached[SlotRun], resumed: bool) -> SlotOutput:
        nonlocal ready
        time = reached.state.time
        if resumed:
            stop_where_done(config.run.output, config.run.duration, time)
            writer = ResultWriter.resume(path, communicator, problem.header, time)
        else:
            writer = ResultWriter(path, communicator, problem.header)
        plan = communicator.on_root(plan_of, problem, asked, time)
        for line in plan.lines:
            progress.tell(*line)
        communicator.on_root(warn_of_space, config.run.output, plan.size, plan.free)
        progress.doing("compiling and solving the first slots")
        output = SlotOutput(problem, writer)
        if not resumed:
            output.first_frame(reached.state)
        ready = clock.perf_counter()
        return output

    marched = SlotRun(problem, problem.new_cache())
    options = driver.RunOptions[SlotRun](
        checkpoint=checkpoint.checkpoint_path(config.run.output),
        settings=marched.settings,
        resume=resume,
        cadence=driver.Cadence(seconds=config.split.checkpoint_every),
        progress=progress,
        detail=slot_detail,
        began=began,
    )
    reached = driver.run(marched, communicator, opened, options).reached
    verdict = verdict_of(problem, reached.state, reached.stats)
    pace = (clock.perf_counter() - ready) / max(1e-3 * config.run.duration, 1e-300)
    summary = summarised(
        communicator,
        config.run.output,
        config.run.duration,
        {**_figures(marched, reached.stats), "seconds_per_second": pace},
        verdict,
        began=began,
        seconds_setup=ready - began,
    )
    write_metrics(config.run.output, communicator, summary.metrics())
    return summary


@dataclass(frozen=True)
class SlotOutput:
    """Frames, samples and rows of slots.

    Attributes:
        problem: The run.
        writer: The result file.
    """

    problem: SlotSetup
    writer: ResultWriter

    def first_frame(self, state: SlotState) -> None:
        """Remembers the state of rest."""
        solver = self.problem.solver
        V = solver.hear(solver.cable.voltage(state.drive.voltage))
        frame = state.calcium.each(lambda x: np.asarray(x)[None])
        self._write(np.zeros(1), frame, V[None], Due(np.zeros(1, int), 1, np.zeros(1, int), 1))

    def window(self, step: Step[SlotRun], stats: Stats) -> None:
        """Remembers what is due of a slot, and how it went."""
        done: SolvedSlot = step.attempt.inside
        # the coarse solution of coupled windows has another tolerance, and not windows of twice the length
        written = done.frames if self.problem.coupled is not None else extrapolated(done.frames, done.coarse)
        times, voltage = done.slot.start + done.ends, done.motif.voltage[done.motif.shared]
        self._write(times, in_rows(written, done.asked, len(times)), voltage, done.due)
        parts = ("seconds_voltage", "seconds_windows", "seconds_coarse")
        row: dict[str, Any] = {
            "start": done.slot.start, "length": done.slot.duration, "newton_steps": done.coupled["newton_steps"],
            "sweeps": done.coupled["sweeps"], "jump": float(done.coupled["jump"]), "balance": 0.0,
            "error_estimate": step.attempt.error, "rejected": done.coupled.rejected,
            "seconds_train": sum(step.attempt.notes[name] for name in parts), "seconds_exchange": 0.0,
            "seconds_io": 0.0,
        }  # fmt: skip
        self.writer.windows([row])

    def flush(self) -> None:
        """Makes what is remembered part of the file."""
        self.writer.flush()

    def close(self, *, complete: bool = True) -> None:
        """Ends the file."""
        self.writer.close(complete=complete)

    def _write(self, times: Float[ndarray, " K"], frames: Frames, V: Float[ndarray, "K P"], due: Due) -> None:
        species = dict(zip(self.problem.constants.species, map(np.asarray, frames.species), strict=True))
        to_points, output = self.problem.solver.to_cells, self.problem.to_output
        for row in due.frames:
            points = {name: values[row] for name, values in species.items()} | {"voltage": to_points @ V[row]}
            self.writer.frame(float(times[row]), {name: output @ values for name, values in points.items()})
        if len(due.samples) and self.problem.header.probes:  # every rank, with a probe or without
            # Few points are near a probe: take those alone out of the long arrays.
            near = np.unique(self.problem.to_probes.indices)
            weights = self.problem.to_probes[:, near].toarray().T
            at_probes = {name: values[np.ix_(due.samples, near)] @ weights for name, values in species.items()}
            voltage = (to_points[near] @ V[due.samples].T).T @ weights
            self.writer.probes(times[due.samples], at_probes | {"voltage": voltage})


def slot_detail(stats: Stats, step: Step[SlotRun]) -> str:
    """What is said of a slot while a run goes on."""
    estimate = f", error estimate at most {stats.error:.1e}" if stats.error else ""
    return counted(windows_in(stats), "window") + estimate


def windows_in(stats: Stats) -> int:
    """Number of windows, split and coupled, in the slots that were counted."""
    return int(stats["split_windows"] + stats["coupled_windows"])


def _figures(run: SlotRun, stats: Stats) -> Mapping[str, Any]:
    """What a run has counted and measured; wall times in s."""
    problem, cache = run.problem, run.cache
    stimulus, onset, duration = problem.solver.stimulus, problem.solver.onset, problem.config.run.duration
    return {
        "pulses": 0 if stimulus is None else int(np.sum(onset + stimulus.pulse_times < duration)),
        "members": len(problem.member_volume),
        "sections": problem.header.cable.n_neurite_sections,
        "cells": problem.header.n_values,
        "voltage_compartments": problem.n_compartments,
        "slots": stats.windows,
        "windows": windows_in(stats),
        "coupled_windows": stats["coupled_windows"],
        "coupled_error": stats["coupled_error"],
        "motifs_solved": cache.solved,
        "motifs_reused": cache.reused,
        "motif_mismatch": cache.mismatch,
        "error_estimate": stats.error,
        "outside_flow_map": stats["outside"] / max(stats["evaluated"], 1),
        **{f"seconds_{name}": stats[f"seconds_{name}"] for name in ("voltage", "windows", "coarse")},
        "seconds_output": stats["seconds_io"],
    }
