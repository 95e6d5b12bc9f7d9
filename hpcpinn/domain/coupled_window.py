"""Solves one space-time window on all pieces: Gauss-Newton outside, Schwarz sweeps inside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.schwarz import sweep_until_agreed
from hpcpinn.domain.stars import Stars, condense_stars
from hpcpinn.domain.window_solver import Traces, WindowSolution, WindowSolver
from hpcpinn.training.least_squares import (
    Linearisation,
    RowWeights,
    accept,
    correct,
    linearise,
)
from hpcpinn.training.local import Window, collocated, evaluate
from hpcpinn.training.rows import residual_emphasis

SETTLED = 10.0
"""How much a field may move, over the jump of its traces, when traces are agreed to a tolerance."""


class Condensed(NamedTuple):
    """All that a Gauss-Newton step takes from a linearisation.

    Attributes:
        linear: Factors and transfer operators of the pieces.
        stars: Operators of the stars, where sweeps go over them.
    """

    linear: Linearisation
    stars: Stars | None


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
    renew_above: float = 0.3
    renew_first: float = 0.1
    inexact: float = 0.02


@dataclass(frozen=True)
class CoupledWindow(WindowSolver):
    """Trains the heads by least squares; see `WindowSolver`.

    Attributes:
        newton: When to stop.
        weights: Of initial and edge rows beside the equation's.
        batch, exact_above: How pieces are factorised, see `linearise`.
        adaptive: Whether rows are weighted by the residual that the first step of a window leaves.
    """

    newton: NewtonSettings = NewtonSettings()
    weights: RowWeights = RowWeights()
    batch: int | None = None
    exact_above: float = 0.1
    adaptive: bool = False

    @property
    def sweep_limit(self) -> float:
        """A window that needs more is given up, to be tried again shorter."""
        return self.sweeping.most_per_window

    @cached_property
    def _emphasised(self) -> Callable[..., Window]:
        def run(window: Window, heads: Array) -> Window:
            emphasis = residual_emphasis(self.equation, self.table, self.geometry, window, heads)
            return window._replace(emphasis=emphasis)

        return jax.jit(run)

    @cached_property
    def _linearise(self) -> Callable[..., Condensed]:
        def run(window: Window, heads: Array) -> Condensed:
            linear = linearise(
                self.equation, self.table, self.geometry, self.interfaces.rows,
                window, heads, self.weights, batch=self.batch, exact_above=self.exact_above,
            )  # fmt: skip
            if not self.sweeping.over_stars:
                return Condensed(linear, None)
            stars = condense_stars(self.interfaces, self.communicator, linear.transfer, self.sweeping.n_red)
            return Condensed(linear, stars)

        return jax.jit(run)

    @cached_property
    def _step(self) -> Callable[..., NewtonStep]:
        def run(window: Window, traces: Traces, condensed: Condensed, given, size, tolerance, limit):
            linear = condensed.linear
            correction = correct(
                self.equation, self.table, self.geometry, self.interfaces.rows,
                window, traces.heads, linear, self.weights, batch=self.batch,
            )  # fmt: skip
            sweeps = sweep_until_agreed(
                self.equation, self.interfaces, self.communicator, self.sweeping,
                linear.transfer, correction.reported, given, traces.told, size, tolerance, limit,
                condensed.stars,
            )  # fmt: skip
            heads = accept(
                self.equation, self.table, self.geometry, self.interfaces.rows,
                window, linear, correction, sweeps.told, self.weights, batch=self.batch,
            )  # fmt: skip
            away = jnp.abs(evaluate(self.table.inside.value, heads, self.equation))
            moved = evaluate(self.table.inside.value, heads - traces.heads, self.equation)
            extent = jnp.max(jnp.stack([jnp.abs(moved), away]), axis=(1, 3), initial=0.0)
            change, reach = self.communicator.max(extent)
            size = jnp.maximum(size, reach)
            return NewtonStep(
                Traces(heads, sweeps.told),
                jnp.max(change / size),
                size,
                sweeps.made,
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
        linear: Condensed | None = None,
    ) -> WindowSolution:
        """Solves a window. Collective over all ranks.

        Args:
            window: Its data.
            guess: First heads and traces, such as `continued` gives.
            given: What given fluxes add to what the ends are told.
            size: Excursion of every species, the measure of jumps and changes.
            linear: Those of an earlier window of the same length, tried first.
        """
        window = collocated(self.table, window)
        traces, histories, sweeps, made = guess, [], 0, 0
        if linear is None:
            linear, made = self._linearise(window, traces.heads), 1
        agreed, steps = False, 0
        change = jump = contraction = np.inf
        for steps in range(1, self.newton.max_steps + 1):
            # Far from the solution there is no use in traces that agree to the last digit.
            loose = self.newton.inexact * min(change, 1.0)
            tolerance = max(self.sweeping.tolerance, loose if steps > 1 else self.newton.inexact)
            left = self.sweeping.most_per_window - sweeps
            step = self._step(window, traces, linear, given, size, tolerance, left)
            before, change = change, float(step.change)
            jump, traces, size = float(step.jump), step.traces, step.size
            sweeps += int(step.sweeps)
            histories.append(np.asarray(step.history))
            if not np.isfinite(change):
                break
            spent = sweeps >= self.sweeping.most_per_window
            if self.adaptive and steps == 1 and change > self.newton.tolerance:
                window = self._emphasised(window, traces.heads)
                linear, made = self._linearise(window, traces.heads), made + 1
                continue
            contraction = min(change / before, 1.0) if np.isfinite(before) else 1.0
            remaining = change if contraction > 0.5 else change * contraction / (1.0 - contraction)
            # Traces that agreed at once leave a change of the order of their tolerance: no more to gain.
            settled = int(step.sweeps) <= 1 and change <= SETTLED * self.sweeping.tolerance
            if (remaining <= self.newton.tolerance or settled) and jump <= self.sweeping.tolerance:
                agreed = True
            if agreed or spent:
                break
            far = change > self.newton.tolerance
            slow = steps > 1 and contraction > self.newton.renew_above
            if far and (slow or (steps == 1 and change > self.newton.renew_first)):
                linear, made = self._linearise(window, traces.heads), made + 1
        return WindowSolution(
            traces, linear, np.asarray(size), steps, sweeps, made, jump, change, agreed,
            np.stack(histories),
        )  # fmt: skip
