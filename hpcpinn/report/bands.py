"""Pictures of predictive bands: traces at places, and calcium over the cell with its doubt."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpcpinn.io.geometry import Tree
from hpcpinn.io.inference import Bands, FieldBands, InferenceResult
from hpcpinn.io.observations import Observations
from hpcpinn.report.canvas import CYCLE, calcium_colours, canvas
from hpcpinn.report.heading import Heading

_REACH = 1.96
"""Standard deviations to the ends of a 95 % band."""


def draw_bands(path: Path, result: InferenceResult, bands: Bands, heading: Heading | None = None) -> None:
    """What is seen at every place, with the 95 % bands of the model and of the data; of draws where there are some.

    Raises:
        OutputError: The picture cannot be written.
    """
    columns = min(3, len(bands.names))
    rows = -(-len(bands.names) // columns)
    with canvas(path, 2.4 * columns + 0.4, 1.5 * rows + 0.9, heading) as figure:
        panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for row, axes in enumerate(panels[: len(bands.names)]):
            _band_into(axes, bands, row, result.observations)
        for axes in panels[len(bands.names) :]:
            axes.set_axis_off()
        figure.supxlabel("time (ms)", fontsize="medium")
        seen = "calcium (µM)" if result.unit == "uM" else "fluorescence c/(c + K_d)"
        figure.supylabel(seen, fontsize="medium")


def _band_into(axes: Axes, bands: Bands, row: int, data: Observations) -> None:
    mine = np.array([name.strip() == bands.names[row] for name in data["site"]])
    time, mean, sd = bands.time, bands.mean[row], bands.sd[row]
    noise = float(np.median(data.noise[mine])) if mine.any() else 0.0
    of_data = np.sqrt(sd**2 + noise**2)
    axes.fill_between(time, mean - _REACH * of_data, mean + _REACH * of_data, color=CYCLE[0], alpha=0.15, lw=0)
    low, high = mean - _REACH * sd, mean + _REACH * sd
    if bands.low is not None and bands.high is not None:
        low, high = bands.low[row], bands.high[row]
    axes.fill_between(time, low, high, color=CYCLE[0], alpha=0.6, lw=0)
    axes.plot(time, mean, color=CYCLE[0], lw=0.8)
    axes.plot(data["t"][mine], data.value[mine], ".", color="black", ms=1.5, zorder=0)
    axes.set_title(bands.names[row], fontsize="small", pad=2)
    axes.yaxis.set_major_locator(MaxNLocator(3))


def draw_cell(path: Path, result: InferenceResult, cell: FieldBands, heading: Heading | None = None) -> None:
    """Calcium when it is highest, and the width of its 95 % band there.

    Raises:
        OutputError: The picture cannot be written.
    """
    frame = int(np.argmax(cell.mean.mean(axis=1)))
    mean, sd = cell.mean[frame], cell.sd[frame]
    with canvas(path, 7.2, 3.7, heading) as figure:
        left, right = figure.subplots(1, 2)
        _draw(left, figure, cell, mean, f"calcium at {cell.time[frame]:.3g} ms (µM)")
        _draw(right, figure, cell, 100.0 * _REACH * sd / mean, "half width of its 95 % band (%)")
        sites = "" if result.bands is None else f"{len(set(result.bands.names))} sites, "
        figure.supxlabel(f"{sites}constants: {', '.join(result.names)}", fontsize="small")


def _draw(axes: Axes, figure: Figure, cell: FieldBands, values: np.ndarray, title: str) -> None:
    assert isinstance(cell.geometry, Tree)
    cable = cell.geometry.cable
    flat = cable.xyz[:, :, :2]
    width = 1.5 + 2.5 * cable.radius.mean(axis=1) / cable.radius.max()
    lines = LineCollection(list(flat), linewidths=width, cmap=calcium_colours(), capstyle="round")
    lines.set_array(values)
    axes.add_collection(lines)
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize="medium")
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(lines, ax=axes, shrink=0.8)
