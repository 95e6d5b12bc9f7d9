"""Is this file really in micrometres? What its header says, and what its size says."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hpcpinn.units import LENGTH, NUMBER, UNIT_OF_LENGTH, plain_mu, unit_in

if TYPE_CHECKING:
    from hpcpinn.morphology.swc import SwcTree

LARGEST_EXTENT = 3e4
"""µm; whole-brain reconstructions of projection axons stay below 3 cm in a rodent."""
THICKEST_MEDIAN = 20.0
"""µm; half of a cell's points thicker than this would be a cell of nothing but somata."""
SMALLEST_EXTENT = 0.1
"""µm; no neuron is smaller, one in metres measures 1e-4 to 1e-2."""
USUAL_EXTENT = (10.0, LARGEST_EXTENT)
"""µm; what a cell should measure in a unit that is proposed for it."""

VOXEL = "8nm"
"""A usual voxel of electron microscopy, as an example."""

_PIXEL = r"(?i:pixels?|px|voxels?|vox|vx)\b"
_TIMES = r"\s*[x×*]\s*"
_KEYWORD = (
    r"""(?i:\bunits?\b)["']?(?:\s+(?i:of\s+(?:length|measure(?:ment)?|coordinates?)))?"""
    r"""(?P<linked>\s*(?:[:=]|\b(?i:is|are|in)\b)?\s*[\[({"']*\s*)"""
)
_IN_UNITS = (
    r"(?i:\b(?:coordinates?|positions?|lengths?|xyz|x, ?y, ?z)(?:\s+(?:is|are|all|given|measured|expressed))*\s+in\s+"
    r"(?:units\s+of\s+)?|\bin\s+units\s+of\s+)(?P<linked>)"
)
_VALUE = (
    rf"(?:(?P<number>{NUMBER})(?:{_TIMES})?\s*)?{UNIT_OF_LENGTH.format('')}(?:{_TIMES}(?P<times>{NUMBER}))?"
)
_END = (
    r"""\s*(?:$|[,;.)\]}("'](?![\w^])|[,;.)\]}("']\s|\(|/\s*"""
    + _PIXEL
    + r"|(?i:for|per|and|unless|throughout|"
    r"converted|scaled)\b)"
)
_PIXELS = (
    _PIXEL
    + rf"(?:\s*(?:[(=:,]|(?i:of|at|size))*\s*(?P<size>{NUMBER})\s*{UNIT_OF_LENGTH.format('_of_size')}\b)?"
)
_DECLARED = [
    re.compile(rf"{start}(?:{_VALUE}(?={_END})|(?P<pixel>{_PIXELS}))") for start in (_KEYWORD, _IN_UNITS)
]
_CONVERTED = re.compile(rf"(?i:\b(?:converted|scaled)\s+(?:in)?to)\s+{UNIT_OF_LENGTH.format('')}\b")
_NEXT_AXIS = re.compile(rf"""["'\])]*\s*,\s*["'\[(]*\s*{_VALUE}(?={_END})""")


@dataclass(frozen=True)
class Declaration:
    """What a comment says of the unit of a file.

    Attributes:
        line: Line of the comment.
        text: The comment.
        unit: As `length_per_unit` reads it ("um", "8nm"); None where the size of a unit is left open.
        why_open: Why it is, in words.
    """

    line: int
    text: str
    unit: str | None
    why_open: str = ""

    @property
    def says(self) -> str:
        return f"line {self.line} says '{self.text[:80]}'"


def suspect_unit(tree: "SwcTree", comments: tuple[tuple[int, str], ...]) -> "SwcTree":
    """Adds a warning, and names the flag, when header or size speak against micrometres.

    Args:
        tree: The tree, its lengths taken for µm.
        comments: (line, text) of the file's comments.
    """
    suspected, warning = _by_header(comments) or _by_size(tree) or (None, "")
    if suspected is None:
        return tree
    return replace(tree, suspected_unit=suspected, warnings=(*tree.warnings, warning))


