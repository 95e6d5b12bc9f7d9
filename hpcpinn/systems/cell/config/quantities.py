"""Which quantity every number of a cell's description is."""

from collections.abc import Mapping
from typing import Any

from hpcpinn.config.declared import declared_quantity_of
from hpcpinn.config.lines import Path
from hpcpinn.core.plausibility import QUANTITIES, Quantity
from hpcpinn.physics.membrane_constants import CONDUCTANCE_OF
from hpcpinn.systems.cell.config.learnable import OF_CURRENTS, constant_named, current_member
from hpcpinn.systems.cell.config.schema import RunConfig


def quantity_of(config: RunConfig, path: Path) -> Quantity | None:
    """The quantity of a key of a cell's description; None where it has none."""
    quantity = _quantity_of(config, path)
    is_factor = quantity is QUANTITIES["field"] and config.field.file is not None
    return None if is_factor else quantity


def measured_quantity_of(config: RunConfig, path: Path) -> Quantity | None:
    """As `quantity_of`, but None in the dimensionless preset `seed`, where nothing could be odd."""
    return None if config.physics.preset == "seed" else quantity_of(config, path)


def value_at(config: RunConfig, path: Path) -> float:
    """The number of a key."""
    value: Any = config
    for part in path:
        value = value[part] if isinstance(value, Mapping | tuple) else getattr(value, str(part))  # type: ignore[index]
    return float(value)


def _quantity_of(config: RunConfig, path: Path) -> Quantity | None:
    match path:
        case ("parameter", int(number), "start" | "prior"):
            return quantity_of_constant(config.parameter[number].name)
        case ("channels", "constants", _, str(ion), str(member)):
            return _of_current(ion, member)
        case ("data", "truth", "channels", _, str(ion), str(member)):
            return _of_current(ion, member)
        case ("population", "parameters", int(), "set", str(key)):
            return _quantity_of(config, tuple(key.split(".")))
    return declared_quantity_of(config, path)


def quantity_of_constant(name: str) -> Quantity | None:
    """The quantity of a constant that can be learned, by the name of a parameter."""
    if current := current_member(name):
        return _of_current(current[1], current[2])
    found = constant_named(name)
    return found.quantity if found else None


def _of_current(ion: str, member: str) -> Quantity | None:
    own = CONDUCTANCE_OF.get(ion) if member == "conductance" else None
    return own or OF_CURRENTS[member].quantity
