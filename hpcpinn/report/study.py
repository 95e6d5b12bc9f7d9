"""The picture of a study: error over the bound, and the band of errors, against the number of observations."""

from pathlib import Path
from typing import Any

import numpy as np

from hpcpinn.io.study import StudyResult
from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.report.heading import Heading

_APART = 1.06
"""Ratio of the abscissae of two noises, or their bars would hide each other."""
_HIGHEST = 3.0
"""Ratios above this are cut off: fits that data leave open have errors without bound."""


def draw_study(path: Path, result: StudyResult, heading: Heading | None = None) -> None:
    """Draws it: a column for every constant, a colour for every level of noise.

    Raises:
        OutputError: The picture cannot be written.
    """
    count = len(result.names)
    with canvas(path, 3.5 * count + 0.4, 4.8, heading) as figure:
        panels = figure.subplots(2, count, sharex=True, sharey="row", squeeze=False)
        for number, name in enumerate(result.names):
            over, errors = panels[:, number]
            _ratios_into(over, result, number)
            _errors_into(errors, result, number)
            over.set_title(name)
        panels[0, 0].set_ylabel("error / Cramér-Rao bound\n(dashed: 10 % above it)")
        panels[1, 0].set_ylabel("error (%), median and 95 %")
        handles, labels = panels[1, 0].get_legend_handles_labels()  # without noise there is no bound, but an error
        figure.legend(handles, labels, title="noise", loc="outside right upper")


def _abscissae(result: StudyResult, n: int) -> Any:
    return result.observations * _APART ** (n - 0.5 * (len(result.noise) - 1))


def _ratios_into(axes: Any, result: StudyResult, number: int) -> None:
    for n, noise in enumerate(result.noise):
        if noise == 0.0:
            continue
        ratio, low, high = (result.cells[name][n, :, number] for name in ("ratio", "ratio_low", "ratio_high"))
        colour, x = CYCLE[n % len(CYCLE)], _abscissae(result, n)
        shown = ratio <= _HIGHEST
        axes.errorbar(
            x[shown], ratio[shown], [(ratio - low)[shown], (high - ratio)[shown]], fmt="o", ms=3, lw=1,
            color=colour,
        )  # fmt: skip
        beyond = np.flatnonzero(~shown)
        axes.plot(x[beyond], np.full(len(beyond), 0.97 * _HIGHEST), "^", ms=4, color=colour)
    axes.axhline(1.0, color=CYCLE[6], lw=0.6)
    axes.axhline(1.1, color=CYCLE[6], lw=0.6, ls="--")
    reach = np.maximum(result.cells["ratio"], result.cells["ratio_high"])
    top = np.nanmax(np.minimum(reach, _HIGHEST), initial=1.2)
    axes.set(xscale="log", ylim=(0.0, 1.05 * top))


def _errors_into(axes: Any, result: StudyResult, number: int) -> None:
    for n, noise in enumerate(result.noise):
        low, median, high = (100.0 * result.cells[f"error_{name}"][n, :, number] for name in ("low", "median", "high"))
        x, colour = result.observations, CYCLE[n % len(CYCLE)]
        axes.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(x, median, color=colour, label=f"{100 * noise:g} %")
    # Where data leave a constant open its errors have no bound; the rest is what one wants to see.
    highest = 100.0 * float(result.cells["error_high"].max())
    axes.set_ylim(top=min(1.05 * highest + 1e-9, 300.0))
    axes.axhline(0.0, color=CYCLE[6], lw=0.6)
    axes.set_xlabel("observations")
    axes.set_xticks(result.observations, [str(count) for count in result.observations])
    axes.minorticks_off()