def declarations(comments: tuple[tuple[int, str], ...]) -> Iterator[Declaration]:
    """The units that comments declare: after the word "unit" or "coordinates in", not anywhere in prose.

    A number counts (``8 nanometer``, ``micron x 0.25``), µ in any encoding, and pixels that say their
    size (``voxels of 8 nm``).
    """
    for line, comment in comments:
        text = plain_mu(comment)
        for match in filter(None, (pattern.search(text) for pattern in _DECLARED)):
            found = _declared(match, text)
            if found is not None:
                yield Declaration(line, comment, *found)
                break


def _declared(match: re.Match[str], text: str) -> tuple[str | None, str] | None:
    """Unit and, where there is none, the reason; None if this is no declaration."""
    given = [float(match[name]) for name in ("number", "times", "size") if match[name]]
    if not all(0.0 < number < math.inf for number in given):
        return None
    if match["pixel"]:
        if match["size"]:
            return _spelled(float(match["size"]), unit_in(match, "_of_size")), ""
        return None, "lengths are in pixels or voxels, whose size is not given"
    is_bare = not match["linked"].strip() and "in" not in match[0].split()
    if is_bare and (match["number"] or match["m"]):
        return None  # "Unit 12 m ..." is prose
    converted = _CONVERTED.search(text, match.end())
    if converted:
        return unit_in(converted), ""
    unit = _spelled(float(match["number"] or 1.0) * float(match["times"] or 1.0), unit_in(match))
    axis = _NEXT_AXIS.match(text, match.end())
    while axis:
        if _spelled(float(axis["number"] or 1.0) * float(axis["times"] or 1.0), unit_in(axis)) != unit:
            return None, "the axes have different units, so no one factor converts them"
        axis = _NEXT_AXIS.match(text, axis.end())
    return unit, ""


def _spelled(number: float, unit: str) -> str:
    """One of `LENGTH` where that is the same, else number and unit."""
    worth = number * LENGTH[unit]
    same = [name for name, value in LENGTH.items() if math.isclose(worth, value, rel_tol=1e-12)]
    return same[0] if same else f"{number:.12g}{unit}"


def _by_header(comments: tuple[tuple[int, str], ...]) -> tuple[str, str] | None:
    """The suspected unit and a warning; the first declaration counts, later ones may speak of the raw data."""
    found = next(declarations(comments), None)
    if found is None or found.unit == "um":
        return None
    if found.unit is None:
        return "unknown", (
            f"{found.says}: {found.why_open}; give it with --units, such as --units 0.25um or "
            f"--units {VOXEL} (or --units um if lengths are in um)"
        )
    what = (
        f"lengths seem to be in {found.unit}"
        if found.unit in LENGTH
        else f"a length of 1 seems to be {found.unit}"
    )
    return found.unit, (
        f"{found.says}: {what}, not um; use --units {found.unit} (or --units um if they are right)"
    )


def _by_size(tree: "SwcTree") -> tuple[str, str] | None:
    extent = float(np.linalg.norm(np.ptp(tree.xyz, axis=0)))
    thickness = float(np.median(tree.radius))
    if extent > LARGEST_EXTENT:
        return "nm", f"the cell is {extent:.4g} um across: {_if_in(extent, 'nm', VOXEL)}"
    if tree.n_points > 1 and thickness > THICKEST_MEDIAN:
        return "nm", f"half of the radii exceed {thickness:.4g} um: {_if_in(extent, 'nm', VOXEL)}"
    if 0.0 < extent < SMALLEST_EXTENT:
        fitting = [
            unit for unit in ("mm", "m") if USUAL_EXTENT[0] <= extent * LENGTH[unit] <= USUAL_EXTENT[1]
        ]
        return (fitting or ["m"])[
            -1
        ], f"the cell is only {extent:.4g} um across: {_if_in(extent, *fitting or ['m'])}"
    return None


def _if_in(extent: float, *units: str) -> str:
    """What units the lengths may be in, and the size of the cell if they are."""
    sizes = [
        f"--units {unit} ({'voxels of 8 nm' if unit == VOXEL else unit}) would make it "
        f"{extent * (8e-3 if unit == VOXEL else LENGTH[unit]):.4g} um"
        for unit in units
    ]
    return (
        f"lengths are hardly in um; {', '.join(sizes)}; use what the file was written in "
        "(--units um if they are right)"
    )
