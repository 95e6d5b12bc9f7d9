"""Numbers in CSV files that users write: rows with their line numbers, errors that name the line.

Blank lines and lines starting with # are skipped; a byte-order mark is no part of the header.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from hpcpinn.errors import InputError

UNREADABLE = (OSError, UnicodeDecodeError, csv.Error)
"""What `rows_of` raises for a file that is no text."""


def rows_of(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every row, the header included.

    Raises:
        OSError, UnicodeDecodeError, csv.Error: The file is no text (`UNREADABLE`).
    """
    found = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True)
        for row in reader:
            if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#"):
                found.append((reader.line_num, [cell.strip() for cell in row]))
    return found


def columns_of(path: Path, header: Sequence[str], what: str) -> list[tuple[int, list[float]]]:
    """Line number and numbers of every row of a file whose columns are known.

    Args:
        path: The file.
        header: Its first line; capitals do not matter.
        what: What the file is, for messages.

    Raises:
        InputError: Missing or unreadable file, another header, a row of another length, something
            that is not a finite number; one line with the place.
    """
    wanted = ",".join(header)
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a CSV file with the columns {wanted}")
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file; give a CSV file with the columns {wanted}")
    try:
        found = rows_of(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); save it as plain text") from error
    if not found or [cell.lower() for cell in found[0][1]] != [name.lower() for name in header]:
        shown = ",".join(found[0][1]) if found else "nothing"
        raise InputError(f"{path}: the first line is {shown!r}; it must be {wanted}")
    rows = []
    for line, cells in found[1:]:
        if len(cells) != len(header):
            raise InputError(f"{path}:{line}: {len(cells)} columns instead of {len(header)}; write {wanted}")
        numbers = [_number(f"{path}:{line}: {name}", c) for name, c in zip(header, cells, strict=True)]
        rows.append((line, numbers))
    return rows


def _number(place: str, cell: str) -> float:
    if not cell:
        raise InputError(f"{place} is empty; give a number in every row")
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{place} is {cell!r}, which is not a number; give one") from None
    if not math.isfinite(value):
        raise InputError(f"{place} is {cell}; every number must be finite")
    return value
