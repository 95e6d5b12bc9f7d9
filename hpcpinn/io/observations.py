"""Observations from CSV or HDF5: value, place, time and noise, in the house units."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.files import refuse_endless
from hpcpinn.io.data_columns import numbers_in, read_columns, read_datasets, row_of
from hpcpinn.units import CONCENTRATION, LENGTH, TIME

COLUMNS = {"value": "uM", "x": "um", "y": "um", "t": "ms", "noise": "uM"}
"""Columns of a file and their units."""

_TABLES = {"uM": CONCENTRATION, "um": LENGTH, "ms": TIME}


@dataclass(frozen=True)
class Table:
    """Observations, one row each.

    Attributes:
        value: Measured, µM.
        x, y: Where, µm.
        t: When, ms.
        noise: Standard deviation of its error, µM.
        lines: Line of the file that a row comes from; empty for synthetic ones.
    """

    value: Float[ndarray, " N"]
    x: Float[ndarray, " N"]
    y: Float[ndarray, " N"]
    t: Float[ndarray, " N"]
    noise: Float[ndarray, " N"]
    lines: tuple[int, ...] = ()


def read_observations(path: str | Path) -> Table:
    """Reads a CSV file with a header such as ``value_uM,x_um,y_um,t_ms,noise_uM``, or HDF5 with ``/observations``.

    Raises:
        InputError: It cannot be read, a column is missing, unknown or in another unit, or a cell is no number.
    """
    path = Path(path)
    refuse_endless(path)
    if not path.is_file():
        raise InputError(f"{path}: no such data file; give CSV or HDF5 with {','.join(COLUMNS)}")
    lines: tuple[int, ...] = ()
    if h5py.is_hdf5(path):
        columns = read_datasets(path, COLUMNS, _TABLES)
    else:
        cells, lines = read_columns(path, COLUMNS, _TABLES)
        columns = {name: numbers_in(path, lines, name, column) for name, column in cells.items()}
    for name, column in columns.items():
        for row in np.flatnonzero(~np.isfinite(column)):
            place = row_of(path, lines, row)
            raise InputError(f"{place}: {name} is {column[row]}; leave the row away or give a number")
    return Table(columns["value"], columns["x"], columns["y"], columns["t"], columns["noise"], lines)
