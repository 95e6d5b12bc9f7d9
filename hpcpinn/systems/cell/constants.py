"""Constants of a cell's pieces as functions of those that are learned.

The equation, the channels and the releases take constants that are traced; nothing here is a second statement of them.
What measures (scales, rest as the origin of the heads, the fastest rate) keeps its known value
(`CalciumSystem.measured_by`), so that it is not learned by accident. Channels and leak are affine in calcium,
source − c · sink, so both enter as forcing: their strengths may then differ from piece to piece, and their course, at
unit strength, is made once. So is that of synaptic releases, which their flux only scales. Constants that enter this
course (`enters_course`) make it anew: `hpcpinn.systems.cell.course`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hpcpinn.coordinates import Coordinates
from hpcpinn.core.parameters import learnable, value_at, with_values
from hpcpinn.errors import InputError
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.physics import calcium
from hpcpinn.physics.calcium_system import CalciumForcing, CalciumSystem
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell.config.learnable import BY_TYPE, drives_voltage, measure_of, part_member

NOT_IN_COURSE = (
    "D_c", "D_b", "b_tot", "k_plus", "k_minus", "c_rest", "pmca_max", "pmca_K", "ncx_max", "ncx_K", "leak",
    "rest_voltage", "vdcc_density", "vdcc_permeability", "c_o", "j_release",
)  # fmt: skip
"""Constants of the equation alone, and the strengths of channels and releases, which scale their course; every other
constant is taken to enter it: what is forgotten here costs time, and no derivative."""


def enters_course(name: str) -> bool:
    """Whether a constant enters the course of channels or releases by more than a factor."""
    part = part_member(name)
    if part is not None:
        return part[0] == "gates"
    return not (name in NOT_IN_COURSE or name.startswith(BY_TYPE) or drives_voltage(name))


def coordinates_of(names: Sequence[str]) -> Coordinates:
    """How constants of these names are iterated on."""
    return Coordinates(tuple(measure_of(name) for name in names))


@dataclass(frozen=True)
class CellConstants:
    """The constants of a cell's pieces as functions of those that are learned.

    Attributes:
        known: What is not learned; its leak is a number, or None for the one that balances rest on every piece.
        names: What is learned.
        kind: SWC type of this rank's pieces.
    """

    known: CalciumConstants
    names: tuple[str, ...]
    kind: Int[np.ndarray, " P"]

    @property
    def coordinates(self) -> Coordinates:
        """How the learned ones are iterated on."""
        return coordinates_of(self.names)

    @property
    def measured_by(self) -> CalciumConstants:
        """Plain numbers that scales, rates and the origin of the heads are made of."""
        return self.known.replace(leak=0.0)

    def at(self, z: Float[Array, " p"], rest_voltage: Any = None) -> "PieceConstants":
        """The constants at given coordinates of the learned ones. Traceable.

        Args:
            z: The coordinates.
            rest_voltage: Voltage at which the leak balances rest, where it is not learned itself, mV; None: the known
                one.
        """
        return self.learned(self.coordinates.values(z, jnp), rest_voltage)

    def common(self, values: Float[Array, " p"]) -> CalciumConstants:
        """What all pieces share, at given values of the learned ones. Traceable."""
        own = {
            name: value
            for name, value in zip(self.names, values, strict=True)
            if not (name.startswith(BY_TYPE) or drives_voltage(name))
        }
        return with_values(self.known, own)

    def learned(self, values: Float[Array, " p"], rest_voltage: Any = None) -> "PieceConstants":
        """As `at`, at given values of the learned ones."""
        k = self.common(values)
        if rest_voltage is not None and "rest_voltage" not in self.names:
            k = k.replace(rest_voltage=rest_voltage)
        density = jnp.broadcast_to(jnp.asarray(k.vdcc_density, float), self.kind.shape)
        for name, value in zip(self.names, values, strict=True):
            if name.startswith(BY_TYPE):
                density = jnp.where(self._of_type(name), value, density)
        leak = jnp.broadcast_to(jnp.asarray(calcium.balanced_leak(k.replace(vdcc_density=density))), self.kind.shape)
        system = CalciumSystem(k.replace(leak=0.0), self.measured_by)
        return PieceConstants(system, density * k.vdcc_permeability, leak)

    def course_constants(self, values: Float[Array, " p"]) -> CalciumConstants:
        """The constants whose course `PieceConstants.forcing` scales: of channels and releases of unit strength."""
        strengths = {"vdcc_density": 1.0, "vdcc_permeability": 1.0, "c_o": 1.0, "j_release": self.known.j_release}
        return self.common(values).replace(**strengths)

    def _of_type(self, name: str) -> Bool[np.ndarray, " P"]:
        wanted = name.removeprefix(BY_TYPE)
        return np.array([kind_name(int(kind)) == wanted for kind in self.kind], bool)


@dataclass(frozen=True)
class PieceConstants:
    """What the march of a window needs of the constants.

    Attributes:
        system: The equation, without leak and channels.
        channel: Density times permeability on every piece, µm/s.
        leak: v_l on every piece, µm/s.
    """

    system: CalciumSystem
    channel: Float[Array, " P"]
    leak: Float[Array, " P"]

    def forcing(self, unit: CalciumForcing) -> CalciumForcing:
        """The forcing with channels, leak and releases.

        Args:
            unit: Forcing by channels of unit strength (`CellConstants.course_constants`), without leak, and by releases
                as known.
        """
        k = self.system.constants
        channel, leak = self.channel[:, None], self.leak[:, None]
        return unit._replace(
            channel_source=channel * k.c_o * unit.channel_source + leak * k.c_o,
            channel_sink=channel * unit.channel_sink + leak,
            release=k.j_release / self.system.known.j_release * unit.release,
        )

    def at_rest(self) -> Float[Array, " K"]:
        """Calcium and its buffers at rest, µM."""
        return jnp.stack([jnp.asarray(x, float) for x in self.system.constants.rest])


def value_of(name: str, known: CalciumConstants, changes: Mapping[str, float] | None = None) -> float:
    """What a constant is where it is not learned.

    Args:
        name: Name of a constant that can be learned.
        known: The constants, with the leak that balances rest.
        changes: Others by name; of all channels (``vdcc_density``) where there is none of a type of neurite.

    Raises:
        InputError: There is no such gate or buffer, or the gate has no such constant.
    """
    changes = changes or {}
    of_all = name.partition(".")[0] if name.startswith(BY_TYPE) else name
    given = changes.get(name, changes.get(of_all))
    own = value_at(known, of_all)  # also of a constant that is given: whether there is such a gate shows only here
    if given is None and of_all not in learnable(known):
        raise InputError(f"{name!r}: this gate follows x_inf(V) and tau, and has no {name.rpartition('.')[2]}")
    return float(own if given is None else given)
