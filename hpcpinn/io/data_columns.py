"""Tables of measurements as CSV (cells with the lines that they come from) or HDF5: columns by name and unit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from hpcpinn.errors import InputError
from hpcpinn.io import storage
from hpcpinn.physics.csv_rows import UNREADABLE, miscounted, rows_of, unreadable
from hpcpinn.units import plain_mu
from hpcpinn.wording import shortened

FLUORESCENCE = "1"
"""Unit of what an indicator shows, which may stand for a concentration."""


def read_columns(
    path: Path, units: Mapping[str, str | None], known: Mapping[str, Mapping[str, float]], hint: str = ""
) -> tuple[dict[str, list[str]], tuple[int, ...]]:
    """The cells of a CSV file whose header names columns, such as ``value_uM,t_ms``, and the lines of its rows.

    Columns come in the order of the header.

    Args:
        path: The file.
        units: Unit of every column that there must be; None for none.
        known: Other units by the unit, with what they are multiplied by, for messages.
        hint: Ends the message about a row of another length.

    Raises:
        InputError: It cannot be read, or a column is missing, unknown, doubled or in another unit.
    """
    named = ",".join(units)
    try:
        rows = rows_of(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as CSV ({unreadable(error)})") from None
    if not rows:
        raise InputError(f"{path}: is empty; the first line names {named}")
    order = _order(path, rows[0][1], units, known)
    columns: dict[str, list[str]] = {name: [] for name in order}
    for line, row in rows[1:]:
        if len(row) != len(order):
            hint += miscounted(row, len(order))
            raise InputError(f"{path}, line {line}: {len(row)} cells, but the header has {len(order)}{hint}")
        for name, cell in zip(order, row, strict=True):
            columns[name].append(cell)
    return columns, tuple(line for line, _ in rows[1:])


def _order(
    path: Path, header: list[str], units: Mapping[str, str | None], known: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Which quantity every column holds."""
    order: list[str] = []
    named = ",".join(units)
    for spelled in (_plain(cell) for cell in header):
        name, _, unit = spelled.partition("_")
        if name not in units:
            shown = shortened(spelled)
            raise InputError(f"{path}, line 1: column {shown!r} is unknown; the columns are {named}")
        wanted = units[name]
        if unit and unit != wanted:
            raise InputError(
                f"{path}, line 1: column {spelled!r} is in {unit}, but {name} is read in {wanted}; "
                f"{_conversion(unit, wanted, known)} call it {name}_{wanted}"
            )
        if name in order:
            raise InputError(f"{path}, line 1: column {name!r} is there twice; leave one away")
        order.append(name)
    missing = [name for name in units if name not in order]
    if missing:
        raise InputError(f"{path}, line 1: no column {missing[0]!r}; the columns are {named}")
    return order


def _plain(text: str) -> str:
    """With u for µ however it is spelled."""
    return plain_mu(text)


def _conversion(unit: str, wanted: str | None, known: Mapping[str, Mapping[str, float]]) -> str:
    factor = known.get(wanted or "", {}).get(unit)
    return f"multiply by {factor:g} and" if factor else "convert the values and"


def read_datasets(
    path: Path, units: Mapping[str, str | None], known: Mapping[str, Mapping[str, float]]
) -> dict[str, Shaped[np.ndarray, " rows"]]:
    """The datasets of ``/observations`` in an HDF5 file, numbers as float64; an attribute ``units`` is checked.

    Args:
        path: The file.
        units: Unit of every dataset that there must be; None for text.
        known: Other units by the unit, with what they are multiplied by, for messages.

    Raises:
        InputError: One is missing, of another unit or no list of numbers, or they differ in length.
    """
    found = {}
    with storage.open_serial(path, "r") as file:
        for name, wanted in units.items():
            place = f"observations/{name}"
            if place not in file:
                raise InputError(f"{path}: no dataset {place}; give {','.join(units)} there")
            unit = file[place].attrs.get("units", wanted)
            unit = unit.decode() if isinstance(unit, bytes) else unit
            if wanted is not None and _plain(unit) not in (wanted, FLUORESCENCE):
                raise InputError(
                    f"{path}: {place} is in {unit}, but {name} is read in {wanted}; "
                    f"{_conversion(unit, wanted, known)} set its attribute units to {wanted}"
                )
            found[name] = _column(path, place, file[place][()], text=wanted is None)
    if len({len(column) for column in found.values()}) > 1:
        raise InputError(f"{path}: the datasets under observations differ in length; give one entry per row")
    return found


def _column(path: Path, place: str, values: object, text: bool) -> np.ndarray:
    column = np.asarray(values)
    if column.ndim != 1:
        raise InputError(f"{path}: {place} has {column.ndim} dimensions; give a list, one entry per row")
    if text:
        return np.array([x.decode() if isinstance(x, bytes) else str(x) for x in column])
    if column.dtype.kind not in "fiu":
        raise InputError(f"{path}: {place} does not hold numbers")
    return column.astype(float)


def numbers_in(path: Path, lines: Sequence[int], name: str, cells: Sequence[str]) -> Float[np.ndarray, " rows"]:
    """The numbers of a column's cells.

    Raises:
        InputError: One is none.
    """
    values = np.empty(len(cells))
    for row, (line, cell) in enumerate(zip(lines, cells, strict=True)):
        try:
            values[row] = float(cell)
        except ValueError:
            raise InputError(f"{path}, line {line}: {name} {shortened(cell)!r} is not a number") from None
    return values


def row_of(where: str | Path, lines: Sequence[int], row: int | np.integer) -> str:
    """What messages call a row: by its line where it comes from text."""
    return f"{where}, line {lines[int(row)]}" if lines else f"{where}, row {row + 1}"
