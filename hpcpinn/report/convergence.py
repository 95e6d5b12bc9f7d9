"""How the iteration went: sweeps, windows, error estimates, balance."""

from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.report.canvas import CYCLE, canvas, label

_LEAST_JUMP, _LEAST_ERROR = 1e-9, 1e-10
"""What is smaller (a cell at rest has no error at all) is drawn here, so that the rest is seen."""


def draw_convergence(path: Path, result: Result) -> None:
    """Draws jump against sweep, and window length, error estimate and balance against time.

    Args:
        path: Picture.
        result: The run.

    Raises:
        InputError: The result has no windows yet.
        OutputError: The picture cannot be written.
    """
    if not len(result.windows["start"]):
        raise InputError(f"{result.path}: has no windows yet; let the run go on, then plot")
    with canvas(path, 7.2, 5.0) as figure:
        panels = figure.subplots(2, 2)
        _draw_sweeps(figure, panels[0, 0], result)
        _draw_lengths(panels[0, 1], result)
        _draw_errors(panels[1, 0], result)
        _draw_seconds(panels[1, 1], result)


def _draw_sweeps(figure: Figure, axes: Axes, result: Result) -> None:
    """One line per window through all its Newton steps; the colour tells when in the run."""
    start = result.windows["start"]
    when = Normalize(start[0], max(start[-1], start[0] + 1e-12))
    colours = matplotlib.colormaps["viridis"]
    for window, jumps in jumps_by_window(result).items():
        count = np.arange(1, 1 + len(jumps))
        colour = colours(when(start[window]))
        axes.semilogy(count, np.maximum(jumps, _LEAST_JUMP), ".-", color=colour, lw=0.7, alpha=0.7, ms=3)
    _tolerance(axes, result, "schwarz", "jump_tolerance")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("sweep of a window, all Newton steps")
    axes.set_ylabel("interface jump, relative")
    figure.colorbar(ScalarMappable(when, colours), ax=axes, label=label(result, "time", "window at"))


def jumps_by_window(result: Result) -> dict[int, Float[ndarray, " sweeps"]]:
    """The interface jumps of every window, in the order of its Newton steps and sweeps."""
    sweeps = result.sweeps
    order = np.lexsort([sweeps["sweep"], sweeps["newton"], sweeps["window"]])
    windows, first = np.unique(sweeps["window"][order], return_index=True)
    last = [*first[1:], len(order)]
    jump = sweeps["jump"][order]
    return {int(w): jump[a:b] for w, a, b in zip(windows, first, last, strict=False)}


def _draw_lengths(axes: Axes, result: Result) -> None:
    windows = result.windows
    edges = np.append(windows["start"], windows["start"][-1] + windows["length"][-1])
    axes.stairs(windows["length"], edges, baseline=None, color=CYCLE[0], lw=1.2)
    tried = windows["rejected"] > 0
    if tried.any():
        middle = (windows["start"] + 0.5 * windows["length"])[tried]
        axes.plot(middle, windows["length"][tried], "v", ms=4, color=CYCLE[1], label="after a rejection")
        _legend_above(axes)
    axes.set_yscale("log")
    axes.set_xlabel(label(result, "time"))
    axes.set_ylabel(label(result, "time", "window length"))


def _draw_errors(axes: Axes, result: Result) -> None:
    windows = result.windows
    middle = windows["start"] + 0.5 * windows["length"]
    for name, text, colour in (
        ("error_estimate", "error estimate", CYCLE[0]),
        ("jump", "interface jump", CYCLE[2]),
        ("balance", "calcium balance", CYCLE[1]),
    ):
        values = np.maximum(np.abs(windows[name]), _LEAST_ERROR)
        axes.semilogy(middle, values, ".-", color=colour, ms=3, lw=0.8, label=text)
    _tolerance(axes, result, "window", "tolerance")
    axes.set_xlabel(label(result, "time"))
    axes.set_ylabel("relative, per window")
    _legend_above(axes)


def _draw_seconds(axes: Axes, result: Result) -> None:
    windows = result.windows
    end = windows["start"] + windows["length"]
    parts = {"train": "seconds_train", "exchange": "seconds_exchange", "files": "seconds_io"}
    spent = [np.cumsum(windows[name]) for name in parts.values()]
    axes.stackplot(end, spent, labels=list(parts), colors=[CYCLE[0], CYCLE[1], CYCLE[4]], alpha=0.85)
    axes.margins(x=0.0)
    axes.set_xlabel(label(result, "time"))
    axes.set_ylabel("wall time (s)")
    _legend_above(axes)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)


def _tolerance(axes: Axes, result: Result, table: str, key: str) -> None:
    tolerance = result.config.get(table, {}).get(key)
    if tolerance:
        axes.axhline(tolerance, color="0.5", lw=0.8, ls="--", zorder=0)
