"""Channels and releases over a fixed sequence of windows as a function of constants that shape their course."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from hpcpinn.domain.pieces import PatchPlace
from hpcpinn.physics.calcium_system import CalciumForcing
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.learned_calcium import CellConstants, shapes_drive, unit_constants
from hpcpinn.timestepping.forcing import CalciumDrive


@dataclass(frozen=True)
class ShapedDrive:
    """What acts on a rank's pieces, at constants that may be traced.

    Attributes:
        plain: At the known constants.
        by_constants: Releases whose duration is that of the constants, and not their own.
        patches: Places of the releases whose patch is that of the constants, by their number.
    """

    plain: CalciumDrive
    by_constants: Bool[np.ndarray, " releases"]
    patches: Mapping[int, PatchPlace]

    def at(self, k: CalciumConstants) -> CalciumDrive:
        """The drive at other constants, its channels of unit strength (`unit_constants`). Traceable."""
        releases, share = self.plain.releases, self.plain.release_share
        duration = jnp.where(self.by_constants, k.release_duration, releases.duration)
        for number, place in self.patches.items():
            share = share.at[:, number].set(place.shares(k.release_patch))
        return replace(
            self.plain, constants=unit_constants(k), releases=replace(releases, duration=duration), release_share=share
        )


@dataclass(frozen=True)
class LearnedDrive:
    """The forcing of a sequence of windows and its derivatives by the coordinates of learned constants.

    Attributes:
        shaped: The drive.
        constants: Of the pieces.
        start, length: Of the windows, internal time.
    """

    shaped: ShapedDrive
    constants: CellConstants
    start: Float[Array, " W"]
    length: Float[Array, " W"]

    def __call__(self, z: Float[Array, " p"]) -> tuple[CalciumForcing, CalciumForcing]:
        """Forcing of channels of unit strength, leaves (W, P, Q), and its derivatives, leaves (p, W, P, Q)."""
        return self._both(z)

    @cached_property
    def _both(self):
        ways = jnp.eye(len(self.constants.names))
        moves = np.array([shapes_drive(name) for name in self.constants.names])

        def forced(z: Array) -> CalciumForcing:
            drive = self.shaped.at(self.constants.common(self.constants.coordinates.values(z, jnp)))

            def window(gates: Array, span: tuple[Array, Array]) -> tuple[Array, CalciumForcing]:
                here = drive.forced(gates, *span)
                return here.gates, here.inside

            return jax.lax.scan(window, drive.steady_gates(0.0), (self.start, self.length))[1]

        def run(z: Array) -> tuple[CalciumForcing, CalciumForcing]:
            along = jax.vmap(lambda way: jax.jvp(forced, (z,), (way,)), out_axes=(None, 0))
            value, slopes = along(ways[moves])
            spread = jax.tree.map(lambda x: jnp.zeros((len(ways), *x.shape[1:])).at[moves].set(x), slopes)
            return value, spread

        return jax.jit(run)
