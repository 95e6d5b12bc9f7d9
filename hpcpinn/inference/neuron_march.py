"""Calcium of a cell at its sites as a smooth function of constants, with its derivatives. One rank's view.

A forward run chooses its windows as it goes. Here their sequence and the weights of the rows are fixed, so that
least squares find heads that are a smooth function of the constants. Every window is solved by Gauss-Newton
steps and tree solves; the derivatives then follow from the same factors (implicit function theorem): the
step's own derivative by the constants, by the field at the window's start and by the heads, repeated until the
derivatives stand still. What comes out is the exact derivative of the discrete solution.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.domain.tree_solve import tree_solve
from hpcpinn.parallel.batched import BatchedCommunicator
from hpcpinn.physics.calcium_system import CalciumForcing
from hpcpinn.physics.learned_calcium import CellConstants, LearnedCalcium
from hpcpinn.training.least_squares import Correction, Linearisation, accept, correct, linearise
from hpcpinn.training.local import Window, combine, edge_values, evaluate, field_at

CALCIUM = 0
"""Species that is seen."""


class WindowSequence(NamedTuple):
    """Windows of a run, W of them, on this rank's pieces.

    Attributes:
        start, length: Internal time, (W,).
        resolvent: Weights of the rows, (W, P, K, K).
        unit: Forcing with channels of unit strength, leaves (W, P, Q).
        end_flux: Calcium given at the ends, (W, P, 2, T).
    """

    start: Float[Array, " W"]
    length: Float[Array, " W"]
    resolvent: Float[Array, "W P K K"]
    unit: CalciumForcing
    end_flux: Float[Array, "W P 2 T"]


class Marched(NamedTuple):
    """What a march leaves, and its derivatives by the logarithms of the constants (a leading axis p).

    Attributes:
        heads: Of calcium on the pieces of the sites, (W, S, M).
        heads_slope: (p, W, S, M).
        mean: Calcium over every piece at the end of every window, µM, (W, P).
        mean_slope: (p, W, P).
        change: Last change of the field in a window, over the species' scale, (W,).
        slope_change: Last change of the derivatives, likewise, (W,).
    """

    heads: Float[Array, "W S M"]
    heads_slope: Float[Array, "p W S M"]
    mean: Float[Array, "W P"]
    mean_slope: Float[Array, "p W P"]
    change: Float[Array, " W"]
    slope_change: Float[Array, " W"]


@dataclass(frozen=True)
class FixedMarch:
    """Marches over a fixed sequence of windows. Collective over all ranks.

    Attributes:
        solver: Of the windows, with Robin's rule; its equation is not used.
        constants: Of the pieces.
        sequence: The windows.
        site_piece: Local pieces on which calcium is wanted.
        tolerance: Change of the field, over the species' scale, at which a window is solved.
        max_steps: Most steps of a window.
        slope_steps: Steps of the derivatives in a window.
    """

    solver: CoupledWindow
    constants: CellConstants
    sequence: WindowSequence
    site_piece: Int[np.ndarray, " S"]
    tolerance: float = 1e-8
    max_steps: int = 10
    slope_steps: int = 3

    @cached_property
    def run(self):
        """Compiled; of logarithms of the learned constants."""
        return jax.jit(self._march)

    def _march(self, z: Float[Array, " p"]) -> Marched:
        shape = (len(self.constants.kind), 2, len(self.solver.table.grid.space))

        def at_rest(z: Array) -> Array:
            rest = self.constants.learned(jnp.exp(z)).at_rest()
            return jnp.broadcast_to(rest[None, :, None], shape)

        field = at_rest(z)
        slope = jnp.moveaxis(jax.jacfwd(at_rest)(z), -1, 0)

        def one(carry: tuple[Array, Array], window: WindowSequence) -> tuple[tuple[Array, Array], tuple]:
            return self._window(z, *carry, window)

        _, parts = jax.lax.scan(one, (field, slope), self.sequence)
        heads, heads_slope, mean, mean_slope, change, slope_change = parts
        return Marched(
            heads, jnp.moveaxis(heads_slope, 1, 0), mean, jnp.moveaxis(mean_slope, 1, 0), change, slope_change
        )

    def _window(self, z: Array, field: Array, slope: Array, given: WindowSequence):
        solver, table = self.solver, self.solver.table
        length, scale = given.length, jnp.asarray(self._measure.scale)
        learned = self.constants.learned(jnp.exp(z))
        window = Window(length, field, learned.forcing(given.unit))
        heads = self._constant_heads((field - jnp.asarray(self._measure.rest)[:, None]) / scale[:, None])
        system = learned.system
        told_given = self._given(system, given)

        def stepped(state, linear: Linearisation):
            heads, _, _, steps = state
            correction = correct(
                system, table, solver.geometry, solver.interfaces.rows, window, heads, linear, solver.weights,
                batch=solver.batch,
            )  # fmt: skip
            told = self._agreed(linear, correction.reported, told_given)
            new = self._accepted(system, window, linear, correction, told)
            moved = jnp.max(jnp.abs(jnp.einsum("pkm,nm->pkn", new - heads, table.inside.value)), initial=0.0)
            return new, told, self._communicator.max(moved), steps + 1

        def linearised(heads: Array) -> Linearisation:
            return linearise(
                system, table, solver.geometry, solver.interfaces.rows, window, heads, solver.weights,
                batch=solver.batch, exact_above=solver.exact_above, resolvent=given.resolvent,
            )  # fmt: skip

        told = jnp.zeros_like(told_given)
        state = (heads, told, jnp.asarray(jnp.inf), jnp.zeros((), int))
        state = stepped(state, linearised(heads))
        linear = linearised(state[0])
        heads, told, change, _ = jax.lax.while_loop(
            lambda state: (state[2] > self.tolerance) & (state[3] < self.max_steps),
            lambda state: stepped(state, linear),
            state,
        )

        def answered(z: Array, field: Array, heads: Array) -> tuple[Array, Array, Array]:
            """A step from converged heads with the ends told what they are: heads, reports, given."""
            learned = self.constants.learned(jnp.exp(z))
            system, window = learned.system, Window(length, field, learned.forcing(given.unit))
            correction = correct(
                system, table, solver.geometry, solver.interfaces.rows, window, heads, linear, solver.weights,
                batch=solver.batch,
            )  # fmt: skip
            new = self._accepted(system, window, linear, correction, told)
            value, edge_slope = edge_values(system, table, solver.geometry, length, new)
            return new, combine(solver.interfaces.rows.send, value, edge_slope), self._given(system, given)

        _, pushed = jax.linearize(answered, z, field, heads)

        def pushed_further(dz: Array, dfield: Array, dheads: Array) -> Array:
            new, reported, more = pushed(dz, dfield, dheads)
            told = self._agreed(linear, reported, more)
            return self._accepted(system, window, linear, Correction(new, reported), told)

        def slope_step(dheads: Array, _: None) -> tuple[Array, Array]:
            new = jax.vmap(pushed_further)(jnp.eye(len(z)), slope, dheads)
            moved = jnp.max(jnp.abs(new - dheads), initial=0.0)
            return new, moved

        first = jax.vmap(self._constant_heads)(slope / scale[:, None])
        dheads, moved = jax.lax.scan(slope_step, first, None, length=self.slope_steps)
        final = table.final
        after = field_at(final, heads, self._measure)
        after_slope = jax.vmap(lambda d: evaluate(final, d, self._measure))(dheads)
        share = self._volume_share
        mean = jnp.einsum("px,px->p", after[:, CALCIUM], share)
        mean_slope = jnp.einsum("zpx,px->zp", after_slope[:, :, CALCIUM], share)
        sites = jnp.asarray(self.site_piece)
        kept = (
            heads[sites, CALCIUM], dheads[:, sites, CALCIUM], mean, mean_slope, change,
            self._communicator.max(moved[-1]),
        )  # fmt: skip
        return (after, after_slope), kept

    def _agreed(self, linear: Linearisation, reported: Array, given: Array) -> Float[Array, "P 2 K T"]:
        """What all ends must be told so that all agree, tree solve."""
        scale = jnp.asarray(self._measure.scale)[:, None]

        def flat(ends: Array) -> Array:
            return (ends / scale).reshape(ends.shape[0], 2, linear.transfer.shape[-1] // 2)

        told = tree_solve(self.solver.interfaces, self._communicator, linear.transfer, flat(reported), flat(given))
        return told.reshape(reported.shape) * scale

    def _accepted(self, system, window, linear, correction, told) -> Array:
        solver = self.solver
        return accept(
            system, solver.table, solver.geometry, solver.interfaces.rows, window, linear, correction, told,
            solver.weights, batch=solver.batch,
        )  # fmt: skip

    def _given(self, system: LearnedCalcium, given: WindowSequence) -> Float[Array, "P 2 K T"]:
        return replace(self.solver, equation=system).given_flux(given.end_flux, CALCIUM, given.length)

    def _constant_heads(self, departure: Float[Array, "P K X"]) -> Float[Array, "P K M"]:
        """Heads of a departure from rest (in units of the scale) that is held over the window."""
        return jnp.tile(departure, (1, 1, len(self.solver.table.grid.time))) @ jnp.asarray(self._inverse)

    @cached_property
    def _inverse(self) -> Float[np.ndarray, "XT M"]:
        return np.linalg.pinv(np.asarray(self.solver.table.on_grid)).T

    @cached_property
    def _measure(self) -> LearnedCalcium:
        known = self.constants.known.replace(leak=0.0)
        return LearnedCalcium(known, known)

    @cached_property
    def _communicator(self) -> BatchedCommunicator:
        return BatchedCommunicator(self.solver.communicator)

    @cached_property
    def _volume_share(self) -> Float[Array, "P X"]:
        weight = np.asarray(self.solver.geometry.area) * self.solver.table.grid.space_weight
        return jnp.asarray(weight / weight.sum(axis=1, keepdims=True))
