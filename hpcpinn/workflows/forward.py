"""The main job: one neuron over many ranks, window after window, into one result file."""

import math
import resource
import time as clock
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hpcpinn.config import RunConfig
from hpcpinn.errors import HpcpinnError, OutputError
from hpcpinn.io import checkpoint
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.size import free_bytes, result_bytes, warn_of_space
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.solve.controller import Plan, after_accepted, after_rejected, next_length
from hpcpinn.timestepping.firing import rises
from hpcpinn.wording import counted
from hpcpinn.workflows.march import Attempt, Factors, March, State, Tally, why_rejected
from hpcpinn.workflows.membrane_voltage import pulses_of, uniform_magnitude
from hpcpinn.workflows.problem import Problem, build_problem
from hpcpinn.workflows.recorder import Recorder
from hpcpinn.workflows.resumption import stop_where_done
from hpcpinn.workflows.trunk_training import TrunkTraining
from hpcpinn.workflows.verdict import Accuracy, Firing, Verdict, cells_of, firing_of, held, impossible_in

RESUMABLE = ("morphology", "physics", "voltage", "field", "stimulation", "clamp", "channels", "cable",
             "synapse", "flux", "network", "training", "pieces", "schwarz", "window")  # fmt: skip
"""Tables of the run description that shape the state: they must not change on resume."""


@dataclass(frozen=True)
class RunSummary:
    """What a run says of itself at the end; also in its file of metrics.

    Attributes:
        duration: Simulated time, user units.
        error_estimate: L2 error estimate over tree and time, of the worse species, relative to its
            excursion from rest over the whole run, which may be smaller than what a window is judged by.
        window_error: Largest error estimate of a window, in the measure of `tolerance`, which takes
            excursions for no smaller than 5 % of a species' scale (`march.QUIET`).
        tolerance: `window.tolerance`; no window above it is accepted.
        calcium_balance: Calcium gained minus net inflow, over all that came in.
        interface_jump: Largest relative jump left in a window.
        seconds: Wall time from set-up to the end; `seconds_setup` of it before the first window
            was done (reading, partition, compilation).
        exchange_share: Share of the windows' time spent in exchange between ranks: half sweeps
            times the cost of one exchange, measured at the start.
        memory_gib: Largest resident memory of a rank.
        output_mib: Size of the result file.
        time_unit: Unit of `duration`; empty for a dimensionless run.
        verdict: What came of it.
    """

    result: str
    ranks: int
    sections: int
    pieces: int
    duration: float
    windows: int
    rejected: int
    newton_steps: int
    sweeps: int
    factorisations: int
    most_sweeps_per_step: int
    most_sweeps_per_window: int
    error_estimate: float
    window_error: float
    tolerance: float
    calcium_balance: float
    interface_jump: float
    seconds: float
    seconds_setup: float
    exchange_share: float
    memory_gib: float
    output_mib: float
    time_unit: str = "ms"
    verdict: Verdict = field(kw_only=True)


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
    march = March(problem, communicator)
    state, tally = march.begin(), Tally()
    settings = checkpoint.fingerprint(_settings(config), problem.cell.pieces.cable)
    training = TrunkTraining.of(problem)
    unit = problem.cell.constants.time_unit
    if resume is not None:
        state, tally, problem = _restored(resume, problem, communicator, settings, training)
        communicator.on_root(stop_where_done, config, state.time / unit, "" if unit == 1.0 else "ms")
        march = March(problem, communicator)
    recorder = Recorder.open(problem, communicator, state.time / unit if resume else None)
    communicator.on_root(_warn_of_space, problem)
    progress.doing("compiling and solving the first window")
    run_state = _Run(problem, march, communicator, recorder, progress, settings, began, training)
    try:
        tally = run_state.to_end(state, tally)
    except OutputError:
        raise
    except HpcpinnError:
        # All ranks come here together: what was accepted is kept and can be read.
        recorder.writer.close(complete=False)
        raise
    recorder.writer.close()
    summary = run_state.summary(tally)
    write_metrics(config.run.output, communicator, asdict(summary))
    return summary


