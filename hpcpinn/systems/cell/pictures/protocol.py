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
from hpcpinn.report.canvas import canvas, frame_spacing, label, moment, time_label, time_unit, unit_of
from hpcpinn.report.heading import abridged, heading_of
from hpcpinn.systems.cell.pictures.cell import cells_into
from hpcpinn.systems.cell.pictures.cell_outline import colours_of_kinds
from hpcpinn.systems.cell.pictures.change import Change, change_of, quiet_axis, shading_of
from hpcpinn.systems.cell.pictures.convergence import error_estimate_into
from hpcpinn.systems.cell.pictures.marks import Mark
from hpcpinn.systems.cell.pictures.pulse_train import onset_bars
from hpcpinn.systems.cell.pictures.stimulation import protocol_of, pulses_within

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
        name: Name for the legend.
        kind: SWC type of the place.
        time: User time.
        calcium: Free calcium, µM.
        place: Coordinates x and y in µm where the trees should show it; None where a probe does.
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
    protocol, change = protocol_of(result.config), change_of(result)
    shown = telling_moments(result, change, protocol)
    curves = curves_of(result)
    with canvas(path, 7.2, 9.6, heading_of(result)) as figure:
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.25, 1.0))[:, 0]
        _draw_against_time(above, result, protocol, curves, [frame for frame, _ in shown])
        _draw_trees(below, result, change, curves, shown)


def telling_moments(result: Result, change: Change, protocol: PulseProtocol | None) -> list[tuple[int, str]]:
    """Frames at the peak of the first, the middle and the last train, and what to call them.

    The peak is where the mean change of calcium over the tree is largest. Frames stand where they happen to, some
    just after a pulse and some long after it, so those are compared that are as long after one as the highest of
    all. Of a single train, or without pulses, the peaks of its three thirds; where nothing moves, the last frame.
    """
    if not change.happened:
        return [(len(result.time) - 1, "")]
    mean = np.abs(change.values) @ result.cells.volume / result.cells.volume.sum()
    onsets = np.zeros(0) if protocol is None else pulses_within(result, protocol, float(result.time[-1]))
    peak = int(mean.argmax())
    alike = _in_phase(result, onsets, peak)
    shown: dict[int, str] = {}
    for start, end, said in _spans(result, protocol, onsets):
        within = np.flatnonzero((result.time >= start) & (result.time < end))
        choice = np.intersect1d(within, alike) if np.isin(within, alike).any() else within
        if len(choice):
            frame = int(choice[mean[choice].argmax()])
            shown.setdefault(frame, ", ".join(filter(None, [said, "highest frame" if frame == peak else ""])))
    return sorted(shown.items())


def _spans(
    result: Result, protocol: PulseProtocol | None, onsets: Float[ndarray, " pulses"]
) -> list[tuple[float, float, str]]:
    """Start, end and name of the first, the middle and the last train, up to the next one; or thirds of the run."""
    end = float(result.time[-1])
    starts = onsets[:: protocol.pulses * protocol.bursts] if protocol is not None and len(onsets) else onsets
    if len(starts) > 1:
        until = [*starts[1:].tolist(), np.inf]
        trains = sorted({0, (len(starts) - 1) // 2, len(starts) - 1})
        return [(float(starts[train]), until[train], f"train {train + 1}") for train in trains]
    first = float(onsets[0]) if len(onsets) else float(result.time[0])
    borders = np.linspace(first, end, 4)
    return [(float(a), float(b), "") for a, b in zip(borders[:-1], [*borders[1:-1], np.inf], strict=True)]


def _in_phase(result: Result, onsets: Float[ndarray, " pulses"], frame: int) -> Int[ndarray, " k"]:
    """Frames as long after a pulse as the given one; none where no pulse comes before it."""
    if not len(onsets) or result.time[frame] < onsets[0]:
        return np.zeros(0, int)
    since = result.time - np.append(-np.inf, onsets)[np.searchsorted(onsets, result.time, side="right")]
    return np.flatnonzero(np.abs(since - since[frame]) <= _SAME_PHASE)


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
    return {int(k): result.calcium[:, kind == k] @ volume[kind == k] / volume[kind == k].sum() for k in np.unique(kind)}


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
            curve.time / worth, curve.calcium, style, color=colours[curve.kind], lw=0.9,
            label=abridged(curve.name, 40),
        )  # fmt: skip
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
    is_quiet = quiet_axis(axes, result.field("calcium"), values, unit_of(result, "calcium"))
    if not is_quiet and values.min() > 0.0 and values.max() > _WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(label(result, "calcium"))
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1)


def _draw_trees(
    figure: SubFigure, result: Result, change: Change, curves: list[Curve], shown: list[tuple[int, str]]
) -> None:
    frames = np.array([frame for frame, _ in shown])
    titles = [moment(result, result.time[frame]) + (f"\n({said})" if said else "") for frame, said in shown]
    titles[0] = f"e  {titles[0]}"
    more = [Mark("place", curve.name.split(",")[0], curve.place) for curve in curves if curve.place is not None]
    cells_into(figure, result, change, frames, shading_of(result, change, frames), titles, more)
