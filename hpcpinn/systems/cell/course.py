"""Channels and releases over a fixed sequence of windows, as a function of constants that enter their course."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.patches import PatchPlace
from hpcpinn.errors import SolveError
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics import sources
from hpcpinn.physics.calcium_system import CalciumForcing
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell.config.learnable import drives_voltage
from hpcpinn.systems.cell.constants import CellConstants, enters_course
from hpcpinn.systems.cell.voltage import VoltageOf
from hpcpinn.timestepping.forcing import CalciumDrive


class UnitCourse(NamedTuple):
    """What acts on pieces over windows; derivatives have an axis of their own.

    Attributes:
        unit: Forcing with channels of unit strength, leaves (W, P, Q).
        rest_voltage: Voltage at which the leak balances rest, mV, the same for all windows, (W,).
    """

    unit: CalciumForcing
    rest_voltage: Float[Array, " W"]


@dataclass(frozen=True)
class DriveOf:
    """What acts on a rank's pieces, as a function of constants and voltage.

    Attributes:
        plain: The drive of the run.
        releases: Releases as they are described.
        patches: Places of the releases whose patch is that of the constants, by their number.
        rest_follows: Whether rest is at the mean of the first voltage, and not where the run description says.
    """

    plain: CalciumDrive
    releases: Sequence[sources.GivenRelease]
    patches: Mapping[int, PatchPlace]
    rest_follows: bool

    def at(self, k: CalciumConstants, voltage: Float[Array, "T sites"] | None = None) -> CalciumDrive:
        """The drive at other constants. Traceable.

        Args:
            k: The constants.
            voltage: Table that takes the place of the known one; None leaves that.
        """
        share, source = self.plain.release_share, self.plain.source
        for number, place in self.patches.items():
            share = share.at[:, :, number].set(place.shares(k.release_patch, self.plain.grid.space))
        return replace(
            self.plain,
            constants=k,
            releases=sources.releases(self.releases, k),
            release_share=share,
            source=source if voltage is None else replace(source, values=voltage),
        )


@dataclass(frozen=True)
class CourseOf:
    """The course of a sequence of windows and its derivatives by the coordinates of learned constants.

    Attributes:
        drive: The drive.
        constants: Constants of the pieces.
        start, length: Starts and lengths of the windows, internal time.
        voltage: The voltage as a function of the constants; None where none of them is of the voltage.
        communicator: All ranks.
    """

    drive: DriveOf
    constants: CellConstants
    start: Float[Array, " W"]
    length: Float[Array, " W"]
    voltage: VoltageOf | None
    communicator: Communicator

    def __call__(self, z: Float[Array, " p"]) -> tuple[UnitCourse, UnitCourse]:
        """The course, and its derivatives, leaves (p, W, ...). Collective over all ranks.

        Raises:
            SolveError: The voltage is no number.
        """
        if self.voltage is None:
            known = self.drive.plain.source.values
            return self._both(z, known, jnp.zeros((len(self.constants.names), *known.shape)))
        value, slope = self.communicator.on_root(self._solved, self.voltage, np.asarray(z))
        return self._both(z, jnp.asarray(value), jnp.asarray(slope))

    @staticmethod
    def _solved(voltage: VoltageOf, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = (np.asarray(part) for part in voltage(z))
        if not (np.all(np.isfinite(value)) and np.all(np.isfinite(slope))):
            raise SolveError("infer: the voltage has no finite solution with these constants")
        return value, slope

    @cached_property
    def _both(self) -> Callable[[Array, Array, Array], tuple[UnitCourse, UnitCourse]]:
        names, coordinates = self.constants.names, self.constants.coordinates
        moves = np.array([enters_course(name) or drives_voltage(name) for name in names])
        ways, known_rest = jnp.eye(len(names))[moves], float(self.constants.known.rest_voltage)

        def forced(z: Array, voltage: Array) -> UnitCourse:
            drive = self.drive.at(self.constants.course_constants(coordinates.values(z, jnp)), voltage)
            rest = jnp.mean(voltage[0]) if self.drive.rest_follows else jnp.asarray(known_rest)

            def window(gates: Array, span: tuple[Array, Array]) -> tuple[Array, CalciumForcing]:
                here = drive.forced(gates, *span)
                return here.gates, here.inside

            unit = jax.lax.scan(window, drive.steady_gates(0.0), (self.start, self.length))[1]
            return UnitCourse(unit, jnp.broadcast_to(rest, self.start.shape))

        def run(z: Array, voltage: Array, slope: Array) -> tuple[UnitCourse, UnitCourse]:
            def along(way: Array, moved: Array) -> tuple[UnitCourse, UnitCourse]:
                both: tuple[UnitCourse, UnitCourse] = jax.jvp(forced, (z, voltage), (way, moved))
                return both

            value, slopes = jax.vmap(along, out_axes=(None, 0))(ways, slope[moves])
            spread = jax.tree.map(lambda x: jnp.zeros((len(names), *x.shape[1:])).at[moves].set(x), slopes)
            return value, spread

        return jax.jit(run)
