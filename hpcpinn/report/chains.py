"""Pictures of chains that draw from a posterior, and of where to measure next."""

from pathlib import Path

import numpy as np

from hpcpinn.io.draws import Draws, NextObservation
from hpcpinn.io.estimates import Estimates
from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.report.heading import Heading
from hpcpinn.report.posterior import label


def draw_chains(path: Path, result: Estimates, draws: Draws, heading: Heading | None = None) -> None:
    """Every chain's way, and histograms of ranks by chain: flat where the chains agree."""
    chains, kept = draws.value.shape[:2]
    with canvas(path, 7.0, 1.7 * len(result.names) + 0.2, heading) as figure:
        panels = figure.subplots(len(result.names), 2, squeeze=False, width_ratios=(2.0, 1.0))
        for number, (way, ranks) in enumerate(panels):
            values = draws.value[:, :, number]
            order = np.argsort(np.argsort(values.ravel())).reshape(values.shape) / values.size
            for chain in range(chains):
                colour = CYCLE[chain % len(CYCLE)]
                way.plot(values[chain], lw=0.3, color=colour, alpha=0.8)
                counts, edges = np.histogram(order[chain], 20, (0.0, 1.0))
                ranks.stairs(counts / (kept / 20.0), edges, color=colour, lw=0.8, baseline=None)
            ranks.axhline(1.0, color=CYCLE[6], lw=0.6)
            way.set(ylabel=label(result, number), xlabel="draw", xlim=(0, kept))
            way.set_title(
                f"R-hat {draws.figures['rhat'][number]:.4f}, {draws.figures['ess_bulk'][number]:.0f} effective draws"
            )
            ranks.set(xlabel="rank among all draws", ylabel="relative frequency", xlim=(0.0, 1.0), ylim=(0.0, None))


def draw_placement(path: Path, placement: NextObservation, heading: Heading | None = None) -> None:
    """By how much one more observation shrinks the log-volume of the posterior: by place, and by time."""
    x, y, t = placement.best
    with canvas(path, 6.6, 2.8, heading) as figure:
        where, when = figure.subplots(1, 2)
        picture = where.pcolormesh(placement.x, placement.y, placement.over_places, shading="nearest", vmin=0.0)
        figure.colorbar(picture, ax=where, label="decrease of log-volume")
        where.plot(x, y, "+", color=CYCLE[1], ms=9, mew=2.0, label="best")
        where.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal", title=f"at {t:.2f} ms")
        when.plot(placement.t, placement.over_times, color=CYCLE[0])
        when.plot(t, placement.gain, "+", color=CYCLE[1], ms=9, mew=2.0, label="best")
        when.legend(loc="best")
        when.set(xlabel="time (ms)", ylabel="decrease of log-volume", title=f"at x = {x:.2f} µm, y = {y:.2f} µm")
        when.set_ylim(0.0, None)
