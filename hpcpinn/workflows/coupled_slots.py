"""Coupled windows in a long run: the slots after pulses and releases, where split ones would be off most.

They are the windows of `march`, on the pieces and with the channels of the split ones. Between the two the state is
handed over as it is: both have it at the same nodes. A slot depends on nothing but that state and its
motif, so that a run that is resumed goes on to the same bits.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.domain.flows import node_volume
from hpcpinn.domain.sampling import in_blocks
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.morphology import Cable
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.voltage import compact_weights
from hpcpinn.solve.controller import (
    Plan,
    WindowRule,
    after_accepted,
    after_rejected,
    first_plan,
    next_length,
)
from hpcpinn.timestepping.motifs import Motif, SlotSolver
from hpcpinn.timestepping.slot_drive import SlotDrive
from hpcpinn.timestepping.splitting import Frames
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.training.local import field_at
from hpcpinn.workflows.march import QUIET, Attempt, Factors, State, attempted, why_rejected
from hpcpinn.workflows.problem import coupled_solver, window_rule

LOOSER = 16.0
"""With so many times the tolerance windows are about twice as long: their error goes with the fourth power."""


class CoupledWork(NamedTuple):
    """What the coupled windows of a slot took: sums, and the largest jump and error estimate of one."""

    windows: int = 0
    rejected: int = 0
    newton_steps: int = 0
    sweeps: int = 0
    jump: float = 0.0
    error: float = 0.0

    def and_window(self, attempt: Attempt, rejected: int) -> "CoupledWork":
        """With one more window."""
        solution = attempt.solution
        return CoupledWork(
            self.windows + 1,
            self.rejected + rejected,
            self.newton_steps + solution.newton_steps,
            self.sweeps + solution.sweeps,
            max(self.jump, solution.jump),
            max(self.error, attempt.error),
        )


@dataclass(frozen=True)
class CoupledSlots:
    """Goes through slots in coupled windows. Everything is collective over all ranks.

    Attributes:
        solver: Solves windows on this rank's pieces.
        drive: What drives them.
        order: Place of every piece of the solver's among the rank's pieces.
        windows: Lengths and tolerance.
        pulse: How long one lasts, ms.
    """

    solver: WindowSolver
    drive: SlotDrive
    order: Int[ndarray, " P"]
    windows: WindowRule
    pulse: float

    def follow(
        self,
        begin: ReactionState,
        motif: Motif,
        rows: Int[ndarray, " r"],
        reach: float = 0.0,
        loosely: bool = False,
    ) -> tuple[ReactionState, Frames, CoupledWork]:
        """Calcium at the end of a slot, and at some of the motif's `ends`.

        Args:
            begin: At its start, at the nodes of all pieces of the rank.
            motif: The slot's.
            rows: Which ends, increasing.
            reach: Largest L2 norm over the tree of calcium's distance from rest so far, µM·µm^1.5:
                errors are relative to that, or to what is in the slot where that is more.
            loosely: With `LOOSER` times the tolerance.

        Raises:
            SolveError: A window does not reach the tolerance.
        """
        rule, unit = self.windows, self.drive.time_unit
        if loosely:
            longer = min(2.0 * rule.first, rule.longest)
            rule = replace(rule, tolerance=LOOSER * rule.tolerance, first=longer)
        wanted, stops = unit * motif.ends[rows], unit * self._stops(motif)
        state, factors, work = self._begun(begin, rule, reach), None, CoupledWork()
        frames = []
        while state.time < stops[-1] * (1.0 - 1e-12):
            attempt, plan, rejected = self._accepted(motif, rule, state, stops, factors)
            factors = Factors(attempt.solution.linear, attempt.length)
            work = work.and_window(attempt, rejected)
            heads, until = attempt.solution.traces.heads, state.time + attempt.length
            past = wanted > until * (1.0 + 1e-9)
            seen, wanted = wanted[~past], wanted[past]
            if len(seen):
                tau = 2.0 * (seen - state.time) / attempt.length - 1.0
                frames.append(in_blocks(partial(self._at_nodes, heads), tau))
            state = State(
                until,
                self.solver.at_end(heads),
                state.gates,
                plan,
                np.maximum(state.size, attempt.solution.size),
                np.maximum(state.reach, attempt.away_norm),
            )
        after = np.asarray(state.field)[self._back]
        end = ReactionState(*(jnp.asarray(after[:, species].ravel()) for species in (0, 1)))
        shape = (-1, 2, len(self.order), len(self.drive.grid.space))
        at_rows = np.concatenate([np.zeros((0, *shape[1:])), *frames])[:, :, self._back]
        c, b = (jnp.asarray(at_rows[:, species].reshape(len(rows), len(end.c))) for species in (0, 1))
        return end, Frames(c, b), work

    def _begun(self, begin: ReactionState, rule: WindowRule, reach: float) -> State:
        """The march at the start of a slot."""
        n_pieces, n_space = len(self.order), len(self.drive.grid.space)
        field = jnp.stack([jnp.asarray(x).reshape(n_pieces, n_space)[self.order] for x in begin], axis=1)
        size, square, volume = (np.asarray(x) for x in self._excursion(field))
        least = QUIET * np.array(self.solver.equation.scale)
        return State(
            time=0.0,
            field=field,
            gates=jnp.zeros((n_pieces, n_space, 0)),
            plan=first_plan(rule),
            size=np.maximum(size, least),
            reach=np.sqrt(np.maximum(np.maximum(square, [reach**2, 0.0]), volume * least**2)),
        )

    @cached_property
    def _excursion(self):
        """Of every species: the largest from rest, the square of its L2 norm over the tree; and the volume."""
        solver = self.solver

        def run(field: Float[Array, "P K X"]) -> tuple[Array, Array, Array]:
            away = field - jnp.asarray(solver.equation.rest)[:, None]
            volume = node_volume(solver)
            sums = jnp.append(jnp.einsum("pkx,px->k", away**2, volume), jnp.sum(volume))
            sums = solver.communicator.sum(sums)
            size = solver.communicator.max(jnp.max(jnp.abs(away), axis=(0, 2), initial=0.0))
            return size, sums[:-1], sums[-1]

        return jax.jit(run)

    @cached_property
    def _at_nodes(self):
        table = self.solver.table
        xi = jnp.asarray(table.grid.space)

        def run(heads: Float[Array, "P K M"], tau: Float[Array, " t"]) -> Float[Array, "t K P X"]:
            def one_time(moment):
                value = table.trunk.features(xi, jnp.full(len(xi), moment)).value
                return jnp.swapaxes(field_at(value, heads, self.solver.equation), 0, 1)

            return jax.vmap(one_time)(tau)

        return jax.jit(run)

    @cached_property
    def _back(self) -> Int[ndarray, " P"]:
        """Place of every piece of the rank among the solver's."""
        return np.argsort(self.order)

    def _stops(self, motif: Motif) -> Float[ndarray, " s"]:
        """Times after the start of a slot at which windows end, ms; the last is its own end."""
        slot = motif.slot
        times = {*slot.switches, *(pulse + self.pulse for pulse in slot.pulses)}
        inside = [time for time in sorted(times) if 1e-6 < time < slot.duration - 1e-6]
        kept = [time for time, before in zip(inside, [0.0, *inside], strict=False) if time > before + 1e-6]
        return np.array([*kept, slot.duration])

    def _accepted(
        self, motif: Motif, rule: WindowRule, state: State, stops: Float[ndarray, " s"], factors: Factors | None
    ) -> tuple[Attempt, Plan, int]:
        """Tries shorter and shorter windows until one is within the tolerance."""
        assert motif.channels is not None
        plan, rejected = state.plan, 0
        stop = float(stops[np.searchsorted(stops, state.time + 1e-12 * stops[-1], side="right")])
        while True:
            length = next_length(rule, plan, state.time, stop)
            drive = self.drive.window(motif.slot, motif.channels, state.time, length)
            attempt = attempted(self.solver, rule.first, drive, state, length, factors)
            if attempt.error <= rule.tolerance:
                at_stop = math.isclose(state.time + length, stop, rel_tol=1e-12) and stop < stops[-1]
                effort = attempt.solution.sweeps / self.solver.sweep_limit
                return attempt, after_accepted(rule, plan, length, attempt.error, at_stop, effort), rejected
            why = why_rejected(attempt, motif.slot.start + state.time / self.drive.time_unit, rule.tolerance)
            plan = after_rejected(rule, plan, length, attempt.error, why)
            factors, rejected = None, rejected + 1


