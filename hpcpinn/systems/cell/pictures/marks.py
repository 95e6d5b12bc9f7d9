"""Where something acts on a cell or is measured: synapses, fluxes, current clamps, probes, and the field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path as Outline
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.directions import direction_of
from hpcpinn.morphology.sites import parse_site, place
from hpcpinn.report.canvas import halo
from hpcpinn.report.heading import abridged
from hpcpinn.systems.cell.pictures.change import number

_NAMED = 8
"""Probes that are called by name beside the tree; more would hide it."""
_LONGEST = 18
"""Characters of such a name."""
_CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Where it may stand beside its place, right and up as signs; of equal ones the first."""
_NEAR = 0.15
"""How far from the place the tree is looked at, as a share of its size."""
_SIDEWAYS = 0.05
"""Share of the field in the plane of the picture below which it is said to point out of it or into it."""

_ACROSS = ((0.0, 0.0), (-0.4, 1.0), (0.4, 1.0))
"""A wedge whose point is at the place and whose body is beside it, so that it hides nothing."""


def _turned(corners: Sequence[tuple[float, float]], degrees: float) -> Outline:
    """A closed polygon, turned anticlockwise."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Outline(np.array([*corners, corners[0]]) @ turn, closed=True)


_STYLES: dict[str, dict[str, Any]] = {
    "synapse": {"marker": _turned(_ACROSS, 0.0), "ms": 13.0, "mfc": "#009E73", "mec": "white", "mew": 0.5},
    "flux": {"marker": _turned(_ACROSS, 90.0), "ms": 13.0, "mfc": "#56B4E9", "mec": "black", "mew": 0.5},
    "current clamp": {"marker": _turned(_ACROSS, 225.0), "ms": 13.0, "mfc": "#CC79A7", "mec": "black", "mew": 0.5},
    "probe": {"marker": "o", "ms": 5.0, "mfc": "none", "mec": "black", "mew": 0.7},
    "place": {"marker": "D", "ms": 4.0, "mfc": "none", "mec": "black", "mew": 0.7},
}
"""Kinds of marks, in the order of the legend."""

_NAMED_KINDS = ("probe", "place")
_PLURAL = {kind: f"{kind}{'es' if kind == 'flux' else 's'}" for kind in _STYLES}


@dataclass(frozen=True)
class Mark:
    """One place.

    Attributes:
        kind: synapse, flux, current clamp, probe, or the place of a curve that no probe has seen.
        name: What the user called it.
        place: Coordinates x and y, µm.
    """

    kind: str
    name: str
    place: tuple[float, float]


def marks_of(result: Result) -> list[Mark]:
    """All places that a run names: those of the stored run description, and the probes.

    Places that cannot be found on the stored cable (a point of the file inside a piece) are left out.
    """
    found = [
        Mark(kind, str(given["site"]), where)
        for kind, table in (("synapse", "synapse"), ("flux", "flux"), ("current clamp", "clamp"))
        for given in result.config.get(table, ())
        if (where := _place_of(str(given["site"]), result.cable)) is not None
    ]
    ends, fraction = result.cable.xyz[result.probes.piece], result.probes.fraction[:, None]
    places = (1.0 - fraction) * ends[:, 0] + fraction * ends[:, 1]
    probes = [
        Mark("probe", name, (float(x), float(y))) for name, (x, y, _) in zip(result.probes.name, places, strict=True)
    ]
    return found + probes


def _place_of(site: str, cable: Cable) -> tuple[float, float] | None:
    try:
        x, y, _ = place(parse_site(site, cable), cable)[2].tolist()
    except InputError:
        return None
    return x, y


def draw_marks(axes: Axes, marks: Sequence[Mark], cable: Cable | None = None) -> None:
    """Puts marks on a tree; probes with their names, where they are few.

    Args:
        axes: Axes of the tree, in µm.
        marks: The places.
        cable: Pieces of the tree, of which names should hide little; None: they stand above their places on the right.
    """
    for kind, style in _STYLES.items():
        places = np.array([mark.place for mark in marks if mark.kind == kind]).reshape(-1, 2)
        if len(places):
            axes.plot(*places.T, ls="none", gid=kind, zorder=5, clip_on=False, **style)
    probes = [mark for mark in marks if mark.kind in _NAMED_KINDS]
    if len(probes) > _NAMED:
        return
    for mark in probes:
        text = abridged(mark.name, _LONGEST)
        right, up = _CORNERS[0] if cable is None else _free_corner(mark.place, cable)
        offset, side = (6 * right, 4 if up > 0 else -9), "left" if right > 0 else "right"
        halo(axes.annotate(text, mark.place, offset, textcoords="offset points", ha=side, fontsize=6.5, zorder=6))


def _free_corner(at: tuple[float, float], cable: Cable) -> tuple[int, int]:
    """To which side of a place a name hides the least length of the tree: right and up as signs."""
    middle = cable.xyz[..., :2].mean(axis=1)
    reach = _NEAR * float(np.ptp(cable.xyz[..., :2].reshape(-1, 2), axis=0).max())
    away = middle - np.array(at)
    length = np.where(np.abs(away).max(axis=1) < reach, cable.length, 0.0)
    hidden = [float(length[(away * corner > 0.0).all(axis=1)].sum()) for corner in _CORNERS]
    return _CORNERS[int(np.argmin(np.round(hidden, 6)))]


def legend_of_marks(marks: Sequence[Mark]) -> list[Line2D]:
    """An entry for every kind of mark that there is: ``2 synapses``."""
    counts = {kind: sum(mark.kind == kind for mark in marks) for kind in _STYLES}
    return [
        Line2D([], [], ls="none", label=kind if count == 1 else f"{count} {_PLURAL[kind]}", **_centred(_STYLES[kind]))
        for kind, count in counts.items()
        if count
    ]


def _centred(style: dict[str, Any]) -> dict[str, Any]:
    """A style whose wedge lies on the line of the text, not with its point there."""
    wedge = style["marker"]
    if not isinstance(wedge, Outline):
        return style
    middle = 0.5 * np.asarray(wedge.vertices)[1:3].mean(axis=0)
    return style | {"marker": Outline(wedge.vertices - middle, closed=True), "ms": 0.5 * style["ms"]}


def field_entry(config: Mapping[str, Any]) -> Line2D | None:
    """The field of a run description as an entry of a legend: an arrow in its direction, with its magnitude.

    The arrow lies in the plane of the picture; a circle with a dot points to the reader, one with a cross away.
    """
    given = config.get("field") or {}
    style: dict[str, Any] = {"ls": "none", "mfc": "black", "mec": "black", "mew": 0.5}
    if given.get("file"):
        return Line2D([], [], marker="$E$", ms=6.0, label=f"field of {Path(given['file']).name}", **style)
    if not given.get("magnitude"):
        return None
    polar, azimuth = given.get("polar"), given.get("azimuth") or 0.0
    along = given["direction"] if polar is None else direction_of(polar, azimuth)
    direction = np.sign(given["magnitude"]) * np.asarray(along, float)
    size = float(np.linalg.norm(direction))
    if size == 0.0:
        return None
    components = ", ".join(number(float(part)) for part in np.round(direction / size, 2) + 0.0)
    text = f"field {number(abs(given['magnitude']))} V/m, towards ({components})"
    flat = direction[:2] / size
    if np.linalg.norm(flat) < _SIDEWAYS:
        sign = r"$\odot$" if direction[2] > 0.0 else r"$\otimes$"
        return Line2D([], [], marker=sign, ms=9.0, label=text, **style)
    return Line2D([], [], marker=arrow_along(flat), ms=12.0, label=text, **style)


def arrow_along(flat: Float[ndarray, " 2"]) -> Outline:
    """An arrow through the origin that points along a direction of the plane."""
    corners = ((-1.0, -0.08), (0.3, -0.08), (0.3, -0.35), (1.0, 0.0), (0.3, 0.35), (0.3, 0.08), (-1.0, 0.08))
    return _turned(corners, float(np.degrees(np.arctan2(flat[1], flat[0]))))
