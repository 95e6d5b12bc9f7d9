"""The cell coloured by calcium at chosen times."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Circle
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.report.canvas import (
    calcium_colours,
    canvas,
    colour_bar,
    halo,
    label,
    moment,
    scale_bar,
    scale_for,
)
from hpcpinn.report.cell_outline import outlines, round_soma

_HEIGHT = 3.4
_MOST_IN_A_ROW = 4
_THINNEST, _HOTTEST = 0.6, 2.4
"""Least width in points at the lowest and at the highest calcium: a hot micrometre of a cell of a
millimetre would be less than a pixel."""
_SEEN = 0.1
"""Least change, as a share of the colours, that makes a frame look different."""


def draw_cell(path: Path, result: Result, times: Sequence[float] | None = None) -> None:
    """Draws the x-y projection at several times under one colour bar.

    Args:
        path: Picture.
        result: The run.
        times: User times, the nearest frames are drawn; chosen by `telling_frames` where None.

    Raises:
        InputError: The result has no frames, or a time lies outside the run.
        OutputError: The picture cannot be written.
    """
    frames = telling_frames(result) if times is None else frames_at(result, times)
    scale = scale_for(result.calcium[frames])
    rows = -(-len(frames) // _MOST_IN_A_ROW)
    columns = -(-len(frames) // rows)
    width, height = _panel_size(result, columns)
    with canvas(path, columns * width + 0.9, rows * (height + 0.25)) as figure:
        cells_into(figure, result, frames, scale)


def cells_into(
    figure: Figure | SubFigure,
    result: Result,
    frames: Int[ndarray, " k"],
    scale: Normalize,
    titles: Sequence[str] | None = None,
) -> None:
    """The cell at some frames under one colour bar, on a figure or a part of one.

    Args:
        figure: Where.
        result: The run.
        frames: Numbers of the frames.
        scale: Of the colours.
        titles: Of the panels; their times where None.
    """
    titles = titles or [moment(result, result.time[frame]) for frame in frames]
    rows = -(-len(frames) // _MOST_IN_A_ROW)
    panels = figure.subplots(rows, -(-len(frames) // rows), squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, frame, title in zip(panels.flat, frames, titles, strict=False):
        _draw_frame(axes, result, frame, scale)
        axes.set_title(title)
    colour_bar(figure, scale, panels, label(result, "calcium"), shrink=0.7)


def _draw_frame(axes: Axes, result: Result, frame: int, scale: Normalize) -> None:
    soma = round_soma(result.cable)
    if soma is None:
        _draw_cells(axes, result, frame, scale, np.ones(len(result.cells.piece), bool))
    else:
        in_soma = soma.rows[result.cells.piece]
        _draw_cells(axes, result, frame, scale, ~in_soma)
        _draw_cells(axes, result, frame, scale, in_soma, soma.outline(axes))
    _mark_probes(axes, result)
    flat = result.cable.xyz[..., :2].reshape(-1, 2)
    _frame(axes, flat)
    scale_bar(axes, flat, "µm" if result.units else "")


def _draw_cells(
    axes: Axes,
    result: Result,
    frame: int,
    scale: Normalize,
    rows: Bool[ndarray, " N"],
    within: Circle | None = None,
) -> None:
    """Some cells to scale in the colours of a frame, the hottest on top, clipped to a circle if one is given."""
    ends = cell_ends(result, result.cable.xyz[..., :2])[rows]
    radius = cell_ends(result, result.cable.radius[..., None])[rows, :, 0]
    calcium = result.calcium[frame, rows]
    order = np.argsort(calcium)
    shared = {"array": calcium[order], "cmap": calcium_colours(), "norm": scale, "rasterized": True}
    least = _THINNEST + (_HOTTEST - _THINNEST) * np.asarray(scale(calcium[order])) ** 3
    lines = LineCollection(list(ends[order]), linewidths=least, capstyle="round", **shared)
    to_scale = outlines(ends[order], radius[order])
    for drawn in (lines, PolyCollection(list(to_scale), edgecolors="face", linewidths=0.3, **shared)):
        axes.add_collection(drawn)
        if within is not None:
            drawn.set_clip_path(within)


def cell_ends(result: Result, piece_ends: Float[ndarray, "F 2 d"]) -> Float[ndarray, "N 2 d"]:
    """What is linear on pieces, at the start and end of every cell."""
    ends = piece_ends[result.cells.piece]
    fraction = result.cells.fraction[..., None]
    return (1.0 - fraction) * ends[:, :1] + fraction * ends[:, 1:]


def telling_frames(result: Result, count: int = _MOST_IN_A_ROW) -> Int[ndarray, " k"]:
    """The frame with the highest calcium, then always the one that differs most from those chosen.

    Distances are those of the colours over the cells, so that small excursions count as large ones
    do where colours are logarithmic. Frames too close in time to a chosen one are passed over, and
    those that show nothing another does not: fewer come back where less happens.

    Raises:
        InputError: There are no frames.
    """
    if not len(result.time):
        raise InputError(f"{result.path}: has no frames yet; let the run go on, then plot")
    shade = np.asarray(scale_for(result.calcium)(result.calcium))
    apart = np.ptp(result.time) / (2 * count)
    chosen = [int(result.calcium.max(axis=1).argmax())]
    while len(chosen) < count:
        change = [shade - shade[frame] for frame in chosen]
        distance = np.min([np.linalg.norm(by, axis=1) for by in change], axis=0)
        most = np.min([np.abs(by).max(axis=1) for by in change], axis=0)
        delay = np.min([np.abs(result.time - result.time[frame]) for frame in chosen], axis=0)
        distance[(delay <= apart) | (most < _SEEN)] = -1.0
        if distance.max() < 0.0:
            break
        chosen.append(int(distance.argmax()))
    return np.sort(chosen)


def frames_at(result: Result, times: Sequence[float]) -> Int[ndarray, " k"]:
    """The frames nearest to some times.

    Raises:
        InputError: A time lies outside the recorded ones.
    """
    for time in times:
        if not len(result.time) or not result.time[0] <= time <= result.time[-1]:
            span = f"{result.time[0]:g} to {result.time[-1]:g}" if len(result.time) else "nothing"
            raise InputError(f"--times {time:g}: {result.path} holds {span}; choose a time in between")
    return np.array([int(np.abs(result.time - time).argmin()) for time in times])


def _mark_probes(axes: Axes, result: Result) -> None:
    ends = result.cable.xyz[result.probes.piece]
    fraction = result.probes.fraction[:, None]
    places = (1.0 - fraction) * ends[:, 0] + fraction * ends[:, 1]
    axes.plot(places[:, 0], places[:, 1], "o", ms=5, mfc="none", mec="black", mew=0.6)
    for name, place in zip(result.probes.name, places, strict=True):
        halo(axes.annotate(name, place[:2], (6, 4), textcoords="offset points", fontsize=6.5))


def _frame(axes: Axes, flat: Float[ndarray, "k 2"]) -> None:
    low, high = flat.min(axis=0), flat.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    axes.set_xlim(low[0] - 0.06 * size, high[0] + 0.06 * size)
    axes.set_ylim(low[1] - 0.12 * size, high[1] + 0.06 * size)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _panel_size(result: Result, columns: int) -> tuple[float, float]:
    extent = np.ptp(result.cable.xyz[..., :2].reshape(-1, 2), axis=0)
    extent = np.maximum(extent, 0.15 * max(float(extent.max()), 1e-12))
    width = min(_HEIGHT * float(extent[0] / extent[1]), 4.5, 12.0 / columns)
    return width, width * float(extent[1] / extent[0])
