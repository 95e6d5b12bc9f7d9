"""Numbers in CSV files that users write: rows with their line numbers, errors that name the line.

One reader for all. Columns are separated by commas, by semicolons or by tabs, as the header has them; where it is not
commas, a number may have a decimal comma. Text is UTF-8, or what older spreadsheets write (Latin-1). Blank lines and
lines starting with # are skipped; a byte-order mark and the line ``sep=;`` are no part of the table.
"""

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

from hpcpinn.errors import InputError
from hpcpinn.files import check_regular
from hpcpinn.wording import shortened

UNREADABLE = (OSError, UnicodeDecodeError)
"""What `rows_of` raises for a file that is no text."""

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Control characters: no table holds them, and what is read as Latin-1 by mistake soon does."""
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?|[-+]?\d+,(?:[eE][-+]?\d+)?")
_DECIMAL_POINT = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?")


def rows_of(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every row, the header first; numbers have decimal points.

    Raises:
        OSError, UnicodeDecodeError: The file is no text (`UNREADABLE`).
        InputError: A quote that does not close, or decimal points beside decimal commas; one line with the place.
    """
    found: list[tuple[int, list[str]]] = []
    separator = ""
    for number, line in enumerate(_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not separator:
            if not found and (declared := re.fullmatch(r"\s*sep=(.)\s*", line)):
                separator = declared[1]
                continue
            separator = _separator(line)
        cells = _cells(path, number, line, separator)
        if any(cells):
            found.append((number, cells))
    return found if separator in ("", ",") else [*found[:1], *_with_points(path, found[1:])]


def _text(path: Path) -> str:
    check_regular(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        if _NO_TEXT.search(text) or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise
    if found := _NO_TEXT.search(text):
        place = found.start()
        raise UnicodeDecodeError("utf-8", data, place, place + 1, f"{found[0]!r} is no text")
    return text


def _separator(header: str) -> str:
    """What separates the columns: outside of quotes, a semicolon before all else, and a comma before a tab."""
    bare = re.sub(r'"[^"]*"', "", header)
    return next((sign for sign in ";,\t" if sign in bare), ",")


def _cells(path: Path, number: int, line: str, separator: str) -> list[str]:
    """The cells of one line; a quoted cell may hold the separator, but no line end."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        raise InputError(
            f'{path}:{number}: a stray quote (") in {shortened(line.strip())!r}; take it away, or close it in its cell'
        ) from None
    return [cell.strip() for cell in row]


def _with_points(path: Path, rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Rows whose numbers have decimal points in the place of commas.

    Raises:
        InputError: There are both: no telling which of them parts thousands.
    """
    commas = next(((n, c) for n, cells in rows for c in cells if _DECIMAL_COMMA.fullmatch(c)), None)
    if commas is None:
        return rows
    points = next(((n, c) for n, cells in rows for c in cells if _DECIMAL_POINT.fullmatch(c)), None)
    if points is not None:
        (line, one), (other, two) = sorted([commas, points])
        raise InputError(
            f"{path}:{other}: {two!r} beside {one!r} in line {line}: a decimal comma and a decimal point; write all "
            "numbers in one way"
        )
    return [
        (n, [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]) for n, cells in rows
    ]


def miscounted(cells: Sequence[str], wanted: int) -> str:
    """Ends the message about a row with too many cells; empty unless they are halves of decimal commas."""
    halves = len(cells) > wanted and all(re.fullmatch(r"[-+]?\d*", cell) for cell in cells)
    return "; with decimal commas, separate columns by semicolons" if halves else ""


def columns_of(path: Path, header: Sequence[str], what: str) -> list[tuple[int, list[float]]]:
    """Line number and numbers of every row of a file whose columns are known.

    Args:
        path: The file.
        header: Names of the columns in the first line; capitals do not matter.
        what: What the file is, for messages.

    Raises:
        InputError: Missing or unreadable file, another header, a row of another length, something
            that is not a finite number; one line with the place.
    """
    wanted = ",".join(header)
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a CSV file with the columns {wanted}")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file; give a CSV file with the columns {wanted}")
    try:
        found = rows_of(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as CSV ({unreadable(error)})") from error
    if not found or [cell.lower() for cell in found[0][1]] != [name.lower() for name in header]:
        shown = shortened(",".join(found[0][1]), 100) if found else "nothing"
        raise InputError(f"{path}: the first line is {shown!r}; it must be {wanted}")
    rows = []
    for line, cells in found[1:]:
        if len(cells) != len(header):
            hint = miscounted(cells, len(header))
            raise InputError(f"{path}:{line}: {len(cells)} columns instead of {len(header)}; write {wanted}{hint}")
        numbers = [number(f"{path}:{line}: {name}", c) for name, c in zip(header, cells, strict=True)]
        rows.append((line, numbers))
    return rows


def unreadable(error: Exception) -> str:
    """Why a file is no table, in the words of a person."""
    if isinstance(error, UnicodeDecodeError):
        utf16 = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        return f"not a text file{', or UTF-16' if utf16 else ''}; save it as plain CSV (UTF-8)"
    if isinstance(error, PermissionError):
        return f"{error.strerror}; make it readable"
    return "it is truncated or damaged; write it again"


def number(place: str, cell: str) -> float:
    """The number of a cell.

    Args:
        place: File, line and column, for messages.
        cell: Text of the cell.

    Raises:
        InputError: It is empty, no number, or not a finite one.
    """
    if not cell:
        raise InputError(f"{place} is empty; give a number in every row")
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{place} is {shortened(cell)!r}, which is not a number; give one") from None
    if not math.isfinite(value):
        raise InputError(f"{place} is {shortened(cell)}; every number must be finite")
    return value
