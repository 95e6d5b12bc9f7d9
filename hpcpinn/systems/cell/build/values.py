"""What learned constants are in a run description, and run descriptions with other values of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError, concerning
from hpcpinn.physics.constants import PRESETS, CalciumConstants
from hpcpinn.systems.cell.build.membrane import channel_sets_of
from hpcpinn.systems.cell.config.learnable import current_member, drives_voltage
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.config.stimulation import CurrentConfig
from hpcpinn.systems.cell.constants import coordinates_of, value_of

LAID_BY = ("release_duration", "release_patch")
"""Constants by which windows and pieces are laid: they end where a release does."""


def mesh_for(config: RunConfig, values: Mapping[str, float]) -> RunConfig:
    """The run description whose windows, pieces and voltage are those of these values of constants."""
    update = {name: value for name, value in values.items() if name in LAID_BY}
    constants = config.physics.constants.model_copy(update=update)
    laid = config.model_copy(update={"physics": config.physics.model_copy(update={"constants": constants})})
    return with_values(laid, values)


def own_value(
    config: RunConfig, known: CalciumConstants, name: str, changes: Mapping[str, float] | None = None
) -> float:
    """What a constant is in a run.

    Args:
        config: The run description.
        known: Its constants of calcium, with the leak that balances rest.
        name: Of the constant.
        changes: Values that go before.

    Raises:
        InputError: The run has no such gate, current or temperature.
    """
    given = (changes or {}).get(name)
    if name in LAID_BY:  # `known` may be those of a run that was laid for other values
        own = getattr(config.physics.constants, name)
        own = getattr(PRESETS[config.physics.preset], name) if own is None else own
        return float(own if given is None else given)
    if drives_voltage(name):
        return value_in(config, name) if given is None else given
    return value_of(name, known, changes)


def starting_values(
    config: RunConfig, known: CalciumConstants, names: Sequence[str], start: Sequence[float | None]
) -> Float[ndarray, " p"]:
    """Where an iteration begins.

    Args:
        config, known: As in `own_value`.
        names: What is learned.
        start: Where it shall begin; None for the run's own value.

    Raises:
        InputError: The run has no such constant, or it is 0 where only its logarithm is iterated on.
    """
    values = []
    for number, (name, given) in enumerate(zip(names, start, strict=True)):
        with concerning("parameter", number, "name"):
            # Also of a constant that begins elsewhere: whether the channel has such a gate shows only here.
            own = own_value(config, known, name) if given is None or not drives_voltage(name) else given
        value = float(own if given is None else given)
        if coordinates_of([name]).is_logarithm[0] and value <= 0.0:
            raise InputError(
                f"[[parameter]]: {name} is {value:g} in the run, and no logarithm begins there; give parameter.start"
            )
        values.append(value)
    return np.array(values)


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
