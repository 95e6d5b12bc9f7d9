"""How far calcium has moved from rest along the path from the soma to a tip, against time."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.morphology.cable import Cable
from hpcpinn.report.canvas import canvas, frame_spacing, label, time_label, time_unit, unit_of
from hpcpinn.report.heading import abridged, heading_of
from hpcpinn.systems.cell.pictures.change import Shading, change_of, colour_bar, quiet_axis, shading_of

_SOMA = 1
_AROUND = 5.0
"""Half-width, in sizes of the hot place, of the close-up."""
_SMALL = 0.05
"""Share of the path below which a hot place is shown in a close-up too."""
_ROWS = 1500
"""Most cells along the path that a page can show."""
_COLUMNS = 600
"""Least number of columns in time: steps that no eye can see on a page."""


def draw_kymograph(path: Path, result: Result) -> None:
    """Draws the change of calcium from the soma to the tip on whose way it is largest, with the voltage above.

    A hot place too small to be seen on the whole path is drawn once more close up.

    Args:
        path: Picture.
        result: The run.

    Raises:
        InputError: The result has fewer than two frames.
        OutputError: The picture cannot be written.
    """
    with canvas(path, 6.4, 5.0, heading_of(result)) as figure:
        kymograph_into(figure, result)


def kymograph_into(
    figure: Figure | SubFigure, result: Result, shading: Shading | None = None, *, voltage: bool = True
) -> None:
    """The kymograph on a figure or a part of one.

    Args:
        figure: Figure, or part of one, that is drawn on.
        result: The run.
        shading: Colours, where they are explained elsewhere; None: own ones and a colour bar.
        voltage: Whether to draw the voltage above, where it varies.

    Raises:
        InputError: The result has fewer than two frames.
    """
    if len(result.time) < 2:
        raise InputError(f"{result.path}: has {len(result.time)} frames, a kymograph needs two; run longer")
    strip = strip_along(result, path_to_tip(result.cable, liveliest_tip(result)))
    voltage = voltage and bool(np.ptp(result.voltage) > 1e-6)
    shown = shading or shading_of(result, change_of(result))
    close_up = None if shown.note else hot_place(strip)
    heights = [1.0] * voltage + [3.0] + [1.5] * (close_up is not None)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    if voltage:
        _draw_voltage(panels[0], result, strip)
    maps = panels[int(voltage) :]
    for axes in maps:
        _draw_strip(axes, result, strip, shown)
    maps[0].set_title(f"from the {strip.origin} to the tip of {abridged(strip.tip, 24)}", loc="left", pad=3)
    between = f"frames {frame_spacing(result)} apart, linear between"
    maps[0].set_title(between, loc="right", pad=3, fontsize=6, color="0.35")
    if close_up is not None:
        maps[1].set_ylim(*close_up)
        maps[1].set_title("close to its largest change", loc="left", pad=3)
    maps[-1].set_xlabel(time_label(result))
    figure.align_ylabels(panels)
    if shown.note:
        maps[0].text(0.5, 0.5, shown.note, transform=maps[0].transAxes, ha="center", va="center", color="white")
    elif shading is None:
        colour_bar(figure, shown, list(maps))


@dataclass(frozen=True)
class Strip:
    """Change of calcium along a path.

    Attributes:
        pieces: The pieces from the root to the tip.
        change: Change in the n cells along the path from the first frame, µM, (T, n).
        edges: Distance from the root of the borders of these cells, µm.
        origin: What lies at distance 0, "soma" or "root".
        tip: Name of the last section.
    """

    pieces: Int[ndarray, " k"]
    change: Float[ndarray, "T n"]
    edges: Float[ndarray, " n+1"]
    origin: str
    tip: str


def strip_along(result: Result, pieces: Int[ndarray, " k"]) -> Strip:
    """The change of calcium in the cells of consecutive pieces."""
    m = result.cells_per_piece
    cells = (pieces[:, None] * m + np.arange(m)).ravel()
    ends = result.cable.path[pieces]
    starts = ends[:, :1] + np.arange(m) / m * (ends[:, 1:] - ends[:, :1])
    section = result.cable.section[pieces]
    at_root = result.cable.node[:, 0] == result.cable.node[pieces[0], 0]
    return Strip(
        pieces=pieces,
        edges=np.r_[starts.ravel(), ends[-1, 1]],
        change=result.calcium[:, cells] - result.calcium[0, cells],
        origin="soma" if _SOMA in result.cable.kind[at_root] else "root",
        tip=result.cable.sections[section[-1]].name,
    )


def hot_place(strip: Strip) -> tuple[float, float] | None:
    """Distances between which to show the place of largest change; None if it is no small place."""
    rise = np.abs(strip.change).max(axis=0)
    peak = int(rise.argmax())
    low = np.flatnonzero(rise < 0.5 * rise[peak])
    below, above = low[low < peak], low[low > peak]
    first = strip.edges[below[-1] + 1] if len(below) else strip.edges[0]
    last = strip.edges[above[0]] if len(above) else strip.edges[-1]
    total = strip.edges[-1] - strip.edges[0]
    if rise[peak] <= 0.0 or last - first > _SMALL * total:
        return None
    around = _AROUND * (last - first)
    return max(first - around, strip.edges[0]), min(last + around, strip.edges[-1])


def path_to_tip(cable: Cable, tip: int) -> Int[ndarray, " k"]:
    """The pieces from the root node to the end of piece `tip`, in that order."""
    arriving = {int(head): piece for piece, head in enumerate(cable.node[:, 1])}
    way = [tip]
    while (before := arriving.get(int(cable.node[way[-1], 0]))) is not None:
        way.append(before)
    return np.array(way[::-1])


def liveliest_tip(result: Result) -> int:
    """The piece at whose free end a way from the root ends on which calcium changes most.

    Of several such ways the longest: a change in the trunk, or none at all, belongs to all of them.
    """
    cable, change = result.cable, change_of(result)
    of_cells = np.abs(change.values).max(axis=0)
    rise = np.where(of_cells > change.floor, of_cells, 0.0).reshape(cable.n_frusta, -1).max(axis=1)
    most: dict[int, float] = {}  # on the way to every node
    for piece, (tail, head) in enumerate(cable.node.tolist()):
        most[head] = max(rise[piece], most.get(tail, -np.inf))
    tips = np.flatnonzero(~np.isin(cable.node[:, 1], cable.node[:, 0]))
    on_way = np.array([most[head] for head in cable.node[tips, 1].tolist()])
    best = tips[on_way >= on_way.max() * (1.0 - 1e-12)]
    return int(best[cable.path[best, 1].argmax()])


def _draw_voltage(axes: Axes, result: Result, strip: Strip) -> None:
    first = strip.pieces[0]
    cell = first * result.cells_per_piece
    time, voltage, place = result.time, result.voltage[:, cell], strip.origin
    distance = result.cable.path[result.probes.piece, 0]
    if len(result.probes.time) and distance.min() < result.cable.path[first, 1]:
        # A probe there knows the voltage at finer times than the frames do.
        probe = int(distance.argmin())
        time, voltage = result.probes.time, result.probes.voltage[:, probe]
        if result.probes.name[probe] != place:
            place = f"{place} (probe {abridged(result.probes.name[probe], 24)})"
    axes.plot(time / time_unit(result)[1], voltage, color="black", lw=0.8)
    axes.set_title(f"voltage at the {place}", loc="left", pad=3)
    axes.set_ylabel(label(result, "voltage"))
    quiet_axis(axes, result.field("voltage"), voltage, unit_of(result, "voltage"))
    axes.tick_params(bottom=False)


def _draw_strip(axes: Axes, result: Result, strip: Strip, shading: Shading) -> None:
    strip = coarser(strip, _ROWS)
    borders, change = fill_between(result.time / time_unit(result)[1], strip.change)
    axes.set_xlim(borders[0], borders[-1])
    axes.set_ylim(strip.edges[0], strip.edges[-1])
    axes.set_ylabel(label(result, "path", "distance"))
    axes.pcolormesh(borders, strip.edges, change.T, norm=shading.scale, cmap=shading.colours, rasterized=True)


def coarser(strip: Strip, most: int) -> Strip:
    """A strip of at most so many cells: of neighbours that are put together the largest change is kept."""
    count = strip.change.shape[1]
    if count <= most:
        return strip
    first = np.unique(np.linspace(0, count, most + 1).astype(int))
    high = np.maximum.reduceat(strip.change, first[:-1], axis=1)
    low = np.minimum.reduceat(strip.change, first[:-1], axis=1)
    return replace(strip, edges=strip.edges[first], change=np.where(high >= -low, high, low))


def fill_between(
    time: Float[ndarray, " T"], values: Float[ndarray, "T n"]
) -> tuple[Float[ndarray, " borders"], Float[ndarray, "borders-1 n"]]:
    """Columns that lead linearly from frame to frame, so that a rise begins at the last frame before it.

    Args:
        time: Times of the frames, increasing.
        values: Values at the frames.

    Returns:
        Borders of the columns, all frames among them, and the values in their middles.
    """
    parts = -(-_COLUMNS // (len(time) - 1))
    fine = np.arange(parts * (len(time) - 1) + 1) / parts
    borders = np.interp(fine, np.arange(len(time)), time)
    frame, share = np.divmod(0.5 * (fine[1:] + fine[:-1]), 1.0)
    before, share = frame.astype(int), share[:, None]
    return borders, (1.0 - share) * values[before] + share * values[before + 1]
