"""Our side of bench_peers.py: split windows on the cell's own compartments, in a process of its own.

    python peer_ours.py JOB.npz RESULT.npz

JOB holds, beside what peer_cell.py says, `finer` and how to solve: window lengths (`first`, `growth`,
`longest`, ms), the voltage's `step`, `reaction` (map: the flow map; stiff: the classical stiff sub-step in the same
windows), `motif_tolerance` (negative: nothing is reused) and how many further periods are timed.

The loop is that of a long run: the motif of a slot, the windows, a coarse solution in windows twice as long that
estimates the error, and the frames that are kept, extrapolated from both. RESULT: c and b (µM) at the ends of all
windows that both have and the seconds per period of the loop, of the windows alone and of every part by itself.
"""

import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import Array, Float  # noqa: E402
from numpy import ndarray  # noqa: E402
from peer_cell import C_M, CELSIUS, CONSTANTS, CURRENT, PERIOD, R_I, START, WIDTH, read_cell  # noqa: E402
from scipy import sparse  # noqa: E402

from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.morphology.compartments import compartments  # noqa: E402
from hpcpinn.physics import gates  # noqa: E402
from hpcpinn.physics.membrane_constants import CableConstants  # noqa: E402
from hpcpinn.physics.membranes import channel_set_named  # noqa: E402
from hpcpinn.physics.stimulation.protocols import PulseProtocol  # noqa: E402
from hpcpinn.physics.stimulation.stimulus import Stimulus  # noqa: E402
from hpcpinn.physics.stimulation.waveforms import Waveform  # noqa: E402
from hpcpinn.systems.cell.build.long import LEFT_OUT  # noqa: E402
from hpcpinn.systems.cell.slot_run import compared  # noqa: E402
from hpcpinn.timestepping.cable_equation import CableEquation  # noqa: E402
from hpcpinn.timestepping.cell_grid import cell_grid  # noqa: E402
from hpcpinn.timestepping.diffusion import cable_diffusion  # noqa: E402
from hpcpinn.timestepping.flow_map_store import shipped_flow_map  # noqa: E402
from hpcpinn.timestepping.motifs import DriveState, Motif, MotifCache, SlotSolver  # noqa: E402
from hpcpinn.timestepping.pulse_steps import VoltageStepRule, steps_between  # noqa: E402
from hpcpinn.timestepping.reaction import FlowMapReaction, StiffReaction  # noqa: E402
from hpcpinn.timestepping.slots import Slot, slots  # noqa: E402
from hpcpinn.timestepping.splitting import Splitting, WindowPlan, extrapolated  # noqa: E402
from hpcpinn.timestepping.window_lengths import WindowLengths  # noqa: E402
from hpcpinn.training.flow_map import ReactionState  # noqa: E402
from timing import best  # noqa: E402

FRAMES_EVERY = 10.0
"""ms between the frames that the timed loop keeps, as a long run does."""
WARM = 15
"""Periods at most before the voltage repeats."""
IN_PULSE = 0.2
"""Steps of the voltage in a pulse, over those between pulses: the default of a run description."""


@dataclass(frozen=True)
class CurrentPulse(Waveform):
    """A current that is constant while it lasts: a clamp that repeats."""

    width: float

    @property
    def name(self) -> str:
        return "current pulse"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (0.0, self.width)

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.ones_like(t)


def membrane(cable: Cable) -> CableEquation:
    """Squid channels on one compartment per frustum."""
    cells = compartments(cable, np.ones(cable.n_frusta, int))
    return CableEquation(cells, [channel_set_named("squid")] * cells.count, CableConstants(R_I, C_M, CELSIUS))


def pulses(periods: int) -> Stimulus:
    """One pulse per period."""
    protocol = PulseProtocol("clamp", pulses=1, bursts=periods, trains=1, burst_interval=PERIOD)
    return Stimulus(protocol, CurrentPulse(WIDTH))


@dataclass(frozen=True)
class Ours:
    """What the loop needs."""

    solver: SlotSolver
    splitting: Splitting
    rest: ReactionState
    drive: DriveState
    slots: list[Slot]

    @classmethod
    def of(cls, job: dict[str, Any], periods: int) -> "Ours":
        """From a job; so many periods."""
        cable = read_cell(Path(str(job["folder"])), float(job["finer"])).cable()
        grid, equation, stimulus = cell_grid(cable), membrane(cable), pulses(periods)
        diffusion = cable_diffusion(grid, (CONSTANTS.D_c, CONSTANTS.D_b), LEFT_OUT)
        flow_map = shipped_flow_map(CONSTANTS)
        k = flow_map.constants
        reaction = FlowMapReaction(flow_map) if str(job["reaction"]) == "map" else StiffReaction(k)
        step = float(job["step"])
        lengths = {name: float(job[name]) for name in ("first", "growth", "longest")}
        solver = SlotSolver(
            cable=equation,
            sources=equation.clamp_source(0, CURRENT)[None],
            stimulus=stimulus,
            onset=0.0,
            steps=VoltageStepRule(step, IN_PULSE * step),
            constants=CONSTANTS,
            to_cells=sparse.identity(grid.n, format="csr"),
            diffusion=diffusion,
            lengths=WindowLengths(**lengths),
        )
        steady = np.asarray(gates.steady(jnp.full(grid.n, START), CONSTANTS))
        return cls(
            solver=solver,
            splitting=Splitting(reaction, diffusion, jnp.asarray(grid.ratio), binding=k),
            rest=ReactionState(jnp.full(grid.n, k.c_rest), jnp.full(grid.n, k.b_rest)),
            drive=DriveState(equation.uniform_state(START), steady),
            slots=list(slots(stimulus, 0.0, PERIOD * periods)),
        )