@dataclass
class _Run:
    """The loop of a run and what it holds on to."""

    problem: Problem
    march: March
    communicator: Communicator
    recorder: Recorder
    progress: ProgressDisplay
    settings: dict[str, str]
    began: float
    training: TrunkTraining
    seconds_setup: float = 0.0

    def adopt(self, problem: Problem) -> None:
        """Goes on with a problem that differs in its trunk."""
        if problem is not self.problem:
            self.problem, self.recorder.problem = problem, problem
            self.march = March(problem, self.communicator)

    def to_end(self, state: State, tally: Tally) -> Tally:
        """Marches to the end of the run, writing on the way."""
        unit = self.problem.cell.constants.time_unit
        exchange_cost = measured_exchange(self.problem, self.communicator)
        end, every = self.problem.stops[-1], self.problem.config.run.checkpoint_every
        factors: Factors | None = None
        while state.time < end * (1.0 - 1e-12):
            begun = clock.perf_counter()
            attempt, plan, rejected = self._accepted_attempt(state, factors, tally.windows)
            factors = Factors(attempt.solution.linear, attempt.length)
            before = state
            state, tally = self.march.accept(state, attempt, plan, tally)
            trained = clock.perf_counter() - begun
            exchange = exchange_cost * attempt.solution.sweeps
            tally = replace(
                tally,
                rejected=tally.rejected + rejected,
                seconds_train=tally.seconds_train + trained,
                seconds_exchange=tally.seconds_exchange + exchange,
            )
            begun = clock.perf_counter()
            self.recorder.window(before.time, attempt.length, attempt.solution.traces.heads)
            self.recorder.sweeps(tally.windows - 1, attempt.solution)
            written = clock.perf_counter() - begun
            self.recorder.writer.windows([self._row(before, attempt, tally, rejected, trained, exchange, written)])
            if tally.windows % every == 0 or state.time >= end * (1.0 - 1e-12):
                begun = clock.perf_counter()
                self.recorder.writer.flush()
                self._save(state, tally)
                written += clock.perf_counter() - begun
                # A resumed run starts without factors: so does this one, to the last bit.
                factors = None
            tally = replace(tally, seconds_io=tally.seconds_io + written)
            if self.seconds_setup == 0.0:
                self.seconds_setup = clock.perf_counter() - self.began
                self.progress.doing("solving", end / unit, "" if unit == 1.0 else "ms")
            self.progress.done(state.time / unit, window_detail(tally.windows, attempt.solution.sweeps, attempt.error))
        return tally

    def _accepted_attempt(self, state: State, factors: Factors | None, windows: int) -> tuple[Attempt, Plan, int]:
        """Tries shorter and shorter windows until one is within the tolerance."""
        rule, plan, rejected = self.problem.windows, state.plan, 0
        stops = self.problem.stops
        next_stop = float(stops[np.searchsorted(stops, state.time * (1.0 + 1e-12), side="right")])
        while True:
            length = next_length(rule, plan, state.time, next_stop)
            attempt = self.march.attempt(state, length, factors)
            if self.training.due(state, attempt, rule.tolerance, windows):
                problem, attempt = self.training.improved(self.problem, self.communicator, state, attempt, windows)
                self.adopt(problem)
            if attempt.error <= rule.tolerance:
                at_stop = math.isclose(state.time + length, next_stop, rel_tol=1e-12)
                more_stops = next_stop < stops[-1]
                effort = attempt.solution.sweeps / self.problem.solver.sweep_limit
                plan = after_accepted(rule, plan, length, attempt.error, at_stop and more_stops, effort)
                return attempt, plan, rejected
            why = why_rejected(attempt, state.time / self.problem.cell.constants.time_unit, rule.tolerance)
            plan = after_rejected(rule, plan, length, attempt.error, why)
            factors, rejected = None, rejected + 1

    def _row(self, before, attempt, tally, rejected, trained, exchange, written) -> dict[str, float]:
        unit, solution = self.problem.cell.constants.time_unit, attempt.solution
        return {
            "start": before.time / unit,
            "length": attempt.length / unit,
            "newton_steps": solution.newton_steps,
            "sweeps": solution.sweeps,
            "jump": solution.jump,
            "error_estimate": attempt.error,
            "balance": tally.balance,
            "rejected": rejected,
            "seconds_train": trained,
            "seconds_exchange": exchange,
            "seconds_io": written,
        }

    def _save(self, state: State, tally: Tally) -> None:
        checkpoint.save(
            checkpoint.checkpoint_path(self.problem.config.run.output),
            self.communicator,
            self.problem.local,
            self.problem.cell.pieces.cable.n_frusta,
            {"field": np.asarray(state.field), "gates": np.asarray(state.gates)},
            {
                "time": state.time,
                "plan_length": state.plan.length,
                "size": np.asarray(state.size),
                "reach": np.asarray(state.reach),
                **self.training.scalars(self.problem),
                **{f"tally_{name}": value for name, value in asdict(tally).items()},
            },
            self.settings,
        )

    def summary(self, tally: Tally) -> RunSummary:
        """Collective over all ranks."""
        problem, config = self.problem, self.problem.config
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        seconds = clock.perf_counter() - self.began
        return RunSummary(
            result=config.run.output,
            ranks=self.communicator.size,
            sections=problem.cell.pieces.cable.n_neurite_sections,
            pieces=problem.cell.pieces.cable.n_frusta,
            duration=config.run.duration,
            windows=tally.windows,
            rejected=tally.rejected,
            newton_steps=tally.newton_steps,
            sweeps=tally.sweeps,
            factorisations=tally.factorisations,
            most_sweeps_per_step=tally.most_sweeps_per_step,
            most_sweeps_per_window=tally.most_sweeps_per_window,
            error_estimate=tally.error,
            window_error=tally.window_error,
            tolerance=config.window.tolerance,
            calcium_balance=tally.balance,
            interface_jump=tally.jump,
            seconds=seconds,
            seconds_setup=self.seconds_setup,
            exchange_share=tally.seconds_exchange / max(tally.seconds_train, 1e-9),
            memory_gib=max(self.communicator.share(memory)),
            output_mib=self.communicator.on_root(size_in_mib, config.run.output),
            time_unit="" if problem.cell.constants.time_unit == 1.0 else "ms",
            verdict=self.communicator.on_root(_verdict, problem, tally),
        )


