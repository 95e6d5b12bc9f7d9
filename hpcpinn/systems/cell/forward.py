"""The main job: one neuron over many ranks, window after window, into one result file."""

import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hpcpinn.io import checkpoint
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.size import free_bytes, result_bytes, warn_of_space
from hpcpinn.marching import run as driver
from hpcpinn.marching.checkpoints import Reached
from hpcpinn.marching.march import Step
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems.cell.build.coupled import build_problem
from hpcpinn.systems.cell.build.stimulus import pulses_of, uniform_magnitude
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.coupled_run import Balance, CoupledRun, error_over_run
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.recorder import Recorder
from hpcpinn.systems.cell.trunk_training import TrunkTraining
from hpcpinn.systems.cell.verdict import CellsVerdict, Firing, cells_of, firing_of, held, impossible_in
from hpcpinn.systems.common.resumption import stop_where_done
from hpcpinn.systems.common.run_summary import RunSummary, summarised
from hpcpinn.systems.common.verdict import Accuracy
from hpcpinn.timestepping.firing import rises


def run(
    config: RunConfig,
    communicator: Communicator,
    progress: ProgressDisplay,
    resume: Path | None = None,
) -> RunSummary:
    """Runs a job from its description to its result file. Collective over all ranks.

    Args:
        config: The run description.
        communicator: All ranks.
        progress: Told what is being done, and about every accepted window.
        resume: Checkpoint to go on from.

    Returns:
        The summary, the same on all ranks.

    Raises:
        InputError: Something the user gave cannot be used.
        NothingToDoError: The checkpoint is at the end of the run, or beyond.
        SolveError: A window does not reach its tolerance; what was accepted is in the file.
        OutputError: The result cannot be written; what was flushed is kept.
    """
    began = clock.perf_counter()
    progress.doing("setting up")
    problem = build_problem(config, communicator)
    time_unit = problem.cell.constants.time_unit
    unit = "" if time_unit == 1.0 else "ms"

    def opened(reached: Reached[CoupledRun], resumed: bool) -> CoupledOutput:
        time = reached.state.time / time_unit
        if resumed:
            communicator.on_root(stop_where_done, config.run.output, config.run.duration, time, unit)
        recorder = Recorder.open(reached.problem.problem, communicator, time if resumed else None)
        communicator.on_root(_warn_of_space, problem)
        progress.doing("compiling and solving the first window")
        return CoupledOutput(recorder)

    marched = CoupledRun(problem, communicator, measured_exchange(problem, communicator))
    options = driver.RunOptions[CoupledRun](
        checkpoint=checkpoint.checkpoint_path(config.run.output),
        settings=marched.settings,
        resume=resume,
        cadence=driver.Cadence(windows=config.run.checkpoint_every),
        progress=progress,
        improvement=TrunkTraining.of(problem),
        unit=unit,
        began=began,
    )
    finished = driver.run(marched, communicator, opened, options)
    stats = finished.reached.stats
    verdict = communicator.on_root(_verdict, problem, stats)
    summary = summarised(
        communicator,
        config.run.output,
        config.run.duration,
        _figures(problem, stats),
        verdict,
        began=began,
        seconds_setup=finished.seconds_setup,
        time_unit=unit,
    )
    write_metrics(config.run.output, communicator, summary.metrics())
    return summary


@dataclass
class CoupledOutput:
    """Frames, samples and rows of a run's windows.

    Attributes:
        recorder: Turns solved windows into them.
    """

    recorder: Recorder

    def window(self, step: Step[CoupledRun], stats: Stats) -> None:
        """Remembers what is due of an accepted window."""
        begun = clock.perf_counter()
        self.recorder.problem = step.problem.problem
        attempt, solution = step.attempt, step.attempt.inside.solution
        self.recorder.window(step.before.time, attempt.length, solution.traces.heads)
        self.recorder.sweeps(step.number, solution)
        unit = self.recorder.problem.cell.constants.time_unit
        row = {
            "start": step.before.time / unit,
            "length": attempt.length / unit,
            "newton_steps": solution.newton_steps,
            "sweeps": solution.sweeps,
            "jump": solution.jump,
            "error_estimate": attempt.error,
            "balance": Balance.of(stats).relative,
            "rejected": step.rejected,
            "seconds_train": step.seconds,
            "seconds_exchange": attempt.notes["seconds_exchange"],
            "seconds_io": clock.perf_counter() - begun,
        }
        self.recorder.writer.windows([row])

    def flush(self) -> None:
        """Makes what is remembered part of the file."""
        self.recorder.writer.flush()

    def close(self, *, complete: bool = True) -> None:
        """Ends the file."""
        self.recorder.writer.close(complete=complete)


