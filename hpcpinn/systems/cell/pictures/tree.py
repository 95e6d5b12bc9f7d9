"""A cell in the plane: widths in proportion to its diameters, colours of what its cells have."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection
from matplotlib.patches import Circle
from numpy import ndarray

from hpcpinn.io import Result
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.repair import SOMA
from hpcpinn.report.canvas import scale_bar
from hpcpinn.systems.cell.pictures.cell_outline import outlines, round_soma
from hpcpinn.systems.cell.pictures.change import Shading

_HEIGHT = 3.4
_THINNEST, _SPOT = 0.6, 2.4
"""Least widths in points, of all that is drawn and of hot spots: a hot micrometre of a cell of a millimetre
would be less than a pixel."""
_TYPICAL, _THICKEST = 1.0, 3.0
"""Points that a typical neurite should be wide, and the thick ones at most; nor wider than the soma."""
_FACTORS = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50, 100)
_STRAIGHT = 0.996
"""Cosine of the angle, five degrees, up to which two pieces follow each other without a gap."""
_SMALL = 0.02
"""Share of a cell's length below which what is above half of the largest change is a hot spot."""


def magnification(cable: Cable, points_per_length: float) -> int:
    """By how much neurites are drawn wider than to scale, so that a typical one is seen; 1 where they are.

    Args:
        cable: The cell.
        points_per_length: Points on the page per µm.
    """
    neurites = cable.kind != SOMA
    neurites = neurites if neurites.any() else np.ones(len(neurites), bool)
    width, length = 2.0 * cable.radius[neurites].mean(axis=1), cable.length[neurites]
    order = np.argsort(width)
    share = np.cumsum(length[order]) / length.sum()
    typical, thick = (width[order][min(np.searchsorted(share, q), len(order) - 1)] for q in (0.5, 0.95))
    wanted = _TYPICAL / max(typical * points_per_length, 1e-12)
    soma = 2.0 * cable.radius[cable.kind == SOMA].max(initial=0.0) * points_per_length
    allowed = min(_THICKEST, soma or _THICKEST) / max(thick * points_per_length, 1e-12)
    fitting = [factor for factor in _FACTORS if factor <= allowed * (1.0 + 1e-9)] or [1]
    return next((factor for factor in fitting if factor >= wanted * (1.0 - 1e-9)), fitting[-1])


def widths_in_words(cable: Cable, factor: int) -> str:
    """What the legend says of the widths."""
    if factor == 1:
        return "widths to scale"
    soma = " (soma to scale)" if (cable.kind == SOMA).any() and (cable.kind != SOMA).any() else ""
    return f"width: diameter × {factor}{soma}"


def factor_for(result: Result, width: float) -> int:
    """The magnification for a panel of so many inches across."""
    extent = np.ptp(corners_of(result), axis=0)
    size = max(float(extent.max()), 1e-12)
    return magnification(result.cable, 72.0 * width / (float(extent[0]) + 0.12 * size))


def draw_tree(axes: Axes, result: Result, values: Float[ndarray, " N"], shading: Shading, factor: int) -> None:
    """Every cell in its place in the colour of its value, the largest on top, and a scale bar.

    Args:
        axes: Axes that are drawn on.
        result: The run.
        values: Values of all cells, (N,).
        shading: Colours of the values.
        factor: Factor by which neurites are wider than to scale.
    """
    soma = round_soma(result.cable)
    if soma is None:
        _draw_cells(axes, result, values, shading, np.ones(len(values), bool), factor)
    else:
        in_soma = soma.rows[result.cells.piece]
        _draw_cells(axes, result, values, shading, ~in_soma, factor)
        _draw_cells(axes, result, values, shading, in_soma, 1, soma.outline(axes))
    flat = corners_of(result)
    _frame(axes, flat)
    scale_bar(axes, flat, "µm" if result.units else "")


