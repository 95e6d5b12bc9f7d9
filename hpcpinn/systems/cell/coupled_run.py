"""A run of one cell in coupled windows: a problem to march, write, and keep in checkpoints."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.system import Packed, Record, Rows
from hpcpinn.domain.flows import calcium_content, membrane_flows
from hpcpinn.domain.sampling import in_blocks
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.march import Improvement, Step
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.systems.cell.cable_windows import NOTHING, QUIET, CableAttempt, CableState, CableWindows, Factors
from hpcpinn.systems.cell.cell_run import CellRun
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.coupled_verdict import Balance, figures_of, verdict_of
from hpcpinn.systems.cell.verdict import CellsVerdict
from hpcpinn.timestepping.forcing import WindowDrive
from hpcpinn.training.local import Window


@dataclass(frozen=True)
class CoupledRun(CellRun):
    """A run on one rank, a `hpcpinn.core.system.Problem`; every method is collective over all ranks.

    Attributes:
        setup: What it is made of.
        communicator: All ranks.
        exchange_cost: Wall time that the exchanges of one sweep take, s.
        improvement: What trains the trunk on the way; None: nothing.
    """

    setup: CoupledSetup
    communicator: Communicator
    exchange_cost: float = 0.0
    improvement: "Improvement[CoupledRun] | None" = None

    @property
    def dimensionless(self) -> bool:
        """Whether numbers have no units."""
        return self.parameters.time_unit == 1.0

    @property
    def rule(self) -> WindowRule:
        """Lengths and tolerance of windows."""
        return self.setup.windows

    @property
    def stops(self) -> Float[np.ndarray, " s"]:
        """Internal times at which something switches, and the end of the run."""
        return self.setup.stops

    @cached_property
    def attempt(self) -> Callable[[CableState, float, Factors | None], CableAttempt]:
        """Solves the window of a length that starts at a state, and counts what came in."""
        return CableWindows(self.setup.solver, self.rule, self.stops, self._drive, self._counted).attempt

    def _drive(self, state: CableState, length: float) -> WindowDrive:
        return self.setup.drive.window(state.gates, state.time, length)

    def start(self) -> CableState:
        """Rest everywhere, gates in equilibrium with the first voltage."""
        equation, drive = self.setup.solver.equation, self.setup.drive
        shape = (len(self.setup.local), len(equation.rest), len(drive.grid.space))
        return CableState(
            time=0.0,
            field=jax.device_put(np.full(shape, np.asarray(equation.rest)[:, None])),
            gates=drive.steady_gates(0.0),
            size=QUIET * np.array(equation.scale),
            reach=QUIET * self._unit_reach,
        )

    @cached_property
    def _unit_reach(self) -> Float[np.ndarray, " K"]:
        """Norm of an excursion by every species' scale everywhere."""
        equation, cable = self.setup.solver.equation, self.setup.cell.pieces.cable
        volume = [math.sqrt(float(cable.within(volume).volume.sum())) for volume in equation.volumes]
        reach: Float[np.ndarray, " K"] = np.array(equation.scale) * np.array(volume)
        return reach

    def _counted(self, state: CableState, attempt: CableAttempt) -> CableAttempt:
        """The solved window that starts at a state with what came in, and what it took."""
        length, (solution, drive, _, error_norm, away_norm) = attempt.length, attempt.inside
        window = Window(jnp.asarray(length), state.field, drive.inside)
        gained, net, came_in = np.asarray(self._flows(window, solution.traces.heads, drive.end_flux)).tolist()
        worst = int(np.argmax(error_norm / np.maximum(state.reach, away_norm)))
        away = max(float(away_norm[worst]), NOTHING * float(self._unit_reach[worst]))
        notes = {
            "factorisations": solution.factorisations,
            "gained": gained,
            "net": net,
            "came_in": came_in,
            "error_square": length * float(error_norm[worst]) ** 2,
            "away_square": length * away**2,
            "seconds_exchange": self.exchange_cost * solution.sweeps,
        }
        most = {
            "most_sweeps_per_step": int(np.isfinite(solution.histories).sum(axis=1).max()),
            "most_sweeps_per_window": solution.sweeps,
        }
        return replace(attempt, notes={**attempt.notes, **notes}, largest={**attempt.largest, **most})

    @cached_property
    def _flows(self) -> Callable[[Window, Array, Array], Float[Array, " 3"]]:
        """Calcium gained, its net inflow, and what came in, all over this window and over all ranks, µM·µm³."""
        solver = self.setup.solver

        def run(window: Window, heads: Array, end_flux: Array) -> Float[Array, " 3"]:
            net, inward = membrane_flows(solver, window, heads)
            time_weight = jnp.asarray(solver.table.grid.time_weight)
            given = window.duration * jnp.sum(end_flux * time_weight)
            before = calcium_content(solver, window.initial)
            after = calcium_content(solver, solver.at_end(heads))
            entered = window.duration * jnp.sum(jnp.maximum(end_flux, 0.0) * time_weight)
            local = jnp.stack([after - before, net + given, inward + entered])
            return self.communicator.sum(local)

        return jax.jit(run)

    @property
    def rows(self) -> Rows:
        """This rank's pieces."""
        return Rows(self.setup.local, self.setup.cell.pieces.cable.n_frusta)

    def pack(self, state: CableState) -> Packed:
        """A state for a checkpoint."""
        arrays = {"field": np.asarray(state.field), "gates": np.asarray(state.gates)}
        return Packed(arrays, {"time": state.time, "size": np.asarray(state.size), "reach": np.asarray(state.reach)})

    def unpack(self, packed: Packed) -> CableState:
        """The state of a checkpoint."""
        return CableState(
            time=float(packed.scalars["time"]),
            field=jnp.asarray(packed.arrays["field"]),
            gates=jnp.asarray(packed.arrays["gates"]),
            size=np.asarray(packed.scalars["size"]),
            reach=np.asarray(packed.scalars["reach"]),
        )

    def observe(self, attempt: CableAttempt, times: Float[np.ndarray, " n"]) -> dict[str, Float[np.ndarray, "n p c"]]:
        """This rank's averages over the output cells at times inside a window, counted from its start."""
        sampler, heads = self.setup.sampler, attempt.inside.solution.traces.heads
        averages = [sampler.cell_averages(2.0 * float(t) / attempt.length - 1.0, heads) for t in times]
        found = dict(zip(sampler.equation.names, np.stack(averages, axis=1), strict=True))
        at_cells = self.setup.voltage.at_cells
        found["voltage"] = np.stack([np.asarray(at_cells(attempt.inside.begin + float(t))) for t in times])
        shape = len(times), len(self.setup.local), sampler.cells_per_piece
        order = np.argsort(self.setup.local)  # as the result has them
        return {name: values.reshape(shape)[:, order] for name, values in found.items()}

    def sample(self, attempt: CableAttempt, times: Float[np.ndarray, " n"]) -> dict[str, Float[np.ndarray, "n p"]]:
        """The same at this rank's probes."""
        sampler, heads = self.setup.sampler, attempt.inside.solution.traces.heads
        species = np.swapaxes(sampler.probe_values(2.0 * times / attempt.length - 1.0, heads), 0, 1)
        voltage = in_blocks(self.setup.voltage.at_probes, attempt.inside.begin + times)
        return {**dict(zip(sampler.equation.names, species, strict=True)), "voltage": voltage}

    def record(self, step: "Step[CoupledRun]", stats: Stats) -> Record:
        """The balance so far, and how a window's sweeps have converged."""
        sweeps = [
            {"window": step.number, "newton": newton, "sweep": sweep, "jump": jump}
            for newton, history in enumerate(step.attempt.inside.solution.histories)
            for sweep, jump in enumerate(history[np.isfinite(history)])
        ]
        return Record({"balance": Balance.of(stats).relative, "seconds_train": step.seconds}, sweeps)

    def figures(self, stats: Stats) -> Mapping[str, Any]:
        """What the run has counted and measured."""
        return figures_of(self.setup, stats)

    def verdict(self, state: CableState, stats: Stats, result: Path) -> CellsVerdict:
        """What came of the run."""
        return self.communicator.on_root(verdict_of, self.setup, stats, result)
