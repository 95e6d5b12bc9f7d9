"""From a run description to the constants of calcium, and to what each constant that can be learned is in it."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError, concerning
from hpcpinn.physics import calcium
from hpcpinn.physics.constants import PRESETS, BufferConstants, CalciumConstants, Gate, Organelle
from hpcpinn.physics.voltage import VoltageSource
from hpcpinn.systems.cell.build.membrane import membrane_of
from hpcpinn.systems.cell.config.learnable import drives_voltage
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.constants import coordinates_of, value_of

MESHED_BY = ("release_duration", "release_patch")
"""Constants that windows and pieces are chosen by: they end where a release does."""


def time_unit_of(config: RunConfig) -> float:
    """Internal time per user time."""
    return config.physics.constants.time_unit or PRESETS[config.physics.preset].time_unit


def constants_of(
    config: RunConfig, first: float | None = None, values: Mapping[str, float] | None = None
) -> CalciumConstants:
    """The preset with the user's changes; rest is at the first voltage unless stated otherwise.

    Args:
        config: The run description.
        first: The first voltage, mV; the description's constant one where left out.
        values: Values of constants by name; those that windows and pieces are chosen by take the place of the
            description's.
    """
    meshed = {name: value for name, value in (values or {}).items() if name in MESHED_BY}
    changes = config.physics.changes | meshed
    if "gates" in changes:
        changes["gates"] = tuple(Gate(**gate) for gate in changes["gates"])
    constants = PRESETS[config.physics.preset].replace(
        **changes,
        buffers=tuple(BufferConstants(**given.model_dump()) for given in config.buffer),
        organelles=tuple(Organelle(**given.model_dump()) for given in config.organelle),
    )
    if "rest_voltage" not in changes:
        constants = constants.replace(rest_voltage=config.voltage.constant if first is None else first)
    return constants.replace(leak=calcium.checked_leak(constants))


def first_of(source: VoltageSource | None) -> float | None:
    """Mean over its sites of the first voltage of a table, mV; None without one."""
    return None if source is None else float(np.mean(np.asarray(source.values)[0]))


def with_given_leak(config: RunConfig, k: CalciumConstants) -> CalciumConstants:
    """The constants of a run, their leak as the user gave it: None where it balances rest."""
    given = config.physics.constants.leak
    return k.replace(leak=PRESETS[config.physics.preset].leak if given is None else given)


def own_value(
    config: RunConfig, known: CalciumConstants, name: str, changes: Mapping[str, float] | None = None
) -> float:
    """What a constant is in a run.

    Args:
        config: The run description.
        known: Constants of calcium of the run, with the leak that balances rest.
        name: Name of the constant.
        changes: Values by name that go before the run's.

    Raises:
        InputError: The run has no such gate, current or temperature.
    """
    given = (changes or {}).get(name)
    if name in MESHED_BY:  # `known` may be those of a run that was meshed for other values
        own = getattr(config.physics.constants, name)
        own = getattr(PRESETS[config.physics.preset], name) if own is None else own
        return float(own if given is None else given)
    if drives_voltage(name):
        return membrane_of(config).value(name) if given is None else given
    return value_of(name, known, changes)


def starting_values(
    config: RunConfig, known: CalciumConstants, names: Sequence[str], start: Sequence[float | None]
) -> Float[ndarray, " p"]:
    """Where an iteration begins.

    Args:
        config, known: Run description and known constants, as in `own_value`.
        names: Names of the constants that are learned.
        start: Values to begin with; None for the run's own.

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
