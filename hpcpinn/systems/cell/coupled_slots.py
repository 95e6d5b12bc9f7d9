"""Coupled windows in a long run: the slots after pulses and releases, where split ones would be off most.

They are the windows of `coupled_run`, on the pieces and with the channels of the split ones. Between the two the
state is handed over as it is: both have it at the same nodes. A slot depends on nothing but that state and its
motif, so that a run that is resumed goes on to the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.domain.flows import node_volume
from hpcpinn.domain.sampling import in_blocks
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.marching.controller import WindowRule
from hpcpinn.marching.march import March
from hpcpinn.marching.stats import Stats
from hpcpinn.systems.cell.cable_windows import QUIET, CableState, CableWindows
from hpcpinn.timestepping.forcing import WindowDrive
from hpcpinn.timestepping.motifs import Motif
from hpcpinn.timestepping.slot_drive import SlotDrive
from hpcpinn.timestepping.splitting import Frames
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.training.local import field_at

LOOSER = 16.0
"""With so many times the tolerance windows are about twice as long: their error goes with the fourth power."""


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
    ) -> tuple[ReactionState, Frames, Stats]:
        """Calcium at the end of a slot, and at some of the motif's `ends`; and what the windows took.

        Args:
            begin: Calcium and buffers at the start of the slot, at the nodes of all pieces of the rank.
            motif: The slot's.
            rows: Ends that are wanted, increasing.
            reach: Largest L2 norm over the tree of calcium's distance from rest so far, µM·µm^1.5:
                errors are relative to that, or to what is in the slot where that is more.
            loosely: Whether `LOOSER` times the tolerance will do.

        Raises:
            SolveError: A window does not reach the tolerance.
        """
        rule, unit = self.windows, self.drive.time_unit
        if loosely:
            longer = min(2.0 * rule.first, rule.longest)
            rule = replace(rule, tolerance=LOOSER * rule.tolerance, first=longer)
        rule = replace(rule, since=motif.slot.start)
        windows = CableWindows(self.solver, rule, unit * self._stops(motif), partial(self._drive, motif))
        march = March.begun(windows, self._begun(begin, reach))
        wanted, work, frames = unit * motif.ends[rows], Stats(), []
        for step in march:
            attempt, start = step.attempt, step.before.time
            work = work.and_window(step)
            past = wanted > attempt.after.time * (1.0 + 1e-9)
            seen, wanted = wanted[~past], wanted[past]
            if len(seen):
                tau = 2.0 * (seen - start) / attempt.length - 1.0
                frames.append(in_blocks(partial(self._at_nodes, attempt.inside.solution.traces.heads), tau))
        after = np.asarray(march.state.field)[self._back]
        end = ReactionState.of(jnp.asarray(species.ravel()) for species in np.swapaxes(after, 0, 1))
        none = np.zeros((0, after.shape[1], len(self.order), len(self.drive.grid.space)))
        at_rows = np.swapaxes(np.concatenate([none, *frames])[:, :, self._back], 0, 1)
        seen = Frames.of(jnp.asarray(species.reshape(len(rows), len(end.c))) for species in at_rows)
        return end, seen, work

    def _drive(self, motif: Motif, state: CableState, length: float) -> WindowDrive:
        assert motif.channels is not None
        return self.drive.window(motif.slot, motif.channels, state.time, length)

    def _begun(self, begin: ReactionState, reach: float) -> CableState:
        """The march at the start of a slot."""
        n_pieces, n_space = len(self.order), len(self.drive.grid.space)
        field = jnp.stack([jnp.asarray(x).reshape(n_pieces, n_space)[self.order] for x in begin.species], axis=1)
        size, square, volume = (np.asarray(x) for x in self._excursion(field))
        least = QUIET * np.array(self.solver.equation.scale)
        return CableState(
            time=0.0,
            field=field,
            gates=jnp.zeros((n_pieces, n_space, 0)),
            size=np.maximum(size, least),
            reach=np.sqrt(np.maximum(np.maximum(square, [reach**2] + [0.0] * (len(square) - 1)), volume * least**2)),
        )

    @cached_property
    def _excursion(self) -> Callable[[Float[Array, "P K X"]], tuple[Array, Array, Array]]:
        """Of every species: the largest from rest, the square of its L2 norm over the tree, and its volume."""
        solver = self.solver

        def run(field: Float[Array, "P K X"]) -> tuple[Array, Array, Array]:
            away = field - jnp.asarray(solver.equation.rest)[:, None]
            volume = node_volume(solver)
            squares = jnp.einsum("pkx,pkx->k", away**2, volume)
            sums = solver.communicator.sum(jnp.append(squares, jnp.sum(volume, axis=(0, 2))))
            size = solver.communicator.max(jnp.max(jnp.abs(away), axis=(0, 2), initial=0.0))
            return size, sums[: len(squares)], sums[len(squares) :]

        return jax.jit(run)

    @cached_property
    def _at_nodes(self) -> Callable[[Float[Array, "P K M"], Float[Array, " t"]], Array]:
        table = self.solver.table
        xi = jnp.asarray(table.grid.space)

        def run(heads: Float[Array, "P K M"], tau: Float[Array, " t"]) -> Float[Array, "t K P X"]:
            def one_time(moment: Array) -> Array:
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
