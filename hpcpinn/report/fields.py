"""Pictures of any run by its geometry alone: fields at points, along a line, in a box; beside other solutions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io.read import Result
from hpcpinn.io.sidecar import Reference, read_reference
from hpcpinn.report.canvas import CYCLE, as_points, canvas, label, logarithmic, moment, time_label, time_unit
from hpcpinn.report.heading import heading_of
from hpcpinn.wording import as_typed

_SNAPSHOTS = 4
_MOST_CURVES = 12
"""Points that have a curve each."""

Drawer = Callable[[Path, Result, str, Reference | None, Int[ndarray, " k"]], None]


def draw_fields(
    result: Result, folder: Path, *, times: Sequence[float] | None = None, suffix: str = "png"
) -> tuple[list[Path], list[str]]:
    """Draws every field of a run, and how long its windows were.

    Args:
        result: The run.
        folder: The folder for pictures.
        times: User times at which to show fields of a box; chosen where None.
        suffix: The format of pictures: png, pdf, svg.

    Returns:
        The pictures drawn, and for each that was left out the reason.

    Raises:
        InputError: `times` lie outside the run, there are no frames, or nothing here draws the geometry.
        OutputError: A picture cannot be written.
    """
    if not len(result.time):
        raise InputError(f"{result.path}: holds no frames; run the job again")
    drawers: Mapping[str, Drawer] = {"points": _draw_traces, "line": _draw_kymograph, "box": _draw_snapshots}
    kind = result.geometry.kind
    if kind not in drawers:
        raise InputError(f"{result.path}: its fields live on a {kind}, which this system has no pictures of")
    reference, frames = read_reference(result), _frames(result, times)
    drawn = []
    for field in result.declared:
        picture = folder / f"{field.name}.{suffix}"
        drawers[kind](picture, result, field.name, reference, frames)
        drawn.append(picture)
    if len(result.windows["start"]) > 1:
        drawn.append(folder / f"windows.{suffix}")
        _draw_windows(drawn[-1], result)
    missing = f"no other solutions in the pictures: hpcpinn validate {as_typed(result.path)} computes them"
    return drawn, [] if reference is not None else [missing]


def _frames(result: Result, times: Sequence[float] | None) -> Int[ndarray, " k"]:
    first, last = float(result.time[0]), float(result.time[-1])
    if times is None:
        wanted: Float[ndarray, " k"] = np.linspace(first, last, min(_SNAPSHOTS, len(result.time)))
    else:
        for time in times:
            if not first <= time <= last * (1.0 + 1e-9):
                raise InputError(f"--times {time:g}: the run is from {first:g} to {last:g}")
        wanted = np.asarray(times, float)
    return np.array([int(np.argmin(np.abs(result.time - time))) for time in wanted])


def _others(reference: Reference | None, name: str) -> dict[str, Float[ndarray, "T ..."]]:
    """Other solutions of a field, by what a person calls them."""
    solutions = {} if reference is None else reference.solutions
    return {who.replace("_", " "): found.fields[name] for who, found in solutions.items() if name in found.fields}


def _draw_traces(
    path: Path, result: Result, name: str, reference: Reference | None, frames: Int[ndarray, " k"]
) -> None:
    """A field at points against time."""
    worth = time_unit(result)[1]
    values = result.fields[name].reshape(len(result.time), -1)
    names = getattr(result.geometry, "name", ())
    with canvas(path, 5.0, 2.6, heading_of(result)) as figure:
        axes = figure.subplots()
        for number in range(min(values.shape[1], _MOST_CURVES)):
            colour = CYCLE[number % len(CYCLE)]
            known = names[number] if number < len(names) and names[number] else None
            axes.plot(result.time / worth, values[:, number], color=colour, label=known, **as_points(len(values)))
            for style, (who, other) in zip((":", "--"), _others(reference, name).items(), strict=False):
                shown = other.reshape(len(other), -1)[:, number]
                axes.plot(result.time / worth, shown, style, color="0.2", label=who if number == 0 else None)
        axes.set_xlabel(time_label(result))
        axes.set_ylabel(label(result, name))
        if axes.get_legend_handles_labels()[0]:
            axes.legend()


def _draw_kymograph(
    path: Path, result: Result, name: str, reference: Reference | None, frames: Int[ndarray, " k"]
) -> None:
    """A field along a line against time, and how far other solutions are from it."""
    others, ours, worth = _others(reference, name), result.fields[name], time_unit(result)[1]
    panels = [(label(result, name), ours)] + [(f"difference from {who}", ours - other) for who, other in others.items()]
    with canvas(path, 3.6 * len(panels) + 0.4, 2.8, heading_of(result)) as figure:
        row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, (text, values) in zip(row, panels, strict=True):
            shown = axes.pcolormesh(
                result.time / worth, result.geometry.coordinates()["x"][1], values.T, shading="nearest", rasterized=True
            )
            figure.colorbar(shown, ax=axes, label=text)
            axes.set_xlabel(time_label(result))
        row[0].set_ylabel(label(result, "x"))


def _draw_snapshots(
    path: Path, result: Result, name: str, reference: Reference | None, frames: Int[ndarray, " k"]
) -> None:
    """A field in a box at some times, a column each, and how far other solutions are from it."""
    ours, box = result.fields[name], result.box
    rows = {"hpcpinn": ours} | {f"less {who}": ours - other for who, other in _others(reference, name).items()}
    if box.z is not None:
        middle = len(box.z) // 2
        rows = {who: values[:, middle] for who, values in rows.items()}
    with canvas(path, 2.9 * len(frames) + 0.7, 2.3 * len(rows) + 0.4, heading_of(result)) as figure:
        axes = figure.subplots(len(rows), len(frames), squeeze=False, sharex=True, sharey=True)
        for row, (who, values) in enumerate(rows.items()):
            for column, frame in enumerate(frames):
                text = label(result, name, name if row == 0 else f"{name} {who}")
                _map_into(figure, axes[row, column], result, values[frame], text)
            axes[row, 0].set_ylabel(label(result, "y"))
        for column, frame in enumerate(frames):
            if len(result.time) > 1:
                axes[0, column].set_title(moment(result, float(result.time[frame])))
            axes[-1, column].set_xlabel(label(result, "x"))


def _map_into(figure: Figure, axes: Axes, result: Result, values: Float[ndarray, "Y X"], text: str) -> None:
    inside = values[np.isfinite(values)]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 1.0)
    shown = axes.pcolormesh(
        result.box.x, result.box.y, np.ma.masked_invalid(values), norm=Normalize(low, high), shading="nearest",
        rasterized=True,
    )  # fmt: skip
    axes.set_aspect("equal")
    figure.colorbar(shown, ax=axes, label=text, shrink=0.8)


def _draw_windows(path: Path, result: Result) -> None:
    """Lengths of windows and their error estimates against time."""
    worth, windows = time_unit(result)[1], result.windows
    with canvas(path, 5.0, 3.4, heading_of(result)) as figure:
        lengths, errors = figure.subplots(2, 1, sharex=True)
        edges = np.append(windows["start"], windows["start"][-1:] + windows["length"][-1:]) / worth
        lengths.stairs(windows["length"] / worth, edges, baseline=None, color=CYCLE[0])
        lengths.set_ylabel(time_label(result).replace("time", "length"))
        found = windows["error_estimate"]
        positive = found > 0.0
        errors.plot(windows["start"][positive] / worth, found[positive], ".", color=CYCLE[1])
        if positive.any():
            logarithmic(errors, found[positive])
        else:
            errors.set(yticks=[])
            errors.text(0.5, 0.5, "none above zero", ha="center", transform=errors.transAxes)
        errors.set_ylabel("error estimate")
        errors.set_xlabel(time_label(result))
