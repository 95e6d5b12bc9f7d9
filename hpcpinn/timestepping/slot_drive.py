"""What drives calcium in the coupled windows of a slot: the channels and releases that its split windows have.

Voltage and gates belong to the slot's motif, on the compartments of the voltage. The coupled windows take
the channels from there at their own collocation times, by the same weights as split ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from hpcpinn.physics.voltage import SiteWeights
from hpcpinn.timestepping.forcing import WindowDrive, calcium_forcing
from hpcpinn.timestepping.influx import ChannelCourse, course_at
from hpcpinn.timestepping.releases import CellSources
from hpcpinn.timestepping.slots import Slot
from hpcpinn.training.collocation import Grid, lagrange
from hpcpinn.training.local import PieceGeometry


@dataclass(frozen=True)
class SlotDrive:
    """Drives a rank's pieces in any slot.

    Attributes:
        grid: Collocation grid.
        check_space, check_time: Check points ξ and τ.
        geometry: Geometry of the pieces on the grid.
        weights: Weights of the compartments with known voltage at the space nodes of the pieces.
        releases: Releases on the pieces, each as if it were a cell; None for none.
        time_unit: Worth of a millisecond, s.
    """

    grid: Grid
    check_space: Float[ndarray, " x"]
    check_time: Float[ndarray, " t"]
    geometry: PieceGeometry
    weights: SiteWeights
    releases: CellSources | None
    time_unit: float

    def window(self, slot: Slot, channels: ChannelCourse, start: float, duration: float) -> WindowDrive:
        """The forcing of one window; there are no gates in it, and nothing comes through ends.

        Args:
            slot: The slot.
            channels: Source and sink of the channels in the course of the slot.
            start: Start of the window after that of the slot, s.
            duration: Duration of the window, s.
        """
        tau = np.concatenate([self.grid.time, self.check_time])
        times = (start + 0.5 * duration * (tau + 1.0)) / self.time_unit
        release = np.zeros((len(tau), len(self.geometry.length)))
        if self.releases is not None:
            release[:, self.releases.cells] = self.releases.flux_at(slot, times)
        return self._window_drive(channels, start, duration, np.repeat(release, len(self.grid.space), axis=1))

    @cached_property
    def _window_drive(self) -> Callable[..., WindowDrive]:
        tau = np.concatenate([self.grid.time, self.check_time])
        inside, checks = slice(0, len(self.grid.time)), slice(len(self.grid.time), None)
        to_checks = jnp.asarray(lagrange(self.grid.space, self.check_space))
        geometry, pieces = self.geometry, len(self.geometry.length)

        def run(channels: ChannelCourse, start: Array, duration: Array, release: Float[Array, "T PX"]) -> WindowDrive:
            times = start + 0.5 * duration * (tau + 1.0)
            source, sink = (self._at_nodes(x) for x in course_at(channels, times))
            return WindowDrive(
                inside=calcium_forcing(geometry, source[inside], sink[inside], release[inside]),
                checks=calcium_forcing(geometry, source[checks], sink[checks], release[checks], to_checks),
                gates=jnp.zeros((*geometry.membrane_ratio.shape, 0)),
                end_flux=jnp.zeros((pieces, 2, len(self.grid.time))),
            )

        return jax.jit(run)

    def _at_nodes(self, values: Float[Array, "T P"]) -> Float[Array, "T PX"]:
        return jnp.sum(values[:, self.weights.site] * self.weights.weight, axis=-1)
