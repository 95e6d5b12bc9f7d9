"""Solves one space-time window on all rectangles: the iteration of cables on another kind of domain."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.interfaces import Interfaces
from hpcpinn.domain.newton import Condensed, NewtonSettings, NewtonWindow
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.domain.window_solver import WindowIterate
from hpcpinn.networks.axis import AxisFeatures
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training import rectangle_squares
from hpcpinn.training.collocation import gauss_grid
from hpcpinn.training.least_squares import RowWeights
from hpcpinn.training.local import combine
from hpcpinn.training.rectangle_squares import RectangleRows, linearise
from hpcpinn.training.rectangles import (
    RectangleData,
    RectangleGeometry,
    RectangleTable,
    field_on,
    read_out,
    residual,
    resolvent_at_rest,
    side_values,
    start_values,
)


@dataclass(frozen=True)
class RectangleWindow(NewtonWindow):
    """Trains the heads of a rank's rectangles by least squares, coupled to those of other ranks.

    All members are fixed for a run. Collective over all ranks, like everything that it calls.

    Attributes:
        equation: The system.
        table: The trunks' features.
        geometry: The pieces.
        interfaces: Sides that meet.
        communicator: All ranks.
        sweeping: Settings of the sweeps in which pieces agree; not over stars or the tree.
        newton: Rule by which the Gauss-Newton iteration stops.
        weights: Weights of initial and side rows beside the equation's.
    """

    correct = staticmethod(rectangle_squares.correct)
    accept = staticmethod(rectangle_squares.accept)
    equation: ReactionDiffusion
    table: RectangleTable
    geometry: RectangleGeometry
    interfaces: Interfaces
    communicator: Communicator
    sweeping: SweepSettings
    newton: NewtonSettings = NewtonSettings()
    weights: RowWeights = RowWeights()

    @cached_property
    def rows(self) -> RectangleRows:
        """What the rows of this rank's pieces are made of."""
        return RectangleRows(self.equation, self.table, self.geometry, self.interfaces.rows, self.weights)

    def departure(self, heads: Float[Array, "P K M M L"]) -> Float[Array, "P K Q"]:
        """How far the field is from rest at the collocation points."""
        line = self.table.line.value
        x, y = line[self.geometry.walls[:, 0]], line[self.geometry.walls[:, 1]]
        return read_out(heads, x, y, self.table.time.value, self.equation).reshape(*heads.shape[:2], -1)

    @cached_property
    def linearised(self) -> Callable[..., Condensed]:
        """Factors of the rectangles and what their sides answer, compiled."""

        def run(window: RectangleData, heads: Array) -> Condensed:
            return Condensed(linearise(self.rows, window), None)

        return jax.jit(run)

    @cached_property
    def _continued(self) -> Callable[..., WindowIterate]:
        to_features = jnp.asarray(np.linalg.pinv(np.asarray(self.table.line.value)))
        constant = jnp.asarray(np.linalg.pinv(np.asarray(self.table.time.value)).sum(axis=1))

        def run(field: Float[Array, "P K X X"], duration: Float[Array, ""]) -> WindowIterate:
            rest = jnp.asarray(self.equation.rest)[:, None, None]
            scaled = (field - rest) / jnp.asarray(self.equation.scale)[:, None, None]
            x, y = (to_features[self.geometry.walls[:, axis]] for axis in range(2))
            heads = jnp.einsum("pkxy,pix,pjy,l->pkijl", scaled, x, y, constant)
            value, slope = side_values(self.equation, self.table, self.geometry, duration, heads)
            return WindowIterate(heads, combine(self.interfaces.rows.receive, value, slope))

        return jax.jit(run)

    def continued(self, field: Float[Array, "P K X X"], duration: float) -> WindowIterate:
        """First guess of a window: the field at its start, held."""
        return self._continued(field, duration)

    @cached_property
    def _checks(self) -> tuple[Array, Array, AxisFeatures, AxisFeatures]:
        grid = gauss_grid(len(self.table.grid.space) + 1, len(self.table.grid.time) + 1)
        along = self.table.along(grid.space)
        in_time = self.table.clock.features(grid.time)
        return jnp.asarray(grid.space_weight), jnp.asarray(grid.time_weight), along, in_time

    @cached_property
    def _estimate(self) -> Callable[..., tuple[Array, Array]]:
        space, time, along, in_time = self._checks
        area = jnp.prod(self.geometry.size)

        def run(
            window: RectangleData, heads: Float[Array, "P K M M L"]
        ) -> tuple[Float[Array, " K"], Float[Array, " K"]]:
            miss = residual(self.equation, self.geometry, along, in_time, window, heads)
            error = jnp.einsum("kl,plxyt->pkxyt", resolvent_at_rest(self.equation, window), miss)
            away = field_on(self.equation, self.geometry, along, in_time.value, heads)
            away = away - jnp.asarray(self.equation.rest)[:, None, None, None]
            squares = jnp.stack([error**2, away**2])
            total = area * jnp.einsum("spkxyt,x,y,t->sk", squares, space, space, time)
            total = self.communicator.sum(total)
            return jnp.sqrt(total[0]), jnp.sqrt(total[1])

        return jax.jit(run)

    def estimate(
        self, window: RectangleData, heads: Float[Array, "P K M M L"]
    ) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
        """Error estimate and excursion of every species, L2 over the box, root mean square over the window.

        As on cables: the residual at points that were not trained on, as the error it would cause.
        """
        error, away = self._estimate(window, heads)
        return np.asarray(error), np.asarray(away)

    @cached_property
    def _at_end(self) -> Callable[..., Array]:
        def run(heads: Array) -> Array:
            return start_values(self.equation, self.table, self.geometry, heads, self.table.final)

        return jax.jit(run)

    def at_end(self, heads: Float[Array, "P K M M L"]) -> Float[Array, "P K X X"]:
        """The field at the end of the window, at the nodes in space."""
        return self._at_end(heads)
