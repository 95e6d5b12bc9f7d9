"""Where in a TOML text a key stands: `tomllib` forgets it, a user needs it."""

import re

Path = tuple[str | int, ...]
"""Keys and list indices from the top of a document to one value."""

_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def key_lines(text: str) -> dict[Path, int]:
    """The line (from 1) of every table header and key that starts a line of `text`.

    Keys inside an inline table or a list over several lines are not found; their table is.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    count: dict[Path, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = _inside_lists(_parts(header[2]), count)
            if header[1] == "[[":
                count[table] = count.get(table, -1) + 1
                lines.setdefault(table, number)
                table = (*table, count[table])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(table + _parts(key[1]), number)
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of `path`, or of the nearest table around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _inside_lists(keys: tuple[str, ...], count: dict[Path, int]) -> Path:
    """`keys` of a header, with the current index after every list of tables on the way."""
    path: Path = ()
    for position, key in enumerate(keys):
        path = (*path, key)
        if path in count and position < len(keys) - 1:
            path = (*path, count[path])
    return path