def _draw_cells(
    axes: Axes,
    result: Result,
    values: Float[ndarray, " N"],
    shading: Shading,
    rows: Bool[ndarray, " N"],
    factor: int,
    within: Circle | None = None,
) -> None:
    """Some cells, clipped to a circle if one is given."""
    if not rows.any():
        return
    ends = cell_ends(result, result.cable.xyz[..., :2])[rows]
    radius = cell_ends(result, result.cable.radius[..., None])[rows, :, 0]
    wider = np.where(result.cable.kind[result.cells.piece[rows]] == SOMA, 1, factor)
    radius = radius * wider[:, None]
    mine = values[rows]
    order = np.argsort(np.abs(mine - shading.rest), kind="stable")
    ends, radius, mine = ends[order], radius[order], mine[order]
    shared: dict[str, Any] = {"cmap": shading.colours, "norm": shading.scale, "rasterized": True}
    is_spot = np.zeros(len(mine), bool) if shading.note else _hot_spots(result, values - shading.rest)[rows][order]
    least = np.where(is_spot, _SPOT, _THINNEST)
    drawn = [
        LineCollection(list(ends), array=mine, linewidths=least, capstyle="round", **shared),
        _joints(axes, result, values, rows, factor, shared),
        PolyCollection(list(outlines(ends, radius)), array=mine, edgecolors="face", linewidths=0.3, **shared),
    ]
    for collection in drawn:
        axes.add_collection(collection)
        if within is not None:
            collection.set_clip_path(within)


def _joints(
    axes: Axes,
    result: Result,
    values: Float[ndarray, " N"],
    rows: Bool[ndarray, " N"],
    factor: int,
    shared: dict[str, Any],
) -> EllipseCollection:
    """Discs that fill the gaps where a neurite bends."""
    cable, m = result.cable, result.cells_per_piece
    pieces = bent_ends(cable)
    pieces = pieces[rows[pieces * m + m - 1]]
    size = 2.0 * cable.radius[pieces, 1] * np.where(cable.kind[pieces] == SOMA, 1, factor)
    return EllipseCollection(
        size, size, np.zeros(len(size)), units="xy", offsets=cable.xyz[pieces, 1, :2],
        offset_transform=axes.transData, array=values[pieces * m + m - 1], linewidths=0.0, **shared,
    )  # fmt: skip


def bent_ends(cable: Cable) -> Int[ndarray, " k"]:
    """Pieces at whose end the way goes on in another direction of the plane."""
    along = cable.xyz[:, 1, :2] - cable.xyz[:, 0, :2]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    arriving = np.full(int(cable.node.max()) + 1, -1)
    arriving[cable.node[:, 1]] = np.arange(cable.n_frusta)
    before = arriving[cable.node[:, 0]]
    bends = (before >= 0) & (np.sum(along * along[before], axis=1) < _STRAIGHT)
    return np.unique(before[bends])


def _hot_spots(result: Result, change: Float[ndarray, " N"]) -> Bool[ndarray, " N"]:
    """Cells of at least half of the largest change, where these are a small part of the cell."""
    size = np.abs(change)
    hot = size >= 0.5 * size.max()
    length = result.cable.length[result.cells.piece] * np.ptp(result.cells.fraction, axis=1)
    spots: Bool[ndarray, " N"] = hot & (length[hot].sum() < _SMALL * length.sum())
    return spots


def cell_ends(result: Result, piece_ends: Float[ndarray, "F 2 d"]) -> Float[ndarray, "N 2 d"]:
    """What is linear on pieces, at the start and end of every cell."""
    ends = piece_ends[result.cells.piece]
    fraction = result.cells.fraction[..., None]
    between: Float[ndarray, "N 2 d"] = (1.0 - fraction) * ends[:, :1] + fraction * ends[:, 1:]
    return between


def corners_of(result: Result) -> Float[ndarray, "k 2"]:
    """The corners of all pieces to scale: what a picture of the cell must hold."""
    return outlines(result.cable.xyz[..., :2], result.cable.radius).reshape(-1, 2)


def _frame(axes: Axes, flat: Float[ndarray, "k 2"]) -> None:
    low, high = flat.min(axis=0), flat.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    axes.set_xlim(low[0] - 0.06 * size, high[0] + 0.06 * size)
    axes.set_ylim(low[1] - 0.12 * size, high[1] + 0.06 * size)
    axes.set_aspect("equal")
    axes.set_axis_off()


def panel_size(result: Result, columns: int) -> tuple[float, float]:
    """Inches of the panel of a tree, if so many stand side by side."""
    extent = np.ptp(corners_of(result), axis=0)
    extent = np.maximum(extent, 0.15 * max(float(extent.max()), 1e-12))
    width = max(min(_HEIGHT * float(extent[0] / extent[1]), 4.5, 12.0 / columns), 1.3)
    return width, min(max(width * float(extent[1] / extent[0]), 0.5), 1.2 * _HEIGHT)
