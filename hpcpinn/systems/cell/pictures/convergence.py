"""How the iteration went: sweeps, windows, error estimates, balance."""

from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.report.canvas import CYCLE, as_points, canvas, halo, label, logarithmic, time_label, time_unit
from hpcpinn.report.heading import heading_of

_LEAST_JUMP, _LEAST_ERROR = 1e-9, 1e-10
"""What is smaller (a cell at rest has no error at all) is left out, so that the rest is seen."""
_ROOM = 8.0
"""Times the tolerance that an axis reaches, where text stands on the line."""
_ONE_DECADE = 10.0
"""Ratio of the extremes of an error below which its axis is linear, from zero."""
_DARK = LinearSegmentedColormap.from_list("dark viridis", matplotlib.colormaps["viridis"](np.linspace(0, 0.8, 256)))
"""Without the yellow end, which white paper swallows."""


def draw_convergence(path: Path, result: Result) -> None:
    """Draws jump against sweep, and window length, error estimate and balance against time.

    Split windows sweep over nothing: of them the error estimate and the wall time are drawn.

    Args:
        path: Picture.
        result: The run.

    Raises:
        InputError: The result has no windows yet.
        OutputError: The picture cannot be written.
    """
    if not len(result.windows["start"]):
        raise InputError(f"{result.path}: has no windows yet; let the run go on, then plot")
    split = is_split(result)
    with canvas(path, 7.2, 2.8 if split else 5.4, heading_of(result)) as figure:
        if split:
            errors, seconds = figure.subplots(1, 2)
            error_estimate_into(errors, result)
            errors.set_title("windows against windows twice as long,\nshare of the largest excursion", fontsize=7)
            edges = result.windows["start"][0], result.windows["start"][-1] + result.windows["length"][-1]
            errors.set_xlim(*(edge / time_unit(result)[1] for edge in edges))  # where there is one slot, too
        else:
            (sweeps, lengths), (errors, seconds) = figure.subplots(2, 2)
            _draw_sweeps(figure, sweeps, result)
            _draw_lengths(lengths, result)
            _draw_errors(errors, result)
        _draw_seconds(seconds, result)


def is_split(result: Result) -> bool:
    """Whether the run went in split windows, those of long protocols."""
    return result.config.get("window", {}).get("kind") in ("split", "mixed")


def error_estimate_into(axes: Axes, result: Result) -> None:
    """The error estimate of split windows against time, one value per slot."""
    windows = result.windows
    end = windows["start"] + windows["length"]
    _, per_unit = time_unit(result)
    shown = masked_below(windows["error_estimate"], _LEAST_ERROR)
    axes.semilogy(end / per_unit, shown, color=CYCLE[0], **as_points(int(np.isfinite(shown).sum())))
    axes.set_xlabel(time_label(result))
    axes.set_ylabel("error estimate")
    tolerance = _tolerance(axes, result, "window", "tolerance")
    extremes = np.append(shown[np.isfinite(shown)], [] if tolerance is None else tolerance)
    if len(extremes) and extremes.max() < _ONE_DECADE * extremes.min():
        axes.set_yscale("linear")
        axes.set_ylim(0.0, 1.2 * float(extremes.max()))
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        _decades_only(axes)


def _draw_sweeps(figure: Figure, axes: Axes, result: Result) -> None:
    """One line per window through all its Newton steps; the colour tells when in the run."""
    start = result.windows["start"] / time_unit(result)[1]
    when = Normalize(start[0], max(start[-1], start[0] + 1e-12))
    for window, jumps in jumps_by_window(result).items():
        count = np.arange(1, 1 + len(jumps))
        shown = masked_below(jumps, _LEAST_JUMP)
        axes.semilogy(count, shown, ".-", color=_DARK(when(start[window])), lw=0.7, alpha=0.7, ms=3)
    _tolerance(axes, result, "schwarz", "jump_tolerance")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("sweep of a window, all Newton steps")
    axes.set_ylabel("interface jump, relative")
    _decades_only(axes)
    _say_what_is_left_out(axes, np.concatenate([*jumps_by_window(result).values(), [1.0]]), _LEAST_JUMP)
    figure.colorbar(ScalarMappable(when, _DARK), ax=axes, label=time_label(result).replace("time", "window at"))


def jumps_by_window(result: Result) -> dict[int, Float[ndarray, " sweeps"]]:
    """The interface jumps of every window, in the order of its Newton steps and sweeps."""
    sweeps = result.sweeps
    order = np.lexsort([sweeps["sweep"], sweeps["newton"], sweeps["window"]])
    windows, first = np.unique(sweeps["window"][order], return_index=True)
    last = [*first[1:], len(order)]
    jump = sweeps["jump"][order]
    return {int(w): jump[a:b] for w, a, b in zip(windows, first, last, strict=False)}