def build_coupled_slots(
    config: RunConfig,
    k: CalciumConstants,
    pieces: Cable,
    owner: Int[ndarray, " F"],
    solver: SlotSolver,
    communicator: Communicator,
) -> CoupledSlots:
    """Coupled windows for the slots of a run. Not collective.

    Args:
        config: The run description.
        k: Constants, with the leak that balances rest.
        pieces: Of all members.
        owner: Rank of every piece.
        solver: Of voltage and influx, on the nodes of this rank's pieces in the order of the tree.
        communicator: All ranks.
    """
    windows, stored = coupled_solver(config, k, pieces, owner, communicator)
    order = np.searchsorted(np.sort(stored), stored)
    n_space = len(windows.table.grid.space)
    rows = (order[:, None] * n_space + np.arange(n_space)).ravel()
    releases = solver.releases
    drive = SlotDrive(
        grid=windows.table.grid,
        check_space=windows.checks[0],
        check_time=windows.checks[1],
        geometry=windows.geometry,
        weights=compact_weights(solver.to_cells[rows]),
        releases=None if releases is None else releases.taken(order * n_space),
        time_unit=k.time_unit,
    )
    pulse = 0.0 if solver.stimulus is None else solver.stimulus.waveform.duration
    return CoupledSlots(windows, drive, order, window_rule(config, k.time_unit), pulse)
