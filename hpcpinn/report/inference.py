"""Pictures of an inference: the way of the constants, their posterior, and what is left of the data."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import chi2, norm

from hpcpinn.errors import InputError
from hpcpinn.io.inference import InferenceResult
from hpcpinn.report.canvas import CYCLE, canvas


def draw_inference(result: InferenceResult, folder: Path, *, suffix: str = "png") -> tuple[list[Path], list[str]]:
    """Draws every picture that the result has the data for.

    Returns:
        The pictures drawn, and for each that was left out the reason.

    Raises:
        OutputError: A picture cannot be written.
    """
    drawn, left_out = [], []
    for name, draw in (("path", draw_path), ("posterior", draw_posterior), ("residuals", draw_residuals)):
        path = folder / f"{name}.{suffix}"
        try:
            draw(path, result)
        except InputError as error:
            left_out.append(f"no {name}: {error}")
        else:
            drawn.append(path)
    return drawn, left_out


def label(result: InferenceResult, number: int) -> str:
    """Name and unit of a constant, for an axis."""
    unit = result.units[number].replace("um", "µm").replace("uM", "µM").replace("2/", "²/")
    return f"{result.names[number]} ({unit})"


def draw_path(path: Path, result: InferenceResult) -> None:
    """Every constant against the steps of the iteration, with its 95 % interval."""
    count = len(result.names)
    with canvas(path, 2.9 * count + 0.3, 2.5) as figure:
        for number, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
            axes.plot(result.path[:, number], "o-", ms=3, color=CYCLE[0])
            if result.determined[number]:
                axes.axhspan(result.low[number], result.high[number], color=CYCLE[5], alpha=0.25, lw=0)
            else:
                axes.set_title("not determined by the data", color=CYCLE[1])
            axes.set(xlabel="step", ylabel=label(result, number))


def draw_posterior(path: Path, result: InferenceResult) -> None:
    """The posterior of every constant, and of every pair where there are two or more: 50 and 95 %.

    Raises:
        InputError: The data determine none.
    """
    known = [number for number in range(len(result.names)) if result.determined[number]]
    if not known:
        raise InputError("the data determine no constant")
    pairs = list(combinations(known, 2))
    panels = len(known) + len(pairs)
    with canvas(path, 2.7 * min(panels, 4) + 0.3, 2.6 * -(-panels // 4)) as figure:
        axes = figure.subplots(-(-panels // 4), min(panels, 4), squeeze=False).ravel()
        for where, number in zip(axes, known, strict=False):
            _marginal_into(where, result, number)
        for where, (first, second) in zip(axes[len(known) :], pairs, strict=False):
            _pair_into(where, result, first, second)
        for where in axes[panels:]:
            where.set_axis_off()


def _marginal_into(axes: Axes, result: InferenceResult, number: int) -> None:
    sd, centre = result.sd_log[number], np.log(result.estimate[number])
    z = centre + sd * np.linspace(-4.0, 4.0, 200)
    axes.plot(np.exp(z), norm.pdf(z, centre, sd) * np.exp(-z), color=CYCLE[0])
    axes.axvspan(result.low[number], result.high[number], color=CYCLE[5], alpha=0.25, lw=0)
    axes.axvline(result.estimate[number], color=CYCLE[6], lw=0.8)
    axes.set(xlabel=label(result, number), ylabel="probability density", yticks=[])


def _pair_into(axes: Axes, result: InferenceResult, first: int, second: int) -> None:
    both = [first, second]
    root = np.linalg.cholesky(result.covariance[np.ix_(both, both)])
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    circle: Any = np.stack([np.cos(angle), np.sin(angle)])
    for probability, width in ((0.5, 1.2), (0.95, 0.8)):
        log = np.log(result.estimate[both])[:, None] + np.sqrt(chi2.ppf(probability, 2)) * (root @ circle)
        axes.plot(*np.exp(log), color=CYCLE[0], lw=width, label=f"{100 * probability:.0f} %")
    axes.plot(*result.estimate[both], "+", color=CYCLE[6])
    axes.set(xlabel=label(result, first), ylabel=label(result, second))
    axes.legend(loc="best")


def draw_residuals(path: Path, result: InferenceResult) -> None:
    """What is left of the data, over its noise: against time, and beside the normal law."""
    seen = result.observations
    left = (seen["value"] - seen["predicted"]) / seen["noise"]
    with canvas(path, 6.6, 2.5) as figure:
        over_time, law = figure.subplots(1, 2, width_ratios=(2.0, 1.0))
        over_time.plot(seen["t"], left, ".", ms=3, color=CYCLE[0])
        over_time.axhline(0.0, color=CYCLE[6], lw=0.6)
        over_time.set(xlabel="time (ms)", ylabel="(data − model) / noise")
        law.hist(left, bins=24, density=True, color=CYCLE[5], alpha=0.5)
        z = np.linspace(-4.0, 4.0, 200)
        law.plot(z, norm.pdf(z), color=CYCLE[6], lw=0.8)
        law.set(xlabel="(data − model) / noise", ylabel="share", yticks=[])
