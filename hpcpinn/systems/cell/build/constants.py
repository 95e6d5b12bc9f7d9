"""From a run description to the constants of calcium."""

import numpy as np

from hpcpinn.physics import calcium, voltage
from hpcpinn.physics.constants import PRESETS, Buffer, CalciumConstants, Gate
from hpcpinn.systems.cell.config.schema import RunConfig


def constants_of(config: RunConfig, source: voltage.VoltageSource | None = None) -> CalciumConstants:
    """The preset with the user's changes; rest is at the first voltage unless stated otherwise."""
    changes = dict(config.physics.changes)
    if "gates" in changes:
        changes["gates"] = tuple(Gate(**gate) for gate in changes["gates"])
    buffers = tuple(Buffer(**given.model_dump()) for given in config.buffer)
    constants = PRESETS[config.physics.preset].replace(**changes, buffers=buffers)
    if "rest_voltage" not in changes:
        first = config.voltage.constant if source is None else float(np.mean(np.asarray(source.values)[0]))
        constants = constants.replace(rest_voltage=first)
    return constants.replace(leak=calcium.checked_leak(constants))