def _figures(problem: CoupledSetup, stats: Stats) -> Mapping[str, Any]:
    """What a run has counted and measured.

    ``error_estimate`` is the L2 error estimate over tree and time, of the worse species, relative to its excursion from
    rest over the whole run, which may be smaller than what a window is judged by; ``window_error`` the largest of a
    window, in the measure of ``tolerance``, which takes excursions for no smaller than 5 % of a species' scale
    (`cable_windows.QUIET`). ``exchange_share`` is the share of the windows' time spent in exchange between ranks: half
    sweeps times the cost of one exchange, measured at the start.
    """
    pieces = problem.cell.pieces.cable
    counted = ("newton_steps", "sweeps", "factorisations", "most_sweeps_per_step", "most_sweeps_per_window")
    return {
        "sections": pieces.n_neurite_sections,
        "pieces": pieces.n_frusta,
        "windows": stats.windows,
        "rejected": stats.rejected,
        **{name: stats[name] for name in counted},
        "error_estimate": error_over_run(stats),
        "window_error": stats.error,
        "tolerance": problem.config.window.tolerance,
        "calcium_balance": Balance.of(stats).relative,
        "interface_jump": stats["jump"],
        "exchange_share": stats["seconds_exchange"] / max(stats["seconds_solve"], 1e-9),
    }


NOTHING_PASSED = 1e-7
"""Share of the calcium at rest; of less that came in or went out, a percentage says nothing."""


def _warn_of_space(problem: CoupledSetup) -> None:
    run = problem.config.run
    rows = {
        "frames": 1 + int(run.duration / run.output_interval),
        "samples": 1 + int(run.duration / run.probe_interval) if problem.header.probes else 0,
    }
    warn_of_space(run.output, result_bytes(problem.header, **rows), free_bytes(run.output))


def _verdict(problem: CoupledSetup, stats: Stats) -> CellsVerdict:
    config = problem.config
    tolerance = config.window.tolerance
    # Windows take excursions for no smaller than a share of the species' scale: over the run it may be more.
    over_run = error_over_run(stats)
    small = "so small an" if over_run > tolerance else "the"
    of = f"the largest estimate of a window; over the run it is {over_run:.1e} of {small} excursion from rest"
    accuracy = Accuracy(stats.error, tolerance, of, "window.tolerance")
    at_rest = problem.cell.constants.c_rest * float(problem.cell.pieces.cable.volume.sum())
    cells = cells_of(config.run.output, (), (_firing(problem),))
    left, impossible = imbalance(Balance.of(stats), at_rest, tolerance), impossible_in(config)
    return CellsVerdict((accuracy,), left, impossible, cells, uniform_magnitude(config))


def imbalance(balance: Balance, content: float, tolerance: float) -> tuple[str, ...]:
    """What is to be said of calcium's balance, if anything.

    Args:
        balance: Of the run.
        content: Calcium in the cell at rest, µM·µm³.
        tolerance: That the balance should keep.
    """
    if balance.relative <= tolerance:
        return ()
    gap, advice = abs(balance.gained - balance.net), "use more network.features, or a lower window.tolerance"
    differ = "calcium's balance: what the cell gained and what came in differ by"
    if balance.passed > NOTHING_PASSED * content:
        return (f"{differ} {100.0 * balance.relative:.2g} % of what came in, or went out; {advice}",)
    if gap <= NOTHING_PASSED * content:
        return ()  # nothing came in, and nothing is there
    return (f"{differ} {gap:.2g} uM um3, {100.0 * gap / content:.2g} % of what the cell holds at rest; {advice}",)


def _firing(problem: CoupledSetup) -> Firing:
    """Action potentials in the voltage that the run was driven by, at the places where it is known."""
    config, cell = problem.config, problem.cell
    if not cell.voltage_sites:
        return Firing() if cell.constants.time_unit == 1.0 else held(config.voltage.constant)
    times, cable = np.asarray(cell.source.times) / cell.constants.time_unit, cell.pieces.cable
    within = times <= config.run.duration * (1.0 + 1e-9)
    pulses, length = pulses_of(config)
    found = rises(times[within], np.asarray(cell.source.values)[within], pulses, length)
    frusta = np.array([site.frustum for site in cell.voltage_sites])
    return firing_of(found, cell.source.sites.__getitem__, cable.kind[frusta], cable.path[frusta].mean(axis=1))


def measured_exchange(problem: CoupledSetup, communicator: Communicator, repeats: int = 20) -> float:
    """Seconds that the exchanges of one sweep take, in compiled code. Collective over all ranks."""
    if communicator.size == 1:
        return 0.0
    solver = problem.solver
    n_slots = 2 * len(problem.local) + solver.interfaces.n_ghosts
    shape = (n_slots, len(solver.equation.scale), len(solver.table.grid.time))

    @jax.jit
    def many(x: Array) -> Array:
        def one_sweep(x: Array, _: None) -> tuple[Array, None]:
            for _half in range(3):  # red, black, and the jump
                x = communicator.exchange(x, solver.interfaces.plan)
            return x + communicator.max(jnp.zeros(())), None

        last: Array = jax.lax.scan(one_sweep, x, None, length=repeats)[0]
        return last

    many(jnp.zeros(shape)).block_until_ready()
    communicator.barrier()
    begun = clock.perf_counter()
    many(jnp.zeros(shape)).block_until_ready()
    return (clock.perf_counter() - begun) / repeats
