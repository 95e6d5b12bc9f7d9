"""Calcium and calbindin with some constants unknown: numbers that compiled code may differentiate by.

Only what depends on the unknown constants is traced. What measures (scales, rest as the origin of the heads,
the fastest rate) keeps its known value, so that it is not learned by accident. Channels and leak are affine in
calcium, source − c · sink, so both enter as forcing: their strengths may then differ from piece to piece, and
their course, at unit strength, is made once. So is that of synaptic releases, which their flux only scales.
Constants that shape these courses (`shapes_drive`) make them anew: `hpcpinn.inference.learned_drive`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.config.learnable import BY_TYPE, gate_member, measure_of
from hpcpinn.coordinates import Coordinates
from hpcpinn.core.parameters import with_values
from hpcpinn.errors import InputError
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.physics import calcium, gates, ghk
from hpcpinn.physics.calcium_system import CalciumForcing, CalciumSystem
from hpcpinn.physics.constants import CalciumConstants

_SHAPES_DRIVE = ("release_duration", "release_patch", "z_ca", "temperature")


def base_name(name: str) -> str:
    """``vdcc_density`` for ``vdcc_density.apic``."""
    return name.partition(".")[0]


def coordinates_of(names: Sequence[str]) -> Coordinates:
    """How constants of these names are iterated on."""
    return Coordinates(tuple(measure_of(name) for name in names))


def shapes_drive(name: str) -> bool:
    """Whether a constant enters the course of channels or releases by more than a factor."""
    return name in _SHAPES_DRIVE or gate_member(name) is not None


def changed(known: CalciumConstants, values: Mapping[str, Any]) -> CalciumConstants:
    """The constants with those of these names at other values, which may be traced.

    Densities of single types of neurites (``vdcc_density.apic``) are none of them, and left out.
    """
    return with_values(known, {name: value for name, value in values.items() if gate_member(name) or "." not in name})


LearnedCalcium = CalciumSystem


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

    def at(self, z: Float[Array, " p"], rest_voltage: Any = None) -> "PieceConstants":
        """The constants at given coordinates of the learned ones. Traceable.

        Args:
            z: The coordinates.
            rest_voltage: At which the leak balances rest, where it is not learned itself, mV; None: the known one.
        """
        return self.learned(self.coordinates.values(z, jnp), rest_voltage)

    def common(self, values: Float[Array, " p"]) -> CalciumConstants:
        """What all pieces share, at given values of the learned ones. Traceable."""
        return changed(self.known, dict(zip(self.names, values, strict=True)))

    def learned(self, values: Float[Array, " p"], rest_voltage: Any = None) -> "PieceConstants":
        """As `at`, at given values of the learned ones."""
        k = self.common(values)
        if rest_voltage is not None and "rest_voltage" not in self.names:
            k = k.replace(rest_voltage=rest_voltage)
        density = jnp.broadcast_to(jnp.asarray(k.vdcc_density, float), self.kind.shape)
        for name, value in zip(self.names, values, strict=True):
            if name.startswith(BY_TYPE):
                density = jnp.where(self._of_type(name), value, density)
        if k.leak is not None:
            leak = jnp.broadcast_to(jnp.asarray(k.leak, float), self.kind.shape)
        else:
            V, unit = jnp.asarray(k.rest_voltage), unit_constants(k)
            source, sink = ghk.channel(V, gates.opening(gates.steady(V, unit), unit), unit)
            channel = density * k.vdcc_permeability * (k.c_o * source - k.c_rest * sink)
            pumps = calcium.pump_flux(jnp.asarray(k.c_rest), k.replace(leak=0.0))
            leak = -(pumps + channel) / (k.c_o - k.c_rest)
        system = CalciumSystem(k.replace(leak=0.0), measured_by=self.known.replace(leak=0.0))
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

    system: CalciumSystem
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
            release=k.j_release / self.system.known.j_release * unit.release,
        )

    def at_rest(self) -> Float[Array, " K"]:
        """Calcium and its buffers at rest, µM."""
        return jnp.stack([jnp.asarray(x, float) for x in self.system.constants.rest])


def unit_constants(k: CalciumConstants) -> CalciumConstants:
    """With channels of unit density and permeability in calcium of unit concentration."""
    return k.replace(vdcc_density=1.0, vdcc_permeability=1.0, c_o=1.0)


def value_of(name: str, known: CalciumConstants, changes: Mapping[str, float] | None = None) -> float:
    """What a constant is where it is not learned.

    Args:
        name: Of a constant that can be learned.
        known: The constants, with the leak that balances rest.
        changes: Others by name; of all channels (``vdcc_density``) where there is none of a type of neurite.

    Raises:
        InputError: The channel has no such gate, or the gate no such constant.
    """
    changes = changes or {}
    gate = gate_member(name)
    if gate is None:
        return float(changes.get(name, changes.get(base_name(name), getattr(known, base_name(name)))))
    number, member = gate
    if number >= len(known.gates):
        raise InputError(f"{name!r}: the channel has {len(known.gates)} gates, numbered from 0")
    own = changes.get(name, getattr(known.gates[number], member))
    if own is None or (member == "gamma" and known.gates[number].rate is None):
        raise InputError(f"{name!r}: this gate follows x_inf(V) and tau, and has no {member}")
    return float(own)
