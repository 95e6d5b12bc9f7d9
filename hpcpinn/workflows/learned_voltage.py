"""Constants of the voltage in run descriptions, and the voltage as a function of those that are learned."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpcpinn.config import RunConfig
from hpcpinn.config.learnable import current_member, drives_voltage
from hpcpinn.config.stimulation import CurrentConfig
from hpcpinn.errors import InputError
from hpcpinn.inference.learned_voltage import LearnedVoltage
from hpcpinn.physics.learned_calcium import coordinates_of
from hpcpinn.timestepping.pulse_steps import steps_between
from hpcpinn.workflows.membrane_voltage import channel_sets_of, driven_cable
from hpcpinn.workflows.problem import Problem, load_cable

_SAME = 1e-7
"""ms: times closer than this are one."""


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


def learned_voltage(problem: Problem, names: tuple[str, ...]) -> LearnedVoltage | None:
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
    return LearnedVoltage(
        equation=driven.equation,
        rest=driven.equation.resting_state(),
        steps=steps,
        last=np.searchsorted(steps.ends, times[1:] - _SAME),
        sources=driven.sources,
        known=known,
        names=names,
        coordinates=coordinates_of(names),
    )
