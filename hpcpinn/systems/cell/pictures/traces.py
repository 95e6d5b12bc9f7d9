"""What the probes recorded, the reference on top."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.io.sidecar import FINITE_VOLUMES, Reference
from hpcpinn.report.canvas import CYCLE, as_points, canvas, label, time_label, time_unit, unit_of
from hpcpinn.report.heading import abridged, heading_of
from hpcpinn.systems.cell.pictures.change import quiet_axis

_WIDE = 30.0
"""Ratio of extremes from which calcium is drawn on a logarithmic axis."""
_NAMED = 12
"""Probes that the legend names one by one."""
_LONGEST = 28
"""Characters of a name in it."""
_MANY = 7
"""Probes, as many as colours, from which curves are thin and the colours go from the first to the last."""


def draw_traces(path: Path, result: Result, reference: Reference | None) -> None:
    """Draws voltage, where it moves, and every species at the probes against time.

    Args:
        path: Picture.
        result: The run.
        reference: Drawn dashed on top; None where nobody has validated the run.

    Raises:
        InputError: The run has no probes, or no samples yet.
        OutputError: The picture cannot be written.
    """
    rows = len(_shown(result))
    with canvas(path, 6.4, 0.7 + 1.6 * rows, heading_of(result)) as figure:
        traces_into(figure, result, reference)


def traces_into(
    figure: Figure | SubFigure, result: Result, reference: Reference | None, most: int | None = None
) -> None:
    """The traces on a figure or a part of one.

    Args:
        figure: Figure, or part of one, that is drawn on.
        result: The run.
        reference: Drawn dashed on top; None where nobody has validated the run.
        most: Number of quantities that there is room for, the first ones; all where None.

    Raises:
        InputError: The run has no probes, or no samples yet.
    """
    probes = result.probes
    if not probes.name or not len(probes.time):
        fix = "let the run go on, then plot" if probes.name else "name sites under [[probe]] and run again"
        raise InputError(f"{result.path}: has no probe samples; {fix}")
    names = _shown(result)[:most]
    ratios = [0.6 if name == "voltage" else 1.0 for name in names]
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    _, worth = time_unit(result)
    for axes, name in zip(panels, names, strict=True):
        values = probes.fields[name]
        _draw_probes(axes, probes.time / worth, values)
        is_quiet = quiet_axis(axes, result.field(name), values, unit_of(result, name))
        found = {} if reference is None or FINITE_VOLUMES not in reference else reference[FINITE_VOLUMES].probes
        if reference is not None and name in found:
            _draw_reference(axes, reference.probe_time / worth, found[name])
        axes.ticklabel_format(axis="y", useOffset=False)  # 2399.6 µM, not −0.4 beside "+2.4e3"
        if not is_quiet:
            _logarithmic_where_wide(axes, values)
        axes.set_ylabel(label(result, name))
    panels[-1].set_xlabel(time_label(result))
    if len(probes.time) > 1:
        panels[-1].set_xlim(probes.time[0] / worth, probes.time[-1] / worth)
    figure.align_ylabels(panels)
    _legend(panels[0], probes.name, reference is not None)


def _draw_probes(axes: Axes, time: Float[ndarray, " T"], values: Float[ndarray, "T P"]) -> None:
    styles = _styles(values.shape[1])
    for trace, style in zip(values.T, styles, strict=True):
        axes.plot(time, trace, **style, **as_points(len(time)))


def _styles(count: int) -> list[dict[str, Any]]:
    """Colours of curves, told apart one by one where they are few; then dashes; then from dark to light."""
    if count <= _MANY:
        return [{"color": CYCLE[index]} for index in range(count)]
    if count <= _NAMED:
        dashes = ("-", (0, (4, 1.5)))
        return [{"color": CYCLE[index % _MANY], "ls": dashes[index // _MANY]} for index in range(count)]
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, count))
    return [{"color": tuple(shade), "lw": 0.6} for shade in shades]


def _logarithmic_where_wide(axes: Axes, values: Float[ndarray, "T P"]) -> None:
    if values.min() > 0.0 and values.max() > _WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")


def _draw_reference(axes: Axes, time: Float[ndarray, " T"], values: Float[ndarray, "T P"]) -> None:
    for trace in values.T:
        axes.plot(time, trace, color="black", lw=0.9, ls=(0, (3, 3)))


def _legend(axes: Axes, names: tuple[str, ...], with_reference: bool) -> None:
    styles, shown = _styles(len(names)), list(range(len(names)))
    if len(names) > _NAMED:
        shown = [0, len(names) // 2, len(names) - 1]
    longest = max(len(names[i]) for i in shown)
    handles = [
        Line2D([], [], **styles[i], label=abridged(names[i], _LONGEST)) for i in shown
    ]  # fmt: skip
    if len(names) > _NAMED:
        handles.append(Line2D([], [], ls="none", label=f"{len(names)} probes, first to last"))
    if with_reference:
        handles.append(Line2D([], [], color="black", lw=0.9, ls=(0, (3, 3)), label="finite-volume reference"))
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4 if longest <= 14 else 2,
        borderaxespad=0.2,
    )  # fmt: skip


def _shown(result: Result) -> list[str]:
    """Voltage, where it moves, then all species in their order."""
    voltage = result.probes.voltage
    first = ["voltage"] if voltage.size and float(np.ptp(voltage)) > 1e-6 else []
    return [*first, *(field.name for field in result.declared if field.name != "voltage")]
