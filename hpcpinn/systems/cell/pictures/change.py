"""Change from rest: what of it is more than noise, and the colours that show it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure, SubFigure
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.io.schema import Variable
from hpcpinn.report.canvas import calcium_colours, halo, moment, unit_of

_WIDE = 4.0
"""Ratio of the largest change to a typical cell's, from which colours are logarithmic."""
_DECADES = 1e-3
"""Least change that logarithmic colours tell from rest, as a share of the largest."""
_BELOW = 0.05
"""Share of the largest change from which changes of the other sign get colours of their own."""
_MISSED, _MISSED_VOLTAGE = 0.1, 5.0
"""By how much probes must exceed all frames before that is said: share of the frames' largest change, and mV."""


@dataclass(frozen=True)
class Change:
    """How far a quantity has moved from the first frame, in every cell.

    Attributes:
        name: Name of the field.
        rest: Values in the first frame, (N,).
        values: Values of every frame minus those of the first, (T, N).
        floor: Change below which the quantity is at rest, in its unit.
        start: User time of the first frame.
    """

    name: str
    rest: Float[ndarray, " N"]
    values: Float[ndarray, "T N"]
    floor: float
    start: float

    @property
    def happened(self) -> bool:
        """Whether anything moved by more than the floor."""
        return bool(np.abs(self.values).max(initial=0.0) > self.floor)


@dataclass(frozen=True)
class Shading:
    """Colours of a change from rest.

    Attributes:
        scale: Scale of the colours.
        colours: Dark at rest, light where much has changed.
        label: Quantity, unit and the value at rest.
        note: Words that nothing moved, where it did not; no colour bar is drawn then.
        remark: Further words about the colours, in lines.
        rest: Value that nothing has moved from; what is farthest from it is drawn on top.
    """

    scale: Normalize
    colours: Colormap
    label: str
    note: str = ""
    remark: str = ""
    rest: float = 0.0


def floor_of(field: Variable, rest: float) -> float:
    """What counts as no change of a field, in its unit.

    Args:
        field: The field.
        rest: Typical value of the field at rest.
    """
    return _in_one_digit(max(field.rest_share * abs(rest), field.rest_floor, 1e-12))


