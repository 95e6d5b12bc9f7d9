"""Pictures of draws from a posterior: against Laplace's approximation, chain by chain, and where to measure next."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpcpinn.io.draws import Draws, Placement
from hpcpinn.io.estimates import Estimates
from hpcpinn.io.inference import InferenceResult
from hpcpinn.io.neuron_draws import NeuronDraws
from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.report.inference import density, ellipses, label

_SHOWN = 1500
"""Draws that a cloud shows."""


def draw_draws(
    result: InferenceResult, draws: Draws, placement: Placement, folder: Path, *, suffix: str = "png"
) -> list[Path]:
    """Draws every picture of draws.

    Returns:
        The pictures.

    Raises:
        OutputError: A picture cannot be written.
    """
    names = [folder / f"{name}.{suffix}" for name in ("draws", "chains", "placement")]
    draw_clouds(names[0], result, draws)
    draw_chains(names[1], result, draws)
    draw_placement(names[2], placement)
    return names


def draw_clouds(path: Path, result: Estimates, draws: Draws | NeuronDraws) -> None:
    """Histograms of the draws with Laplace's density, and clouds of every pair with its ellipses (50 and 95 %)."""
    count = len(result.names)
    with canvas(path, 2.4 * count + 0.4, 2.4 * count) as figure:
        panels = figure.subplots(count, count, squeeze=False)
        for row in range(count):
            for column in range(count):
                if row == column:
                    _histogram_into(panels[row, row], result, draws, row)
                elif column < row:
                    _cloud_into(panels[row, column], result, draws, column, row)
                else:
                    panels[row, column].set_axis_off()
        _legend(figure)


def _histogram_into(axes: Axes, result: Estimates, draws: Draws | NeuronDraws, number: int) -> None:
    values = draws.together[:, number]
    axes.hist(values, min(40, int(2.0 * len(values) ** 0.5)), density=True, color=CYCLE[5], alpha=0.6)
    low, high = np.quantile(values, [0.0005, 0.9995])
    grid = np.linspace(low, high, 200)
    axes.plot(grid, density(result, number, grid), color=CYCLE[1])
    for edge in np.quantile(values, (0.025, 0.975)):
        axes.axvline(edge, color=CYCLE[0], lw=0.8, ls="--")
    axes.set(xlabel=label(result, number), yticks=[], ylabel="probability density")


def _cloud_into(axes: Axes, result: Estimates, draws: Draws | NeuronDraws, first: int, second: int) -> None:
    both = [first, second]
    cloud = draws.together[:: max(1, len(draws.together) // _SHOWN), both]
    axes.plot(*cloud.T, ".", ms=1.5, color=CYCLE[5], alpha=0.6, rasterized=True)
    for _, width, curve in ellipses(result, first, second):
        axes.plot(*curve, color=CYCLE[1], lw=width)
    axes.set(xlabel=label(result, first), ylabel=label(result, second))


def _legend(figure: Figure) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "draws": {"marker": "s", "ls": "", "color": CYCLE[5]},
        "95 % of the draws": {"ls": "--", "lw": 0.8, "color": CYCLE[0]},
        "Laplace": {"color": CYCLE[1]},
    }
    axes = figure.axes[0]
    for name, style in kinds.items():
        axes.plot([], [], label=name, **style)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3)


def draw_chains(path: Path, result: InferenceResult, draws: Draws) -> None:
    """Every chain's way, and histograms of ranks by chain: flat where the chains agree."""
    chains, kept = draws.value.shape[:2]
    with canvas(path, 7.0, 1.7 * len(result.names)) as figure:
        panels = figure.subplots(len(result.names), 2, squeeze=False, width_ratios=(2.0, 1.0))
        for number, (way, ranks) in enumerate(panels):
            values = draws.value[:, :, number]
            order = np.argsort(np.argsort(values.ravel())).reshape(values.shape) / values.size
            for chain in range(chains):
                colour = CYCLE[chain % len(CYCLE)]
                way.plot(values[chain], lw=0.3, color=colour, alpha=0.8)
                counts, edges = np.histogram(order[chain], 20, (0.0, 1.0))
                ranks.stairs(counts / (kept / 20.0), edges, color=colour, lw=0.8, baseline=None)
            ranks.axhline(1.0, color=CYCLE[6], lw=0.6)
            way.set(ylabel=label(result, number), xlabel="draw", xlim=(0, kept))
            way.set_title(f"R-hat {draws.rhat[number]:.4f}, {draws.ess_bulk[number]:.0f} effective draws")
            ranks.set(xlabel="rank among all draws", ylabel="relative frequency", xlim=(0.0, 1.0), ylim=(0.0, None))


def draw_placement(path: Path, placement: Placement) -> None:
    """By how much one more observation shrinks the log-volume of the posterior: by place, and by time."""
    x, y, t = placement.best
    with canvas(path, 6.6, 2.6) as figure:
        where, when = figure.subplots(1, 2)
        picture = where.pcolormesh(placement.x, placement.y, placement.over_places, shading="nearest", vmin=0.0)
        figure.colorbar(picture, ax=where, label="decrease of log-volume")
        where.plot(x, y, "+", color=CYCLE[1])
        where.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title=f"at {t:.2f} ms")
        when.plot(placement.t, placement.over_times, color=CYCLE[0])
        when.plot(t, placement.gain, "+", color=CYCLE[1])
        when.set(xlabel="time (ms)", ylabel="decrease of log-volume", title=f"at x = {x:.2f} µm, y = {y:.2f} µm")
        when.set_ylim(0.0, None)
