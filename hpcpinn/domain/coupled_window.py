"""Solves one space-time window on all pieces: Gauss-Newton outside, Schwarz sweeps inside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.interfaces import Interfaces
from hpcpinn.domain.schwarz import SweepSettings, sweep_until_agreed
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import FeatureTable, lagrange
from hpcpinn.training.least_squares import (
    Linearisation,
    RowWeights,
    accept,
    correct,
    linearise,
)
from hpcpinn.training.local import (
    PieceGeometry,
    Window,
    combine,
    edge_values,
    evaluate,
    field_at,
    robin_parameter,
    source,
    source_jacobian,
)


class Traces(NamedTuple):
    """Heads of the pieces and what their ends are told: all that a window's solve refines."""

    heads: Float[Array, "P K M"]
    told: Float[Array, "P 2 K T"]


class NewtonStep(NamedTuple):
    """Outcome of one Gauss-Newton step.

    Attributes:
        traces: The new heads and traces.
        change: Largest change of the field relative to its excursion, over all ranks.
        size: Excursion of every species, at least what was given.
        sweeps, jump, history: Of the Schwarz iteration, see `Sweeps`.
    """

    traces: Traces
    change: Float[Array, ""]
    size: Float[Array, " K"]
    sweeps: Array
    jump: Float[Array, ""]
    history: Float[Array, " S"]


@dataclass(frozen=True)
class NewtonSettings:
    """When the Gauss-Newton iteration stops.

    Attributes:
        tolerance: Relative change of the field.
        max_steps: Steps per window.
        renew_above: Contraction of the change per step above which the factors are made anew.
        renew_first: Change in the first step above which they are made anew at once.
        inexact: Jump, relative to the last change, at which sweeps pause for the next step.
    """

    tolerance: float = 1e-6
    max_steps: int = 8
    renew_above: float = 0.1
    renew_first: float = 0.1
    inexact: float = 0.02


@dataclass(frozen=True)
class WindowSolution:
    """A solved window.

    Attributes:
        traces: Heads and traces.
        linear: The factors, to be tried again on the next window.
        size: Excursion of every species so far.
        newton_steps, sweeps, factorisations: Work done.
        jump: Last relative interface jump.
        change: Last relative Newton change.
        converged: Both are below their tolerances.
        histories: Jump after every sweep, one row per Newton step, (steps, max_sweeps).
    """

    traces: Traces
    linear: Linearisation
    size: Float[np.ndarray, " K"]
    newton_steps: int
    sweeps: int
    factorisations: int
    jump: float
    change: float
    converged: bool
    histories: Float[np.ndarray, "N S"]


