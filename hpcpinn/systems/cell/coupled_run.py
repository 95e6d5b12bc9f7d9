"""A run of one cell in coupled windows, as the march and its checkpoints see it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.system import Packed, Rows
from hpcpinn.domain.flows import calcium_content, membrane_flows
from hpcpinn.io import checkpoint
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.systems.cell.cable_windows import NOTHING, QUIET, CableAttempt, CableState, CableWindows, Factors
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.timestepping.forcing import WindowDrive
from hpcpinn.training.local import Window

RESUMABLE = ("morphology", "physics", "buffer", "voltage", "field", "stimulation", "clamp", "channels", "cable",
             "synapse", "flux", "network", "training", "pieces", "schwarz", "window")  # fmt: skip
"""Tables of the run description that shape the state: they must not change on resume."""


@dataclass(frozen=True)
class CoupledRun:
    """A run on one rank; every method is collective over all ranks.

    Attributes:
        problem: What is solved.
        communicator: All ranks.
        exchange_cost: Wall time that the exchanges of one sweep take, s.
    """

    problem: CoupledSetup
    communicator: Communicator
    exchange_cost: float = 0.0

    @property
    def rule(self) -> WindowRule:
        """Lengths and tolerance of windows."""
        return self.problem.windows

    @property
    def stops(self) -> Float[np.ndarray, " s"]:
        """Internal times at which something switches, and the end of the run."""
        return self.problem.stops

    @cached_property
    def windows(self) -> CableWindows:
        """The windows under the forcing of the run."""
        return CableWindows(self.problem.solver, self.rule, self.stops, self._drive)

    def _drive(self, state: CableState, length: float) -> WindowDrive:
        return self.problem.drive.window(state.gates, state.time, length)

    def start(self) -> CableState:
        """Rest everywhere, gates in equilibrium with the first voltage."""
        equation, drive = self.problem.solver.equation, self.problem.drive
        shape = (len(self.problem.local), len(equation.rest), len(drive.grid.space))
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
        volume = float(self.problem.cell.pieces.cable.volume.sum())
        return np.array(self.problem.solver.equation.scale) * math.sqrt(volume)

    def attempt(self, state: CableState, length: float, reuse: Factors | None) -> CableAttempt:
        """Solves the window of the given length that starts at the state, and counts what came in."""
        attempt = self.windows.attempt(state, length, reuse)
        if not math.isfinite(attempt.error):
            return attempt
        solution, drive, error_norm, away_norm = attempt.inside
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
        solver = self.problem.solver

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
        return Rows(self.problem.local, self.problem.cell.pieces.cable.n_frusta)

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """What states depend on."""
        config = self.problem.config
        tables = config.model_dump(mode="json", include=set(RESUMABLE)) | {"run": {"seed": config.run.seed}}
        return checkpoint.fingerprint(tables, self.problem.cell.pieces.cable)

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


@dataclass(frozen=True)
class Balance:
    """Calcium over a whole run, µM·µm³.

    Attributes:
        gained: Calcium in the cell more than at the start.
        net: Calcium that came in minus that went out.
        came_in: Calcium that came in: channels, releases, leak, ends.
    """

    gained: float = 0.0
    net: float = 0.0
    came_in: float = 0.0

    @classmethod
    def of(cls, stats: Stats) -> "Balance":
        """What a run has counted."""
        return cls(stats["gained"], stats["net"], stats["came_in"])

    @property
    def passed(self) -> float:
        """Calcium that came in, or what left the cell where that is more; µM·µm³."""
        return max(self.came_in, abs(self.net))

    @property
    def relative(self) -> float:
        """Calcium gained minus net inflow, over all that came in, or went out where that is more."""
        return abs(self.gained - self.net) / max(self.passed, 1e-300)


def error_over_run(stats: Stats) -> float:
    """L2 error estimate over tree and time, over the same norm of the run's excursion from rest.

    Of every window the species with the largest ratio counts.
    """
    return math.sqrt(stats["error_square"] / max(stats["away_square"], 1e-300))
