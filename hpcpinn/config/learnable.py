"""Names of the constants of a cell that can be learned, and what those of either sign are counted in."""

import re

BY_TYPE = "vdcc_density."
"""Begins the density of channels on one type of neurite."""
PLAIN = (
    "D_c", "D_b", "b_tot", "k_plus", "k_minus", "c_rest", "c_o", "pmca_max", "pmca_K", "ncx_max", "ncx_K", "leak",
    "vdcc_density", "vdcc_permeability", "j_release", "release_duration", "release_patch", "z_ca", "temperature",
    "rest_voltage",
)  # fmt: skip
"""Of [physics.constants]."""
OF_GATES = ("z", "half", "tau", "rate", "gamma")
"""Of a gate of the calcium channel, ``gates[0].half``."""
OF_VOLTAGE = ("cable.R_i", "cable.C_m", "cable.temperature", "field.magnitude")
"""Of the cable equation."""
OF_CURRENTS = ("conductance", "reversal")
"""Of a current of a channel set, ``channels.squid.sodium.conductance``."""
_MEASURES = {
    "rest_voltage": 10.0, "half": 10.0, "z": 1.0, "gamma": 0.1, "reversal": 10.0, "cable.temperature": 10.0,
}  # fmt: skip
_CURRENT = re.compile(rf"channels\.(\w+)\.(\w+)\.({'|'.join(OF_CURRENTS)})")
_GATE = re.compile(rf"gates\[(\d+)\]\.({'|'.join(OF_GATES)})")


def gate_member(name: str) -> tuple[int, str] | None:
    """(1, "half") for ``gates[1].half``; None for what is no constant of a gate."""
    found = _GATE.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def current_member(name: str) -> tuple[str, str, str] | None:
    """("squid", "sodium", "reversal") for ``channels.squid.sodium.reversal``; None for what is none of a current."""
    found = _CURRENT.fullmatch(name)
    return (found[1], found[2], found[3]) if found else None


def drives_voltage(name: str) -> bool:
    """Whether a constant is one of the voltage, and of calcium only by way of it."""
    return name in OF_VOLTAGE or current_member(name) is not None


def is_learnable(name: str) -> bool:
    """Whether a name can be that of a learned constant; which types and gates a cell has is its own affair."""
    by_type = name.startswith(BY_TYPE) and len(name) > len(BY_TYPE)
    return name in PLAIN or by_type or gate_member(name) is not None or drives_voltage(name)


def measure_of(name: str) -> float:
    """What a constant of either sign is counted in, in its own unit; 0 for a positive one, which is its logarithm."""
    gate, current = gate_member(name), current_member(name)
    return _MEASURES.get(gate[1] if gate else current[2] if current else name, 0.0)


def all_names() -> str:
    """All that can be learned, for a message."""
    plain = ", ".join([*PLAIN, f"{BY_TYPE}TYPE", f"gates[N].({'|'.join(OF_GATES)})", *OF_VOLTAGE])
    return f"{plain}, channels.SET.CURRENT.({'|'.join(OF_CURRENTS)})"
