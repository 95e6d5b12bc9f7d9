"""Windows of a slot from the local error: sought once per kind of slot, and again on the second.

Windows come in pairs of equal length, so that those twice as long end where every second one does:
what `pulse_windows` compares, a window and its halves, is then a coarse window and a pair of
the run's. Slots of the same kind keep the windows that were found on the second; they are sought anew
after a slot whose own error estimate exceeds the tolerance `WORSE` times, unless it was no better
when they were found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.timestepping.influx import InfluxTable
from hpcpinn.timestepping.pulse_windows import Excursion, halved, pulse_windows
from hpcpinn.timestepping.slots import Slot, unpacked
from hpcpinn.timestepping.splitting import Splitting
from hpcpinn.timestepping.window_lengths import Stretch
from hpcpinn.training.flow_map import ReactionState

WORSE = 4.0
"""Windows are sought anew where a slot's error estimate is above this many tolerances."""

_SEARCHES = 2
"""The first slot of a kind may start from rest: it tells little of the others."""

_MOST = 200
"""Kinds of slots whose windows are kept."""


@dataclass(frozen=True)
class WindowSearch:
    """Finds the windows of a slot.

    Attributes:
        splitting: A Strang composition.
        excursion: Measure of errors.
        tolerance: Local error of a window, relative.
        longest: Longest window in a slot with pulses or switches, ms.
        quiet: Longest window in a slot without, ms.
    """

    splitting: Splitting
    excursion: Excursion
    tolerance: float
    longest: float
    quiet: float

    def ends(self, slot: Slot, influx: InfluxTable, state: ReactionState, firing: list[Stretch]) -> Int[ndarray, " K"]:
        """Ticks at which windows end.

        Args:
            slot: The slot; windows end at its pulses and switches.
            influx: Influx of the cells.
            state: Calcium at the start.
            firing: Stretches in which action potentials last; windows end where they begin.
        """
        ticks = influx.ticks
        per_tick = slot.duration / ticks
        moments = np.array([*slot.switches, *(start for start, _ in firing)])
        stops = 4 * np.unique(np.round(moments / (4.0 * per_tick)).astype(int))
        lively = len(moments) > 0
        found = pulse_windows(
            self.splitting,
            state,
            influx,
            self.excursion,
            tolerance=self.tolerance,
            longest=2.0 * (self.longest if lively else self.quiet) * influx.tick / per_tick,
            stops=stops[(stops > 0) & (stops < ticks)],
            settle=True,
        )
        return halved(found.ends)


@dataclass(frozen=True)
class Found:
    """The windows of a kind of slot.

    Attributes:
        slot: The one that they were found for.
        ends: Ticks.
        searches: How often they were sought.
        estimate: Error estimate of that slot; NaN until it is known.
        worse: A later slot's was too large.
    """

    slot: Slot
    ends: Int[ndarray, " K"]
    searches: int = 1
    estimate: float = np.nan
    worse: bool = False


@dataclass
class WindowCache:
    """The windows that were found.

    Attributes:
        search: Finds new ones.
        known: Windows by kind of slot.
    """

    search: WindowSearch
    known: dict[tuple[tuple[float, ...], ...], Found] = field(default_factory=dict)

    def must_seek(self, slot: Slot) -> bool:
        """Whether windows for a slot are not known yet, or no longer good enough."""
        found = self.known.get(slot.kind)
        return found is None or found.worse or found.searches < _SEARCHES

    def seek(self, slot: Slot, influx: InfluxTable, state: ReactionState, firing: list[Stretch]) -> Int[ndarray, " K"]:
        """Finds the windows of a slot and keeps them for its kind; arguments as `WindowSearch.ends`."""
        ends = self.search.ends(slot, influx, state, firing)
        before = self.known.pop(slot.kind, None)
        self.known[slot.kind] = Found(slot, ends, 1 if before is None else before.searches + 1)
        if len(self.known) > _MOST:
            del self.known[next(iter(self.known))]
        return ends

    def judge(self, slot: Slot, estimate: float) -> None:
        """Takes note of a slot's error estimate, relative to its distance from rest."""
        found = self.known.get(slot.kind)
        if found is None:
            return
        if np.isnan(found.estimate):
            self.known[slot.kind] = replace(found, estimate=estimate)
        elif estimate > WORSE * max(self.search.tolerance, found.estimate):
            self.known[slot.kind] = replace(found, worse=True)


def packed_windows(cache: WindowCache | None) -> dict[str, Any]:
    """What a checkpoint keeps of a cache."""
    known = [] if cache is None else list(cache.known.values())
    packed: dict[str, Any] = {"windows": len(known)}
    for number, found in enumerate(known):
        packed[f"windows{number}_slot"] = found.slot.packed()
        packed[f"windows{number}_ends"] = found.ends
        packed[f"windows{number}_judged"] = np.array([found.searches, found.estimate, found.worse], float)
    return packed


def restore_windows(cache: WindowCache | None, packed: Mapping[str, Any]) -> None:
    """Gives a cache what `packed_windows` kept of another."""
    for number in range(int(packed["windows"]) if cache is not None else 0):
        slot, ends = unpacked(packed[f"windows{number}_slot"]), np.asarray(packed[f"windows{number}_ends"])
        searches, estimate, worse = np.asarray(packed[f"windows{number}_judged"]).tolist()
        assert cache is not None
        cache.known[slot.kind] = Found(slot, ends, int(searches), estimate, bool(worse))
