"""What of a slot is written: when, and values at output cells and probes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.core.system import Written
from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.systems.cell.slot_state import Due, SlotState, SolvedSlot
from hpcpinn.timestepping.slots import Slot
from hpcpinn.timestepping.splitting import Frames, extrapolated, in_rows

_NONE = np.zeros(0, int)


class Inside(NamedTuple):
    """Calcium and voltage at ends of windows of a slot, one row for each.

    Attributes:
        frames: Calcium and its buffers at this rank's points; NaN where two solutions were not compared.
        voltage: Voltage of the compartments that this rank hears of, mV.
    """

    frames: Frames
    voltage: Float[ndarray, "k P"]


def due_of(setup: SlotSetup, slot: Slot, ends: Float[ndarray, " k"], state: SlotState) -> Due:
    """What is written of a slot, at ends of windows (ms after its start) that the coarse solution has, too."""
    spec, times = setup.spec, slot.start + ends
    frames, next_frame = passed(times, spec.output_interval, state.next_frame)
    samples, next_sample = passed(times, spec.probe_interval, state.next_sample)
    wanted = setup.frame_times
    wanted = wanted[(wanted > slot.start) & (wanted <= slot.end)]
    then = np.searchsorted(times, wanted * (1.0 - 1e-12)).clip(max=len(times) - 1)
    return Due(np.union1d(frames, then), next_frame, samples, next_sample)


def compared(ends: Float[ndarray, " k"], due: Int[ndarray, " d"] = _NONE) -> Int[ndarray, " n"]:
    """Ends of windows (ms after the slot's start) at which two solutions are compared.

    Each costs as much as a window in both: those that are due anyway, every eighth, one in every half of the
    slot, and the last.
    """
    halves = np.floor(2.0 * ends / ends[-1] + 1e-9)
    then = np.flatnonzero(np.diff(halves, prepend=0.0) > 0.0)
    return np.unique(np.concatenate([due, np.arange(7, len(ends), 8), then, [len(ends) - 1]]))


def passed(times: Float[ndarray, " K"], interval: float, following: int) -> tuple[Int[ndarray, " rows"], int]:
    """Rows at which, or right after which, a multiple of the interval falls due; and the next multiple."""
    over = np.floor(times / interval * (1.0 + 1e-12) + 1e-9).astype(int)
    before = np.concatenate([[following - 1], over[:-1]])
    rows = np.flatnonzero(over > np.maximum(before, following - 1))
    return rows, max(following, int(over[-1]) + 1)


def written_of(setup: SlotSetup, done: SolvedSlot, begin: SlotState | None) -> tuple[Written, Written]:
    """Frames and samples at probes that are due of a slot.

    Args:
        setup: What the run is made of.
        done: The slot.
        begin: The state at the start of the run, which is written before its first slot; None for later ones.
    """
    inside, times, due = inside_of(setup, done), done.slot.start + done.ends, done.due
    if begin is not None:
        V = setup.solver.hear(setup.solver.cable.voltage(begin.drive.voltage))
        rest = begin.calcium.each(lambda x: np.asarray(x)[None])
        inside = Inside(
            rest.each(lambda *x: np.concatenate(x), inside.frames), np.concatenate([V[None], inside.voltage])
        )
        times = np.append(0.0, times)
        due = due._replace(frames=np.append(0, due.frames + 1), samples=np.append(0, due.samples + 1))
    samples = at_probes(setup, inside, due.samples) if setup.probes else {}
    return Written(times[due.frames], at_cells(setup, inside, due.frames)), Written(times[due.samples], samples)


def inside_of(setup: SlotSetup, done: SolvedSlot) -> Inside:
    """Calcium and voltage at the ends of windows that the coarse solution has, too."""
    # the coarse solution of coupled windows has another tolerance, and not windows of twice the length
    frames = done.frames if setup.coupled is not None else extrapolated(done.frames, done.coarse)
    return Inside(in_rows(frames, done.asked, len(done.ends)), done.motif.voltage[done.motif.shared])


def at_cells(setup: SlotSetup, inside: Inside, rows: Int[ndarray, " f"]) -> dict[str, Float[ndarray, "f c"]]:
    """This rank's output cells at some rows."""
    points = {name: values[rows] for name, values in _species(setup, inside).items()}
    points["voltage"] = np.array([setup.solver.to_cells @ V for V in inside.voltage[rows]])
    means = {one.name: setup.to_output[one.volume] for one in setup.constants.all_species}
    means["voltage"] = setup.to_output[CYTOSOL]
    return {name: np.array([means[name] @ row for row in values]) for name, values in points.items()}


def at_probes(setup: SlotSetup, inside: Inside, rows: Int[ndarray, " s"]) -> dict[str, Float[ndarray, "s p"]]:
    """This rank's probes at some rows."""
    # Few points are near a probe: take those alone out of the long arrays.
    near = np.unique(setup.to_probes.indices)
    weights = setup.to_probes[:, near].toarray().T
    found = {name: values[np.ix_(rows, near)] @ weights for name, values in _species(setup, inside).items()}
    return found | {"voltage": (setup.solver.to_cells[near] @ inside.voltage[rows].T).T @ weights}


def _species(setup: SlotSetup, inside: Inside) -> dict[str, Float[ndarray, "k n"]]:
    return inside.frames.each(np.asarray).by_name(setup.constants.species)
