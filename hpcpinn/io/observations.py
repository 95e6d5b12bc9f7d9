"""Observations: what was measured, where and when, and how well, from CSV or HDF5 in the house units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.files import check_regular
from hpcpinn.io.data_columns import numbers_in, read_columns, read_datasets, row_of
from hpcpinn.units import CONCENTRATION, LENGTH, TIME
from hpcpinn.wording import biology

IN_A_PLANE = {"value": "uM", "x": "um", "y": "um", "t": "ms", "noise": "uM"}
"""Columns of measurements in a plane, and their units."""
AT_SITES = {"value": "uM", "site": None, "t": "ms", "noise": "uM"}
"""Columns of traces at sites of a cell; a site is text."""

_TABLES = {"uM": CONCENTRATION, "um": LENGTH, "ms": TIME}


@dataclass(frozen=True)
class Observations:
    """Measurements, one row each.

    Attributes:
        value: What was measured, in its unit (``units["value"]``).
        noise: Standard deviation of the error of every value, in the same unit.
        at: Places and times by name of column, such as x, y and t, or site and t; text is a tuple.
        units: Unit of ``value``, ``noise`` and every column of ``at`` that is no text.
        lines: Line of the file that every row comes from; empty for what comes from no text.
    """

    value: Float[ndarray, " N"]
    noise: Float[ndarray, " N"]
    at: Mapping[str, Any]
    units: Mapping[str, str | None] = field(default_factory=dict)
    lines: tuple[int, ...] = ()

    def __getitem__(self, column: str) -> Any:
        """A column by its name, ``value`` and ``noise`` included."""
        own = {"value": self.value, "noise": self.noise}
        return own[column] if column in own else self.at[column]

    def __len__(self) -> int:
        return len(self.value)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return ("value", *self.at, "noise")

    def unit(self, column: str) -> str:
        """The unit of a column; empty for none."""
        return self.units.get(column) or ""

    def place(self, row: int | np.integer, where: str) -> str:
        """What messages call a row of observations from `where`."""
        return row_of(where, self.lines, row)


def read_observations(path: str | Path, columns: Mapping[str, str | None] = IN_A_PLANE) -> Observations:
    """Reads a CSV file with a header such as ``value_uM,x_um,y_um,t_ms,noise_uM``, or HDF5 with ``/observations``.

    Args:
        path: The file.
        columns: Name and unit of every column that there must be, ``value`` and ``noise`` among them; None for text.

    Raises:
        InputError: It cannot be read, a column is missing, unknown or in another unit, or a cell is no number.
    """
    path = Path(path)
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such data file; give CSV or HDF5 with {','.join(columns)}")
    lines: tuple[int, ...] = ()
    found: dict[str, Any]
    if h5py.is_hdf5(path):
        read = read_datasets(path, columns, _TABLES)
        found = {name: tuple(map(str, read[name])) if unit is None else read[name] for name, unit in columns.items()}
    else:
        text = [name for name, unit in columns.items() if unit is None]
        hint = f" (a {text[0]} with commas needs quotes)" if text else ""
        cells, lines = read_columns(path, columns, _TABLES, hint)
        found = {
            name: tuple(cells[name]) if unit is None else numbers_in(path, lines, name, cells[name])
            for name, unit in columns.items()
        }
    at = {name: column for name, column in found.items() if name not in ("value", "noise")}
    observations = Observations(found["value"], found["noise"], at, dict(columns), lines)
    _check_numbers(observations, str(path), observations.columns)
    return observations


def check_usable(observations: Observations, n_parameters: int, where: str) -> None:
    """Finds out that observations cannot be used; their places are their system's affair.

    Args:
        observations: The observations.
        n_parameters: How many constants they are to determine.
        where: What messages call their source.

    Raises:
        InputError: A value, noise or time that is no number, no positive noise, or fewer rows than parameters.
    """
    _check_numbers(observations, where, ("noise", "value", "t"))
    unit = f" {observations.unit('noise')}".rstrip()
    for row in np.flatnonzero(observations.noise <= 0.0):
        raise InputError(
            f"{observations.place(row, where)}: noise {observations.noise[row]:g}{unit}; give the standard deviation "
            "of the error, above 0"
        )
    if len(observations) < n_parameters:
        raise InputError(
            f"{where}: {len(observations)} observations for {n_parameters} parameters; give at least as many, "
            "or learn fewer"
        )


def check_within(observations: Observations, duration: float, where: str) -> None:
    """Finds out that something was observed when there is no run.

    Args:
        observations: The observations, with a column ``t``.
        duration: Duration of the run, in the unit of the column.
        where: What messages call their source.

    Raises:
        InputError: A time is before the run or after it.
    """
    t, unit = observations["t"], observations.unit("t")
    for row in np.flatnonzero((t < 0.0) | (t > duration * (1.0 + 1e-12))):
        at, end = (biology(x, 6) if unit == "ms" else f"{x:.6g}" for x in (t[row], duration))
        raise InputError(
            f"{observations.place(row, where)}: t = {at} lies outside the run (0 to {end}); leave the row away or "
            "change run.duration"
        )


def _check_numbers(observations: Observations, where: str, columns: tuple[str, ...]) -> None:
    for name in columns:
        if name not in observations.columns or isinstance(observations[name], tuple):
            continue
        for row in np.flatnonzero(~np.isfinite(observations[name])):
            raise InputError(
                f"{observations.place(row, where)}: {name} is {observations[name][row]}; leave the row away or give "
                "a number"
            )
