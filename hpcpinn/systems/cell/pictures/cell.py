"""The cell coloured by how far calcium has moved from rest, at chosen times."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.report.canvas import canvas, moment
from hpcpinn.report.heading import heading_of
from hpcpinn.systems.cell.pictures.change import Change, Shading, change_of, colour_bar, shading_of
from hpcpinn.systems.cell.pictures.marks import Mark, draw_marks, field_entry, legend_of_marks, marks_of
from hpcpinn.systems.cell.pictures.tree import corners_of, draw_tree, factor_for, panel_size, widths_in_words

_MOST_IN_A_ROW = 4
_KEY = 0.35
"""Inches of the legend below."""
_PER_ENTRY, _PER_CHARACTER = 0.45, 0.06
"""Inches that an entry of it takes."""
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
    change = change_of(result)
    frames = telling_frames(result, change) if times is None else frames_at(result, times)
    draw_frames(path, result, change, frames, shading_of(result, change, frames), titles_of(result, change, frames))


def draw_frames(
    path: Path, result: Result, change: Change, frames: Int[ndarray, " k"], shading: Shading, titles: Sequence[str]
) -> None:
    """A picture of the cell at some frames.

    Raises:
        OutputError: The picture cannot be written.
    """
    columns = _columns(result, len(frames))
    rows = -(-len(frames) // columns)
    width, height = panel_size(result, columns)
    size = max(columns * width + 0.9, 4.5), rows * (height + 0.25) + 0.25 + _KEY
    with canvas(path, *size, heading_of(result)) as figure:
        cells_into(figure, result, change, frames, shading, titles)


def cells_into(
    figure: Figure | SubFigure,
    result: Result,
    change: Change,
    frames: Int[ndarray, " k"],
    shading: Shading,
    titles: Sequence[str] | None = None,
    more: Sequence[Mark] = (),
    columns: int | None = None,
) -> None:
    """The cell at some frames under one colour bar, with its marks and a legend, on a figure or a part of one.

    Args:
        figure: Figure, or part of one, that is drawn on.
        result: The run.
        change: Change that is shown.
        frames: Numbers of the frames.
        shading: Colours of the change.
        titles: Titles of the panels; the times of the frames where None.
        more: Marks beside those of the run.
        columns: Number of panels side by side; all, up to four, where None.
    """
    titles = titles or titles_of(result, change, frames)
    columns = columns or _columns(result, len(frames))
    rows = -(-len(frames) // columns)
    panels = figure.subplots(rows, columns, squeeze=False)
    factor = factor_for(result, panel_size(result, columns)[0])
    marks = [*marks_of(result), *more]
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, frame, title in zip(panels.flat, frames, titles, strict=False):
        draw_tree(axes, result, change.values[frame], shading, factor)
        draw_marks(axes, marks, result.cable)
        axes.set_title(title)
    colour_bar(figure, shading, panels, shrink=0.7)
    _legend(figure, result, marks, widths_in_words(result.cable, factor), shading)


def _columns(result: Result, count: int) -> int:
    """How many of so many panels stand side by side: fewer of a cell that is wide."""
    across, up = np.ptp(corners_of(result), axis=0)
    most = next((n for n, wide in ((1, 3.0), (2, 1.2)) if across > wide * up), _MOST_IN_A_ROW)
    return -(-count // -(-count // most))


def _legend(figure: Figure | SubFigure, result: Result, marks: Sequence[Mark], widths: str, shading: Shading) -> None:
    """Marks, field and widths in words below the trees."""
    field = field_entry(result.config)
    handles = [*legend_of_marks(marks), *([] if field is None else [field])]
    handles.append(Line2D([], [], color="#1A1A2E", lw=2.0, label=widths))
    inches = figure.bbox.width / figure.get_figure(root=True).dpi
    needed = sum(_PER_ENTRY + _PER_CHARACTER * len(str(handle.get_label())) for handle in handles)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles) if needed < inches else min(2, len(handles)),
        title="\n".join(filter(None, [shading.note, shading.remark])) or None,
        title_fontsize=8,
        borderaxespad=0.2,
        numpoints=1,
        handletextpad=0.6,
    )


def titles_of(result: Result, change: Change, frames: Int[ndarray, " k"]) -> list[str]:
    """Times of frames; the one of the largest change is said to be the highest frame: probes may have seen more."""
    peak = peak_frame(change)
    said = " (highest frame)" if change.values[peak].max() >= -change.values[peak].min() else " (lowest frame)"
    return [
        moment(result, result.time[frame]) + (said if change.happened and frame == peak else "") for frame in frames
    ]


def peak_frame(change: Change) -> int:
    """The frame of the largest change in any cell."""
    return int(np.abs(change.values).max(axis=1).argmax())


def telling_frames(result: Result, change: Change, count: int = _MOST_IN_A_ROW) -> Int[ndarray, " k"]:
    """The frame of the largest change, then always the one that differs most from those chosen.

    Distances are those of the colours over the cells, so that small excursions count as large ones
    do where colours are logarithmic. Frames too close in time to a chosen one are passed over, and
    those that show nothing another does not, or nothing but rest: fewer come back where less happens,
    and where nothing does the last alone.
    """
    if not change.happened:
        return np.array([len(result.time) - 1])
    shade = np.asarray(shading_of(result, change).scale(change.values), float)
    apart = np.ptp(result.time) / (2 * count)
    at_rest = np.abs(change.values).max(axis=1) <= change.floor
    chosen = [peak_frame(change)]
    while len(chosen) < count:
        differences = [shade - shade[frame] for frame in chosen]
        distance = np.min([np.linalg.norm(by, axis=1) for by in differences], axis=0)
        most = np.min([np.abs(by).max(axis=1) for by in differences], axis=0)
        delay = np.min([np.abs(result.time - result.time[frame]) for frame in chosen], axis=0)
        distance[(delay <= apart) | (most < _SEEN) | at_rest] = -1.0
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
