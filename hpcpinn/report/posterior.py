"""Pictures of estimates: the way of the constants, and their posterior by Laplace's approximation."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy import ndarray
from scipy.stats import chi2, norm

from hpcpinn.coordinates import Coordinates
from hpcpinn.errors import InputError
from hpcpinn.io.estimates import Estimates
from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.report.heading import Heading

_COLUMNS = 4
_MOST_PAIRS = 11
"""Of a picture: with a constant more they fill three rows."""
_MOST_TICKS = 4
"""Intervals of a panel's axis: more have figures that run into each other."""


def draw_estimates(
    result: Estimates, folder: Path, *, suffix: str = "png", heading: Heading | None = None
) -> tuple[list[Path], list[str]]:
    """Draws the way of the constants and their posterior.

    Args:
        result: The estimates.
        folder: Folder of the pictures.
        suffix: png, pdf or svg.
        heading: Line above every picture.

    Returns:
        The pictures drawn, and for each that was left out the reason.

    Raises:
        OutputError: A picture cannot be written.
    """
    drawn, left_out = [], []
    for name, draw in (("path", draw_path), ("posterior", draw_posterior)):
        path = folder / f"{name}.{suffix}"
        try:
            draw(path, result, heading)
        except InputError as error:
            left_out.append(f"no {name}: {error}")
        else:
            drawn.append(path)
    return drawn, left_out


def label(result: Estimates, number: int) -> str:
    """Name and unit of a constant, for an axis."""
    if result.units[number] == "1":
        return result.names[number]
    unit = re.sub(r"(?<=[A-Za-zµ])2\b", "²", result.units[number].replace("um", "µm").replace("uM", "µM"))
    return f"{result.names[number]} ({unit})"


def draw_path(path: Path, result: Estimates, heading: Heading | None = None) -> None:
    """Every constant against the steps of the iteration, with its 95 % interval."""
    count = len(result.names)
    rows, columns = -(-count // _COLUMNS), min(count, _COLUMNS)
    with canvas(path, 2.9 * columns + 0.3, 2.5 * rows + 0.3, heading) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[count:]:
            axes.set_axis_off()
        for number, axes in enumerate(panels[:count]):
            axes.plot(result.path[:, number], "o-", ms=3, color=CYCLE[0])
            if result.determined[number]:
                axes.axhspan(result.low[number], result.high[number], color=CYCLE[5], alpha=0.25, lw=0, label="95 %")
            else:
                axes.set_title("not determined by the data", color=CYCLE[1])
            if np.isfinite(result.truth[number]):
                axes.axhline(result.truth[number], color=CYCLE[2], lw=1.0, label="truth")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="step", ylabel=label(result, number))
            axes.legend(loc="best")


def draw_posterior(path: Path, result: Estimates, heading: Heading | None = None) -> None:
    """The posterior of every constant, and of the pairs that depend most on each other: 50 and 95 %.

    Raises:
        InputError: The data determine none.
    """
    known = [number for number in range(len(result.names)) if result.determined[number]]
    if not known:
        raise InputError("the data determine no constant")
    pairs = sorted(combinations(known, 2), key=lambda pair: -dependence(result, *pair))[:_MOST_PAIRS]
    panels = len(known) + len(pairs)
    rows, columns = -(-panels // _COLUMNS), min(panels, _COLUMNS)
    with canvas(path, 2.7 * columns + 0.3, 2.6 * rows + 0.5, heading) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for where, number in zip(axes, known, strict=False):
            _marginal_into(where, result, number)
        for where, (first, second) in zip(axes[len(known) :], pairs, strict=False):
            _pair_into(where, result, first, second)
        for where in axes[:panels]:
            where.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS))
        for where in axes[panels:]:
            where.set_axis_off()
        _legend(figure, result, has_pairs=bool(pairs))


def _legend(figure: Figure, result: Estimates, *, has_pairs: bool) -> None:
    """What lines and marks mean, below all panels, where it hides none."""
    handles: list[Artist] = [
        Line2D([], [], color=CYCLE[6], marker="+", lw=0.8, label="most probable"),
        Patch(color=CYCLE[5], alpha=0.25, label="95 % interval"),
    ]
    if has_pairs:
        handles.append(Line2D([], [], color=CYCLE[0], lw=1.2, label="regions with 50 and 95 % (inner and outer)"))
    if np.isfinite(result.truth).any():
        handles.append(Line2D([], [], color=CYCLE[2], marker="x", lw=1.0, label="truth"))
    columns = len(handles) if figure.get_figwidth() > 7.0 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def dependence(result: Estimates, first: int, second: int) -> float:
    """How strongly two constants are correlated, without sign."""
    covariance = float(result.covariance[first, second])
    return float(abs(covariance) / (result.sd_log[first] * result.sd_log[second]))


def density(result: Estimates, number: int, values: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Laplace's density of a constant at some of its values."""
    own = Coordinates((float(result.measure[number]),))
    centre = own.of(result.estimate[[number]])[0]
    z, per_unit = own.of(values[:, None])[:, 0], own.per_unit(values[:, None])[:, 0]
    per_value: Float[ndarray, " n"] = norm.pdf(z, centre, result.sd_log[number]) / per_unit
    return per_value


def ellipses(result: Estimates, first: int, second: int) -> list[tuple[float, float, Float[ndarray, "2 n"]]]:
    """Probability, width of the line and curve of the regions that hold 50 and 95 % of two constants (Laplace)."""
    both = [first, second]
    root = np.linalg.cholesky(result.covariance[np.ix_(both, both)])
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    circle: Any = np.stack([np.cos(angle), np.sin(angle)])
    own = Coordinates(tuple(result.measure[both].tolist()))
    centre = own.of(result.estimate[both])
    rings = [(p, width, centre + np.sqrt(chi2.ppf(p, 2)) * (root @ circle).T) for p, width in ((0.5, 1.2), (0.95, 0.8))]
    return [(probability, width, own.values(ring).T) for probability, width, ring in rings]


def _marginal_into(axes: Axes, result: Estimates, number: int) -> None:
    own = Coordinates((float(result.measure[number]),))
    z = own.of(result.estimate[[number]])[0] + result.sd_log[number] * np.linspace(-4.0, 4.0, 200)
    values = own.values(z[:, None])[:, 0]
    axes.plot(values, density(result, number, values), color=CYCLE[0])
    axes.axvspan(result.low[number], result.high[number], color=CYCLE[5], alpha=0.25, lw=0)
    axes.axvline(result.estimate[number], color=CYCLE[6], lw=0.8)
    limits = axes.get_xlim()
    if limits[0] <= result.truth[number] <= limits[1]:
        axes.axvline(result.truth[number], color=CYCLE[2], lw=1.0)
    axes.set(xlabel=label(result, number), ylabel="probability density", yticks=[])
    axes.set_ylim(bottom=0.0)


def _pair_into(axes: Axes, result: Estimates, first: int, second: int) -> None:
    for probability, width, curve in ellipses(result, first, second):
        axes.plot(*curve, color=CYCLE[0], lw=width, label=f"{100 * probability:.0f} %")
    axes.plot(*result.estimate[[first, second]], "+", color=CYCLE[6])
    if np.isfinite(result.truth[[first, second]]).all():
        axes.plot(*result.truth[[first, second]], "x", color=CYCLE[2], mew=1.6, label="truth")
    axes.set(xlabel=label(result, first), ylabel=label(result, second))