@dataclass(frozen=True)
class CoupledWindow:
    """The solver of coupled windows on a rank's pieces.

    All members are fixed for a run; windows, heads and traces are arguments. Collective over all
    ranks, like everything that it calls.
    """

    equation: ReactionDiffusion
    table: FeatureTable
    geometry: PieceGeometry
    interfaces: Interfaces
    communicator: Communicator
    sweeping: SweepSettings
    newton: NewtonSettings = NewtonSettings()
    weights: RowWeights = RowWeights()
    batch: int = 64

    @cached_property
    def _linearise(self) -> Callable[..., Linearisation]:
        def run(window: Window, heads: Array) -> Linearisation:
            return linearise(
                self.equation, self.table, self.geometry, self.interfaces.rows,
                window, heads, self.weights, self.batch,
            )  # fmt: skip

        return jax.jit(run)

    @cached_property
    def _step(self) -> Callable[..., NewtonStep]:
        def run(window: Window, traces: Traces, linear: Linearisation, given, size, tolerance):
            correction = correct(
                self.equation, self.table, self.geometry, self.interfaces.rows,
                window, traces.heads, linear, self.weights,
            )  # fmt: skip
            sweeps = sweep_until_agreed(
                self.equation, self.interfaces, self.communicator, self.sweeping,
                linear, correction.reported, given, traces.told, size, tolerance,
            )  # fmt: skip
            heads = accept(self.equation, linear, correction, sweeps.told)
            away = jnp.abs(evaluate(self.table.inside.value, heads, self.equation))
            moved = evaluate(self.table.inside.value, heads - traces.heads, self.equation)
            extent = jnp.max(jnp.stack([jnp.abs(moved), away]), axis=(1, 3), initial=0.0)
            change, reach = self.communicator.max(extent)
            size = jnp.maximum(size, reach)
            return NewtonStep(
                Traces(heads, sweeps.told),
                jnp.max(change / size),
                size,
                sweeps.count,
                sweeps.jump,
                sweeps.history,
            )

        return jax.jit(run)

    def solve(
        self,
        window: Window,
        guess: Traces,
        given: Float[Array, "P 2 K T"],
        size: Float[Array, " K"],
        linear: Linearisation | None = None,
    ) -> WindowSolution:
        """Solves a window. Collective over all ranks.

        Args:
            window: Its data.
            guess: First heads and traces, such as `continued` gives.
            given: What given fluxes add to what the ends are told.
            size: Excursion of every species, the measure of jumps and changes.
            linear: Factors of an earlier window of the same length, tried first.
        """
        traces, histories, sweeps, made = guess, [], 0, 0
        if linear is None:
            linear, made = self._linearise(window, traces.heads), 1
        agreed, steps = False, 0
        change = jump = contraction = np.inf
        for steps in range(1, self.newton.max_steps + 1):
            # Far from the solution there is no use in traces that agree to the last digit.
            loose = self.newton.inexact * min(change, 1.0)
            tolerance = max(self.sweeping.tolerance, loose if steps > 1 else self.newton.inexact)
            step = self._step(window, traces, linear, given, size, tolerance)
            before, change = change, float(step.change)
            jump, traces, size = float(step.jump), step.traces, step.size
            sweeps += int(step.sweeps)
            histories.append(np.asarray(step.history))
            if not np.isfinite(change):
                break
            contraction = min(change / before, 1.0) if np.isfinite(before) else 1.0
            remaining = change if contraction > 0.5 else change * contraction / (1.0 - contraction)
            if remaining <= self.newton.tolerance and jump <= self.sweeping.tolerance:
                agreed = True
                break
            far = change > self.newton.tolerance
            slow = steps > 1 and contraction > self.newton.renew_above
            if far and (slow or (steps == 1 and change > self.newton.renew_first)):
                linear, made = self._linearise(window, traces.heads), made + 1
        return WindowSolution(
            traces, linear, np.asarray(size), steps, sweeps, made, jump, change, agreed,
            np.stack(histories),
        )  # fmt: skip

    @cached_property
    def _continued(self) -> Callable[..., Traces]:
        inside, grid = self.table.inside, self.table.grid

        def run(field: Float[Array, "P K X"], duration) -> Traces:
            scale = jnp.asarray(self.equation.scale)[:, None]
            rest = jnp.asarray(self.equation.rest)[:, None]
            constant = jnp.tile((field - rest) / scale, (1, 1, len(grid.time)))
            heads = constant @ jnp.linalg.pinv(inside.value).T
            value, slope = edge_values(self.equation, self.table, self.geometry, duration, heads)
            return Traces(heads, combine(self.interfaces.rows.receive, value, slope))

        return jax.jit(run)

    def continued(self, field: Float[Array, "P K X"], duration: float) -> Traces:
        """First guess of a window: the field at its start, held."""
        return self._continued(field, duration)

    def given_flux(self, flux: Float[Array, "P 2 T"], species: int, duration: float) -> Array:
        """What fluxes of one species (amount per time into the node) add to what ends are told."""
        equation = self.equation
        gain = self.interfaces.rule.source_weight[:, :, None] / (
            equation.diffusion[species] * robin_parameter(equation, duration)[species]
        )
        given = jnp.zeros((*flux.shape[:2], len(equation.scale), flux.shape[2]))
        return given.at[:, :, species].set(gain * flux)

    @cached_property
    def checks(self) -> tuple[Float[np.ndarray, " x"], Float[np.ndarray, " t"]]:
        """Places ξ and times τ between the collocation nodes where the residual is checked."""
        space, time = self.table.grid.space, self.table.grid.time
        return 0.5 * (space[1:] + space[:-1]), 0.5 * (time[1:] + time[:-1])

    @cached_property
    def _estimate(self) -> Callable[..., tuple[Array, Array]]:
        xi, tau = self.checks
        points = tuple(part.ravel() for part in np.meshgrid(xi, tau))
        features = self.table.trunk.features(*points)
        to_checks = lagrange(self.table.grid.space, xi)
        area, taper = self.geometry.area @ to_checks.T, self.geometry.taper @ to_checks.T
        volume = self.geometry.length[:, None] * area / len(xi)

        def run(forcing: Any, duration, heads):
            equation = self.equation
            per_length = (2.0 / self.geometry.length)[:, None, None]
            drift = per_length * jnp.tile(taper, (1, len(tau)))[:, None, :]
            field = field_at(features.value, heads, equation)
            bend = per_length**2 * evaluate(features.dxx, heads, equation)
            transport = bend + drift * evaluate(features.dx, heads, equation)
            miss = (2.0 / duration) * evaluate(features.dt, heads, equation)
            miss = miss - jnp.asarray(equation.diffusion)[:, None] * transport
            miss = miss - source(equation, field, forcing)
            jacobian = source_jacobian(equation, field, forcing)
            matrix = jnp.eye(len(equation.scale)) / duration - jacobian
            error = jnp.linalg.solve(matrix, jnp.swapaxes(miss, 1, 2)[..., None])[..., 0]
            weight = jnp.tile(volume, (1, len(tau)))[..., None] / len(tau)
            away = jnp.swapaxes(field, 1, 2) - jnp.asarray(equation.rest)
            squares = jnp.stack([weight * error**2, weight * away**2])
            total = self.communicator.sum(jnp.sum(squares, axis=(1, 2)))
            return jnp.sqrt(total[0]), jnp.sqrt(total[1])

        return jax.jit(run)

    def estimate(
        self, forcing: Any, duration: float, heads: Float[Array, "P K M"]
    ) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
        """Error estimate and excursion of every species, volume-weighted L2 over tree and window.

        The residual between the collocation points, turned into an error by (1/Δt − J)⁻¹, the
        implicit Euler propagator of the window: sharp for stiff modes, cautious for slow ones.

        Args:
            forcing: The equation's data at the check points, leaves (P, n_check).
        """
        error, away = self._estimate(forcing, duration, heads)
        return np.asarray(error), np.asarray(away)

    def at_end(self, heads: Float[Array, "P K M"]) -> Float[Array, "P K X"]:
        """The field at the end of the window, at the space nodes."""
        return field_at(self.table.final, heads, self.equation)

