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
from hpcpinn.errors import InputError
from hpcpinn.parallel.threads import loop_options
from hpcpinn.physics.channel_sets import ChannelSet, with_constants
from hpcpinn.systems.cell.config.learnable import current_member, drives_voltage
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.config.stimulation import CurrentConfig
from hpcpinn.systems.cell.constants import coordinates_of
from hpcpinn.systems.cell.membrane_voltage import channel_sets_of, driven_cable
from hpcpinn.systems.cell.problem import Problem, load_cable
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import Steps, steps_between

_SAME = 1e-7
"""ms: times closer than this are one."""


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


def value_in(config: RunConfig, name: str) -> float:
    """What a constant of the voltage is in a run description.

    Raises:
        InputError: There is no such current, or no temperature.
    """
    member = current_member(name)
    if member:
        of_set, of_current, constant = member
        sets = channel_sets_of(config)
        if of_set not in sets:
            raise InputError(f"{name!r}: no channel set {of_set!r}; there are {', '.join(sets)}")
        currents = {current.name: current for current in sets[of_set].currents}
        if of_current not in currents:
            raise InputError(f"{name!r}: no current {of_current!r} in it; there are {', '.join(currents)}")
        return float(getattr(currents[of_current], constant))
    table, _, key = name.partition(".")
    value = getattr(getattr(config, table), key)
    if value is None and name == "field.magnitude":
        return 1.0  # the factor of a sampled field
    if value is None:
        raise InputError(
            f"{name!r} is nothing in this run (every channel set is at its own temperature); give parameter.start, and "
            "for synthetic data data.truth"
        )
    return float(value)


def with_values(config: RunConfig, values: Mapping[str, float]) -> RunConfig:
    """The run description with other constants of the voltage; other names are left out."""
    update: dict[str, dict[str, Any]] = {"cable": {}, "field": {}}
    currents = {of_set: dict(own) for of_set, own in config.channels.constants.items()}
    for name, value in values.items():
        member = current_member(name)
        if member:
            own = currents.setdefault(member[0], {})
            own[member[1]] = own.get(member[1], CurrentConfig()).model_copy(update={member[2]: value})
        elif drives_voltage(name):
            table, _, key = name.partition(".")
            update[table][key] = value
    tables = {name: getattr(config, name).model_copy(update=changes) for name, changes in update.items()}
    channels = config.channels.model_copy(update={"constants": currents})
    return config.model_copy(update={**tables, "channels": channels})


def voltage_of(problem: Problem, names: tuple[str, ...]) -> VoltageOf | None:
    """The voltage of a run as a function of constants; None where none of these is of the voltage.

    Args:
        problem: The run; its voltage is solved.
        names: What is learned, of the voltage and besides.
    """
    if not any(drives_voltage(name) for name in names):
        return None
    config = problem.config
    driven = driven_cable(config, load_cable(config))
    times = np.asarray(problem.cell.source.times) / problem.cell.source.time_unit
    steps = steps_between(0.0, float(times[-1]), driven.rule, driven.stimulus, driven.onset, driven.clamps, times[1:])
    known = {"cable.R_i": config.cable.R_i, "cable.C_m": config.cable.C_m}
    if config.field.is_given:
        known["field.magnitude"] = value_in(config, "field.magnitude")
    return VoltageOf(
        equation=driven.equation,
        rest=driven.equation.resting_state(),
        steps=steps,
        last=np.searchsorted(steps.ends, times[1:] - _SAME),
        sources=driven.sources,
        known=known,
        names=names,
        coordinates=coordinates_of(names),
    )
