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
    rf"(?:(?P<number>\d+,\d+|{NUMBER})(?:{_TIMES})?\s*)?{UNIT_OF_LENGTH.format('')}(?:{_TIMES}(?P<times>{NUMBER}))?"
)
_END = (
    r"""\s*(?:$|[,;.)\]}("'](?![\w^])|[,;.)\]}("']\s|\(|/\s*""" + _PIXEL + r"|(?i:for|per|and|unless|throughout|"
    r"converted|scaled)\b" + rf"|[x×*]\s*{NUMBER}\s*{UNIT_OF_LENGTH.format('_of_next')}\b)"
)
_PIXELS = (
    _PIXEL
    + rf"(?:(?:\s*(?:[(=:,]|(?i:of|at|size)\b|1\s*{_PIXEL}))*\s*"
    + rf"(?P<size>{NUMBER})\s*{UNIT_OF_LENGTH.format('_of_size')}\b)?"
)
_DECLARED = [re.compile(rf"{start}(?:{_VALUE}(?={_END})|(?P<pixel>{_PIXELS}))") for start in (_KEYWORD, _IN_UNITS)]
_CONVERTED = re.compile(rf"(?i:\b(?:converted|scaled)\s+(?:in)?to)\s+{UNIT_OF_LENGTH.format('')}\b")
_NEXT_AXIS = re.compile(rf"""["'\])]*\s*[,x×*]\s*["'\[(]*\s*{_VALUE}(?={_END})""")
_RADIUS = r"(?i:radi(?:us|i)|diameters?|thickness)\b"
_OF_RADII = re.compile(
    rf"{UNIT_OF_LENGTH.format('_before')}\s*[\[(]\s*(?:{_RADIUS}|r\b)"
    rf"|\b{_RADIUS}\s*(?:[:=(\[]|(?i:in|is|are)\b)\s*(?P<behind>{UNIT_OF_LENGTH.format('_behind')})\b"
)
_UNKNOWN = re.compile(
    r"""(?i:\bunits?\b)["']?(?:\s+(?i:of\s+length))?\s*[:=]\s*[\[({"']*\s*(?P<what>"""
    rf"[-−]\s*{NUMBER}\s*{UNIT_OF_LENGTH.format('')}|[-+]?(?i:inf(?:inity)?|nan)\s*{UNIT_OF_LENGTH.format('_of_inf')}"
    rf"|(?:{NUMBER}\s*)?(?i:inch(?:es)?|feet|foot|ft|mils?|[åÅ]|[åa]ngstr[öo]ms?|[kdp]m|pico-?met(?:er|re)s?"
    r"|kilo-?met(?:er|re)s?|deci-?met(?:er|re)s?|none|unknown|unspecified|undefined|n/a|arbitrary(?:\s+units?)?|a\.\s?u\.?)"
    r""")\s*(?:$|["'\])},;.(])"""
)
_AMOUNT = rf"{NUMBER}(?:\s*[x×*,]\s*{NUMBER})*\s*"
_HINT = re.compile(
    r"(?i:\b(?:voxel|pixel)[ _-]?(?:sizes?|dimensions?)|\bresolution|\bscale)\s*[:=]\s*[\[(]*\s*"
    rf"(?P<amount>{_AMOUNT}){UNIT_OF_LENGTH.format('')}\b|\b[xX]\s*[\[(]\s*{UNIT_OF_LENGTH.format('_of_x')}\s*[\])]"
)
_LONGEST_HINT = 300
"""Characters of a comment in which a hint is looked for: thousands of digits would take seconds."""
_DIFFERENT = "have different units, so no one factor converts them"


