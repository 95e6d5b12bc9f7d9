"""Pictures of an inference on a cell: traces with predictive bands, and calcium over the cell with its doubt."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpcpinn.io.neuron_draws import NeuronDraws
from hpcpinn.io.neuron_inference import NeuronInferenceResult
from hpcpinn.report.canvas import CYCLE, calcium_colours, canvas
from hpcpinn.report.heading import Heading

_REACH = 1.96
"""Standard deviations to the ends of a 95 % band."""


def draw_neuron_inference(
    result: NeuronInferenceResult,
    folder: Path,
    suffix: str = "png",
    draws: NeuronDraws | None = None,
    heading: Heading | None = None,
) -> list[Path]:
    """Draws all pictures of an inference.

    Args:
        result: The inference.
        folder: Where to.
        suffix: png, pdf or svg.
        draws: Of the posterior, whose bands then stand in the place of Laplace's.
        heading: Written above every picture.

    Raises:
        OutputError: A picture cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bands, cell = folder / f"bands.{suffix}", folder / f"cell.{suffix}"
    columns = min(3, len(result.band_sites))
    rows = -(-len(result.band_sites) // columns)
    with canvas(bands, 2.4 * columns + 0.4, 1.5 * rows + 0.9, heading) as figure:
        _bands_into(figure, result, draws, rows, columns)
    with canvas(cell, 7.2, 3.7, heading) as figure:
        _cell_into(figure, result)
    return [bands, cell]


def _bands_into(
    figure: Figure, result: NeuronInferenceResult, draws: NeuronDraws | None, rows: int, columns: int
) -> None:
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for row, (axes, site) in enumerate(zip(panels, result.band_sites, strict=False)):
        mine = np.array([name.strip() == site for name in result.data.site])
        mean, sd = result.band_mean[row], result.band_sd[row]
        noise = float(np.median(result.data.noise[mine])) if mine.any() else 0.0
        of_data = np.sqrt(sd**2 + noise**2)
        axes.fill_between(
            result.band_time, mean - _REACH * of_data, mean + _REACH * of_data, color=CYCLE[0], alpha=0.15, lw=0
        )
        low, high = (mean - _REACH * sd, mean + _REACH * sd) if draws is None else (draws.low[row], draws.high[row])
        axes.fill_between(result.band_time, low, high, color=CYCLE[0], alpha=0.6, lw=0)
        axes.plot(result.band_time, mean, color=CYCLE[0], lw=0.8)
        axes.plot(result.data.t[mine], result.data.value[mine], ".", color="black", ms=1.5, zorder=0)
        axes.set_title(site, fontsize="small", pad=2)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    for axes in panels[len(result.band_sites) :]:
        axes.set_axis_off()
    figure.supxlabel("time (ms)", fontsize="medium")
    figure.supylabel("calcium (µM)" if result.unit == "uM" else "fluorescence c/(c + K_d)", fontsize="medium")


def _cell_into(figure: Figure, result: NeuronInferenceResult) -> None:
    """Calcium when it is highest, and the width of its 95 % band there."""
    frame = int(np.argmax(result.cell_mean.mean(axis=1)))
    mean, sd = result.cell_mean[frame], result.cell_sd[frame]
    left, right = figure.subplots(1, 2)
    _draw(left, figure, result, mean, f"calcium at {result.cell_time[frame]:.3g} ms (µM)")
    _draw(right, figure, result, 100.0 * _REACH * sd / mean, "half width of its 95 % band (%)")
    sites = sorted(set(result.band_sites))
    figure.supxlabel(f"{len(sites)} sites, constants: {', '.join(result.names)}", fontsize="small")


def _draw(axes: Axes, figure: Figure, result: NeuronInferenceResult, values: np.ndarray, title: str) -> None:
    flat = result.xyz[:, :, :2]
    width = 1.5 + 2.5 * result.radius.mean(axis=1) / result.radius.max()
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
