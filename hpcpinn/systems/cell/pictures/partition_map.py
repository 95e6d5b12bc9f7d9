"""The map of a partition: every piece in the colour of its rank, a mark at every cut."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba_array
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy import ndarray

from hpcpinn.report.canvas import canvas, scale_bar
from hpcpinn.report.heading import Heading
from hpcpinn.systems.cell.pictures.cell_outline import RoundSoma, outlines

_PALETTE = to_rgba_array(
    ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#999933", "#882255", "#888888"]
)[:, :3]
"""Told apart by most colour-blind readers (Okabe and Ito, and Tol)."""
_THINNEST, _THICKEST = 0.9, 7.0
"""Line widths in points: a neurite must be seen, a soma must not cover its neighbours."""


def draw_partition(
    path: Path,
    *,
    xyz: Float[ndarray, "F 2 3"],
    radius: Float[ndarray, "F 2"],
    owner: Int[ndarray, " F"],
    soma: RoundSoma | None = None,
    cuts: Float[ndarray, "k 3"],
    neighbours: Sequence[tuple[int, int]] = (),
    title: str = "",
    heading: Heading | None = None,
) -> None:
    """Draws the x-y projection of a partition into a picture file.

    Args:
        path: Picture; its directory is made.
        xyz: Ends of every piece, µm.
        radius: Radius at both ends, µm.
        owner: Rank of every piece.
        soma: Drawn as a circle to scale, where it stands for a sphere.
        cuts: Places where different ranks meet, µm, (k, 3).
        neighbours: Pairs of ranks that meet, to be given different colours.
        title: Line above the picture.
        heading: Line above the picture of a run; None for no run.

    Raises:
        OutputError: The picture cannot be written.
    """
    n = int(owner.max()) + 1
    colour = rank_colours(n, neighbours)
    extent = np.ptp(xyz[..., :2].reshape(-1, 2), axis=0)
    with canvas(path, *_figure_size(extent), heading) as figure:
        axes = figure.add_subplot()
        shown = np.ones(len(owner), bool) if soma is None else ~soma.rows
        axes.add_collection(
            LineCollection(
                list(xyz[shown, :, :2]),
                colors=colour[owner[shown]],
                linewidths=_line_widths(radius)[shown],
                capstyle="round",
            )
        )
        if soma is not None:
            _draw_soma(axes, soma, xyz[soma.rows], radius[soma.rows], colour[owner[soma.rows]])
        axes.plot(cuts[:, 0], cuts[:, 1], "o", ms=4.5, mfc="white", mec="black", mew=0.9, ls="none", zorder=3)
        axes.set_aspect("equal")
        axes.set_axis_off()
        _frame(axes, np.concatenate([xyz[..., :2].reshape(-1, 2), *([] if soma is None else [soma.corners])]))
        axes.set_title(title, fontsize=10)
        handles = [Line2D([], [], marker="o", ms=4.5, mfc="white", mec="black", ls="none", label="cut")]
        handles = handles if len(cuts) else []
        if n <= len(_PALETTE):
            handles = [Line2D([], [], color=colour[r], lw=3, label=f"rank {r}") for r in range(n)] + handles
        handles.append(Line2D([], [], color="0.4", lw=2, label="width ∝ √diameter"))
        figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)


def _draw_soma(
    axes: Axes,
    soma: RoundSoma,
    xyz: Float[ndarray, "k 2 3"],
    radius: Float[ndarray, "k 2"],
    colours: Float[ndarray, "k 3"],
) -> None:
    """The circle that the soma stands for, every part of it in the colour of its rank."""
    axes.add_patch(Circle(soma.centre, soma.radius, facecolor=colours[0], edgecolor="none", zorder=2))
    parts = PolyCollection(list(outlines(xyz[..., :2], radius)), facecolors=colours, edgecolors="face", zorder=2.1)
    axes.add_collection(parts)
    parts.set_clip_path(soma.outline(axes))


def rank_colours(n: int, neighbours: Sequence[tuple[int, int]] = ()) -> Float[ndarray, "n 3"]:
    """A colour per rank; neighbours differ as far as the palette goes, all do up to its size."""
    near: list[set[int]] = [set() for _ in range(n)]
    for a, b in neighbours:
        near[a].add(b)
        near[b].add(a)
    index = np.arange(n) % len(_PALETTE)
    for rank in range(len(_PALETTE), n):
        taken = {int(index[other]) for other in near[rank] if other < rank}
        start = int(index[rank])
        order = [(start + step) % len(_PALETTE) for step in range(len(_PALETTE))]
        index[rank] = next((colour for colour in order if colour not in taken), start)
    return _PALETTE[index]


def _line_widths(radius: Float[ndarray, "F 2"]) -> Float[ndarray, " F"]:
    mean = radius.mean(axis=1)
    width: Float[ndarray, " F"] = np.clip(_THICKEST * np.sqrt(mean / mean.max()), _THINNEST, _THICKEST)
    return width


def _figure_size(extent: Float[ndarray, " 2"]) -> tuple[float, float]:
    """Inches that fit the cell's shape: the longer side 8, the shorter at least 2."""
    side = 8.0 * extent / max(extent.max(), 1e-12)
    return float(max(side[0], 2.0)) + 1.7, float(max(side[1], 2.0)) + 0.6


def _frame(axes: Axes, flat: Float[ndarray, "k 2"]) -> None:
    """Room around the cell, also around a straight one, and a scale bar under it."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    scale_bar(axes, flat, "µm")
    y = low[1] - 0.05 * size
    axes.set_xlim(low[0] - 0.03 * size, high[0] + 0.03 * size)
    axes.set_ylim(y - 0.06 * size, high[1] + 0.03 * size)
