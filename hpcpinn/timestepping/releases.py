"""Calcium that releases and fluxes through free ends bring into a few cells, in split windows.

It adds to the source of the influx (`influx`), but on cells and not on the compartments of the voltage.
What comes in between two rows of the table is exact, wherever a source goes on or off there, and is taken
to come at its mean time: from one row to the next the channel's sink changes calcium by 1e-3 at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import factorial

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from hpcpinn.timestepping.influx import InfluxTable, InfluxWindow
from hpcpinn.timestepping.slots import Acting, Slot


@dataclass(frozen=True)
class CellSources:
    """Sources of calcium on cells.

    Attributes:
        cells: Cells that any source reaches, (m,).
        density: Influx of every source through the membrane of each of these cells at its peak, µM·µm/s, (n, m).
        duration: Duration of every source, ms, (n,); infinite: it is steady.
        falls: Whether each source falls to zero while it lasts, (n,).
        first: Number of the first among the sources of a slot.
    """

    cells: Int[ndarray, " m"]
    density: Float[ndarray, "n m"]
    duration: Float[ndarray, " n"]
    falls: Bool[ndarray, " n"]
    first: int

    def taken(self, cells: Int[ndarray, " n"]) -> "CellSources":
        """The same on some cells only, numbered in their order."""
        _, rows, own = np.intersect1d(self.cells, cells, return_indices=True)
        return replace(self, cells=own, density=self.density[:, rows])

    def acting(self, slot: Slot) -> list[Acting]:
        """Those of a slot's sources that are among these."""
        last = self.first + len(self.density)
        return [acting for acting in slot.acting if self.first <= acting.source < last]

    def table(self, slot: Slot, influx: InfluxTable, sink: Float[ndarray, "T m"]) -> InfluxTable | None:
        """What the sources bring during a slot; None where none is on.

        Args:
            slot: The slot.
            influx: Influx of the slot through channels.
            sink: Running integral of the channels' sink at its ticks on `cells`, µm.

        Returns:
            The source alone; without sink it would not be complete.
        """
        acting = self.acting(slot)
        if not acting:
            return None
        powers = np.zeros((*influx.powers.shape[:2], len(self.cells)))
        edges = slot.duration / influx.ticks * influx.at
        seconds = influx.ticks * influx.tick / slot.duration
        for source in acting:
            amount, place = self._per_interval(source, edges)
            at_mean = sink[:-1] + place[:, None] * (sink[1:] - sink[:-1])
            density = self.density[source.source - self.first]
            for n in range(powers.shape[1]):
                gained = (seconds * amount)[:, None] * density * at_mean**n / factorial(n)
                powers[1:, n] += np.cumsum(gained, axis=0)
        return InfluxTable(influx.tick, sink, powers, np.zeros((0, 0)), influx.edges)

    def flux_at(self, slot: Slot, times: Float[ndarray, " T"]) -> Float[ndarray, "T m"]:
        """What they bring to `cells` at times (ms after the slot's start), µM·µm/s."""
        flux = np.zeros((len(times), len(self.cells)))
        for acting in self.acting(slot):
            number = acting.source - self.first
            is_on = (times >= acting.on) & (times < acting.off)
            lasted = (times - acting.on) / self.duration[number] if self.falls[number] else 0.0
            flux += np.where(is_on, 1.0 - lasted, 0.0)[:, None] * self.density[number]
        return flux

    def _per_interval(self, acting: Acting, edges: Float[ndarray, " T"]) -> tuple[ndarray, ndarray]:
        """What a source of peak one brings between two edges, ms, and its mean time as a share of that."""
        number = acting.source - self.first
        on = max(acting.on, 0.0) if np.isinf(acting.on) else acting.on
        elapsed = np.clip(edges, on, max(on, acting.off)) - on
        slope = 1.0 / self.duration[number] if self.falls[number] else 0.0
        since, until = elapsed[:-1], elapsed[1:]
        lasted, middle = until - since, 0.5 * (since + until)
        amount = lasted * (1.0 - slope * middle)
        # about the middle of what it lasts: −slope ∫(t − middle)² dt
        later = -slope * lasted**3 / 12.0 / np.where(amount > 0.0, amount, 1.0)
        place = (on + middle + later - edges[:-1]) / np.diff(edges)
        return amount, np.where(amount > 0.0, place, 0.0)


def join_sources(parts: Sequence[CellSources], counts: Sequence[int]) -> CellSources:
    """The sources of several cells that share their times, on all compartments.

    Args:
        parts: Sources of every cell.
        counts: Compartments of every cell.
    """
    first = np.cumsum(counts) - counts
    return replace(
        parts[0],
        cells=np.concatenate([part.cells + begin for part, begin in zip(parts, first, strict=True)]),
        density=np.concatenate([part.density for part in parts], axis=1),
    )


@dataclass(frozen=True)
class CellInflux(InfluxTable):
    """The influx of a motif into the compartments of the voltage, and what comes into cells besides.

    Attributes:
        cells: Number of cells that sources reach.
        released: What comes into them; None for nothing.
    """

    cells: int = field(kw_only=True)
    released: InfluxTable | None = None

    def after(self, tick: int) -> "CellInflux":
        """What is left of the motif after a tick that has a row."""
        left = super().after(tick)
        assert isinstance(left, CellInflux)
        released = None if self.released is None else self.released.after(tick)
        return replace(left, released=released)

    def over(self, first: Int[ndarray, " K"], last: Int[ndarray, " K"]) -> InfluxWindow:
        """The influx between pairs of ticks."""
        window = super().over(first, last)
        if self.released is None:
            return window._replace(released=np.zeros((*window.moments.shape[:2], self.cells)))
        return window._replace(released=self.released.over(first, last).moments)