def _in_one_digit(value: float) -> float:
    """The next larger number of one digit, so that it can be said."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(f"{np.ceil(value / power - 1e-3) * power:.0e}")


def change_of(result: Result, name: str = "calcium") -> Change:
    """The change of a quantity since the first frame.

    Raises:
        InputError: There are no frames.
    """
    if not len(result.time):
        raise InputError(f"{result.path}: has no frames yet; let the run go on, then plot")
    values = result.fields[name]
    rest = values[0]
    floor = floor_of(result.field(name), float(np.median(rest)))
    return Change(name, rest, values - rest, floor, float(result.time[0]))


def shading_of(result: Result, change: Change, frames: Int[ndarray, " k"] | None = None) -> Shading:
    """Colours for some frames (all where None): linear, or logarithmic where most cells move far less than one.

    Changes of both signs get a scale of both, as wide below as above rest.
    """
    values = change.values if frames is None else change.values[frames]
    most = float(np.abs(values).max())
    if most <= change.floor:
        note = f"at rest: {change.name} moves by less than {number(change.floor)} {unit_of(result, change.name)}"
        dark = Normalize(change.floor, 2.0 * change.floor, clip=True)
        said = _in_words(result, change, rises=True)
        return Shading(dark, calcium_colours(), said, note.rstrip() + _between_frames(result, change))
    typical = float(np.median(np.abs(values).max(axis=0)))
    is_wide = most > _WIDE * typical
    least = max(change.floor, _in_one_digit(_DECADES * most))
    if values.min() < -max(change.floor, _BELOW * most):
        scale = SymLogNorm(least, vmin=-most, vmax=most) if is_wide else Normalize(-most, most)
        return Shading(scale, both_ways(), _in_words(result, change, rises=False), remark=missed(result, change.name))
    scale = LogNorm(least, most, clip=True) if is_wide else Normalize(0.0, most, clip=True)
    said = _in_words(result, change, rises=True)
    return Shading(scale, calcium_colours(), said, remark=missed(result, change.name))


def _in_words(result: Result, change: Change, *, rises: bool) -> str:
    """What a bar shows: ``calcium above rest (µM)``, and below it how much that is where it is one value."""
    unit = unit_of(result, change.name)
    low, high = float(change.rest.min()), float(change.rest.max())
    at_rest = high - low <= change.floor
    since = "rest" if at_rest else f"its value at {moment(result, change.start)}"
    quantity = f"{change.name} above {since}" if rises else f"change of {change.name} from {since}"
    lines = [f"{quantity} ({unit})" if unit else quantity]
    if at_rest:
        lines.append(f"rest: {number(low)} {unit}".rstrip())
    return "\n".join(lines)


def missed(result: Result, name: str) -> str:
    """What to say where probes saw clearly more of a quantity than any frame holds; empty where they did not."""
    seen, stored = result.probes.fields[name], result.fields[name]
    if not seen.size or not stored.size:
        return ""
    most, highest = float(seen.max()), float(stored.max())
    excursion = float((stored - stored[0]).max())
    least = max(floor_of(result.field(name), float(np.median(stored[0]))), _MISSED * excursion)
    if most - highest <= (_MISSED_VOLTAGE if name == "voltage" else least):
        return ""
    value = f"{most:.0f}".replace("-", "−") if name == "voltage" else number(float(f"{most:.2g}"))
    return f"largest of the frames; probes saw up to {value} {unit_of(result, name)}".rstrip() + " between them"


def _between_frames(result: Result, change: Change) -> str:
    """That probes saw more than frames hold, where they did."""
    seen = result.probes.fields[change.name]
    most = float(np.ptp(seen, axis=0).max()) if seen.size else 0.0
    if most <= change.floor:
        return ""
    unit = unit_of(result, change.name)
    return f" in the frames\n(probes, recorded more often, see it move by {number(most)} {unit}".rstrip() + ")"


def both_ways() -> Colormap:
    """Dark at rest, to light blue below and to orange above: told apart by most colour-blind readers."""
    shades = ["#8FD3FF", "#3A8FCB", "#23395B", "#1A1A2E", "#6B2737", "#C8553D", "#FCB14E"]
    return LinearSegmentedColormap.from_list("change", shades)


def colour_bar(figure: Figure | SubFigure, shading: Shading, beside: Any, *, shrink: float = 1.0) -> None:
    """The colours beside some axes, with plain numbers; none where nothing moved.

    Args:
        figure: Figure, or part of one, that is drawn on.
        shading: The colours.
        beside: One axes or an array of them.
        shrink: Part of the height of the axes.
    """
    if shading.note:
        return
    shown = ScalarMappable(shading.scale, shading.colours)
    # A lone tree stays in the middle: without panchor it moves to the bar and leaves its half of the page blank.
    bar = figure.colorbar(shown, ax=beside, label=shading.label, shrink=shrink, pad=0.02, aspect=30, panchor=False)
    ticks = _ticks(shading.scale)
    if ticks is not None:
        bar.set_ticks(ticks, labels=[number(tick) for tick in ticks])
        bar.minorticks_off()
        if isinstance(shading.scale, LogNorm):
            bar.ax.set_yticklabels([f"≤ {number(ticks[0])}", *(number(tick) for tick in ticks[1:])])


def _ticks(scale: Normalize) -> list[float] | None:
    """Where a logarithmic bar has numbers: its lower end, then 1, 2, 5, or powers of ten if it is long."""
    if not isinstance(scale, LogNorm | SymLogNorm):
        return None
    low, high = (float(end) for end in scale.inverse(np.array([0.0, 1.0])))
    least = low if isinstance(scale, LogNorm) else float(scale.linthresh)
    steps = (1.0, 2.0, 5.0) if high < 50.0 * least else (1.0,)
    powers = 10.0 ** np.arange(np.floor(np.log10(least)), np.ceil(np.log10(high)) + 1.0)
    inner = [float(step * power) for power in powers for step in steps]
    inner = [tick for tick in inner if 1.4 * least < tick <= high * (1.0 + 1e-9)]
    if isinstance(scale, LogNorm):
        return [least, *inner]
    return [*(-tick for tick in reversed(inner)), 0.0, *inner]


def number(value: float) -> str:
    """A number as people write it: ``0.0005``, ``−3``, and powers of ten only where that is long."""
    if value == 0.0 or 1e-5 <= abs(value) < 1e6:
        return np.format_float_positional(float(f"{value:.3g}"), trim="-").replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def quiet_axis(axes: Axes, field: Variable, values: Float[ndarray, "..."], unit: str) -> bool:
    """Widens an axis of a quantity that does not move, so that noise is seen as a line, and says so.

    Args:
        axes: Axes with the curves.
        field: The field.
        values: What is drawn.
        unit: Unit of the quantity.

    Returns:
        Whether it is at rest.
    """
    low, high = float(values.min()), float(values.max())
    floor = floor_of(field, low)
    if high - low > floor:
        return False
    middle = 0.5 * (low + high)
    axes.set_ylim(middle - 10.0 * floor, middle + 10.0 * floor)
    axes.ticklabel_format(axis="y", useOffset=False)
    said = f"at rest: moves by less than {number(floor)} {unit}".rstrip()
    halo(axes.text(0.01, 0.95, said, transform=axes.transAxes, ha="left", va="top", fontsize=7, color="0.35"))
    return True
