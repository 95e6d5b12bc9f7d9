"""Named places on a cell: what users write, and where that is on the cable.

=================  ==================================================================
``soma``           middle of the soma; of its section with most membrane if it has several
``root``           root of the tree
``apic[12](0.5)``  section and position on it, 0 at its start, 1 at its end (default 0.5)
``point:123``      point of the SWC file by its id
``xyz:1,2,3``      nearest place to a position in µm, at most 50 µm from the cable
``tip:apic``       farthest tip of a type along the tree; ``tip`` alone: of the whole cell
=================  ==================================================================
"""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError, warn
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import KIND_NAMES, kind_name
from hpcpinn.morphology.repair import SOMA
from hpcpinn.morphology.site_names import (
    GRAMMAR,
    LONGEST_NUMBER,
    near_names,
    section_numbers,
    shown,
    suggestion,
)
from hpcpinn.morphology.swc import SwcTree

FARTHEST = 50.0
"""µm from the surface of the cable; a position farther away was meant for another cell, or in another unit."""

BESIDE = 1.0
"""µm from the surface of the cell; a position farther away is moved, which is said."""

_SECTION = re.compile(r"(?P<name>[a-z]+\d*\[\d+\]b?)(\((?P<x>[^()]*)\))?\Z")
_ALIASES = {"axon": 2, "dend": 3, "basal": 3, "apic": 4, "apical": 4, "soma": 1}


@dataclass(frozen=True)
class Site:
    """One place on a cable.

    Attributes:
        frustum: Row of the cable.
        fraction: Position on it, 0 at its start, 1 at its end.
        name: What the user called it.
    """

    frustum: int
    fraction: float
    name: str


def parse_site(text: str, cable: Cable, tree: SwcTree | None = None) -> Site:
    """Finds the place that a user named.

    Args:
        text: See the table of this module.
        cable: The cable, or the same cable cut into pieces.
        tree: The SWC points, for ``point:ID``: with them a point that merging took out of the
            cable, or that a wire joins to the soma, is found by its position.

    Raises:
        InputError: The text is no site, or the cable has no such place; names the nearest.
    """
    words = text.strip()
    if words == "soma":
        return _soma(cable, words)
    if words == "root":
        return Site(_rooted(cable), 0.0, words)
    if words == "tip" or words.startswith("tip:"):
        return _tip(words, cable)
    if words.startswith("point:"):
        return _point(words, cable, tree)
    if words.startswith("xyz:"):
        return _at_position(cable, _numbers(words.removeprefix("xyz:"), 3, words), words)
    return _on_section(words, cable)


def _soma(cable: Cable, name: str) -> Site:
    if not (cable.kind == SOMA).any():
        raise InputError(f"site '{name}': this cell has no soma; use 'root' or one of {GRAMMAR}")
    return _at(_main_soma(cable), 0.5, cable, name)


def _main_soma(cable: Cable) -> str:
    """The section of the soma with most membrane: files numbered depth first have several, some a nm long."""
    area = np.bincount(cable.section, cable.membrane, len(cable.sections))
    total: dict[str, float] = {}
    for section, own in zip(cable.sections, area, strict=True):
        if section.kind == SOMA:
            name = section.name.removesuffix("b")
            total[name] = total.get(name, 0.0) + float(own)
    most = max(total.values()) * (1.0 - 1e-9)  # the same one when the cable is cut into pieces
    return next(name for name, own in total.items() if own >= most)


def _rooted(cable: Cable) -> int:
    return int(np.flatnonzero(cable.node[:, 0] == cable.node[0, 0])[0])


def _on_section(words: str, cable: Cable) -> Site:
    names = [section.name for section in cable.sections]
    match = _SECTION.match(words)
    if match is None or match["name"] not in names:
        wanted = match["name"] if match else words
        raise InputError(f"site '{shown(words)}': {suggestion(wanted, names)}")
    x = 0.5 if match["x"] is None else _numbers(match["x"], 1, words)[0]
    if not 0.0 <= x <= 1.0:
        raise InputError(f"site '{words}': position {x:g} is not between 0 and 1")
    return _at(match["name"], float(x), cable, words)


def _at(section: str, x: float, cable: Cable, name: str) -> Site:
    """Position x on a section; a soma of two halves counts as one section through the root."""
    index = {s.name: k for k, s in enumerate(cable.sections)}
    if section == "soma[0]" and "soma[0]b" in index:
        section, x = ("soma[0]", 2.0 * x - 1.0) if x >= 0.5 else ("soma[0]b", 1.0 - 2.0 * x)
    rows = np.flatnonzero(cable.section == index[section])
    first = cable.start[rows[0]]  # > 0 where a rank holds only the end of a section
    s = first + x * (cable.start[rows[-1]] + cable.length[rows[-1]] - first)
    k = rows[max(0, np.searchsorted(cable.start[rows], s, side="right") - 1)]
    return Site(int(k), float(np.clip((s - cable.start[k]) / cable.length[k], 0.0, 1.0)), name)


def _tip(words: str, cable: Cable) -> Site:
    ends = ~np.isin(cable.node[:, 1], cable.node[:, 0])
    if words != "tip":
        kind = _kind(words, cable)
        ends &= cable.kind == kind
        if not ends.any():
            raise InputError(f"site '{words}': no {kind_name(kind)} ends freely; name a section instead")
    rows = np.flatnonzero(ends)
    return Site(int(rows[np.argmax(cable.path[rows, 1])]), 1.0, words)


