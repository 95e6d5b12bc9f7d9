"""The corner plot of a posterior: every constant on the diagonal, every pair below it, the truth where it is known."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray
from scipy.stats import gaussian_kde

from hpcpinn.coordinates import Coordinates
from hpcpinn.io.draws import Draws
from hpcpinn.io.estimates import Estimates
from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.report.heading import Heading
from hpcpinn.report.posterior import density, dependence, ellipses, label

_SHOWN, _FOR_DENSITY = 1500, 2500
"""Draws that a cloud shows, and from which a density is made."""
_GRID = 60
"""Points along each side of a density."""
_MOST = 8
"""Constants of a picture: with more its panels could not be read."""
REGIONS = (0.95, 0.5)
"""Probabilities of the regions that are outlined."""
_DRAWS, _LAPLACE, _TRUTH, _START = CYCLE[0], CYCLE[1], CYCLE[2], CYCLE[6]


@dataclass(frozen=True)
class Cloud:
    """Draws from a posterior with weights.

    Attributes:
        value: Values of the constants, (n, p).
        weight: Weights of the draws, (n,); their sum is 1.
    """

    value: Float[ndarray, "n p"]
    weight: Float[ndarray, " n"]

    @classmethod
    def of(cls, draws: Draws) -> "Cloud":
        """The draws of all chains with the weights they have."""
        weight = draws.weight.ravel()
        return cls(draws.flat, weight / weight.sum())

    def quantile(self, number: int, probability: float) -> float:
        """Of one constant."""
        order = np.argsort(self.value[:, number])
        middle = np.cumsum(self.weight[order]) - 0.5 * self.weight[order]
        return float(np.interp(probability, middle, self.value[order, number]))

    def some(self, count: int) -> "Cloud":
        """At most so many of the draws, evenly among them."""
        kept = np.unique(np.linspace(0, len(self.value) - 1, min(count, len(self.value))).astype(int))
        weight = self.weight[kept]
        return Cloud(self.value[kept], weight / weight.sum())


@dataclass(frozen=True)
class Density:
    """A smooth density of two constants on a grid.

    Attributes:
        first, second: The constants along the sides.
        density: Per unit of both coordinates (logarithms, for most).
        levels: Densities that bound the smallest regions with the probabilities of `REGIONS`.
    """

    first: Float[ndarray, " g"]
    second: Float[ndarray, " g"]
    density: Float[ndarray, "g g"]
    levels: tuple[float, ...]


def draw_corner(path: Path, result: Estimates, draws: Draws, heading: Heading | None = None) -> None:
    """Draws the corner plot.

    Histograms of the draws (weights counted) with Laplace's density on the diagonal; below it clouds of the draws,
    the smallest regions that hold 50 and 95 % of them, and Laplace's ellipses; in all of them the truth and the
    start where these are known and in sight.

    Args:
        path: Picture.
        result: The most probable constants.
        draws: Draws from the posterior.
        heading: Line above the picture.

    Raises:
        OutputError: The picture cannot be written.
    """
    chosen = shown_constants(result)
    count, cloud = len(chosen), Cloud.of(draws)
    size = 2.1 * max(count, 2)
    with canvas(path, size + 0.6, size + 0.5, heading) as figure:
        panels: Any = figure.subplots(count, count, squeeze=False)
        for row, column in np.ndindex(count, count):
            axes: Axes = panels[row, column]
            if column > row:
                axes.set_axis_off()
            elif column == row:
                _marginal_into(axes, result, cloud, int(chosen[row]))
            else:
                _pair_into(axes, result, cloud, int(chosen[column]), int(chosen[row]))
                axes.sharex(panels[column, column])
            _label_outside(axes, result, int(chosen[column]), int(chosen[row]), row == count - 1, column == 0)
        _legend(figure, result, count)


def shown_constants(result: Estimates) -> Int[ndarray, " k"]:
    """Numbers of the constants that are drawn: all, or of many those that depend most on another one."""
    count = len(result.names)
    if count <= _MOST:
        return np.arange(count)
    strongest = np.zeros(count)
    for first, second in combinations(range(count), 2):
        strength = dependence(result, first, second)
        strongest[[first, second]] = np.maximum(strongest[[first, second]], strength)
    return np.sort(np.argsort(-strongest, kind="stable")[:_MOST])


def density_of(result: Estimates, cloud: Cloud, first: int, second: int) -> Density | None:
    """The density of two constants; None where the draws lie on a line or in a point."""
    both = [first, second]
    own = Coordinates(tuple(result.measure[both].tolist()))
    some = cloud.some(_FOR_DENSITY)
    z = own.of(some.value[:, both])
    try:
        smooth = gaussian_kde(z.T, weights=some.weight)
    except np.linalg.LinAlgError:
        return None
    spread = 3.0 * np.sqrt(np.diag(smooth.covariance))
    sides = np.linspace(z.min(axis=0) - spread, z.max(axis=0) + spread, _GRID)
    grid = np.stack(np.meshgrid(*sides.T), axis=-1).reshape(-1, 2)
    # The region that holds a share of the draws is where the density is above that of the last draw in it.
    at_draws = smooth(z.T)
    order = np.argsort(-at_draws)
    held = np.cumsum(some.weight[order])
    levels = [float(at_draws[order][min(np.searchsorted(held, p), len(order) - 1)]) for p in REGIONS]
    values = own.values(sides)
    return Density(values[:, 0], values[:, 1], smooth(grid.T).reshape(_GRID, _GRID), tuple(levels))


def _marginal_into(axes: Axes, result: Estimates, cloud: Cloud, number: int) -> None:
    values = cloud.value[:, number]
    low, high = cloud.quantile(number, 0.0005), cloud.quantile(number, 0.9995)
    effective = 1.0 / float(np.sum(cloud.weight**2))
    bins = int(np.clip(2.0 * effective**0.5, 8, 40))
    edges = np.linspace(low, high if high > low else np.nextafter(low, np.inf), bins + 1)
    axes.hist(values, list(edges), weights=cloud.weight, density=True, color=CYCLE[5], alpha=0.6)
    if result.determined[number]:
        grid = np.linspace(low, high, 200)
        axes.plot(grid, density(result, number, grid), color=_LAPLACE)
    for probability in (0.025, 0.975):
        axes.axvline(cloud.quantile(number, probability), color=_DRAWS, lw=0.8, ls="--")
    limits = axes.get_xlim()
    for values_at, style in _known(result):
        if limits[0] <= values_at[number] <= limits[1]:
            axes.axvline(values_at[number], lw=1.0, color=style["color"], ls=style["line"])
    axes.set_xlim(limits)
    axes.set_yticks([])
    axes.set_title(_in_numbers(result, cloud, number), fontsize=7)


def _in_numbers(result: Estimates, cloud: Cloud, number: int) -> str:
    low, middle, high = (cloud.quantile(number, p) for p in (0.025, 0.5, 0.975))
    return f"{result.names[number]}: {middle:.4g}\n95 %: {low:.4g} to {high:.4g}"


def _known(result: Estimates) -> list[tuple[Float[ndarray, " p"], dict[str, Any]]]:
    """Constants to be marked, and how."""
    return [
        (result.truth, {"color": _TRUTH, "line": "-", "marker": "x"}),
        (result.start, {"color": _START, "line": ":", "marker": "v"}),
    ]


def _pair_into(axes: Axes, result: Estimates, cloud: Cloud, first: int, second: int) -> None:
    both, some = [first, second], cloud.some(_SHOWN)
    heavy = some.weight / some.weight.max()
    x, y = some.value[:, both].T
    axes.scatter(x, y, s=4.0 * heavy, color=CYCLE[5], alpha=0.5, linewidths=0.0, rasterized=True)
    smooth = density_of(result, cloud, first, second)
    if smooth is not None and smooth.levels[0] < smooth.levels[1]:
        axes.contour(
            smooth.first, smooth.second, smooth.density, levels=list(smooth.levels), colors=_DRAWS,
            linewidths=(0.8, 1.2),
        )  # fmt: skip
    if result.determined[both].all():
        for _, width, curve in ellipses(result, first, second):
            axes.plot(*curve, color=_LAPLACE, lw=width)
    limits = axes.get_xlim(), axes.get_ylim()
    for values, style in _known(result):
        across, up = values[both]
        if limits[0][0] <= across <= limits[0][1] and limits[1][0] <= up <= limits[1][1]:
            axes.plot(across, up, style["marker"], color=style["color"], ms=6, mew=1.6)
    axes.set(xlim=limits[0], ylim=limits[1])


def _label_outside(axes: Axes, result: Estimates, column: int, row: int, is_last: bool, is_first: bool) -> None:
    """Names and numbers at the edge of the corner alone."""
    axes.xaxis.set_major_locator(MaxNLocator(3))
    if row != column:
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelbottom=is_last, labelleft=is_first and row != column)
    axes.tick_params(axis="x", labelrotation=30.0)
    if is_last:
        axes.set_xlabel(label(result, column))
    if is_first and row != column:
        axes.set_ylabel(label(result, row))


def _legend(figure: Figure, result: Estimates, count: int) -> None:
    """What the marks are; of truth and start, whether they are out of sight."""
    first = figure.axes[0]
    kinds: dict[str, dict[str, Any]] = {
        "draws": {"marker": "s", "ls": "", "color": CYCLE[5]},
        "95 % of the draws": {"ls": "--", "lw": 0.8, "color": _DRAWS},
    }
    if count > 1:
        kinds["smallest regions with 50 and 95 % of the draws"] = {"color": _DRAWS, "lw": 1.2}
    kinds["Laplace's approximation (50 and 95 %)" if count > 1 else "Laplace's approximation"] = {"color": _LAPLACE}
    if np.isfinite(result.truth).any():
        kinds["truth"] = {"color": _TRUTH, "marker": "x", "ms": 6, "mew": 1.6}
    kinds["start of the search, where in sight"] = {"color": _START, "ls": ":", "marker": "v"}
    handles = [first.plot([], [], label=name, **style)[0] for name, style in kinds.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