def _draw_lengths(axes: Axes, result: Result) -> None:
    windows, (_, worth) = result.windows, time_unit(result)
    edges = np.append(windows["start"], windows["start"][-1] + windows["length"][-1]) / worth
    axes.stairs(windows["length"], edges, baseline=None, color=CYCLE[0], lw=1.2)
    tried = windows["rejected"] > 0
    if tried.any():
        middle = (0.5 * (edges[1:] + edges[:-1]))[tried]
        axes.plot(middle, windows["length"][tried], "v", ms=4, color=CYCLE[1], label="after a rejection")
        _legend_above(axes)
    logarithmic(axes, windows["length"])
    axes.set_xlabel(time_label(result))
    axes.set_ylabel(label(result, "time", "window length"))


def _draw_errors(axes: Axes, result: Result) -> None:
    windows = result.windows
    middle = (windows["start"] + 0.5 * windows["length"]) / time_unit(result)[1]
    shown: list[Float[ndarray, " windows"]] = []
    for name, text, colour in (
        ("error_estimate", "error estimate", CYCLE[0]),
        ("jump", "interface jump", CYCLE[2]),
        ("balance", "calcium balance", CYCLE[1]),
    ):
        values = masked_below(np.abs(windows[name]), _LEAST_ERROR)
        axes.semilogy(middle, values, ".-", color=colour, ms=3, lw=0.8, label=text)
        shown.append(np.abs(windows[name]))
    tolerance = _tolerance(axes, result, "window", "tolerance")
    if tolerance is not None:
        axes.set_ylim(top=max(axes.get_ylim()[1], _ROOM * tolerance))  # its text lies below the legend
    axes.set_xlabel(time_label(result))
    axes.set_ylabel("relative, per window")
    _decades_only(axes)
    _say_what_is_left_out(axes, np.concatenate(shown), _LEAST_ERROR)
    _legend_above(axes)


def _draw_seconds(axes: Axes, result: Result) -> None:
    """Where the wall time went; shares too thin to be seen are told in numbers."""
    windows = result.windows
    _, per_unit = time_unit(result)
    end = (windows["start"] + windows["length"]) / per_unit
    train = "voltage, windows, estimate" if is_split(result) else "train"
    spent = {train: "seconds_train", "exchange": "seconds_exchange", "files": "seconds_io"}
    parts = {name: np.cumsum(windows[column]) for name, column in spent.items() if windows[column].any()}
    total = max(float(sum(part[-1] for part in parts.values())), 1e-12)
    labels = [f"{name} {part[-1]:.3g} s, {100.0 * part[-1] / total:.1f} %" for name, part in parts.items()]
    colours = {train: CYCLE[0], "exchange": CYCLE[1], "files": CYCLE[4]}
    if parts:
        shown = [colours[name] for name in parts]
        begin = float(windows["start"][0]) / per_unit
        stacked = [np.append(0.0, part) for part in parts.values()]  # from zero: one window is an area, too
        axes.stackplot(np.append(begin, end), stacked, labels=labels, colors=shown, alpha=0.85)
    axes.margins(x=0.0)
    axes.set_ylim(0.0, 1.5 * total)  # room for the legend
    axes.set_xlabel(time_label(result))
    axes.set_ylabel("wall time (s)")
    if parts:
        axes.legend(loc="upper left", reverse=True, borderaxespad=0.2)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)


def _tolerance(axes: Axes, result: Result, table: str, key: str) -> float | None:
    """A line at what an error may be, where the run description says so; returns that."""
    tolerance: float | None = result.config.get(table, {}).get(key)
    if tolerance:
        axes.axhline(tolerance, color="0.5", lw=0.8, ls="--", zorder=0)
        text = axes.annotate(
            f"tolerance {tolerance:g}",
            (1.0, tolerance),
            (-2, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=6,
            color="0.35",
        )
        halo(text)
    return tolerance or None


def masked_below(values: Float[ndarray, " n"], least: float) -> Float[ndarray, " n"]:
    """The values, NaN where they are smaller than a least one: no curve is drawn there."""
    return np.where(values < least, np.nan, values)


def _say_what_is_left_out(axes: Axes, values: Float[ndarray, " n"], least: float) -> None:
    count = int(np.count_nonzero(values < least))
    if count:
        axes.set_ylim(bottom=0.1 * axes.get_ylim()[0])  # room for the text
        text = f"{count} value{'s' * (count != 1)} below {least:g} left out"
        axes.annotate(text, (0.0, 0.0), (4, 3), "axes fraction", "offset points", fontsize=6, color="0.35")


def _decades_only(axes: Axes) -> None:
    """Ticks at powers of ten alone, where there are several: minor ones would crowd."""
    low, high = axes.get_ylim()
    if high > 1e3 * low:
        axes.yaxis.set_minor_locator(NullLocator())
