"""The voltage of a cell as a function of constants of its membrane and its field, with exact derivatives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hpcpinn.coordinates import Coordinates
from hpcpinn.parallel.threads import loop_options
from hpcpinn.physics.channel_sets import ChannelSet, with_constants
from hpcpinn.physics.membrane_constants import CableConstants, FieldConstants
from hpcpinn.systems.cell.config.learnable import current_member, drives_voltage
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import Steps

T = TypeVar("T", CableConstants, FieldConstants)


@dataclass(frozen=True)
class VoltageOf:
    """The voltage of all compartments from rest on, every so often. Serial.

    Attributes:
        equation: The cable equation with the known constants.
        rest: The voltage at rest with these.
        steps: All steps.
        last: Numbers of the steps after which the voltage is kept.
        psi: Quasipotential of a field of magnitude 1 at all points, mV; None without a field.
        field: Constants of the field.
        clamps: Currents of the clamps into all points, nA, one row each.
        names: Names of the learned constants, of the voltage and besides.
        coordinates: How these are iterated on.
    """

    equation: CableEquation
    rest: VoltageState
    steps: Steps
    last: Int[np.ndarray, " T"]
    psi: Float[np.ndarray, " points"] | None
    field: FieldConstants
    clamps: Float[np.ndarray, "k points"]
    names: tuple[str, ...]
    coordinates: Coordinates

    def __call__(self, z: Float[np.ndarray, " p"]) -> tuple[Float[Array, "times n"], Float[Array, "p times n"]]:
        """Voltage at the start and after every wanted step, mV, and its derivatives by the coordinates."""
        value, slopes = self._both(jnp.asarray(z))
        spread = jnp.zeros((len(self.names), *value.shape)).at[self._moves].set(slopes)
        return value, spread

    def at(self, z: Float[Array, " p"]) -> Float[Array, "times n"]:
        """The voltage. Traceable."""
        given = dict(zip(self.names, self.coordinates.values(z, jnp), strict=True))
        equation = self.equation.with_constants(_changed(self.equation.constants, "cable.", given), self._sets(given))
        sources = jnp.asarray(self.clamps)
        if self.psi is not None:
            magnitude: Any = _changed(self.field, "field.", given).magnitude
            sources = jnp.concatenate([equation.field_source(magnitude * jnp.asarray(self.psi))[None], sources])
        rest = equation.rest_near(self.rest)
        steps = tuple(jnp.asarray(column) for column in self.steps)
        after = equation.voltages(rest, steps, jnp.asarray(self.last), sources)
        return jnp.concatenate([rest.V[equation.rows][None], after])

    def _sets(self, given: Mapping[str, Any]) -> dict[str, ChannelSet]:
        """The channel sets with what is learned of them."""
        changes: dict[str, dict[str, dict[str, Any]]] = {}
        for name, value in given.items():
            member = current_member(name)
            if member:
                changes.setdefault(member[0], {}).setdefault(member[1], {})[member[2]] = value
        known = {group.channels.name: group.channels for group in self.equation.groups}
        return {name: with_constants(known[name], own) for name, own in changes.items() if name in known}

    @property
    def _moves(self) -> Bool[np.ndarray, " p"]:
        return np.array([drives_voltage(name) for name in self.names])

    @cached_property
    def _both(self) -> Callable[[Array], tuple[Array, Array]]:
        ways = jnp.eye(len(self.names))[self._moves]

        def run(z: Array) -> tuple[Array, Array]:
            return jax.vmap(lambda way: jax.jvp(self.at, (z,), (way,)), out_axes=(None, 0))(ways)

        return jax.jit(run, compiler_options=loop_options(self.clamps.shape[1]))


def _changed(constants: T, table: str, given: Mapping[str, Any]) -> T:
    """The constants of a table with what is given of them."""
    own = {name.removeprefix(table): value for name, value in given.items() if name.startswith(table)}
    return replace(constants, **own)
