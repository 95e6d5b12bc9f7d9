"""The voltage on the tree: at the first action potential, and where it has moved most."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Int
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.report.canvas import moment, unit_of
from hpcpinn.report.heading import abridged
from hpcpinn.systems.cell.pictures.cell import draw_frames
from hpcpinn.systems.cell.pictures.change import Change, Shading, change_of, missed, shading_of

FIRED = 0.0
"""mV; an action potential is where the voltage comes up through it."""
_LARGE = 10.0
"""mV by which the voltage must move for colours to show it itself, and not its change from rest."""
_LASTS = 2.0
"""ms from the first action potential within which a frame shows it."""
_CONSTANT = 1e-6
"""mV."""


def varies(result: Result) -> bool:
    """Whether a run has a voltage to draw: one that was solved, or given as a table."""
    return bool(len(result.time)) and float(np.ptp(result.voltage)) > _CONSTANT


def draw_voltage(path: Path, result: Result) -> None:
    """Draws the x-y projection in the colours of the voltage, at telling frames.

    Args:
        path: Picture.
        result: A run whose voltage varies.

    Raises:
        InputError: The result has no frames, or its voltage is the same everywhere and always.
        OutputError: The picture cannot be written.
    """
    change = change_of(result, "voltage")
    if not varies(result):
        raise InputError(f"{result.path}: its voltage is {result.voltage[0, 0]:g} mV everywhere and always")
    frames = voltage_frames(result, change)
    shown, shading = colours_of(result, change, frames)
    titles = [_title(result, change, int(frame)) for frame in frames]
    draw_frames(path, result, shown, frames, shading, titles)


def first_action_potential(result: Result) -> tuple[float, str] | None:
    """User time at which a probe, or where none does a cell of the frames, first comes up through 0 mV, and where."""
    probes = result.probes
    for time, voltage, names in (
        (probes.time, probes.voltage, [f"probe {name}" for name in probes.name]),
        (result.time, result.voltage, None),
    ):
        up = (voltage[:-1] < FIRED) & (voltage[1:] >= FIRED)
        if up.any():
            sample = int(up.any(axis=1).argmax())
            column = int(up[sample].argmax())
            before, after = voltage[sample : sample + 2, column]
            share = (FIRED - before) / (after - before)
            where = names[column] if names is not None else _section(result, column)
            return float(time[sample] + share * (time[sample + 1] - time[sample])), where
    return None


def _section(result: Result, cell: int) -> str:
    section = int(result.cable.section[result.cells.piece[cell]])
    return result.cable.sections[section].name


def voltage_frames(result: Result, change: Change) -> Int[ndarray, " k"]:
    """The frame of the first action potential, where there is one near, of the highest voltage, and of most change.

    Where nothing moves by more than the floor, the last.
    """
    if not change.happened:
        return np.array([len(result.time) - 1])
    chosen = {int(np.abs(change.values).max(axis=1).argmax())}
    fired = first_action_potential(result)
    if fired is not None:
        chosen.add(int(result.voltage.max(axis=1).argmax()))
        near = _frame_near(result, fired[0])
        chosen |= set() if near is None else {near}
    return np.array(sorted(chosen))


def _frame_near(result: Result, time: float) -> int | None:
    """The frame that shows an action potential, if one is stored so soon."""
    frame = int(np.abs(result.time - time).argmin())
    return frame if abs(result.time[frame] - time) <= _LASTS else None


def colours_of(result: Result, change: Change, frames: Int[ndarray, " k"]) -> tuple[Change, Shading]:
    """What is coloured and how: the voltage itself where it moves much, else its change from rest."""
    if np.abs(change.values[frames]).max() < _LARGE:
        return change, replace(shading_of(result, change, frames), remark=_remark(result))
    low, high = float(result.voltage[frames].min()), float(result.voltage[frames].max())
    unit = unit_of(result, "voltage")
    itself = Change("voltage", np.zeros_like(change.rest), result.voltage, change.floor, change.start)
    said = f"voltage ({unit})" if unit else "voltage"
    return itself, Shading(Normalize(low, high), voltage_colours(), said, remark=_remark(result), rest=low)


def voltage_colours() -> Colormap:
    """Dark at the lowest voltage; another family than calcium's, so that the two are not mixed up."""
    return LinearSegmentedColormap.from_list("voltage", matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, 256)))


def _title(result: Result, change: Change, frame: int) -> str:
    """The frame's time, and why it was chosen."""
    fired = first_action_potential(result)
    why = []
    if fired is not None and frame == _frame_near(result, fired[0]):
        why.append("first action potential")
    if change.happened and frame == int(result.voltage.max(axis=1).argmax()):
        why.append("highest frame")
    return moment(result, result.time[frame]) + (f"\n({', '.join(why)})" if why else "")


def _remark(result: Result) -> str:
    """When and where the first action potential was, and what frames do not show of the voltage."""
    fired = first_action_potential(result)
    first = "" if fired is None else f"first action potential at {moment(result, fired[0])}, {_named(fired[1])}"
    return "\n".join(filter(None, [first, missed(result, "voltage")]))


def _named(where: str) -> str:
    return abridged(where, 24)
