"""From the bytes of an SWC file to rows of numbers, with the line each came from."""

import re
from dataclasses import dataclass
from pathlib import Path

from hpcpinn.errors import InputError
from hpcpinn.files import check_regular
from hpcpinn.morphology.meshes import PREFIX, builtin_names
from hpcpinn.wording import counted, shortened

COLUMNS = ("id", "type", "x", "y", "z", "radius", "parent")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines knows many more: comments would become data
_LARGEST_ID = 2**53
"""Ids above this are not exact in the floating-point columns some exporters write."""
_OTHERS = {
    b"\xff\xfe": "UTF-16, no plain text; save it as UTF-8",
    b"\xfe\xff": "UTF-16, no plain text; save it as UTF-8",
    b"\x1f\x8b": "compressed (gzip), no SWC text; unpack it with gunzip",
    b"PK\x03\x04": "an archive (zip), no SWC text; unpack it",
    b"BZh": "compressed (bzip2), no SWC text; unpack it with bunzip2",
    b"\xfd7zXZ": "compressed (xz), no SWC text; unpack it with unxz",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, such as a result of hpcpinn, no morphology; give an SWC file",
    b"version https://git-lfs": "the pointer of git-lfs, not the file itself; fetch that with git lfs pull",
}
"""What files of other kinds are, by how they begin."""
_SIGNS = {
    ";": "; separate the columns by blanks, not semicolons",
    "(": "; a file of Neurolucida (ASC) must be converted to SWC",
    "<": "; it is HTML or XML, perhaps a page that was saved instead of the file",
}
"""What the first character of a line that is no point tells."""


@dataclass(frozen=True)
class SwcPoint:
    """One data line, not yet checked against the others."""

    line: int
    id: int
    kind: int
    xyz: tuple[float, float, float]
    radius: float
    parent: int


@dataclass(frozen=True)
class SwcLines:
    """The data lines of a file and what its comments say.

    Attributes:
        points: One entry per data line, in file order.
        comments: (line, text without the mark) of every comment.
        commented_out: Line of every commented-out point, by its id.
    """

    points: tuple[SwcPoint, ...]
    comments: tuple[tuple[int, str], ...]
    commented_out: dict[int, int]


def read_lines(path: str | Path) -> SwcLines:
    """Reads the lines of an SWC file: any line ends, any blanks, comments, a byte-order mark.

    Raises:
        InputError: The file cannot be read, is empty, holds no point, or a data line has the
            wrong number of columns or something that is not a finite number in one of them.
    """
    points, comments, commented_out = [], [], {}
    for number, line in enumerate(_LINE_END.split(_text(path)), start=1):
        data, mark, comment = line.partition("#")
        if mark:
            comments.append((number, comment.strip()))
        if data.strip():
            points.append(_parse(data.split(), f"{path}:{number}", number))
        elif mark and (hidden := _hidden_id(comment)) is not None:
            commented_out[hidden] = number
    if not points:
        raise InputError(f"{path}: no points: every line is blank or a comment; is it an SWC file?")
    return SwcLines(tuple(points), tuple(comments), commented_out)


def _text(path: str | Path) -> str:
    check_regular(path)
    if Path(path).suffix.lower() == ".toml":
        raise InputError(f"{path}: is a job file, no cell; give the path of an SWC file")
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        name = Path(path).stem
        meant = f"did you mean {PREFIX}{name}? If not, " if name in builtin_names() else ""
        raise InputError(f"{path}: no such file; {meant}give the path of an SWC file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory; give the path of an SWC file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; give an SWC file with at least one point")
    for mark, what in _OTHERS.items():
        if raw.startswith(mark):
            raise InputError(f"{path}: is {what}")
    if b"\0" in raw:
        raise InputError(f"{path}: not a text file (it holds NUL bytes, as UTF-16 does); save it as plain SWC in UTF-8")
    return raw.decode("utf-8-sig", errors="replace")


def _parse(words: list[str], place: str, number: int) -> SwcPoint:
    if len(words) != len(COLUMNS):
        line = " ".join(words)
        raise InputError(
            f"{place}: {counted(len(words), 'column')} instead of 7 in {shortened(line, 40)!r}; "
            f"write: {' '.join(COLUMNS)}{_hint(line)}"
        )
    id_, kind, parent = (_integer(words[column], COLUMNS[column], place) for column in (0, 1, 6))
    x, y, z, radius = (_real(words[column], COLUMNS[column], place) for column in (2, 3, 4, 5))
    if id_ < 0:
        raise InputError(f"{place}: id {id_} is negative; number the points from 0 or 1")
    if kind < 0:
        raise InputError(f"{place}: type {kind} is negative; use 1 soma, 2 axon, 3 basal, 4 apical")
    return SwcPoint(number, id_, kind, (x, y, z), radius, parent)


def _hint(line: str) -> str:
    """What a line with another number of columns tells, for the end of the message."""
    if line[0] in "(<":
        return _SIGNS[line[0]]
    if "," in line:
        return " (separated by blanks, not commas)"
    return _SIGNS[";"] if ";" in line else ""


def _real(word: str, column: str, place: str) -> float:
    if word.lstrip("+-").lower() in ("nan", "inf", "infinity"):
        raise InputError(f"{place}: {column} is {shortened(word)}; give a finite number")
    if not _NUMBER.match(word):
        raise InputError(f"{place}: {column} is '{shortened(word)}', not a number; give one")
    value = float(word)
    if value in (float("inf"), float("-inf")):
        raise InputError(f"{place}: {column} is {shortened(word)}, too large; give a finite number")
    return value


def _integer(word: str, column: str, place: str) -> int:
    value = _real(word, column, place)
    if value != int(value):
        raise InputError(f"{place}: {column} is {shortened(word)}; give a whole number")
    if abs(value) > _LARGEST_ID:
        raise InputError(f"{place}: {column} is {shortened(word)}, too large; number the points from 1")
    return int(value)


def _hidden_id(comment: str) -> int | None:
    """The id of a commented-out point, None if the comment is only text."""
    words = comment.lstrip("#").split()
    if len(words) != len(COLUMNS) or not all(_NUMBER.match(word) for word in words):
        return None
    number = float(words[0])
    return int(number) if abs(number) <= _LARGEST_ID else None