@dataclass(frozen=True)
class Declaration:
    """What a comment says of the unit of a file.

    Attributes:
        line: Line of the comment.
        text: The comment.
        unit: Unit as `length_per_unit` reads it ("um", "8nm"); None where the size of a unit is left open.
        why_open: Reason why the size is left open, in words.
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
        declared = next(declarations(comments), None)
        hints = () if declared else tuple(_hints(comments))[:1]
        return replace(tree, warnings=(*tree.warnings, *hints)) if hints else tree
    return replace(tree, suspected_unit=suspected, warnings=(*tree.warnings, warning))


def _hints(comments: tuple[tuple[int, str], ...]) -> Iterator[str]:
    """Warnings of what may be the unit of the lengths, or only tell of the image they were traced in."""
    for line, comment in comments:
        match = _HINT.search(plain_mu(comment[:_LONGEST_HINT]))
        if match is None:
            continue
        unit = unit_in(match) if match["amount"] else unit_in(match, "_of_x")
        numbers = [float(number) for number in re.findall(NUMBER, match["amount"] or "")]
        if unit == "um" and all(number == 1.0 for number in numbers):
            continue
        yield (
            f"{Declaration(line, comment, None).says}, which may be a unit; lengths are taken for um: use --units if "
            "they are in another (--units um if they are right)"
        )


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
        else:
            if unknown := _UNKNOWN.search(text):
                yield Declaration(line, comment, None, f"declares a unit that is not known ({unknown['what']})")


def _declared(match: re.Match[str], text: str) -> tuple[str | None, str] | None:
    """Unit and, where there is none, the reason; None if this is no declaration."""
    given = [_number(match[name]) for name in ("number", "times", "size") if match[name]]
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
    unit = _in_words(match)
    axis = _NEXT_AXIS.match(text, match.end())
    while axis:
        if _in_words(axis) != unit:
            return None, f"the axes {_DIFFERENT}"
        axis = _NEXT_AXIS.match(text, axis.end())
    radii = _OF_RADII.search(text, match.end())
    if radii and unit_in(radii, "_behind" if radii["behind"] else "_before") != unit:
        return None, f"the columns {_DIFFERENT}"
    return unit, ""


def _number(text: str | None) -> float:
    return float((text or "1").replace(",", "."))


def _in_words(match: re.Match[str]) -> str:
    """The unit of a match of `_VALUE`."""
    return _spelled(_number(match["number"]) * _number(match["times"]), unit_in(match))


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
        if found.why_open.endswith(_DIFFERENT):
            return "unknown", (
                f"{found.says}: {found.why_open}; write all lengths in one unit (or use --units um if they are in um)"
            )
        return "unknown", (
            f"{found.says}: {found.why_open}; give it with --units, such as --units 0.25um or "
            f"--units {VOXEL} (or --units um if lengths are in um)"
        )
    what = f"lengths seem to be in {found.unit}" if found.unit in LENGTH else f"a length of 1 seems to be {found.unit}"
    return found.unit, (f"{found.says}: {what}, not um; use --units {found.unit} (or --units um if they are right)")


def _by_size(tree: "SwcTree") -> tuple[str, str] | None:
    extent = float(np.linalg.norm(np.ptp(tree.xyz, axis=0)))
    thickness = float(np.median(tree.radius))
    if extent > LARGEST_EXTENT:
        return "nm", f"the cell is {extent:.4g} um across: {_if_in(extent, 'nm', VOXEL)}"
    if tree.n_points > 1 and thickness > THICKEST_MEDIAN:
        return "nm", f"half of the radii exceed {thickness:.4g} um: {_if_in(extent, 'nm', VOXEL)}"
    if 0.0 < extent < SMALLEST_EXTENT:
        fitting = [unit for unit in ("mm", "m") if USUAL_EXTENT[0] <= extent * LENGTH[unit] <= USUAL_EXTENT[1]]
        return (fitting or ["m"])[-1], f"the cell is only {extent:.4g} um across: {_if_in(extent, *fitting or ['m'])}"
    return None


def _if_in(extent: float, *units: str) -> str:
    """What units the lengths may be in, and the size of the cell if they are."""
    sizes = [
        f"--units {unit} ({'voxels of 8 nm' if unit == VOXEL else unit}) would make it "
        f"{extent * (8e-3 if unit == VOXEL else LENGTH[unit]):.4g} um"
        for unit in units
    ]
    return (
        f"lengths are hardly in um; {', '.join(sizes)}; use what the file was written in (--units um if they are right)"
    )
