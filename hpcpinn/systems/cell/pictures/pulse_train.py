"""An rTMS protocol from afar and ever closer: all of it, a train, a burst, and one pulse."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator
from numpy import ndarray

from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.units import TIME

_PULSE = CYCLE[0]
_SHADE = "#F5D9A0"
_STROKES = 200
"""Pulses that a panel can show side by side as single strokes."""
_MARGIN = 0.02
"""Room beside what a panel shows, as a share of it: the first pulse must not lie on the frame."""


def draw_pulse_train(
    path: Path,
    *,
    pulse_times: Float[ndarray, " pulses"],
    spans: Sequence[float],
    waveform: tuple[Float[ndarray, " n"], Float[ndarray, " n"]],
    titles: Sequence[str],
    name: str,
) -> None:
    """Draws a protocol in four panels, each but the last with what the next one enlarges.

    Args:
        path: Picture; its directory is made.
        pulse_times: Onsets, ms, increasing from zero.
        spans: What the first three panels show, ms from the first pulse: the protocol, a train, a burst.
        waveform: Times (ms) and values of one pulse.
        titles: Titles of the four panels.
        name: Line above the picture.

    Raises:
        OutputError: The picture cannot be written.
    """
    with canvas(path, 6.4, 6.2) as figure:
        panels = figure.subplots(4, 1, height_ratios=[0.45, 0.45, 0.9, 1.3])
        whole, train, burst, pulse = panels
        units = [
            _draw_onsets(whole, pulse_times, spans[0]),
            _draw_onsets(train, pulse_times, spans[1]),
            _draw_field(burst, pulse_times, spans[2], waveform),
        ]
        _draw_waveform(pulse, waveform)
        for axes, unit, seen in zip(panels[:3], units, (*spans[1:], float(waveform[0][-1])), strict=True):
            _mark_enlarged(axes, seen / TIME[unit])
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title, loc="left")
        figure.align_ylabels([burst, pulse])
        figure.suptitle(name, fontsize=10, weight="bold")


def _draw_onsets(axes: Axes, times: Float[ndarray, " pulses"], span: float) -> str:
    """A stroke for every pulse, a block for those that cannot be told apart; returns the unit of time."""
    unit = _time_axis(axes, span)
    bars = onset_bars(times[times < _until(span)], span) / TIME[unit]
    axes.broken_barh(bars.tolist(), (0.0, 1.0), color=_PULSE, lw=0.8)
    axes.set_ylim(0.0, 1.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return unit


def onset_bars(times: Float[ndarray, " pulses"], span: float) -> Float[ndarray, "bars 2"]:
    """Start and width of a stroke (no width) for every pulse, of a block for those too close for a panel.

    Args:
        times: Onsets, increasing.
        span: What the panel shows, in the same unit.
    """
    ends = np.flatnonzero(np.diff(times, append=np.inf) > span / _STROKES)
    starts = np.concatenate([[0], ends[:-1] + 1])
    return np.stack([times[starts], times[ends] - times[starts]], axis=1)


def _draw_field(
    axes: Axes,
    times: Float[ndarray, " pulses"],
    span: float,
    waveform: tuple[Float[ndarray, " n"], Float[ndarray, " n"]],
) -> str:
    """The field itself, pulses true to scale; returns the unit of time."""
    unit = _time_axis(axes, span)
    t, values = waveform
    for onset in times[times < _until(span)]:
        shape = np.concatenate([[0.0], values, [0.0]])
        moments = onset + np.concatenate([t[:1], t, t[-1:]])
        axes.plot(moments / TIME[unit], shape, color=_PULSE, lw=0.9)
    axes.axhline(0.0, color="black", lw=0.5, zorder=0)
    _field_axis(axes, values)
    return unit


def _until(span: float) -> float:
    """The end of a panel, without the pulse that only rounding puts before it."""
    return span * (1.0 - 1e-9)


def _draw_waveform(axes: Axes, waveform: tuple[Float[ndarray, " n"], Float[ndarray, " n"]]) -> None:
    t, values = waveform
    unit = _time_axis(axes, float(t[-1]))
    moments = np.concatenate([[-1.0], t[:1], t, t[-1:], [2.0 * t[-1]]]) / TIME[unit]
    axes.plot(moments, np.concatenate([[0.0, 0.0], values, [0.0, 0.0]]), color=_PULSE)
    axes.axhline(0.0, color="black", lw=0.5, zorder=0)
    _field_axis(axes, values)


def _field_axis(axes: Axes, values: Float[ndarray, " n"]) -> None:
    axes.set_ylim(min(float(values.min()), 0.0) - 0.12, max(float(values.max()), 0.0) + 0.12)
    axes.set_ylabel("induced field\n(peak = 1)")
    axes.yaxis.set_major_locator(MultipleLocator(0.5))


def _time_axis(axes: Axes, span: float) -> str:
    """Scales and labels the axis of time for a span in ms; returns the unit it chose."""
    unit = next((u for u, limit in (("us", 1.0), ("ms", 2e3), ("s", 2e5)) if span <= limit), "min")
    axes.set_xlim(-_MARGIN * span / TIME[unit], (1.0 + _MARGIN) * span / TIME[unit])
    axes.set_xlabel(f"time ({unit.replace('us', 'µs')})", labelpad=1.0)
    return unit


def _mark_enlarged(axes: Axes, end: float) -> None:
    """Shades what the next panel shows; the edge keeps a short pulse visible."""
    axes.axvspan(0.0, end, facecolor=_SHADE, edgecolor=_SHADE, lw=1.5, zorder=0)
    axes.set_title("shaded: enlarged below", loc="right", fontsize=7, color="0.35")
