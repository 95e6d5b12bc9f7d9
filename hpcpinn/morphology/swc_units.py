"""Is this file really in micrometres?"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hpcpinn.morphology.swc import SwcTree

MICROMETRES = {"um": 1.0, "nm": 1e-3, "m": 1e6}
"""Micrometres per unit."""

LARGEST_EXTENT = 3e4
"""µm; whole-brain reconstructions of projection axons stay below 3 cm in a rodent."""
THICKEST_MEDIAN = 20.0
"""µm; half of a cell's points thicker than this would be a cell of nothing but somata."""
SMALLEST_EXTENT = 0.1
"""µm; no neuron is smaller, one in metres measures 1e-4 to 1e-2."""

_DECLARED = {
    "nm": re.compile(r"\bunits?\b.*\b(nm|nano\s?met(er|re)s?)\b", re.IGNORECASE),
    "m": re.compile(r"\bunits?\b.*\b(m|met(er|re)s?)\b", re.IGNORECASE),
}


def suspect_unit(tree: "SwcTree", comments: tuple[tuple[int, str], ...]) -> "SwcTree":
    """Adds a warning, and names the flag, when header or size speak against micrometres.

    Args:
        tree: The tree, its lengths taken for µm.
        comments: (line, text) of the file's comments.
    """
    unit, reason = _declared(comments) or _implausible(tree) or (None, "")
    if unit is None:
        return tree
    warning = (
        f"{reason}: lengths seem to be in {unit}, not um; "
        f"use --units {unit} (or --units um if they are right)"
    )
    return replace(tree, suspected_unit=unit, warnings=(*tree.warnings, warning))


def _declared(comments: tuple[tuple[int, str], ...]) -> tuple[str, str] | None:
    for line, text in comments:
        for unit, pattern in _DECLARED.items():
            if pattern.search(text):
                return unit, f"line {line} says '{text[:80]}'"
    return None


def _implausible(tree: "SwcTree") -> tuple[str, str] | None:
    extent = float(np.linalg.norm(np.ptp(tree.xyz, axis=0)))
    thickness = float(np.median(tree.radius))
    if extent > LARGEST_EXTENT:
        return "nm", f"the cell is {extent:.4g} um across"
    if tree.n_points > 1 and thickness > THICKEST_MEDIAN:
        return "nm", f"half of the radii exceed {thickness:.4g} um"
    if 0.0 < extent < SMALLEST_EXTENT:
        return "m", f"the cell is only {extent:.4g} um across"
    return None
