"""Traces at sites of a cell: value, site, time and noise, from CSV or HDF5."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError, warn
from hpcpinn.files import refuse_endless
from hpcpinn.io.data_columns import numbers_in, read_columns, read_datasets, row_of
from hpcpinn.units import TIME
from hpcpinn.wording import biology

_UNITS = {"value": "uM", "site": None, "t": "ms", "noise": "uM"}
_TABLES = {"ms": TIME}
COLUMNS = tuple(_UNITS)
_LEAST_COVERED = 0.01
"""Share of a run; data that end earlier have another unit of time."""


@dataclass(frozen=True)
class SiteTable:
    """Observations, one row each.

    Attributes:
        value: Measured: µM, or fluorescence between 0 and 1.
        site: Name of the place of every row.
        t: When, ms.
        noise: Standard deviation of its error, as `value`.
        lines: Line of the file that a row comes from; empty where it is no text.
    """

    value: Float[ndarray, " N"]
    site: tuple[str, ...]
    t: Float[ndarray, " N"]
    noise: Float[ndarray, " N"]
    lines: tuple[int, ...] = ()

    def place(self, row: int | np.integer, where: str) -> str:
        """What messages call a row."""
        return row_of(where, self.lines, row)


def read_site_observations(path: str | Path) -> SiteTable:
    """Reads a CSV file with a header such as ``value,site,t_ms,noise``, or HDF5 with ``/observations``.

    Raises:
        InputError: It cannot be read, a column is missing, unknown or in another unit, or a cell is no number.
    """
    path = Path(path)
    refuse_endless(path)
    if not path.is_file():
        raise InputError(f"{path}: no such data file; give CSV or HDF5 with {','.join(COLUMNS)}")
    if h5py.is_hdf5(path):
        given = read_datasets(path, _UNITS, _TABLES)
        return SiteTable(given["value"], tuple(map(str, given["site"])), given["t"], given["noise"])
    columns, lines = read_columns(path, _UNITS, _TABLES, " (a site with commas needs quotes)")

    value, t, noise = (numbers_in(path, lines, name, columns[name]) for name in ("value", "t", "noise"))
    return SiteTable(value, tuple(columns["site"]), t, noise, lines)


def refuse_unusable(table: SiteTable, duration: float, n_parameters: int, where: str) -> None:
    """Finds out that traces cannot be used. Sites are the cell's affair.

    Args:
        table: The traces.
        duration: Of the run, ms.
        n_parameters: How many constants they are to determine.
        where: What messages call their source.

    Raises:
        InputError: A value that is no number, no positive noise, a time outside the run, or fewer rows than
            parameters.
    """
    for name, values in (("value", table.value), ("t", table.t), ("noise", table.noise)):
        for row in np.flatnonzero(~np.isfinite(values)):
            raise InputError(f"{table.place(row, where)}: {name} is {values[row]}; leave the row away or give a number")
    for row in np.flatnonzero(table.noise <= 0.0):
        raise InputError(
            f"{table.place(row, where)}: noise {table.noise[row]:g}; give the standard deviation of the error, above 0"
        )
    for row in np.flatnonzero((table.t < 0.0) | (table.t > duration * (1.0 + 1e-12))):
        raise InputError(
            f"{table.place(row, where)}: t = {biology(table.t[row], 6)} lies outside the run "
            f"(0 to {biology(duration, 6)}); leave the row away or change run.duration"
        )
    last = float(table.t.max(initial=0.0))
    if 0.0 < last < _LEAST_COVERED * duration:
        warn(
            f"{where}: ends at t = {last:g} ms, and the run at {duration:g} (run.duration); if its times are in s, "
            "multiply them by 1000"
        )
    if len(table.value) < n_parameters:
        raise InputError(
            f"{where}: {len(table.value)} observations for {n_parameters} parameters; give at least as many, "
            "or learn fewer"
        )
