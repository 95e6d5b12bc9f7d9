"""A long protocol on one page: pulses, calcium at two places, in the tree and by type, and the error."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.physics.stimulation.protocols import PulseProtocol
from hpcpinn.report.canvas import canvas, frame_spacing, halo, label, moment, scale_for, time_label, time_unit
from hpcpinn.report.cell import cells_into
from hpcpinn.report.cell_outline import colours_of_kinds
from hpcpinn.report.convergence import error_estimate_into
from hpcpinn.report.pulse_train import onset_bars
from hpcpinn.report.stimulation import protocol_of, pulses_within, train_ends

_SOMA = 1
_MOST_CURVES = 4
_PULSE, _CLAMP = "#0072B2", "#E69F00"
_MOMENT = "0.6"
_SAME_PHASE = 2.0
"""ms: frames stand at the ends of windows, which are no longer than this while much moves."""
_WIDE = 30.0
"""Ratio of extremes from which calcium is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Curve:
    """Calcium at one place.

    Attributes:
        name: For the legend.
        kind: SWC type of the place.
        time: User time.
        calcium: µM.
        place: x and y in µm where the trees should show it; None where a probe does.
    """

    name: str
    kind: int
    time: Float[ndarray, " n"]
    calcium: Float[ndarray, " n"]
    place: tuple[float, float] | None = None


def draw_protocol(path: Path, result: Result) -> None:
    """Draws the page.

    Args:
        path: Picture.
        result: A run in split windows.

    Raises:
        InputError: The result has fewer than two frames or no windows yet.
        OutputError: The picture cannot be written.
    """
    if len(result.time) < 2 or not len(result.windows["start"]):
        raise InputError(f"{result.path}: has {len(result.time)} frames, a protocol needs two; run longer")
    protocol = protocol_of(result.config)
    shown = telling_moments(result, protocol)
    curves = curves_of(result)
    with canvas(path, 7.2, 9.4) as figure:
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.25, 1.0))[:, 0]
        _draw_against_time(above, result, protocol, curves, [frame for frame, _ in shown])
        _draw_trees(below, result, curves, shown)