def _kind(words: str, cable: Cable) -> int:
    wanted = words.removeprefix("tip:").strip()
    known = {kind_name(int(kind)): int(kind) for kind in np.unique(cable.kind)}
    known |= {name: kind for name, kind in _ALIASES.items() if KIND_NAMES[kind] in known}
    known |= {str(kind): kind for kind in list(known.values())}
    if wanted not in known:
        there = ", ".join(sorted(name for name in known if not name.isdigit()))
        close = near_names(words, section_numbers(section.name for section in cable.sections))
        meant = f"; did you mean {close[0]}?" if close and close[0].startswith("tip:") else ""
        raise InputError(f"site '{shown(words)}': no type '{shown(wanted)}' in this cell; there are {there}{meant}")
    return known[wanted]


def _point(words: str, cable: Cable, tree: SwcTree | None) -> Site:
    wanted = words.removeprefix("point:").strip()
    if not wanted.isdecimal():
        raise InputError(f"site '{shown(words)}': '{shown(wanted)}' is not a point id; write point:123")
    there = tree.id if tree is not None else cable.swc_id[cable.swc_id >= 0]
    if len(wanted.lstrip("0")) > LONGEST_NUMBER:
        raise InputError(f"site '{shown(words)}': no such point; ids run from {there.min()} to {there.max()}")
    if tree is not None:
        return _point_of_tree(int(wanted), words, cable, tree)
    rows = np.flatnonzero(cable.swc_id == int(wanted))
    if len(rows) == 0:
        there = np.unique(there)
        near = there[np.argsort(np.abs(there - int(wanted)), kind="stable")[:2]]
        ids = " and ".join(map(str, sorted(near))) or "none"
        raise InputError(f"site '{words}': no frustum ends at point {wanted}; the nearest ids are {ids}")
    row = rows[-1]  # the last piece of the frustum ends at the point
    at_centre = cable.kind[row] == SOMA and any(s.name == "soma[0]b" for s in cable.sections)
    return _at("soma[0]", 0.5, cable, words) if at_centre else Site(int(row), 1.0, words)


def _point_of_tree(wanted: int, words: str, cable: Cable, tree: SwcTree) -> Site:
    rows = np.flatnonzero(tree.id == wanted)
    if len(rows) == 0:
        near = tree.id[np.argmin(np.abs(tree.id - wanted))]
        raise InputError(f"site '{words}': no point {wanted} in {tree.path}; the nearest id is {near}")
    same = cable.kind == tree.kind[rows[0]]
    return _nearest(cable, tree.xyz[rows[0]], words, same if same.any() else None)


def _at_position(cable: Cable, position: Float[ndarray, " 3"], words: str) -> Site:
    """The nearest place to a position, which must be near the cable."""
    site = _nearest(cable, position, words)
    x, (inner, outer) = site.fraction, cable.radius[site.frustum]
    reach = np.linalg.norm(place(site, cable)[2] - position) - ((1.0 - x) * inner + x * outer)
    if reach > FARTHEST:
        name, along, (near_x, near_y, near_z) = place(site, cable)
        raise InputError(
            f"site '{words}': {reach:.4g} um from the cell; the nearest place is {name}, {along:.1f} um from its "
            f"start, at xyz:{near_x:.1f},{near_y:.1f},{near_z:.1f}; give a position within {FARTHEST:g} um"
        )
    if reach > BESIDE:
        name, along, _ = place(site, cable)
        warn(
            f"site '{words}': {reach:.4g} um beside the cell; the nearest place is taken, {name}, {along:.1f} um "
            "from its start"
        )
    return site


def _nearest(cable: Cable, position: Float[ndarray, " 3"], name: str, among: ndarray | None = None) -> Site:
    """The place on the centre lines nearest to a position."""
    start, along = cable.xyz[:, 0], cable.xyz[:, 1] - cable.xyz[:, 0]
    squared = np.maximum(np.sum(along**2, axis=1), np.finfo(float).tiny)
    fraction = np.clip(np.sum((position - start) * along, axis=1) / squared, 0.0, 1.0)
    distance = np.linalg.norm(start + fraction[:, None] * along - position, axis=1)
    if among is not None:
        distance = np.where(among, distance, np.inf)
    row = int(np.argmin(distance))
    return Site(row, float(fraction[row]), name)


def _numbers(text: str, count: int, words: str) -> Float[ndarray, " count"]:
    try:
        values = np.array([float(word) for word in text.split(",")])
    except ValueError:
        values = np.array([np.nan])
    if len(values) != count or not np.all(np.isfinite(values)):
        what = "three numbers, xyz:1,2,3" if count == 3 else "a number between 0 and 1, as in soma[0](0.5)"
        raise InputError(f"site '{shown(words)}': '{shown(text)}' is not {what}")
    return values


def place(site: Site, cable: Cable) -> tuple[str, float, Float[ndarray, " 3"]]:
    """Section, position on it (µm from its start) and xyz of a site, for tables and pictures."""
    f, x = site.frustum, site.fraction
    xyz = (1.0 - x) * cable.xyz[f, 0] + x * cable.xyz[f, 1]
    return cable.sections[cable.section[f]].name, float(cable.start[f] + x * cable.length[f]), xyz


def positions(sites: list[Site]) -> tuple[Int[ndarray, " n"], Float[ndarray, " n"]]:
    """Frusta and fractions of sites as arrays."""
    return np.array([s.frustum for s in sites], int), np.array([s.fraction for s in sites], float)
