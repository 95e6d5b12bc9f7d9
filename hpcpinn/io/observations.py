"""Observations from a CSV file: value, place, time and noise, in the house units."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.csv_rows import UNREADABLE, rows_of
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
    """Reads a CSV file with a header such as ``value_uM,x_um,y_um,t_ms,noise_uM``.

    Raises:
        InputError: It cannot be read, a column is missing, unknown or in another unit, or a cell is no number.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such data file; give a CSV file with the columns {','.join(COLUMNS)}")
    try:
        rows = rows_of(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as CSV ({' '.join(str(error).split())})") from None
    if not rows:
        raise InputError(f"{path}: is empty; the first line names {','.join(COLUMNS)}")
    order = _columns(path, rows[0][1])
    columns: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for line, row in rows[1:]:
        if len(row) != len(rows[0][1]):
            raise InputError(f"{path}, line {line}: {len(row)} cells, but the header has {len(rows[0][1])}")
        for name, cell in zip(order, row, strict=True):
            columns[name].append(_number(path, line, name, cell))
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Table(**arrays, lines=tuple(line for line, _ in rows[1:]))


def _columns(path: Path, header: list[str]) -> list[str]:
    """Which quantity every column holds."""
    order = []
    for spelled in (cell.strip().replace("µ", "u").replace("μ", "u") for cell in header):
        name, _, unit = spelled.partition("_")
        if name not in COLUMNS:
            raise InputError(f"{path}, line 1: column {spelled!r} is unknown; the columns are {','.join(COLUMNS)}")
        wanted = COLUMNS[name]
        if unit and unit != wanted:
            known = _TABLES[wanted]
            hint = f"multiply by {known[unit]:g} and" if unit in known else "convert the values and"
            raise InputError(
                f"{path}, line 1: column {spelled!r} is in {unit}, but {name} is read in {wanted}; {hint} "
                f"call it {name}_{wanted}"
            )
        if name in order:
            raise InputError(f"{path}, line 1: column {name!r} is there twice; leave one away")
        order.append(name)
    missing = [name for name in COLUMNS if name not in order]
    if missing:
        raise InputError(f"{path}, line 1: no column {missing[0]!r}; the columns are {','.join(COLUMNS)}")
    return order


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{path}, line {line}: {name} {cell!r} is not a number") from None
    if not np.isfinite(value):
        raise InputError(f"{path}, line {line}: {name} is {cell.strip()}; leave the row away or give a number")
    return value
