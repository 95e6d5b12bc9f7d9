"""The outline of a cell: every frustum to scale, coloured by its type."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from numpy import ndarray

from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.morphology.repair import SOMA
from hpcpinn.report.canvas import canvas, scale_bar
from hpcpinn.report.heading import abridged

COLOURS = {1: "#333333", 2: "#0072B2", 3: "#D55E00", 4: "#8E4B9E"}
"""Soma, axon, basal, apical; told apart by most colour-blind readers."""
OTHERS = ("#009E73", "#E69F00", "#56B4E9", "#CC79A7")

THINNEST = 1.0 / 900.0
"""Thinnest line, as a share of the cell's extent: thinner neurites would vanish on the page."""


@dataclass(frozen=True)
class RoundSoma:
    """A soma that stands for a sphere: a cylinder as long as wide around the root.

    Attributes:
        rows: Whether each piece of the cable is the soma's, (F,).
        centre: Coordinates x and y of its centre, µm.
        radius: Radius of the circle, µm.
    """

    rows: Bool[ndarray, " F"]
    centre: tuple[float, float]
    radius: float

    @property
    def corners(self) -> Float[ndarray, "2 2"]:
        """Corners of the square around it, µm."""
        return np.array(self.centre) + self.radius * np.array([[-1.0, -1.0], [1.0, 1.0]])

    def outline(self, axes: Axes) -> Circle:
        """The circle that pieces of the soma are clipped to."""
        return Circle(self.centre, self.radius, transform=axes.transData)


def round_soma(cable: Cable) -> RoundSoma | None:
    """The soma where it stands for a sphere, None where it was drawn by hand or there is none."""
    if all(section.name != "soma[0]b" for section in cable.sections):
        return None
    halves = [k for k, section in enumerate(cable.sections) if section.name in ("soma[0]", "soma[0]b")]
    rows = np.isin(cable.section, halves)  # other sections of a soma are no part of the sphere
    first = int(rows.argmax())
    x, y = cable.xyz[first, 0, :2].tolist()
    return RoundSoma(rows, (x, y), float(cable.radius[first, 0]))


def draw_cell(path: Path, cable: Cable, *, title: str = "", marks: Float[ndarray, "k 3"] | None = None) -> None:
    """Draws the x-y projection of a cell into a picture file.

    Args:
        path: Picture; its directory is made.
        cable: The cell.
        title: Line above the picture.
        marks: Positions to point out (repaired points), µm.

    Raises:
        OutputError: The picture cannot be written.
    """
    soma = round_soma(cable)
    flat = outlines(cable.xyz[..., :2], cable.radius)[slice(None) if soma is None else ~soma.rows].reshape(-1, 2)
    flat = flat if soma is None else np.concatenate([flat, soma.corners])
    extent = np.ptp(flat, axis=0)
    with canvas(path, *_figure_size(extent)) as figure:
        axes = figure.add_subplot()
        handles = _draw_frusta(axes, cable, THINNEST * float(extent.max()))
        if marks is not None and len(marks):
            (dots,) = axes.plot(
                marks[:, 0], marks[:, 1], "o", ms=5, mfc="none", mec="#CC0000", mew=0.9, label="repaired"
            )
            handles.append(dots)
        axes.set_aspect("equal")
        axes.update_datalim(flat)  # discs count by their centres alone
        axes.autoscale_view()
        axes.set_axis_off()
        scale_bar(axes, flat, "µm")
        axes.set_title(abridged(title, int(10 * figure.get_figwidth())), fontsize=10)
        handles.append(Line2D([], [], color="0.4", lw=1, label="to scale"))
        figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)


def colours_of_kinds(cable: Cable) -> dict[int, str]:
    """A colour for every type of neurite that a cell has."""
    other = iter(OTHERS * len(cable.sections))
    return {int(kind): COLOURS.get(int(kind)) or next(other) for kind in np.unique(cable.kind)}


def _draw_frusta(axes: Axes, cable: Cable, thinnest: float) -> list[Artist]:
    """Puts the frusta on the axes, type by type, the soma on top; returns the legend's entries."""
    handles: list[Artist] = []
    colours = colours_of_kinds(cable)
    radius = np.maximum(cable.radius, 0.5 * thinnest)
    soma = round_soma(cable)
    for kind in sorted(map(int, np.unique(cable.kind)), key=lambda kind: (kind == SOMA, kind)):
        colour = colours[kind]
        rows = cable.kind == kind
        handles.append(Patch(color=colour, label=kind_name(kind)))
        if kind == SOMA and soma is not None:
            _discs(axes, np.array([soma.centre]), np.array([soma.radius]), colour)
            rows &= ~soma.rows
        ends, width = cable.xyz[rows][..., :2], radius[rows]
        axes.add_collection(PolyCollection(list(outlines(ends, width)), facecolor=colour, edgecolor="none"))
        _discs(axes, ends[:, 1], width[:, 1], colour)  # fill the gaps where a neurite bends
    return handles


def _discs(axes: Axes, centre: Float[ndarray, "k 2"], radius: Float[ndarray, " k"], colour: str) -> None:
    size = 2.0 * radius
    axes.add_collection(
        EllipseCollection(
            size,
            size,
            np.zeros(len(size)),
            units="xy",
            offsets=centre,
            transOffset=axes.transData,
            facecolor=colour,
            edgecolor="none",
        )
    )


def outlines(xy: Float[ndarray, "F 2 2"], radius: Float[ndarray, "F 2"]) -> Float[ndarray, "F 4 2"]:
    """The four corners of every frustum in the plane."""
    along = xy[:, 1] - xy[:, 0]
    size = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), np.finfo(float).tiny)
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) / size
    start, end = aside * radius[:, :1], aside * radius[:, 1:]
    return np.stack([xy[:, 0] + start, xy[:, 1] + end, xy[:, 1] - end, xy[:, 0] - start], axis=1)


def _figure_size(extent: Float[ndarray, " 2"]) -> tuple[float, float]:
    """Inches that fit the cell's shape: the longer side 8, the shorter at least 3."""
    side = 8.0 * extent / max(float(extent.max()), 1e-12)
    return float(max(side[0], 3.0)) + 1.0, float(max(side[1], 3.0))
