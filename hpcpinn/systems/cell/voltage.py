"""The voltage of a cell as a function of constants of its membrane and its field, with exact derivatives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hpcpinn.coordinates import Coordinates
from hpcpinn.parallel.threads import loop_options
from hpcpinn.physics.channel_sets import ChannelSet, with_constants
from hpcpinn.systems.cell.config.learnable import current_member, drives_voltage
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import Steps


@dataclass(frozen=True)
class VoltageOf:
    """The voltage of all compartments from rest on, every so often. Serial.

    Attributes:
        equation: The cable equation with the known constants.
        rest: The voltage at rest with these.
        steps: All steps.
        last: Numbers of the steps after which the voltage is kept.
        sources: Currents of the field, where there is one, and of clamps, nA.
        known: R_i, C_m and the field's magnitude by their names, as they are in `equation` and `sources`.
        names: Names of the learned constants, of the voltage and besides.
        coordinates: How these are iterated on.
    """

    equation: CableEquation
    rest: VoltageState
    steps: Steps
    last: Int[np.ndarray, " T"]
    sources: Float[np.ndarray, "k points"]
    known: Mapping[str, float]
    names: tuple[str, ...]
    coordinates: Coordinates

    def __call__(self, z: Float[np.ndarray, " p"]) -> tuple[Float[Array, "T+1 n"], Float[Array, "p T+1 n"]]:
        """Voltage at the start and after every wanted step, mV, and its derivatives by the coordinates."""
        value, slopes = self._both(jnp.asarray(z))
        spread = jnp.zeros((len(self.names), *value.shape)).at[self._moves].set(slopes)
        return value, spread

    def at(self, z: Float[Array, " p"]) -> Float[Array, "T+1 n"]:
        """The voltage. Traceable."""
        given = dict(zip(self.names, self.coordinates.values(z, jnp), strict=True))

        def factor(name: str) -> Any:
            return given[name] / self.known[name] if name in given else 1.0

        R_i = factor("cable.R_i")
        equation = self.equation.with_constants(
            R_i=R_i, C_m=factor("cable.C_m"), celsius=given.get("cable.temperature"), sets=self._sets(given)
        )
        sources = jnp.asarray(self.sources)
        if "field.magnitude" in self.known:
            sources = sources.at[0].mul(factor("field.magnitude") / R_i)
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

        return jax.jit(run, compiler_options=loop_options(self.sources.shape[1]))