NOTHING_PASSED = 1e-7
"""Share of the calcium at rest; of less that came in or went out, a percentage says nothing."""


def _warn_of_space(problem: Problem) -> None:
    run = problem.config.run
    rows = {
        "frames": 1 + int(run.duration / run.output_interval),
        "samples": 1 + int(run.duration / run.probe_interval) if problem.header.probes else 0,
    }
    warn_of_space(run.output, result_bytes(problem.header, **rows), free_bytes(run.output))


def _verdict(problem: Problem, tally: Tally) -> Verdict:
    config = problem.config
    tolerance = config.window.tolerance
    # Windows take excursions for no smaller than a share of the species' scale: over the run it may be more.
    small = "so small an" if tally.error > tolerance else "the"
    of = f"the largest estimate of a window; over the run it is {tally.error:.1e} of {small} excursion from rest"
    accuracy = Accuracy(tally.window_error, tolerance, of, "window.tolerance")
    at_rest = problem.cell.constants.c_rest * float(problem.cell.pieces.cable.volume.sum())
    cells = cells_of(config.run.output, (), (_firing(problem),))
    left, impossible = imbalance(tally, at_rest, tolerance), impossible_in(config)
    return Verdict(cells, (accuracy,), left, uniform_magnitude(config), impossible)


def imbalance(tally: Tally, content: float, tolerance: float) -> tuple[str, ...]:
    """What is to be said of calcium's balance, if anything.

    Args:
        tally: Of the run.
        content: Calcium in the cell at rest, µM·µm³.
        tolerance: That the balance should keep.
    """
    if tally.balance <= tolerance:
        return ()
    gap, advice = abs(tally.gained - tally.net), "use more network.features, or a lower window.tolerance"
    differ = "calcium's balance: what the cell gained and what came in differ by"
    if tally.passed > NOTHING_PASSED * content:
        return (f"{differ} {100.0 * tally.balance:.2g} % of what came in, or went out; {advice}",)
    if gap <= NOTHING_PASSED * content:
        return ()  # nothing came in, and nothing is there
    return (f"{differ} {gap:.2g} uM um3, {100.0 * gap / content:.2g} % of what the cell holds at rest; {advice}",)


def _firing(problem: Problem) -> Firing:
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


def window_detail(windows: int, sweeps: int, error: float) -> str:
    """What is said of a window while a run goes on."""
    return f"window {windows}, {counted(sweeps, 'sweep')}, error estimate {error:.1e}"


def measured_exchange(problem: Problem, communicator: Communicator, repeats: int = 20) -> float:
    """Seconds that the exchanges of one sweep take, in compiled code. Collective over all ranks."""
    if communicator.size == 1:
        return 0.0
    solver = problem.solver
    n_slots = 2 * len(problem.local) + solver.interfaces.n_ghosts
    shape = (n_slots, len(solver.equation.scale), len(solver.table.grid.time))

    @jax.jit
    def many(x):
        def one_sweep(x, _):
            for _half in range(3):  # red, black, and the jump
                x = communicator.exchange(x, solver.interfaces.plan)
            return x + communicator.max(jnp.zeros(())), None

        return jax.lax.scan(one_sweep, x, None, length=repeats)[0]

    jax.block_until_ready(many(jnp.zeros(shape)))
    communicator.barrier()
    begun = clock.perf_counter()
    jax.block_until_ready(many(jnp.zeros(shape)))
    return (clock.perf_counter() - begun) / repeats


def _settings(config: RunConfig) -> dict:
    settings = config.model_dump(mode="json", include=set(RESUMABLE))
    settings["run"] = {"seed": config.run.seed}
    return settings


def _restored(
    path: Path,
    problem: Problem,
    communicator: Communicator,
    settings: dict[str, str],
    training: TrunkTraining,
) -> tuple[State, Tally, Problem]:
    arrays, scalars = checkpoint.load(path, communicator, problem.local, settings)
    kinds = {name: type(value) for name, value in asdict(Tally()).items()}
    known = {name: kind for name, kind in kinds.items() if f"tally_{name}" in scalars}  # older ones know fewer
    tally = Tally(**{name: kind(scalars[f"tally_{name}"]) for name, kind in known.items()})
    state = State(
        time=float(scalars["time"]),
        field=jnp.asarray(arrays["field"]),
        gates=jnp.asarray(arrays["gates"]),
        plan=Plan(float(scalars["plan_length"])),
        size=np.asarray(scalars["size"]),
        reach=np.asarray(scalars["reach"]),
    )
    return state, tally, training.restored(problem, scalars)


def size_in_mib(path: str) -> float:
    """The size of a file."""
    return Path(path).stat().st_size / 2**20
