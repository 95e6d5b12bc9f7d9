"""Calcium along the path from the soma to a tip, against time."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.morphology.cable import Cable
from hpcpinn.report.canvas import calcium_colours, canvas, label, scale_for


def draw_kymograph(path: Path, result: Result) -> None:
    """Draws calcium from the soma to the tip on whose way it rises most, with the voltage above.

    Args:
        path: Picture.
        result: The run.

    Raises:
        InputError: The result has fewer than two frames.
        OutputError: The picture cannot be written.
    """
    with canvas(path, 6.4, 4.0) as figure:
        kymograph_into(figure, result)


def kymograph_into(figure: Figure | SubFigure, result: Result, scale: Normalize | None = None) -> None:
    """The kymograph on a figure or a part of one.

    Args:
        figure: Where.
        result: The run.
        scale: Of the colours, where they are explained elsewhere; None: own scale and colour bar.

    Raises:
        InputError: The result has fewer than two frames.
    """
    if len(result.time) < 2:
        raise InputError(f"{result.path}: has {len(result.time)} frames, a kymograph needs two; run longer")
    pieces = path_to_tip(result.cable, liveliest_tip(result))
    if np.ptp(result.voltage) > 1e-6:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
        _draw_voltage(above, result, pieces[0])
    else:
        below = figure.subplots()
    mesh = _draw_calcium(below, result, pieces, scale)
    if scale is None:
        figure.colorbar(mesh, ax=below, label=label(result, "calcium"), pad=0.02)


def path_to_tip(cable: Cable, tip: int) -> Int[ndarray, " k"]:
    """The pieces from the root node to the end of piece `tip`, in that order."""
    arriving = {int(head): piece for piece, head in enumerate(cable.node[:, 1])}
    way = [tip]
    while (before := arriving.get(int(cable.node[way[-1], 0]))) is not None:
        way.append(before)
    return np.array(way[::-1])


def liveliest_tip(result: Result) -> int:
    """The piece at whose free end a way from the root ends on which calcium rises most.

    Of several such ways the longest: a rise in the trunk belongs to all of them.
    """
    cable = result.cable
    rise = (result.calcium.max(axis=0) - result.calcium[0]).reshape(cable.n_frusta, -1).max(axis=1)
    most: dict[int, float] = {}  # on the way to every node
    for piece, (tail, head) in enumerate(cable.node.tolist()):
        most[head] = max(rise[piece], most.get(tail, -np.inf))
    tips = np.flatnonzero(~np.isin(cable.node[:, 1], cable.node[:, 0]))
    on_way = np.array([most[head] for head in cable.node[tips, 1].tolist()])
    best = tips[on_way >= on_way.max() * (1.0 - 1e-12)]
    return int(best[cable.path[best, 1].argmax()])


def _draw_voltage(axes: Axes, result: Result, first: int) -> None:
    cell = first * result.cells_per_piece
    time, voltage = result.time, result.voltage[:, cell]
    distance = result.cable.path[result.probes.piece, 0]
    if len(result.probes.time) and distance.min() < result.cable.path[first, 1]:
        # A probe on the soma knows the voltage at finer times than the frames do.
        time, voltage = result.probes.time, result.probes.voltage[:, distance.argmin()]
    axes.plot(time, voltage, color="black", lw=0.8)
    axes.set_ylabel(label(result, "voltage"))
    axes.tick_params(bottom=False)


def _draw_calcium(
    axes: Axes, result: Result, pieces: Int[ndarray, " k"], scale: Normalize | None
) -> QuadMesh:
    cells = (pieces[:, None] * result.cells_per_piece + np.arange(result.cells_per_piece)).ravel()
    calcium = result.calcium[:, cells]
    mesh = axes.pcolormesh(
        _edges(result.time),
        _cell_edges(result, pieces),
        calcium.T,
        norm=scale or scale_for(calcium),
        cmap=calcium_colours(),
        rasterized=True,
    )
    section = result.cable.section[pieces]
    starts = pieces[1:][np.diff(section) != 0]
    first, last = result.time[[0, -1]]
    axes.hlines(result.cable.path[starts, 0], first, last, colors="white", lw=0.4, alpha=0.5)
    tip = result.cable.sections[section[-1]].name
    axes.set_title(f"from the soma to the tip of {tip}", loc="left", pad=3)
    axes.set_ylabel(label(result, "path", "distance"))
    axes.set_xlabel(label(result, "time"))
    return mesh


def _edges(time: Float[ndarray, " T"]) -> Float[ndarray, " edges"]:
    """Frames are points in time; each fills the span half-way to its neighbours."""
    return np.r_[time[0], 0.5 * (time[1:] + time[:-1]), time[-1]]


def _cell_edges(result: Result, pieces: Int[ndarray, " k"]) -> Float[ndarray, " edges"]:
    ends = result.cable.path[pieces]
    fraction = np.arange(result.cells_per_piece) / result.cells_per_piece
    starts = ends[:, :1] + fraction * (ends[:, 1:] - ends[:, :1])
    return np.r_[starts.ravel(), ends[-1, 1]]
