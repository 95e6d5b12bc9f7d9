"""Thresholds of many cells, waveforms and directions of a uniform field, shared out over ranks."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.morphology.directions import angles_of
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field
from hpcpinn.report.shown import Picture
from hpcpinn.systems.cell.conduction import conduction
from hpcpinn.systems.cell.threshold import Search, Threshold, Trial, fires_unasked, threshold_among_steps


@dataclass(frozen=True)
class Row:
    """The threshold of one cell with one waveform in one direction; NaN where there is none up to the highest field.

    Attributes:
        cell: Name of the cell.
        waveform: Name of the waveform.
        direction: Number of the direction.
        Ex: Component of the unit vector along x.
        Ey: Component along y.
        Ez: Component along z.
        polar_deg: Angle from +y, degrees.
        azimuth_deg: Angle about +y from +x towards −z, degrees.
        threshold_V_per_m: Middle of the last bracket, V/m.
        silent_V_per_m: Strongest field without a spike, V/m.
        firing_V_per_m: Weakest field with one, V/m.
        start: Compartment whose voltage rises first; empty where one site was looked at.
        start_ms: Time at which that is, after the onset of the pulse, ms.
        velocity_m_per_s: Velocity along the axon, m/s; NaN where none can be told.
        trials: Number of strengths that were tried.
    """

    cell: str
    waveform: str
    direction: int
    Ex: float
    Ey: float
    Ez: float
    polar_deg: float
    azimuth_deg: float
    threshold_V_per_m: float
    silent_V_per_m: float
    firing_V_per_m: float
    start: str
    start_ms: float
    velocity_m_per_s: float
    trials: int

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the columns of a table."""
        return [one.name for one in fields(cls)]

    @classmethod
    def of(cls, cells: dict[str, str]) -> "Row":
        """The row of a line of a table, as `table` wrote it."""
        kinds: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}
        types = {one.name: getattr(one.type, "__name__", str(one.type)) for one in fields(cls)}
        return cls(**{name: kinds[types[name]](cells[name]) for name in types})


@dataclass(frozen=True)
class MapTask:
    """One cell with one waveform.

    Attributes:
        cell: Name of the cell.
        waveform: Name of the waveform.
        trial: Function that makes its trial in a field of some direction; called on the ranks that need it.
    """

    cell: str
    waveform: str
    trial: Callable[[], Trial]


@dataclass(frozen=True)
class ThresholdMap:
    """Thresholds of cells, waveforms and directions.

    Attributes:
        rows: Every threshold.
        draw: Function that draws them into a picture file.
    """

    rows: tuple[Row, ...]
    draw: Callable[[Path], None] = field(repr=False, compare=False)

    @property
    def values(self) -> Float[ndarray, " n"]:
        """Thresholds in the order of the rows, V/m; NaN where there is none."""
        return np.array([row.threshold_V_per_m for row in self.rows])

    def columns(self) -> dict[str, list[Any]]:
        """The table by column, as ``pandas.DataFrame(...)`` takes it."""
        return {name: [getattr(row, name) for row in self.rows] for name in Row.columns()}

    def plot(self, picture: "str | Path") -> Picture:
        """Draws a Mollweide map for every cell and waveform, and arrows around the cell.

        Raises:
            OutputError: The picture cannot be written.
        """
        self.draw(Path(picture))
        return Picture(Path(picture))


def map_thresholds(
    series: Sequence[MapTask],
    directions: Float[ndarray, "n 3"],
    search: Search,
    communicator: Communicator,
    known: Sequence[Row] = (),
    done: Callable[[Sequence[Row]], None] = lambda rows: None,
) -> list[Row]:
    """Searches every threshold. Collective over all ranks, which take directions in turn.

    A search begins at the threshold of the nearest direction that its rank has found; what it finds does not depend on
    that, nor on the number of ranks.

    Args:
        series: Cells and waveforms.
        directions: Unit vectors.
        search: Place, and bounds of the searches.
        communicator: All ranks.
        known: Rows that need no search.
        done: Function that is told, on rank 0, of rows as they come.

    Raises:
        InputError: A cell fires without any field.
        SolveError: A cell has no rest.
    """
    there = {(row.cell, row.waveform, row.direction): row for row in known}
    found = list(there.values())
    for one in series:
        left = [n for n in range(len(directions)) if (one.cell, one.waveform, n) not in there]
        own = left[communicator.rank :: communicator.size]
        rows = _of_task(one, directions, own, search) if own else iter(())
        for _ in range(math.ceil(len(left) / communicator.size)):
            error, row = None, None
            try:
                row = next(rows, None)
            except Exception as problem:  # said by all ranks together
                error = problem
            communicator.agree(error)
            fresh = [row for row in communicator.share(row) if row is not None]
            found += fresh
            if communicator.rank == 0:
                done(fresh)
    order = {(one.cell, one.waveform): number for number, one in enumerate(series)}
    return sorted(found, key=lambda row: (order.get((row.cell, row.waveform), len(order)), row.direction))


def _of_task(one: MapTask, directions: Float[ndarray, "n 3"], numbers: Sequence[int], search: Search) -> Iterator[Row]:
    trial = one.trial()
    if trial.spike(0.0) is not None:
        raise fires_unasked(trial, search, one.cell)
    values: dict[int, float] = {}
    for number in numbers:
        turned = _turned(trial, directions[number])
        nearest = max(values, key=lambda other: float(directions[other] @ directions[number]), default=None)
        guess = None if nearest is None else values[nearest]
        threshold = threshold_among_steps(turned, search, guess)
        if threshold is not None:
            values[number] = threshold.value
        yield _row(one, turned, number, directions[number], threshold)


def _turned(trial: Trial, direction: Float[ndarray, " 3"]) -> Trial:
    """The same cell in a uniform field of 1 V/m in a direction."""
    cells = trial.driven.compartments
    psi = quasipotential(cells.cable, uniform_field(1.0, direction.tolist()))[cells.node]
    return replace(trial, driven=trial.driven.in_field(psi))


def _row(one: MapTask, trial: Trial, number: int, along: Float[ndarray, " 3"], found: Threshold | None) -> Row:
    (polar,), (azimuth,) = angles_of(along[None])
    start, time, velocity = "", np.nan, np.nan
    if found is not None:
        time = found.spike_time
        if found.spike is not None and found.spike.rises is not None:
            cells = trial.driven.compartments
            runs = conduction(cells, found.spike.rises)
            start, time, velocity = cells.site_name(runs.start), runs.time, runs.velocity
    x, y, z = along.tolist()
    nothing = Threshold(np.nan, np.nan, np.nan)
    own = found or nothing
    return Row(
        cell=one.cell,
        waveform=one.waveform,
        direction=number,
        Ex=x,
        Ey=y,
        Ez=z,
        polar_deg=float(polar),
        azimuth_deg=float(azimuth),
        threshold_V_per_m=own.value,
        silent_V_per_m=own.silent,
        firing_V_per_m=own.firing,
        start=start,
        start_ms=float(time),
        velocity_m_per_s=float(velocity),
        trials=len(own.tried),
    )


def table(rows: Sequence[Row]) -> str:
    """Rows as lines of a CSV table without its header; numbers to the last bit."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, Row.columns(), lineterminator="\n")
    writer.writerows(asdict(row) for row in rows)
    return stream.getvalue()
