"""Pictures of a run on a square: snapshots beside other solutions, heat maps, errors against time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.io.sidecar import DEEPXDE, EXACT, FINITE_DIFFERENCE, Reference, read_reference
from hpcpinn.report.canvas import CYCLE, as_points, calcium_colours, canvas, logarithmic
from hpcpinn.report.heading import heading_of
from hpcpinn.wording import as_typed, biology, unit_for

_EARLY_TO_LATE = (0.0, 0.025, 0.1, 1.0)
"""Shares of the run at which the square is shown."""
_SMALLEST = 1e-12
"""Errors below this part of the peak are shown as this."""


def draw_square(
    result: Result, folder: Path, *, times: Sequence[float] | None = None, suffix: str = "png"
) -> tuple[list[Path], list[str]]:
    """Draws every picture that the result has the data for.

    Args:
        result: The run.
        folder: Folder of the pictures.
        times: Times at which to show the square, ms; early, middle and late where None.
        suffix: Format of the pictures: png, pdf, svg.

    Returns:
        The pictures drawn, and for each that was left out the reason.

    Raises:
        InputError: `times` lie outside the run, or there are no frames.
        OutputError: A picture cannot be written.
    """
    if not len(result.time):
        raise InputError(f"{result.path}: holds no frames; run the job again")
    reference = reference_of(result)
    frames = _frames(result, times)
    pictures: dict[str, Callable[[Path], None]] = {
        "snapshots": lambda path: draw_snapshots(path, result, reference, frames),
        "heat_map": lambda path: draw_heat_map(path, result, reference),
        "errors": lambda path: draw_errors(path, result, reference),
    }
    drawn = []
    for name, draw in pictures.items():
        draw(folder / f"{name}.{suffix}")
        drawn.append(folder / f"{name}.{suffix}")
    missing = f"no other solutions in the pictures: run hpcpinn validate {as_typed(result.path)} first"
    return drawn, [] if reference is not None else [missing]


def reference_of(result: Result) -> Reference | None:
    """Other solutions at the frames of a result; None where there are none, of an earlier run, or of fewer frames.

    Raises:
        InputError: The file is damaged or of another version.
    """
    reference = read_reference(result)
    is_whole = reference is not None and len(reference.time) == len(result.time) and EXACT in reference
    return reference if is_whole else None


def _frames(result: Result, times: Sequence[float] | None) -> Int[ndarray, " n"]:
    end = float(result.time[-1])
    if times is None:
        nearest = [int(np.argmin(np.abs(result.time - share * end))) for share in _EARLY_TO_LATE]
        last = len(result.time) - len(nearest) + np.arange(len(nearest))  # no frame twice, where there are enough
        rising = np.maximum.accumulate(nearest - np.arange(len(nearest))) + np.arange(len(nearest))
        return np.unique(np.minimum(rising, last).clip(min=0))
    for time in times:
        if not result.time[0] <= time <= end * (1.0 + 1e-9):
            raise InputError(f"--times {time:g}: the run is from {result.time[0]:g} to {biology(end, 6)}")
    return np.array([int(np.argmin(np.abs(result.time - time))) for time in times])


def draw_snapshots(path: Path, result: Result, reference: Reference | None, frames: Int[ndarray, " n"]) -> None:
    """The square at some times, a column each: ours, the other solutions, and our error."""
    rows: list[tuple[str, ndarray]] = [("hpcpinn", result.dopamine)]
    if reference is not None:
        rows += [("closed form", _found(reference, EXACT)), *_approximations(reference)]
    error = None if reference is None else np.abs(result.dopamine - _found(reference, EXACT))
    n_rows = len(rows) + (error is not None)
    with canvas(path, 2.0 * len(frames) + 1.1, 1.7 * n_rows + 0.5, heading_of(result)) as figure:
        axes = figure.subplots(n_rows, len(frames), squeeze=False, sharex=True, sharey=True)
        for column, frame in enumerate(frames):
            scale = Normalize(0.0, float(result.dopamine[frame].max()))
            for row, (_, values) in enumerate(rows):
                _square_into(axes[row, column], result, values[frame], scale)
            axes[0, column].set_title(f"{biology(result.time[frame], 6)}")
            shown = ScalarMappable(Normalize(0.0, float(result.dopamine[frame].max())), calcium_colours())
            figure.colorbar(
                shown, ax=axes[: len(rows), column], label="dopamine (µM)", shrink=0.6, pad=0.02, aspect=30,
                location="right",
            )  # fmt: skip
        if error is not None:
            high = max(float(error[frames].max()), _SMALLEST)
            scale_error = LogNorm(1e-4 * high, high)
            for column, frame in enumerate(frames):
                _square_into(axes[-1, column], result, np.maximum(error[frame], 1e-4 * high), scale_error, "viridis")
            shown = ScalarMappable(scale_error, "viridis")
            figure.colorbar(shown, ax=axes[-1], label="|error| (µM)", shrink=0.9, pad=0.01, format="{x:g}")
        names = [name for name, _ in rows] + ([] if error is None else ["hpcpinn's error"])
        for row, name in enumerate(names):
            axes[row, 0].set_ylabel(f"{name}\ny (µm)")
        for axis in axes[-1]:
            axis.set_xlabel("x (µm)")


def _approximations(reference: Reference) -> list[tuple[str, ndarray]]:
    """Other solutions than the closed form that are at hand, by name."""
    names = {FINITE_DIFFERENCE: "finite differences", DEEPXDE: "DeepXDE"}
    return [(said, _found(reference, name)) for name, said in names.items() if name in reference]


def _found(reference: Reference, name: str) -> ndarray:
    return reference[name].fields["dopamine"]


def _square_into(axes: Any, result: Result, values: ndarray, scale: Any, colours: Any = None) -> None:
    x, y = result.box.x, result.box.y
    half_x, half_y = (0.5 * (line[1] - line[0]) for line in (x, y))
    extent = (x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y)
    colours = calcium_colours() if colours is None else colours
    axes.imshow(values, origin="lower", extent=extent, norm=scale, cmap=colours, interpolation="nearest")


def draw_heat_map(path: Path, result: Result, reference: Reference | None) -> None:
    """The line y ≈ 0 against time: ours, and our error where the closed form is at hand."""
    middle = len(result.box.y) // 2
    ours = result.dopamine[:, middle, :]
    with canvas(path, 7.2, 3.2, heading_of(result)) as figure:
        axes = figure.subplots(1, 1 if reference is None else 2, squeeze=False, sharey=True)[0]
        high = float(ours.max())
        _map_into(figure, axes[0], result, ours, LogNorm(1e-5 * high, high), calcium_colours(), "dopamine (µM)")
        axes[0].set_ylabel(f"x (µm) at y = {result.box.y[middle]:.2g} µm")
        if reference is not None:
            error = np.abs(result.dopamine[:, middle, :] - _found(reference, EXACT)[:, middle, :])
            top = max(float(error.max()), _SMALLEST)
            _map_into(figure, axes[1], result, error, LogNorm(1e-4 * top, top), "viridis", "|error| (µM)")


def _map_into(
    figure: Any, axes: Any, result: Result, values: ndarray, scale: Normalize, colours: Any, label: str
) -> None:
    lowest, (unit, worth) = float(scale.inverse(0.0)), _time_unit(result)
    shown = axes.pcolormesh(
        result.time / worth, result.box.x, np.maximum(values, lowest).T, norm=scale, cmap=colours, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    if len(result.time) > 1:
        axes.set_xlim(result.time[0] / worth, result.time[-1] / worth)  # not half a frame beyond them
    axes.set_xlabel(f"time ({unit})")
    figure.colorbar(shown, ax=axes, label=label, pad=0.02, format="{x:g}")


def _time_unit(result: Result) -> tuple[str, float]:
    """The unit in which the axis of time is short to read, and its worth in ms."""
    worth, unit = unit_for(float(result.time[-1]))
    return unit, worth


def draw_errors(path: Path, result: Result, reference: Reference | None) -> None:
    """Errors against time, with the error estimate of every window, and what windows took."""
    windows, (unit, worth) = result.windows, _time_unit(result)
    edges = np.append(windows["start"], windows["start"][-1:] + windows["length"][-1:]) / worth
    with canvas(path, 6.8, 3.2, heading_of(result)) as figure:
        left, right = figure.subplots(1, 2)
        if reference is not None:
            solutions = [("hpcpinn", result.dopamine), *_approximations(reference)]
            for (name, values), colour in zip(solutions, CYCLE, strict=False):
                missed = np.linalg.norm(values - _found(reference, EXACT), axis=(1, 2))
                relative = missed / np.linalg.norm(_found(reference, EXACT), axis=(1, 2))
                left.plot(
                    result.time[1:] / worth, relative[1:], color=colour, label=name,
                    **as_points(len(relative) - 1),
                )  # fmt: skip
        left.stairs(windows["error_estimate"], edges, baseline=None, color=CYCLE[6], ls=":", label="error estimate")
        said = "error estimate" if reference is None else "error"
        left.set(yscale="log", xlabel=f"time ({unit})", ylabel=f"{said}, relative L2")
        left.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.1)
        right.stairs(windows["length"], edges, baseline=None, color=CYCLE[0])
        right.set(xlabel=f"time ({unit})", ylabel="window length (ms)")
        if len(windows["length"]):
            logarithmic(right, windows["length"])
        right.yaxis.label.set_color(CYCLE[0])
        sweeps = right.twinx()
        sweeps.plot(0.5 * (edges[1:] + edges[:-1]), windows["sweeps"], "o", ms=3, color=CYCLE[1])
        sweeps.set_ylabel("sweeps of a window (points)", color=CYCLE[1])
        sweeps.set_ylim(0.0, 1.1 * sweeps.get_ylim()[1])
        sweeps.yaxis.set_major_locator(MaxNLocator(integer=True))
        sweeps.spines["right"].set_visible(True)
