"""What all pictures have in common: type, colours, labels, scale bar, and how they are saved."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, NullLocator
from numpy import ndarray

from hpcpinn.errors import OutputError
from hpcpinn.io import Result
from hpcpinn.report.heading import Heading
from hpcpinn.units import TIME
from hpcpinn.wording import printable, unit_for

STYLE: Any = {
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "legend.fontsize": 7.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 1.5,
    "legend.columnspacing": 1.2,
    "savefig.dpi": 200,
}

CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
"""Colours for curves, told apart by most colour-blind readers (Okabe and Ito)."""

PARTIAL = "#B34700"
"""Colour in which a run that has not come to its end is said to be partial."""

_MOST_TICKS = 8
"""Numbers 1, 2 and 5 along a logarithmic axis from which only powers of ten are left."""

_OTHER_SCRIPTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "Hiragino Sans", "Microsoft YaHei")
"""Fonts, where installed, for names in scripts that matplotlib's own font lacks."""


@contextmanager
def canvas(path: Path, width: float, height: float, heading: Heading | None = None) -> Iterator[Figure]:
    """A figure of so many inches that is saved when the block ends.

    It looks the same whatever the user's matplotlibrc says, goes to a file without a window system, and leaves
    the user's settings and backend as they are.

    Args:
        path: Picture; its directory is made, its suffix says the format.
        width, height: Inches.
        heading: What is drawn, written above all panels.

    Raises:
        OutputError: The picture cannot be written.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a person's own style (LaTeX, 40 points) is for figures of another shape
        installed = set(font_manager.get_font_names())
        others = [name for name in _OTHER_SCRIPTS if name in installed]
        matplotlib.rcParams.update(STYLE | {"font.sans-serif": ["DejaVu Sans", *others]})
        # A character that no font has is drawn as a box; that is no reason to write to stderr.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        if heading is not None:
            _write_heading(figure, heading)
        yield figure
        _take_names_as_they_are(figure)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            titled = heading is not None and path.suffix.lower() in (".png", ".pdf", ".svg")
            title: dict[str, Any] = {"metadata": {"Title": printable(str(heading))}} if titled else {}
            figure.savefig(path, **title)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{path}: the picture cannot be written ({reason})") from None


def _take_names_as_they_are(figure: Figure) -> None:
    """Lets no ``$`` in the name of a file, site or probe begin a formula, and draws names that are no text.

    Numbers of axes are set as formulas.
    """
    numbers = {id(text) for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
    for text in figure.findobj(Text):
        if not text.get_text().isascii():
            text.set_text(printable(text.get_text()))
        if id(text) not in numbers:
            text.set_parse_math(False)


def _write_heading(figure: Figure, heading: Heading) -> None:
    shown = heading.partial != ""
    figure.suptitle(
        heading.fitting(figure.get_figwidth()),
        x=0.01,
        ha="left",
        fontsize=7,
        color=PARTIAL if shown else "0.35",
        weight="bold" if shown else "normal",
    )


def plain(text: str) -> str:
    """A name as the label of a tick, where dollars would start a formula."""
    return printable(text).replace("$", r"\$")


def calcium_colours() -> Colormap:
    """Dark blue at rest to orange: both ends stand out on white paper, also in grey."""
    shades = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.86, 256))
    return LinearSegmentedColormap.from_list("calcium", shades)


def label(result: Result, name: str, text: str | None = None) -> str:
    """``calcium (µM)``; without the unit for a dimensionless run."""
    unit = unit_of(result, name)
    return f"{text or name} ({unit})" if unit else text or name


def unit_of(result: Result, name: str) -> str:
    """Unit of an array as people write it, ``µM``; empty for a dimensionless run."""
    return result.units.get(name, "").replace("um", "µm").replace("uM", "µM")


def moment(result: Result, time: float) -> str:
    """``12.5 ms``, in a long run ``3.25 s``, or ``t = 0.5`` for a dimensionless one."""
    unit, worth = time_unit(result)
    if unit == "min" and time < worth:
        unit, worth = "s", TIME["s"]
    if unit == "s" and time < worth:
        unit, worth = "ms", 1.0
    return f"{time / worth:.4g} {unit}" if unit else f"t = {time:.4g}"


def time_unit(result: Result) -> tuple[str, float]:
    """The unit in which the axis of a run is short to read, and its worth in user time; "" for none."""
    house = result.units.get("time", "")
    windows = result.windows
    end = windows["start"][-1] + windows["length"][-1] if len(windows["start"]) else 0.0
    end = max(end, result.time[-1] if len(result.time) else 0.0)
    if house != "ms":
        return house, 1.0
    worth, unit = unit_for(float(end))
    return unit, worth


def frame_spacing(result: Result) -> str:
    """The usual distance of frames, ``1 ms`` or ``1.2 s``."""
    apart, unit = float(np.median(np.diff(result.time))), result.units.get("time", "")
    if unit == "ms" and apart >= TIME["s"]:
        apart, unit = apart / TIME["s"], "s"
    return f"{apart:.3g} {unit}".rstrip()


def time_label(result: Result) -> str:
    """``time (s)``, the axis of what was divided by the worth of `time_unit`."""
    unit, _ = time_unit(result)
    return f"time ({unit})" if unit else "time"


def as_points(count: int) -> dict[str, Any]:
    """How a curve of so many values is drawn: a single one would be no line at all."""
    return {"marker": "o", "ms": 3.0, "clip_on": False} if count == 1 else {}


def logarithmic(axes: Axes, values: Float[ndarray, "..."]) -> None:
    """A logarithmic y-axis for some positive values, with plain numbers at two places of it at least."""
    low, high = float(values.min()) / 1.15, float(values.max()) * 1.15
    if len(_round_numbers(low, high)) < 2:
        low, high = low / 2.5, high * 2.5
    ticks = _round_numbers(low, high)
    decades = [tick for tick in ticks if np.log10(tick) == round(np.log10(tick))]
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(decades if len(ticks) > _MOST_TICKS else ticks))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _round_numbers(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of ten between two."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
    return [value for value in found if low <= value <= high]


def halo(text: Text) -> None:
    """White around a text, so that what it crosses does not cross it."""
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def scale_bar(axes: Axes, flat: Float[ndarray, "k 2"], unit: str) -> None:
    """A bar of 1, 2 or 5 times a power of ten, near a fifth of the cell, below it."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    wanted = 0.2 * size
    power = 10.0 ** np.floor(np.log10(wanted))
    length = power * max(step for step in (1, 2, 5) if step * power <= wanted * 1.0001)
    y = low[1] - 0.05 * size
    axes.plot([low[0], low[0] + length], [y, y], color="black", lw=1.5, solid_capstyle="butt")
    axes.annotate(
        f"{length:g} {unit}".strip(),
        (low[0] + length / 2, y),
        (0, -3),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7,
    )
