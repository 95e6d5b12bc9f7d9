"""Gauss-Newton outside, Schwarz sweeps inside: how a window is solved, whatever the pieces are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.interfaces import Interfaces
from hpcpinn.domain.schwarz import Answers, SweepSettings, sweep_until_agreed
from hpcpinn.domain.stars import Stars
from hpcpinn.domain.window_solver import WindowIterate, WindowSolution
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.least_squares import Correction, Linearisation, PieceRows

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
        sweeps, jump, history: Number of sweeps, last jump and jumps by sweep of the Schwarz iteration, see `Sweeps`.
    """

    traces: WindowIterate
    change: Float[Array, ""]
    size: Float[Array, " K"]
    sweeps: Int[Array, ""]
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


class NewtonWindow(ABC):
    """Steps of all pieces of a rank until their heads no longer move and traces agree, whatever kind the pieces are.

    Collective over all ranks, like everything that it calls.

    Attributes:
        equation, interfaces, communicator, sweeping: See `WindowSolver`.
        newton: Rule by which the iteration stops.
        correct: Function of (rows, window, heads, linear), the step from the heads with all ends receiving zero.
        accept: Function of (rows, window, linear, correction, robin_in), the heads after it.
    """

    correct: ClassVar[Callable[..., Correction]]
    accept: ClassVar[Callable[..., Float[Array, "P K ..."]]]
    equation: ReactionDiffusion
    interfaces: Interfaces
    communicator: Communicator
    sweeping: SweepSettings
    newton: NewtonSettings

    @property
    @abstractmethod
    def linearised(self) -> Callable[..., Condensed]:
        """Function of (window, heads) that gives the condensed pieces."""

    @property
    @abstractmethod
    def rows(self) -> PieceRows[Any, Any]:
        """What the rows of this rank's pieces are made of."""

    @property
    def emphasised(self) -> Callable[..., Any] | None:
        """Function of (window, heads) that gives the window other weights of its rows after the first step, or None."""
        return None

    @abstractmethod
    def departure(self, heads: Float[Array, "P K ..."]) -> Float[Array, "P K Q"]:
        """How far the field is from rest at the collocation points. Traceable."""

    @property
    def sweep_limit(self) -> float:
        """A window that needs more is given up, to be tried again shorter."""
        return self.sweeping.most_per_window

    def at_points(self, window: Any) -> Any:
        """The window as `correct` and the others take it."""
        return window

    @cached_property
    def _step(self) -> Callable[..., NewtonStep]:
        def newton_step(
            window: Any,
            traces: WindowIterate,
            condensed: Condensed,
            given: Float[Array, "P ends K T"],
            size: Float[Array, " K"],
            tolerance: Float[Array, ""] | float,
            limit: Int[Array, ""] | int,
        ) -> NewtonStep:
            linear, stars = condensed
            correction = self.correct(self.rows, window, traces.heads, linear)
            answers = Answers(linear.transfer, correction.robin_out, given, stars)
            sweeps = sweep_until_agreed(self, answers, traces.robin_in, size, tolerance, limit)
            heads = self.accept(self.rows, window, linear, correction, sweeps.robin_in)
            away = jnp.abs(self.departure(heads))
            moved = self.departure(heads - traces.heads)
            extent = jnp.max(jnp.stack([jnp.abs(moved), away]), axis=(1, 3), initial=0.0)
            change, reach = self.communicator.max(extent)
            size = jnp.maximum(size, reach)
            after = WindowIterate(heads, sweeps.robin_in)
            return NewtonStep(after, jnp.max(change / size), size, sweeps.made, sweeps.jump, sweeps.history)

        return jax.jit(newton_step)

    def solve(
        self,
        window: Any,
        guess: WindowIterate,
        given: Float[Array, "P ends K N"] | None,
        size: Float[Array, " K"],
        linear: Condensed | None = None,
    ) -> WindowSolution:
        """Solves a window. Collective over all ranks.

        Args:
            window: Data of the window.
            guess: First heads and traces, such as `continued` gives.
            given: Part of what the ends receive that comes from given fluxes, (P, ends, K, T); None: nothing.
            size: Excursion of every species, the measure of jumps and changes.
            linear: Condensed pieces of an earlier window of the same length, tried first.
        """
        newton, sweeping, window = self.newton, self.sweeping, self.at_points(window)
        given = jnp.asarray(np.zeros(guess.robin_in.shape)) if given is None else given
        traces, histories, sweeps, made = guess, [], 0, 0
        if linear is None:
            linear, made = self.linearised(window, traces.heads), 1
        agreed, steps = False, 0
        change = jump = contraction = np.inf
        for steps in range(1, newton.max_steps + 1):
            # Far from the solution there is no use in traces that agree to the last digit.
            loose = newton.inexact * min(change, 1.0)
            tolerance = max(sweeping.tolerance, loose if steps > 1 else newton.inexact)
            left = sweeping.most_per_window - sweeps
            stopping.heed(self.communicator)  # windows of large cells are long
            done = self._step(window, traces, linear, given, size, tolerance, left)
            before, change = change, float(done.change)
            jump, traces, size = float(done.jump), done.traces, done.size
            sweeps += int(done.sweeps)
            histories.append(np.asarray(done.history))
            if not np.isfinite(change):
                break
            spent = sweeps >= sweeping.most_per_window
            if self.emphasised is not None and steps == 1 and change > newton.tolerance:
                window = self.emphasised(window, traces.heads)
                linear, made = self.linearised(window, traces.heads), made + 1
                continue
            contraction = min(change / before, 1.0) if 0.0 < before < np.inf else 1.0
            remaining = change if contraction > 0.5 else change * contraction / (1.0 - contraction)
            # Traces that agreed at once leave a change of the order of their tolerance: no more to gain.
            settled = int(done.sweeps) <= 1 and change <= SETTLED * sweeping.tolerance
            if (remaining <= newton.tolerance or settled) and jump <= sweeping.tolerance:
                agreed = True
            if agreed or spent:
                break
            far = change > newton.tolerance
            slow = steps > 1 and contraction > newton.renew_above
            if far and (slow or (steps == 1 and change > newton.renew_first)):
                linear, made = self.linearised(window, traces.heads), made + 1
        return WindowSolution(
            traces, linear, np.asarray(size), steps, sweeps, made, jump, change, agreed,
            np.stack(histories),
        )  # fmt: skip
