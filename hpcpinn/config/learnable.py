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
_MEASURES = {"rest_voltage": 10.0, "half": 10.0, "z": 1.0, "gamma": 0.1}
_GATE = re.compile(rf"gates\[(\d+)\]\.({'|'.join(OF_GATES)})")


def gate_member(name: str) -> tuple[int, str] | None:
    """(1, "half") for ``gates[1].half``; None for what is no constant of a gate."""
    found = _GATE.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def is_learnable(name: str) -> bool:
    """Whether a name can be that of a learned constant; which types and gates a cell has is its own affair."""
    return name in PLAIN or (name.startswith(BY_TYPE) and len(name) > len(BY_TYPE)) or gate_member(name) is not None


def measure_of(name: str) -> float:
    """What a constant of either sign is counted in, in its own unit; 0 for a positive one, which is its logarithm."""
    gate = gate_member(name)
    return _MEASURES.get(gate[1] if gate else name, 0.0)


def all_names() -> str:
    """All that can be learned, for a message."""
    return f"{', '.join(PLAIN)}, {BY_TYPE}TYPE, gates[N].({'|'.join(OF_GATES)})"