@dataclass
class Loop:
    """The loop over slots of a long run, with what may be left out."""

    ours: Ours
    cache: MotifCache
    drive: DriveState
    calcium: ReactionState
    coarse: ReactionState

    @classmethod
    def begin(cls, ours: Ours, tolerance: float) -> "Loop":
        cache = MotifCache(solver=ours.solver, tolerance=tolerance)
        return cls(ours, cache, ours.drive, ours.rest, ours.rest)

    def slot(self, slot: Slot, frames: str) -> tuple[Motif, list[ndarray]]:
        """One slot.

        Args:
            slot: Which.
            frames: "none": the windows alone; "kept": with the coarse solution, extrapolated where frames are due and
                brought to the host, the error estimated; "all": extrapolated wherever both end.
        """
        splitting, motif = self.ours.splitting, self.cache.motif(slot, self.drive)
        rows: list[ndarray] = []
        if frames == "none":
            self.calcium, _ = splitting.advance(self.calcium, motif.plan)
            jax.block_until_ready(self.calcium)
        else:
            ends = motif.ends[motif.shared]
            passed = np.floor(ends / FRAMES_EVERY + 1e-9)
            due = np.flatnonzero(np.diff(passed, prepend=0.0) > 0.0)
            asked = compared(ends, due) if frames == "kept" else np.arange(len(ends))
            self.calcium, fine, _ = splitting.follow(self.calcium, motif.plan, motif.shared[asked])
            self.coarse, coarse, _ = splitting.follow(self.coarse, motif.coarse, asked)
            apart = np.asarray(fine.c) - np.asarray(coarse.c)
            float(np.sqrt(np.mean(apart**2)))
            rows = [np.asarray(x) for x in extrapolated(fine, coarse)]
        self.drive = motif.end
        return motif, rows

    def seconds(self, some: list[Slot], frames: str) -> ndarray:
        """Wall time of every slot."""
        marks = [time.perf_counter()]
        for slot in some:
            self.slot(slot, frames)
            marks.append(time.perf_counter())
        return np.diff(marks)


def parts(ours: Ours, motif: Motif, state: ReactionState) -> dict[str, float]:
    """Seconds per period of every part by itself, each in a compiled loop of its own."""
    solver, splitting, slot, plan = ours.solver, ours.splitting, motif.slot, motif.plan
    steps = steps_between(slot.start, slot.end, solver.steps, solver.stimulus, solver.onset)
    voltage = best(lambda: solver.cable.march(motif.begin.voltage, steps, solver.sources))
    solved = best(lambda: solver.solve(slot, motif.begin).plan)

    @jax.jit
    def react(start: ReactionState, plan: WindowPlan) -> ReactionState:
        # as many as the joined half reactions of the windows: one more than those
        lengths = jnp.append(plan.lengths[: len(motif.ends)], plan.lengths[0])
        return jax.lax.scan(lambda s, h: (splitting.reaction(s, h, splitting.ratio)[0], None), start, lengths)[0]

    @jax.jit
    def diffuse(start: ReactionState, plan: WindowPlan) -> Array:
        def one(fields, row):
            return splitting.diffusion(fields, row.coefficients, row.terms), None

        series = jax.tree.map(lambda x: x[: len(motif.ends)], plan.series)
        return jax.lax.scan(one, jnp.stack(start.species), series)[0]

    whole = best(lambda: splitting.advance(state, plan))
    kept = best(lambda: [np.asarray(x) for x in splitting.follow(state, plan)[1].species])
    reaction, diffusion = best(lambda: react(state, plan)), best(lambda: diffuse(state, plan))
    return {
        "voltage": voltage,
        "influx": solved - voltage,
        "reaction": reaction,
        "diffusion": diffusion,
        "adding influx and the rest of the loop": whole - reaction - diffusion,
        "output": kept - whole,
        "coarse": best(lambda: splitting.follow(state, motif.coarse)[1]),
    }


def main(job_file: str, result_file: str) -> None:
    job = dict(np.load(job_file))
    periods, more = int(job["periods"]), int(job["more"])
    began = time.perf_counter()
    ours = Ours.of(job, periods + WARM + 3 * (more + 1))
    loop = Loop.begin(ours, float(job["motif_tolerance"]))
    setup, began = time.perf_counter() - began, time.perf_counter()
    times, courses = [], []
    for slot in ours.slots[:periods]:
        motif, rows = loop.slot(slot, "all")
        times.append(slot.start + motif.ends[motif.shared])
        courses.append(rows)
    first_pass = time.perf_counter() - began
    solved = loop.cache.solved
    left = iter(ours.slots[periods:])
    if loop.cache.tolerance >= 0.0:
        for slot in islice(left, WARM):  # until it is periodic
            before = loop.cache.reused
            loop.slot(slot, "none")
            if loop.cache.reused > before:
                break
    figures = {}
    for name, frames in [("windows", "none"), ("kept", "kept")]:
        loop.slot(next(left), frames)  # compiles
        figures[f"seconds_{name}"] = loop.seconds(list(islice(left, more)), frames)
    by_part = parts(ours, motif, loop.calcium) if int(job["parts"]) else {}
    np.savez(
        result_file,
        times=np.concatenate(times),
        c=np.concatenate([rows[0] for rows in courses]),
        b=np.concatenate([rows[1] for rows in courses]),
        setup=setup, first_pass=first_pass, solved=solved, solved_at_end=loop.cache.solved,
        reused=loop.cache.reused, mismatch=loop.cache.mismatch, windows=len(motif.ends),
        part_names=list(by_part), part_seconds=list(by_part.values()), **figures,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
