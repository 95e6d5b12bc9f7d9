"""Solves one space-time window on all pieces of a cable: Gauss-Newton outside, Schwarz sweeps inside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import jax
from jaxtyping import Array, Float

from hpcpinn.domain.newton import Condensed, NewtonSettings, NewtonStep, heeding, iterate, newton_step
from hpcpinn.domain.stars import condense_stars
from hpcpinn.domain.window_solver import WindowIterate, WindowSolution, WindowSolver
from hpcpinn.training.least_squares import (
    CableRows,
    Correction,
    Linearisation,
    RowWeights,
    accept,
    correct,
    linearise,
)
from hpcpinn.training.local import Window, collocated, evaluate
from hpcpinn.training.rows import residual_emphasis


@dataclass(frozen=True)
class CoupledWindow(WindowSolver):
    """Trains the heads by least squares; see `WindowSolver`.

    Attributes:
        newton: Rule by which the Gauss-Newton iteration stops.
        weights: Weights of initial and edge rows beside the equation's.
        batch, exact_above: Pieces factorised together, and variation of the Jacobian above which rows are formed, see
            `linearise`.
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
    def rows(self) -> CableRows:
        """What the rows of this rank's pieces are made of."""
        return CableRows(self.equation, self.table, self.geometry, self.interfaces.rows, self.weights, self.batch)

    @cached_property
    def _emphasised(self) -> Callable[..., Window]:
        def run(window: Window, heads: Array) -> Window:
            emphasis = residual_emphasis(self.equation, self.table, self.geometry, window, heads)
            return window._replace(emphasis=emphasis)

        return jax.jit(run)

    @cached_property
    def _linearise(self) -> Callable[..., Condensed]:
        def run(window: Window, heads: Array) -> Condensed:
            linear = linearise(self.rows, window, heads, exact_above=self.exact_above)
            if not self.sweeping.over_stars:
                return Condensed(linear, None)
            stars = condense_stars(self.interfaces, self.communicator, linear.transfer, self.sweeping.n_red)
            return Condensed(linear, stars)

        return jax.jit(run)

    def corrected(self, window: Window, heads: Float[Array, "P K M"], linear: Linearisation) -> Correction:
        """A Gauss-Newton step from `heads` with all ends receiving zero."""
        return correct(self.rows, window, heads, linear)

    def accepted(
        self, window: Window, linear: Linearisation, correction: Correction, robin_in: Float[Array, "P ends K T"]
    ) -> Float[Array, "P K M"]:
        """The heads after the step, with the ends receiving `robin_in`."""
        return accept(self.rows, window, linear, correction, robin_in)

    def departure(self, heads: Float[Array, "P K M"]) -> Float[Array, "P K Q"]:
        """How far the field is from rest at the collocation points."""
        return evaluate(self.table.inside.value, heads, self.equation)

    @cached_property
    def _step(self) -> Callable[..., NewtonStep]:
        return heeding(self.communicator, jax.jit(partial(newton_step, self)))

    def solve(
        self,
        window: Window,
        guess: WindowIterate,
        given: Float[Array, "P ends K T"],
        size: Float[Array, " K"],
        linear: Condensed | None = None,
    ) -> WindowSolution:
        return iterate(
            self._linearise, self._step, self.newton, self.sweeping, collocated(self.table, window), guess,
            given, size, linear, self._emphasised if self.adaptive else None,
        )  # fmt: skip
