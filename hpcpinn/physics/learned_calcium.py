"""Calcium and calbindin with some constants unknown: numbers that compiled code may differentiate by.

Only what depends on the unknown constants is traced. What measures (scales, rest as the origin of the heads,
the fastest rate) keeps its known value, so that it is not learned by accident. Channels and leak are affine in
calcium, source − c · sink, so both enter as forcing: their strengths may then differ from piece to piece, and
the voltage's part, of which no constant is unknown, is made once. So is the course of synaptic releases, which
their flux only scales.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.morphology.frusta import kind_name
from hpcpinn.physics import calcium, gates, ghk
from hpcpinn.physics.calcium_system import CalciumForcing, CalciumSystem
from hpcpinn.physics.constants import CalciumConstants

DENSITY = "vdcc_density"
LEAK = "leak"
UNITS = {
    "D_c": "um2/s",
    "D_b": "um2/s",
    "b_tot": "uM",
    "k_plus": "1/(uM s)",
    "k_minus": "1/s",
    "c_rest": "uM",
    "c_o": "uM",
    "pmca_max": "uM um/s",
    "pmca_K": "uM",
    "ncx_max": "uM um/s",
    "ncx_K": "uM",
    LEAK: "um/s",
    DENSITY: "1/um2",
    "vdcc_permeability": "um3/s",
    "j_release": "uM um/s",
}
"""Of the constants that can be learned; the density also of one type of neurite, ``vdcc_density.apic``."""


def base_name(name: str) -> str:
    """``vdcc_density`` for ``vdcc_density.apic``."""
    return name.partition(".")[0]


@dataclass(frozen=True)
class LearnedCalcium(CalciumSystem):
    """The system with traced constants, measured as with the known ones; see `CalciumSystem`.

    Attributes:
        constants: May hold traced numbers; without leak, which is part of the forcing.
        measured_by: Plain numbers: scales, the rest that heads are counted from, rates.
    """

    measured_by: CalciumConstants

    @property
    def scale(self) -> tuple[float, ...]:
        return CalciumSystem(self.measured_by).scale

    @property
    def rate(self) -> tuple[float, ...]:
        return CalciumSystem(self.measured_by).rate

    @property
    def rest(self) -> tuple[float, ...]:
        return CalciumSystem(self.measured_by).rest


@dataclass(frozen=True)
class CellConstants:
    """The constants of a cell's pieces as functions of those that are learned.

    Attributes:
        known: What is not learned; its leak is a number, or None for the one that balances rest on every piece.
        names: What is learned.
        kind: SWC type of this rank's pieces.
        at_rest: (source, sink) of an open channel of unit density, permeability and outer calcium at rest.
    """

    known: CalciumConstants
    names: tuple[str, ...]
    kind: Int[np.ndarray, " P"]
    at_rest: tuple[float, float]

    def learned(self, values: Float[Array, " p"]) -> "PieceConstants":
        """The constants at given values of the learned ones. Traceable."""
        given = dict(zip(self.names, values, strict=True))
        by_type = {name: given.pop(name) for name in self.names if "." in name}
        k = self.known.replace(**given)
        density = jnp.broadcast_to(jnp.asarray(k.vdcc_density, float), self.kind.shape)
        for name, value in by_type.items():
            density = jnp.where(self._of_type(name), value, density)
        if k.leak is not None:
            leak = jnp.broadcast_to(jnp.asarray(k.leak, float), self.kind.shape)
        else:
            source, sink = self.at_rest
            channel = density * k.vdcc_permeability * (k.c_o * source - k.c_rest * sink)
            pumps = calcium.pump_flux(jnp.asarray(k.c_rest), k.replace(leak=0.0))
            leak = -(pumps + channel) / (k.c_o - k.c_rest)
        system = LearnedCalcium(k.replace(leak=0.0), measured_by=self.known.replace(leak=0.0))
        return PieceConstants(system, density * k.vdcc_permeability, leak)

    def _of_type(self, name: str) -> np.ndarray:
        wanted = name.partition(".")[2]
        return np.array([kind_name(int(kind)) == wanted for kind in self.kind], bool)


@dataclass(frozen=True)
class PieceConstants:
    """What the march of a window needs of the constants.

    Attributes:
        system: Without leak and channels.
        channel: Density times permeability on every piece, µm/s.
        leak: v_l on every piece, µm/s.
    """

    system: LearnedCalcium
    channel: Float[Array, " P"]
    leak: Float[Array, " P"]

    def forcing(self, unit: CalciumForcing) -> CalciumForcing:
        """The forcing with channels, leak and releases.

        Args:
            unit: That of channels of unit strength (`unit_constants`), without leak, and of releases as known.
        """
        k = self.system.constants
        channel, leak = self.channel[:, None], self.leak[:, None]
        return unit._replace(
            channel_source=channel * k.c_o * unit.channel_source + leak * k.c_o,
            channel_sink=channel * unit.channel_sink + leak,
            release=k.j_release / self.system.measured_by.j_release * unit.release,
        )

    def at_rest(self) -> Float[Array, " 2"]:
        """Calcium and calbindin at rest, µM."""
        return jnp.stack([jnp.asarray(x, float) for x in calcium.rest_state(self.system.constants)])


def unit_constants(k: CalciumConstants) -> CalciumConstants:
    """With channels of unit density and permeability in calcium of unit concentration."""
    return k.replace(vdcc_density=1.0, vdcc_permeability=1.0, c_o=1.0)


def cell_constants(known: CalciumConstants, names: Sequence[str], kind: Int[np.ndarray, " P"]) -> CellConstants:
    """Sets up the constants of a rank's pieces.

    Args:
        known: With the voltage of rest, and the leak or None.
        names: What is learned.
        kind: SWC types of the pieces.
    """
    unit, V = unit_constants(known), jnp.asarray(known.rest_voltage)
    source, sink = ghk.channel(V, gates.opening(gates.steady(V, unit), unit), unit)
    return CellConstants(known, tuple(names), np.asarray(kind), (float(source), float(sink)))


def value_of(name: str, known: CalciumConstants, changed: Mapping[str, float] | None = None) -> float | None:
    """What a constant is where it is not learned; None for a leak that balances rest."""
    changed = changed or {}
    return changed.get(name, changed.get(base_name(name), getattr(known, base_name(name))))
