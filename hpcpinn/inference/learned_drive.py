"""Channels and releases over a fixed sequence of windows as a function of constants that shape their course."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from hpcpinn.config.learnable import drives_voltage
from hpcpinn.domain.patches import PatchPlace
from hpcpinn.errors import SolveError
from hpcpinn.inference.learned_voltage import LearnedVoltage
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.calcium_system import CalciumForcing
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.learned_calcium import CellConstants, shapes_drive, unit_constants
from hpcpinn.timestepping.forcing import CalciumDrive


class Course(NamedTuple):
    """What acts on pieces over windows; derivatives have an axis of their own.

    Attributes:
        unit: Forcing with channels of unit strength, leaves (W, P, Q).
        rest_voltage: At which the leak balances rest, mV, the same for all windows, (W,).
    """

    unit: CalciumForcing
    rest_voltage: Float[Array, " W"]


@dataclass(frozen=True)
class ShapedDrive:
    """What acts on a rank's pieces, at constants that may be traced.

    Attributes:
        plain: At the known constants.
        by_constants: Releases whose duration is that of the constants, and not their own.
        patches: Places of the releases whose patch is that of the constants, by their number.
        rest_follows: Whether rest is at the mean of the first voltage, and not where the run description says.
    """

    plain: CalciumDrive
    by_constants: Bool[np.ndarray, " releases"]
    patches: Mapping[int, PatchPlace]
    rest_follows: bool

    def at(self, k: CalciumConstants, voltage: Float[Array, "T sites"] | None = None) -> CalciumDrive:
        """The drive at other constants, its channels of unit strength (`unit_constants`). Traceable.

        Args:
            k: The constants.
            voltage: Table that takes the place of the known one; None leaves that.
        """
        releases, share, source = self.plain.releases, self.plain.release_share, self.plain.source
        duration = jnp.where(self.by_constants, k.release_duration, releases.duration)
        for number, place in self.patches.items():
            share = share.at[:, :, number].set(place.shares(k.release_patch, self.plain.grid.space))
        return replace(
            self.plain,
            constants=unit_constants(k),
            releases=replace(releases, duration=duration),
            release_share=share,
            source=source if voltage is None else replace(source, values=voltage),
        )


@dataclass(frozen=True)
class LearnedDrive:
    """The course of a sequence of windows and its derivatives by the coordinates of learned constants.

    Attributes:
        shaped: The drive.
        constants: Of the pieces.
        start, length: Of the windows, internal time.
        voltage: As a function of the constants; None where none of them is of the voltage.
        communicator: All ranks.
    """

    shaped: ShapedDrive
    constants: CellConstants
    start: Float[Array, " W"]
    length: Float[Array, " W"]
    voltage: LearnedVoltage | None
    communicator: Communicator

    def __call__(self, z: Float[Array, " p"]) -> tuple[Course, Course]:
        """The course, and its derivatives, leaves (p, W, ...). Collective over all ranks.

        Raises:
            SolveError: The voltage is no number.
        """
        if self.voltage is None:
            known = self.shaped.plain.source.values
            return self._both(z, known, jnp.zeros((len(self.constants.names), *known.shape)))
        found = self.communicator.on_root(self._solved, self.voltage, np.asarray(z))
        return self._both(z, *map(jnp.asarray, found))

    @staticmethod
    def _solved(voltage: LearnedVoltage, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = (np.asarray(part) for part in voltage(z))
        if not (np.all(np.isfinite(value)) and np.all(np.isfinite(slope))):
            raise SolveError("infer: the voltage has no finite solution with these constants")
        return value, slope

    @cached_property
    def _both(self):
        names, coordinates = self.constants.names, self.constants.coordinates
        moves = np.array([shapes_drive(name) or drives_voltage(name) for name in names])
        ways, known_rest = jnp.eye(len(names))[moves], float(self.constants.known.rest_voltage)

        def forced(z: Array, voltage: Array) -> Course:
            k = self.constants.common(coordinates.values(z, jnp))
            drive = self.shaped.at(k, voltage)
            rest = jnp.mean(voltage[0]) if self.shaped.rest_follows else jnp.asarray(known_rest)

            def window(gates: Array, span: tuple[Array, Array]) -> tuple[Array, CalciumForcing]:
                here = drive.forced(gates, *span)
                return here.gates, here.inside

            unit = jax.lax.scan(window, drive.steady_gates(0.0), (self.start, self.length))[1]
            return Course(unit, jnp.broadcast_to(rest, self.start.shape))

        def run(z: Array, voltage: Array, slope: Array) -> tuple[Course, Course]:
            def along(way: Array, moved: Array) -> tuple[Course, Course]:
                return jax.jvp(forced, (z, voltage), (way, moved))

            value, slopes = jax.vmap(along, out_axes=(None, 0))(ways, slope[moves])
            spread = jax.tree.map(lambda x: jnp.zeros((len(names), *x.shape[1:])).at[moves].set(x), slopes)
            return value, spread

        return jax.jit(run)
