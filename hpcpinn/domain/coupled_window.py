"""Solves one space-time window on all pieces of a cable: Gauss-Newton outside, Schwarz sweeps inside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
from jaxtyping import Array, Float

from hpcpinn.domain.newton import Condensed, NewtonSettings, NewtonWindow
from hpcpinn.domain.stars import condense_stars
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.training import least_squares
from hpcpinn.training.least_squares import CableRows, RowWeights, linearise
from hpcpinn.training.local import Window, collocated, evaluate
from hpcpinn.training.rows import residual_emphasis


@dataclass(frozen=True)
class CoupledWindow(NewtonWindow, WindowSolver):
    """Trains the heads by least squares; see `WindowSolver`.

    Attributes:
        newton: Rule by which the Gauss-Newton iteration stops.
        weights: Weights of initial and edge rows beside the equation's.
        batch, exact_above: Pieces factorised together, and variation of the Jacobian above which rows are formed, see
            `linearise`.
        adaptive: Whether rows are weighted by the residual that the first step of a window leaves.
    """

    correct = staticmethod(least_squares.correct)
    accept = staticmethod(least_squares.accept)
    newton: NewtonSettings = NewtonSettings()
    weights: RowWeights = RowWeights()
    batch: int | None = None
    exact_above: float = 0.1
    adaptive: bool = False

    @cached_property
    def rows(self) -> CableRows:
        """What the rows of this rank's pieces are made of."""
        return CableRows(self.equation, self.table, self.geometry, self.interfaces.rows, self.weights, self.batch)

    @cached_property
    def emphasised(self) -> Callable[..., Window] | None:
        """Weights by the residual, where they are asked for."""
        if not self.adaptive:
            return None

        def run(window: Window, heads: Array) -> Window:
            emphasis = residual_emphasis(self.equation, self.table, self.geometry, window, heads)
            return window._replace(emphasis=emphasis)

        return jax.jit(run)

    @cached_property
    def linearised(self) -> Callable[..., Condensed]:
        """Factors of the pieces and what their ends answer, compiled."""

        def run(window: Window, heads: Array) -> Condensed:
            linear = linearise(self.rows, window, heads, exact_above=self.exact_above)
            if not self.sweeping.over_stars:
                return Condensed(linear, None)
            stars = condense_stars(self.interfaces, self.communicator, linear.transfer, self.sweeping.n_red)
            return Condensed(linear, stars)

        return jax.jit(run)

    def departure(self, heads: Float[Array, "P K M"]) -> Float[Array, "P K Q"]:
        """How far the field is from rest at the collocation points."""
        return evaluate(self.table.inside.value, heads, self.equation)

    def at_points(self, window: Window) -> Window:
        return collocated(self.table, window)
