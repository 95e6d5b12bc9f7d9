"""A population on one page: calcium of every member against time, and how high it rises and stays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.report.canvas import CYCLE, calcium_colours, canvas, label, plain, time_label, time_unit, unit_of
from hpcpinn.report.heading import abridged, heading_of
from hpcpinn.systems.cell.pictures.change import quiet_axis

_NAMED = 24
"""Members whose bars are named one by one."""
_PERCENTILES = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class MemberCalcium:
    """Free calcium of the members of a population, averaged over the volume of each.

    Attributes:
        names: Names of the M members.
        time: User time of the frames.
        mean: Mean free calcium of every member, µM, (T, M).
    """

    names: tuple[str, ...]
    time: Float[ndarray, " T"]
    mean: Float[ndarray, "T M"]

    @property
    def peak(self) -> Float[ndarray, " M"]:
        """Highest mean of every member in a frame, µM."""
        peak: Float[ndarray, " M"] = self.mean.max(axis=0)
        return peak

    @property
    def last(self) -> Float[ndarray, " M"]:
        """Mean of every member in the last frame, µM."""
        last: Float[ndarray, " M"] = self.mean[-1]
        return last


def member_calcium(result: Result) -> MemberCalcium:
    """Volume-weighted mean calcium of every member.

    Raises:
        InputError: The result holds no population, or no frame.
    """
    if not result.members or not len(result.time):
        raise InputError(
            f"{result.path}: holds {len(result.members)} members and {len(result.time)} frames; "
            "a picture of a population needs both"
        )
    member = np.repeat(np.arange(len(result.members)), result.member_pieces)[result.cells.piece]
    volume = result.cells.volume
    mean = np.stack(
        [
            result.calcium[:, member == number] @ volume[member == number] / volume[member == number].sum()
            for number in range(len(result.members))
        ],
        axis=1,
    )
    return MemberCalcium(result.members, result.time, mean)


def draw_population(path: Path, result: Result) -> None:
    """Draws the page.

    Args:
        path: Picture.
        result: A population.

    Raises:
        InputError: The result holds no population, or no frame.
        OutputError: The picture cannot be written.
    """
    found = member_calcium(result)
    shown = min(len(found.names), _NAMED)
    with canvas(path, 7.2, 3.6 + 0.6 + 0.17 * shown, heading_of(result)) as figure:
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3.4, 0.6 + 0.17 * shown))[:, 0]
        _curves_into(above.subplots(), result, found)
        _bars_into(below, result, found)


def _curves_into(axes: Axes, result: Result, found: MemberCalcium) -> None:
    _, worth = time_unit(result)
    time, count = found.time / worth, len(found.names)
    if count <= len(CYCLE):
        for number, name in enumerate(found.names):
            axes.plot(time, found.mean[:, number], color=CYCLE[number], lw=1.0, label=abridged(name, 40))
    else:
        least, low, middle, high, most = np.percentile(found.mean, _PERCENTILES, axis=1)
        axes.fill_between(time, least, most, color=CYCLE[0], alpha=0.15, lw=0, label="all")
        axes.fill_between(time, low, high, color=CYCLE[0], alpha=0.35, lw=0, label="middle half")
        axes.plot(time, middle, color=CYCLE[0], lw=1.2, label="median")
    axes.set(xlabel=time_label(result), ylabel=label(result, "calcium"))
    if len(time) > 1:
        axes.set_xlim(time[0], time[-1])
    quiet_axis(axes, result.field("calcium"), found.mean, unit_of(result, "calcium"))
    axes.set_title(f"a  mean calcium of {count} members", loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4 if count > len(CYCLE) else 2, borderaxespad=0.2)


def _bars_into(figure: SubFigure, result: Result, found: MemberCalcium) -> None:
    """Peak and last mean of every member, the highest peak first."""
    order = np.argsort(-found.peak, kind="stable")[:_NAMED][::-1]
    rows = np.arange(len(order))
    axes = figure.subplots()
    axes.barh(rows, found.peak[order], height=0.7, color=calcium_colours()(0.85), label="highest frame")
    axes.barh(rows, found.last[order], height=0.35, color=calcium_colours()(0.15), label="last frame")
    axes.set_yticks(rows, [plain(abridged(found.names[number], 40)) for number in order])
    axes.set_ylim(-0.6, len(order) - 0.4)
    left_out = len(found.names) - len(order)
    said = f", the {len(order)} highest" if left_out else ""
    axes.set_title(f"b  by member{said}", loc="left")
    axes.set_xlabel(label(result, "calcium", "mean calcium"))
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
