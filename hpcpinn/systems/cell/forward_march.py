"""Calcium of a cell at its sites as a smooth function of constants, with its derivatives. One rank's view.

A forward run chooses its windows as it goes. Here their sequence and the weights of the rows are fixed, so that
least squares find heads that are a smooth function of the constants. Every window is solved by Gauss-Newton
steps and tree solves; the derivatives then follow from the same factors (implicit function theorem): the
step's own derivative by the constants, by the field at the window's start and by the heads, repeated until the
derivatives stand still. What comes out is the exact derivative of the discrete solution.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.domain.tree_solve import tree_solve
from hpcpinn.parallel.batched import BatchedCommunicator
from hpcpinn.physics.calcium_system import CalciumSystem
from hpcpinn.physics.constants import CALCIUM
from hpcpinn.systems.cell.constants import CellConstants
from hpcpinn.systems.cell.course import CourseOf, UnitCourse
from hpcpinn.training.least_squares import CableRows, Correction, Linearisation, accept, correct, linearise
from hpcpinn.training.local import Window, combine, edge_values, evaluate, field_at

LINEARISATIONS = 6
"""Of a window, at most."""
SLOW = 0.5
"""Contraction of a step above which the window is linearised anew."""


_Steps = tuple[Array, Array, Array, Array, Array]
"""Heads, what ends are told, the last change of the field and the one before, number of steps."""


class WindowSequence(NamedTuple):
    """Windows of a run, W of them, on this rank's pieces.

    Attributes:
        start, length: Start and length of every window, internal time, (W,).
        resolvent: Weights of the rows, (W, P, K, K).
        course: What acts on the pieces.
        course_slope: Derivatives of `course` by the coordinates of the constants, leaves (W, p, ...); None where the
            constants do not enter it.
        end_flux: Calcium given at the ends, (W, P, 2, T).
        guess: Heads to begin with, (W, P, K, M).
    """

    start: Float[Array, " W"]
    length: Float[Array, " W"]
    resolvent: Float[Array, "W P K K"]
    course: UnitCourse
    course_slope: UnitCourse | None
    end_flux: Float[Array, "W P 2 T"]
    guess: Float[Array, "W P K M"]


class MarchedCell(NamedTuple):
    """What a march leaves, and its derivatives by the coordinates of the constants (a leading axis p).

    Attributes:
        heads: Heads of calcium on the pieces of the sites, (W, S, M).
        heads_slope: Derivatives of these heads, (p, W, S, M).
        mean: Calcium over every piece at the end of every window, µM, (W, P).
        mean_slope: Derivatives of the means, (p, W, P).
        change: Last change of the field in a window, over the species' scale, (W,).
        slope_change: Last change of the derivatives of the heads, over the largest, (W,).
        all_heads: Heads of all pieces, to begin another march with, (W, P, K, M).
    """

    heads: Float[Array, "W S M"]
    heads_slope: Float[Array, "p W S M"]
    mean: Float[Array, "W P"]
    mean_slope: Float[Array, "p W P"]
    change: Float[Array, " W"]
    slope_change: Float[Array, " W"]
    all_heads: Float[Array, "W P K M"]


@dataclass(frozen=True)
class FixedMarch:
    """Marches over a fixed sequence of windows. Collective over all ranks.

    Attributes:
        solver: Solver of the windows, with Robin's rule; its equation is not used.
        constants: Constants of the pieces.
        sequence: The windows.
        course_of: Makes their forcing anew; None where no constant enters its course.
        site_piece: Local pieces on which calcium is wanted.
        tolerance: Change of the field, over the species' scale, at which a window is solved.
        max_steps: Most steps with one linearisation.
        slope_tolerance: Change of the derivatives, over the largest, at which they stand still.
    """

    solver: CoupledWindow
    constants: CellConstants
    sequence: WindowSequence
    course_of: CourseOf | None
    site_piece: Int[np.ndarray, " S"]
    tolerance: float = 1e-8
    max_steps: int = 10
    slope_tolerance: float = 1e-6

    def run(self, z: Float[Array, " p"], near: MarchedCell | None = None, *, slopes: bool = True) -> MarchedCell:
        """The march at coordinates of the learned constants.

        Args:
            z: The coordinates.
            near: A march with constants nearby: its heads are better to begin with.
            slopes: Whether derivatives are wanted; without, they have a first axis of length 0.
        """
        ways = jnp.eye(len(z))[: None if slopes else 0]
        field, slope = self._begin(z)
        slope = slope[: len(ways)]
        kept = []
        for number, window in enumerate(self._driven(z)):
            if near is not None:
                window = window._replace(guess=jnp.asarray(near.all_heads[number]))
            for _ in range(LINEARISATIONS):
                heads, after, kept_here = self._window(z, field, slope, window, ways)
                if float(kept_here.change) <= self.tolerance:
                    break
                window = window._replace(guess=heads)
            field, slope = after
            kept.append(kept_here)
        parts: Any = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *kept)
        marched: MarchedCell = parts._replace(
            heads_slope=np.moveaxis(parts.heads_slope, 1, 0), mean_slope=np.moveaxis(parts.mean_slope, 1, 0)
        )
        return marched

    @cached_property
    def _windows(self) -> list[WindowSequence]:
        return [jax.tree.map(lambda leaf, n=n: leaf[n], self.sequence) for n in range(len(self.sequence.start))]

    def _driven(self, z: Float[Array, " p"]) -> list[WindowSequence]:
        """The windows with the forcing at given constants."""
        if self.course_of is None:
            return self._windows
        course, slope = jax.tree.map(np.asarray, self.course_of(z))
        return [
            window._replace(
                course=jax.tree.map(lambda leaf, n=n: leaf[n], course),
                course_slope=jax.tree.map(lambda leaf, n=n: leaf[:, n], slope),
            )
            for n, window in enumerate(self._windows)
        ]

    @cached_property
    def _begin(self) -> Callable[[Array], tuple[Array, Array]]:
        pieces, nodes = len(self.constants.kind), len(self.solver.table.grid.space)

        def at_rest(z: Array) -> Array:
            rest = self.constants.at(z).at_rest()
            return jnp.broadcast_to(rest[None, :, None], (pieces, len(rest), nodes))

        return jax.jit(lambda z: (at_rest(z), jnp.moveaxis(jax.jacfwd(at_rest)(z), -1, 0)))

    @cached_property
    def _window(self) -> Callable[..., tuple[Array, tuple[Array, Array], MarchedCell]]:
        return jax.jit(self._solved)

    def _solved(
        self, z: Array, field: Array, slope: Array, given: WindowSequence, ways: Float[Array, "s p"]
    ) -> tuple[Array, tuple[Array, Array], MarchedCell]:
        """Heads of one window, field and derivatives at its end, and what is kept of it."""
        solver, table, scale = self.solver, self.solver.table, jnp.asarray(self._measure.scale)
        length = given.length
        learned = self.constants.at(z, given.course.rest_voltage)
        system, window = learned.system, Window(length, field, learned.forcing(given.course.unit))
        told_given = self._given(system, given)
        # A guess that begins elsewhere than the window would have to jump, and may cross the pumps' pole below 0.
        jump = field - field_at(table.initial, given.guess, self._measure)
        guess = given.guess + self._constant_heads(jump / scale[:, None])
        linear = linearise(self._rows(system), window, guess, exact_above=solver.exact_above, resolvent=given.resolvent)

        def corrected(system: CalciumSystem, window: Window, heads: Array) -> Correction:
            return correct(self._rows(system), window, heads, linear)

        def stepped(state: _Steps) -> _Steps:
            heads, _, before, _, steps = state
            correction = corrected(system, window, heads)
            robin_in = self._agreed(linear, correction.robin_out, told_given)
            new = self._accepted(system, window, linear, correction, robin_in)
            moved = jnp.max(jnp.abs(jnp.einsum("pkm,nm->pkn", new - heads, table.inside.value)), initial=0.0)
            return new, robin_in, self._communicator.max(moved), before, steps + 1

        def unfinished(state: _Steps) -> Array:
            _, _, change, before, steps = state
            gains = (change < SLOW * before) | (steps < 2)
            goes_on: Array = (change > self.tolerance) & gains & (steps < self.max_steps)
            return goes_on

        none, far = jnp.zeros((), int), jnp.asarray(jnp.inf)
        begin = (guess, jnp.zeros_like(told_given), far, far, none)
        heads, robin_in, change, _, _ = jax.lax.while_loop(unfinished, stepped, begin)

        def answered(z: Array, field: Array, heads: Array) -> tuple[Array, Array, Array]:
            """A step from converged heads with the ends told what they are: heads, reports, given."""
            course = _nearby(given, z - here)
            learned = self.constants.at(z, course.rest_voltage)
            system, window = learned.system, Window(length, field, learned.forcing(course.unit))
            new = self._accepted(system, window, linear, corrected(system, window, heads), robin_in)
            value, edge_slope = edge_values(system, table, solver.geometry, length, new)
            return new, combine(solver.interfaces.rows.send, value, edge_slope), self._given(system, given)

        here = z
        _, pushed = jax.linearize(answered, z, field, heads)

        def pushed_further(dz: Array, dfield: Array, dheads: Array) -> Array:
            new, robin_out, more = pushed(dz, dfield, dheads)
            robin_in = self._agreed(linear, robin_out, more)
            return self._accepted(system, window, linear, Correction(new, robin_out), robin_in)

        def slope_step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            dheads, _, steps = state
            new = jax.vmap(pushed_further)(ways, slope, dheads)
            extent = jnp.stack([jnp.max(jnp.abs(new - dheads), initial=0.0), jnp.max(jnp.abs(new), initial=1e-12)])
            moved, size = self._communicator.max(extent)
            return new, moved / size, steps + 1

        dheads, slope_change, _ = jax.lax.while_loop(
            lambda state: (state[1] > self.slope_tolerance) & (state[2] < self.max_steps),
            slope_step,
            (jax.vmap(self._constant_heads)(slope / scale[:, None]), far, none),
        )
        after = field_at(table.final, heads, self._measure)
        after_slope = jax.vmap(lambda d: evaluate(table.final, d, self._measure))(dheads)
        share = jnp.asarray(self._volume_share)
        sites, calcium = jnp.asarray(self.site_piece), self._measure.names.index(CALCIUM)
        kept = MarchedCell(
            heads=heads[sites, calcium],
            heads_slope=dheads[:, sites, calcium],
            mean=jnp.einsum("px,px->p", after[:, calcium], share),
            mean_slope=jnp.einsum("zpx,px->zp", after_slope[:, :, calcium], share),
            change=change,
            slope_change=slope_change,
            all_heads=heads,
        )
        return heads, (after, after_slope), kept

    def _agreed(self, linear: Linearisation, robin_out: Array, given: Array) -> Float[Array, "P 2 K T"]:
        """What all ends must be told so that all agree, tree solve."""
        scale = jnp.asarray(self._measure.scale)[:, None]

        def flat(ends: Array) -> Array:
            return (ends / scale).reshape(ends.shape[0], 2, linear.transfer.shape[-1] // 2)

        robin_in = tree_solve(self.solver.interfaces, self._communicator, linear.transfer, flat(robin_out), flat(given))
        return robin_in.reshape(robin_out.shape) * scale

    def _accepted(
        self, system: CalciumSystem, window: Window, linear: Linearisation, correction: Correction, robin_in: Array
    ) -> Array:
        return accept(self._rows(system), window, linear, correction, robin_in)

    def _rows(self, system: CalciumSystem) -> CableRows:
        return replace(self.solver.rows, equation=system)

    def _given(self, system: CalciumSystem, given: WindowSequence) -> Float[Array, "P 2 K T"]:
        calcium = system.names.index(CALCIUM)
        return replace(self.solver, equation=system).given_flux(given.end_flux, calcium, given.length)  # type: ignore[arg-type]

    def _constant_heads(self, departure: Float[Array, "P K X"]) -> Float[Array, "P K M"]:
        """Heads of a departure from rest (in units of the scale) that is held over the window."""
        return jnp.tile(departure, (1, 1, len(self.solver.table.grid.time))) @ jnp.asarray(self._inverse)

    @cached_property
    def _inverse(self) -> Float[np.ndarray, "XT M"]:
        return np.linalg.pinv(np.asarray(self.solver.table.on_grid)).T

    @cached_property
    def _measure(self) -> CalciumSystem:
        return CalciumSystem(self.constants.measured_by)

    @cached_property
    def _communicator(self) -> BatchedCommunicator:
        return BatchedCommunicator(self.solver.communicator)

    @cached_property
    def _volume_share(self) -> Float[np.ndarray, "P X"]:
        geometry = jax.tree.map(np.asarray, self.solver.geometry)  # on the host: it may be asked for in a trace
        area = np.asarray(geometry.cross_section(self._measure.names.index(CALCIUM)))
        weight = area * self.solver.table.grid.space_weight
        share: Float[np.ndarray, "P X"] = weight / weight.sum(axis=1, keepdims=True)
        return share


def _nearby(given: WindowSequence, step: Float[Array, " p"]) -> UnitCourse:
    """What acts in a window a step of the constants away, to first order."""
    if given.course_slope is None:
        return given.course
    slopes = given.course_slope
    nearby: UnitCourse = jax.tree.map(lambda x, slope: x + jnp.tensordot(step, slope, 1), given.course, slopes)
    return nearby
