"""A run in a few lines of text, and on one page."""

from pathlib import Path

import numpy as np

from hpcpinn.io import Result
from hpcpinn.io.sidecar import Reference
from hpcpinn.report.canvas import canvas, moment
from hpcpinn.report.heading import heading_of
from hpcpinn.systems.cell.pictures.cell import cells_into, telling_frames
from hpcpinn.systems.cell.pictures.change import change_of, shading_of
from hpcpinn.systems.cell.pictures.convergence import is_split
from hpcpinn.systems.cell.pictures.kymograph import kymograph_into
from hpcpinn.systems.cell.pictures.traces import traces_into
from hpcpinn.systems.cell.pictures.tree import corners_of
from hpcpinn.wording import counted

_TRACES = 3
"""Quantities whose traces there is room for on one page."""


def summary_lines(result: Result) -> list[str]:
    """What a result file holds and how its windows went, one fact a line."""
    windows, sections = result.windows, result.cable.n_neurite_sections
    state = "complete" if result.complete else "not complete"
    until = f" up to {moment(result, result.time[-1])}" if len(result.time) else ""
    lines = [
        f"{result.path}: {state}, {counted(len(result.time), 'frame')}{until}",
        f"{_members(result)}{counted(sections, 'section')}, {counted(result.cable.n_frusta, 'piece')}, "
        f"{counted(len(result.cells.piece), 'cell')}, "
        f"{_ranks(result)}, {_mebibytes(result.path):.1f} MiB",
    ]
    if len(windows["start"]) and is_split(result):
        lines += [
            f"{result.config['window']['kind']} windows in "
            f"{counted(len(windows['start']), 'stretch', 'stretches')} of the protocol, of "
            f"{windows['length'].min():.3g} to "
            f"{windows['length'].max():.3g}{_unit(result)}, error estimate at most "
            f"{windows['error_estimate'].max():.1e} of the largest excursion"
        ]
    elif len(windows["start"]):
        lines += [
            f"{counted(len(windows['start']), 'window')} of {windows['length'].min():.3g} to "
            f"{windows['length'].max():.3g}{_unit(result)}, {windows['rejected'].sum()} rejected, "
            f"{counted(windows['newton_steps'].sum(), 'Newton step')}, {counted(windows['sweeps'].sum(), 'sweep')} "
            f"(at most {windows['sweeps'].max()} in a window)",
            f"largest in a window: error estimate {windows['error_estimate'].max():.1e}, "
            f"interface jump {windows['jump'].max():.1e}, "
            f"calcium balance {np.abs(windows['balance']).max():.1e}",
        ]
    return lines


def draw_overview(path: Path, result: Result, reference: Reference | None) -> None:
    """One page: the cell when calcium has moved most and otherwise, the kymograph in the same colours, the traces.

    Args:
        path: Picture.
        result: The run.
        reference: Drawn on top of the traces.

    Raises:
        InputError: The result has too few frames.
        OutputError: The picture cannot be written.
    """
    change = change_of(result)
    frames = telling_frames(result, change, 2)
    shading = shading_of(result, change)
    with canvas(path, 11.0, 6.4, heading_of(result)) as figure:
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.15, 1.0))[0]
        across, up = np.ptp(corners_of(result), axis=0)
        cells_into(left, result, change, frames, shading, columns=1 if across > up else None)
        if len(result.probes.time):
            above, below = right.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 1.15))[:, 0]
            kymograph_into(above, result, shading, voltage=False)
            traces_into(below, result, reference, _TRACES)
        else:
            kymograph_into(right, result, shading)


def _members(result: Result) -> str:
    return f"{len(result.members)} members, " if result.members else ""


def _ranks(result: Result) -> str:
    ranks = result.attributes["ranks"]
    return f"{ranks} rank{'s' * (ranks != 1)}"


def _unit(result: Result) -> str:
    return f" {result.units['time']}" if "time" in result.units else ""


def _mebibytes(path: Path) -> float:
    parts = path.parent.glob(f"{path.stem}.rank*{path.suffix}")
    return sum(file.stat().st_size for file in [path, *parts]) / 2**20
