"""Names of the constants of a cell that can be learned, and what is declared of them."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from hpcpinn.core.parameters import LOGARITHM, Constant, learnable_in, nested_in, unknown
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.membrane_constants import CableConstants, Current, FieldConstants

PLAIN: Mapping[str, Constant] = MappingProxyType(learnable_in(CalciumConstants))
"""Of [physics.constants]."""
BY_TYPE = next(f"{name}." for name, entry in PLAIN.items() if entry.varies_by)
"""Begins the density of channels on one type of neurite."""
OF_PARTS: Mapping[str, Mapping[str, Constant]] = MappingProxyType(
    {name: learnable_in(part.declaration) for name, part in nested_in(CalciumConstants).items()}
)
"""Of parts: of a gate of the calcium channel (``gates[0].half``), of a buffer besides calbindin."""
OF_VOLTAGE: Mapping[str, Constant] = MappingProxyType(
    {
        f"{table}.{name}": entry
        for table, declaration in (("cable", CableConstants), ("field", FieldConstants))
        for name, entry in learnable_in(declaration).items()
    }
)
"""Of the cable equation."""
OF_CURRENTS: Mapping[str, Constant] = MappingProxyType(learnable_in(Current))
"""Of a current of a channel set, ``channels.squid.sodium.conductance``, ``channels.aberra-l23:node.Ih.reversal``."""
_CURRENT = re.compile(rf"channels\.([\w-]+(?::\w+)?)\.(\w+)\.({'|'.join(OF_CURRENTS)})")
_PART = re.compile(r"(\w+)\[\d+\]\.(\w+)")


def part_member(name: str) -> tuple[str, str] | None:
    """("gates", "half") for ``gates[1].half``; None for what is no constant of a part."""
    found = _PART.fullmatch(name)
    return (found[1], found[2]) if found and found[2] in OF_PARTS.get(found[1], {}) else None


def current_member(name: str) -> tuple[str, str, str] | None:
    """("squid", "sodium", "reversal") for ``channels.squid.sodium.reversal``; None for what is none of a current."""
    found = _CURRENT.fullmatch(name)
    return (found[1], found[2], found[3]) if found else None


def drives_voltage(name: str) -> bool:
    """Whether a constant is one of the voltage, and of calcium only by way of it."""
    return name in OF_VOLTAGE or current_member(name) is not None


def constant_named(name: str) -> Constant | None:
    """What is declared of a constant that can be learned, which may be one of a part, a current or a type of neurite.

    Which types, gates and buffers a cell has is its own affair.
    """
    if part := part_member(name):
        return OF_PARTS[part[0]][part[1]]
    if current := current_member(name):
        return OF_CURRENTS[current[2]]
    by_type = name.startswith(BY_TYPE) and len(name) > len(BY_TYPE)
    return OF_VOLTAGE.get(name) or PLAIN.get(name.partition(".")[0] if by_type else name)


def is_learnable(name: str) -> bool:
    """Whether a name can be that of a learned constant."""
    return constant_named(name) is not None


def measure_of(name: str) -> float:
    """What a constant of either sign is counted in, in its own unit; 0 for a positive one, which is its logarithm."""
    found = constant_named(name)
    return LOGARITHM if found is None else found.measure


def unit_of(name: str) -> str:
    """The unit of a constant that can be learned, as files have it; 1 for a plain number.

    Raises:
        KeyError: Nothing of that name can be learned.
    """
    found = constant_named(name)
    if found is None:
        raise KeyError(name)
    return found.plain_unit


def refusal(name: str) -> str:
    """What a person is told whose name is none of a constant that can be learned."""
    parts = (f"{BY_TYPE}TYPE", *(f"{name}[N].({'|'.join(members)})" for name, members in OF_PARTS.items()))
    return unknown(name, [*PLAIN, *parts, *OF_VOLTAGE, f"channels.SET.CURRENT.({'|'.join(OF_CURRENTS)})"])