def telling_moments(result: Result, protocol: PulseProtocol | None) -> list[tuple[int, str]]:
    """Frames at the end of the first, the middle and the last train, and what to call them.

    Of a single train, or without pulses, frames after one, two and three thirds of it; as long after a pulse as
    the last, where there are such frames.
    """
    end = float(result.time[-1])
    onsets = np.zeros(0) if protocol is None else pulses_within(result, protocol, end)
    ends = np.zeros(0) if protocol is None or not len(onsets) else train_ends(protocol, onsets)
    if len(ends) > 1:
        trains = sorted({0, (len(ends) - 1) // 2, len(ends) - 1})
        return [(_frame_after(result, ends[train]), f"end of train {train + 1}") for train in trains]
    first, last = (onsets[0], onsets[-1]) if len(onsets) > 2 else (result.time[0], end)
    times = [first + share * (last - first) for share in (1 / 3, 2 / 3, 1.0)]
    alike = _in_phase(result, onsets, _frame_after(result, last))
    if len(alike) < len(times):
        frames = [_frame_after(result, time) for time in times]
    else:
        frames = [int(alike[np.argmin(np.abs(result.time[alike] - time))]) for time in times]
    return [(frame, "") for frame in sorted(set(frames))]


def _in_phase(result: Result, onsets: Float[ndarray, " pulses"], frame: int) -> Int[ndarray, " k"]:
    """Frames as long after a pulse as the given one; none where no pulse comes before it."""
    if not len(onsets) or result.time[frame] < onsets[0]:
        return np.zeros(0, int)
    since = result.time - np.append(-np.inf, onsets)[np.searchsorted(onsets, result.time, side="right")]
    return np.flatnonzero(np.abs(since - since[frame]) <= _SAME_PHASE)


def _frame_after(result: Result, time: float) -> int:
    return min(int(np.searchsorted(result.time, time)), len(result.time) - 1)


def curves_of(result: Result) -> list[Curve]:
    """Calcium at the probes; where none is on the soma or none off it, in a cell of the frames too.

    Off the soma that is the cell with the highest mean over time.
    """
    probes = result.probes
    curves = []
    if len(probes.time):
        kinds = result.cable.kind[probes.piece]
        # The soma and a neurite first, then what there is room for.
        order = sorted(range(len(kinds)), key=lambda p: (int(np.sum(kinds[:p] == kinds[p])), p))
        curves = [
            Curve(f"probe {probes.name[p]}", int(kinds[p]), probes.time, probes.calcium[:, p])
            for p in sorted(order[:_MOST_CURVES])
        ]
    kind = result.cable.kind[result.cells.piece]
    for group, known in ((kind == _SOMA, _SOMA), (kind != _SOMA, None)):
        has = any((curve.kind == _SOMA) == (known == _SOMA) for curve in curves)
        if not has and group.any():
            curves.append(_hottest(result, np.flatnonzero(group)))
    return curves


def _hottest(result: Result, cells: Int[ndarray, " k"]) -> Curve:
    cell = int(cells[result.calcium[:, cells].mean(axis=0).argmax()])
    piece = result.cells.piece[cell]
    section = result.cable.sections[result.cable.section[piece]].name
    distance = f", {result.cells.path[cell]:.0f} {result.units.get('path', '').replace('um', 'µm')}".rstrip()
    origin = "soma" if _SOMA in result.cable.kind[result.cable.node[:, 0] == result.cable.node[0, 0]] else "root"
    x, y = result.cells.xyz[cell, :2].tolist()
    return Curve(
        f"{section}{distance} from the {origin} (frames)",
        int(result.cable.kind[piece]),
        result.time,
        result.calcium[:, cell],
        (x, y),
    )


def means_by_kind(result: Result) -> dict[int, Float[ndarray, " T"]]:
    """Calcium averaged over the volume of every type of section, µM."""
    kind, volume = result.cable.kind[result.cells.piece], result.cells.volume
    return {
        int(k): result.calcium[:, kind == k] @ volume[kind == k] / volume[kind == k].sum()
        for k in np.unique(kind)
    }


def _draw_against_time(
    figure: SubFigure,
    result: Result,
    protocol: PulseProtocol | None,
    curves: list[Curve],
    frames: list[int],
) -> None:
    panels = figure.subplots(4, 1, sharex=True, height_ratios=[0.35, 1.2, 1.0, 0.8])
    pulses, places, means, errors = panels
    _, worth = time_unit(result)
    colours = colours_of_kinds(result.cable)
    _draw_pulses(pulses, result, protocol)
    styles: dict[int, int] = {}
    for curve in curves:
        number = styles[curve.kind] = styles.get(curve.kind, -1) + 1
        style = ("-", "--", ":", "-.")[number % 4]
        places.plot(
            curve.time / worth, curve.calcium, style, color=colours[curve.kind], lw=0.9, label=curve.name
        )
    _calcium_axis(places, result, "b  at single places; dotted: the trees below")
    for kind, mean in means_by_kind(result).items():
        means.plot(result.time / worth, mean, color=colours[kind], lw=1.0, label=kind_name(kind))
    _calcium_axis(means, result, f"c  mean over the volume of each type, frames {frame_spacing(result)} apart")
    error_estimate_into(errors, result)
    errors.set_title("d  error: windows against windows twice as long, share of the largest excursion", loc="left")
    for axes in (places, means):
        for frame in frames:
            axes.axvline(result.time[frame] / worth, color=_MOMENT, lw=0.7, ls=":", zorder=0)
    windows = result.windows
    end = max(float(result.time[-1]), float(windows["start"][-1] + windows["length"][-1]))
    errors.set_xlim(0.0, end / worth)
    errors.set_xlabel(time_label(result))
    figure.align_ylabels(panels)


def _draw_pulses(axes: Axes, result: Result, protocol: PulseProtocol | None) -> None:
    """Pulses as strokes, trains as blocks; clamps as blocks of their own colour."""
    _, worth = time_unit(result)
    end = float(result.time[-1])
    said = "a  no pulses"
    if protocol is not None:
        onsets = pulses_within(result, protocol, end)
        said = f"a  {_in_words(result, protocol, len(onsets))}"
        if len(onsets):
            axes.broken_barh((onset_bars(onsets, end) / worth).tolist(), (0.0, 1.0), color=_PULSE, lw=0.8)
    clamps = [(clamp["start"], clamp["duration"]) for clamp in result.config.get("clamp", ())]
    if clamps:
        axes.broken_barh((np.array(clamps) / worth).tolist(), (0.0, 0.5), color=_CLAMP, lw=0.8)
        said += ", current clamps (low bars)"
    axes.set_title(said, loc="left")
    axes.set_ylim(0.0, 1.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _in_words(result: Result, protocol: PulseProtocol, count: int) -> str:
    field, given = result.config["field"], result.config["stimulation"]
    name = given["protocol"] or "pulses"
    waveform = Path(given["waveform"] or protocol.waveform).stem
    strength = "" if field["magnitude"] is None or field["file"] else f", {field['magnitude']:g} V/m"
    return f"{name}: {count} of {protocol.count} pulses, {waveform}{strength}"


def _calcium_axis(axes: Axes, result: Result, title: str) -> None:
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    if values.min() > 0.0 and values.max() > _WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(label(result, "calcium"))
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1)


def _draw_trees(
    figure: SubFigure, result: Result, curves: list[Curve], shown: list[tuple[int, str]]
) -> None:
    frames = np.array([frame for frame, _ in shown])
    titles = [", ".join(filter(None, [said, moment(result, result.time[frame])])) for frame, said in shown]
    titles[0] = f"e  {titles[0]}"
    cells_into(figure, result, frames, scale_for(result.calcium[frames]), titles)
    for axes in figure.axes[: len(frames)]:
        for curve in curves:
            if curve.place is not None:
                axes.plot(*curve.place, "o", ms=5, mfc="none", mec="black", mew=0.6)
                name = curve.name.split(",")[0]
                halo(axes.annotate(name, curve.place, (6, 4), textcoords="offset points", fontsize=6.5))
