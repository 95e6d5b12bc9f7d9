"""TOML text into a document: what `tomllib` says of mistakes, in the words of a run description."""

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path as FilePath
from typing import Any

from hpcpinn.config.lines import key_lines, line_of
from hpcpinn.errors import InputError
from hpcpinn.wording import shortened

_PLACE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)
_HEADER = re.compile(r"\s*\[{1,2}\s*(?P<name>[^\[\]]+?)\s*\]{1,2}")
_KEY = re.compile(r"""\s*(?P<name>[\w."'-]+)\s*=""")
_LONG_INTEGER = re.compile(r"[0-9_]{300,}")
_LONGEST_MESSAGE = 200


def parse_toml(file: FilePath, text: str, lists: Collection[str]) -> dict[str, Any]:
    """The document of a TOML text.

    Args:
        file: File that the text comes from, for messages.
        text: The text.
        lists: Dotted names of tables that may stand several times, each as ``[[name]]``.

    Raises:
        InputError: It is no TOML; one line with the line of the file.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(_said(file, text, str(error), lists)) from None
    except RecursionError:
        deepest = max(enumerate(text.splitlines(), start=1), key=lambda row: row[1].count("[") + row[1].count("{"))[0]
        raise InputError(f"{file}, line {deepest}: brackets are nested too deeply; no key takes that") from None
    except ValueError:  # the limit of digits
        line = next((n for n, row in enumerate(text.splitlines(), start=1) if _LONG_INTEGER.search(row)), 1)
        raise InputError(f"{file}, line {line}: a whole number of thousands of digits; no key takes that") from None


def toml_text(document: Mapping[str, Any]) -> str:
    """A document as TOML: one table after the other, ``[[name]]`` for every entry of a list of tables.

    Args:
        document: Tables of keys as TOML has them.
    """
    import tomli_w

    parts = []
    for name, value in document.items():
        flat = isinstance(value, list) and value and all(_is_flat(one) for one in value)
        if flat:
            parts += [f"[[{name}]]\n{tomli_w.dumps(one)}" for one in value]
        else:
            parts.append(tomli_w.dumps({name: value}))
    return "\n".join(part for part in parts if part.strip())


def _is_flat(value: object) -> bool:
    """Whether it is a table without tables inside."""
    return isinstance(value, dict) and not any(isinstance(inner, dict) for inner in value.values())


_BARE_UNIT = re.compile(r"=\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Zµμ]+)\s*(?:#.*)?$")
_DECIMAL_COMMA = re.compile(r"=\s*([-+]?\d+),(\d+)\s*(?:#.*)?$")
_BARE_TEXT = re.compile(r"=\s*([A-Za-z./~][^\"'\[\]{}#]*?)\s*(?:#.*)?$")
_SMART = re.compile("[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb]")
_YAML = re.compile(r"\s*[\w-]+:(?:\s.*)?")


def _advice(row: str, text: str) -> str:
    """What to write instead of a line that is no TOML; empty where nobody can tell."""
    if _SMART.search(row):
        return 'put text into straight double quotes, " and "'
    if "\\" in row and '"' in row:
        special = "a backslash in double quotes begins a special character"
        return f"{special}; write the path with / or in single quotes, '...'"
    if number := _DECIMAL_COMMA.search(row):
        return f"write numbers with a decimal point, {number[1]}.{number[2]}"
    if number := _BARE_UNIT.search(row):
        return f'put a number with its unit into quotes, "{number[1]} {number[2]}"'
    if bare := _BARE_TEXT.search(row):
        return f'put text into straight double quotes, "{bare[1]}"'
    if text.lstrip().startswith("{"):
        return "this looks like JSON; a job file is TOML: [run] above its keys, and duration = 5 for each"
    if _YAML.fullmatch(row):
        return "this looks like YAML; a job file is TOML: [run] above its keys, and duration = 5 for each"
    return ""


def _said(file: FilePath, text: str, error: str, lists: Collection[str]) -> str:
    """One line for what `tomllib` found."""
    found, rows = _PLACE.fullmatch(error), text.splitlines()
    what = found["what"] if found else error
    number = int(found["line"]) if found and found["line"] else len(rows)
    row = rows[number - 1] if 0 < number <= len(rows) else ""
    if what.startswith(("Cannot declare", "Cannot overwrite", "Cannot mutate")):
        if header := _HEADER.match(row):
            name = ".".join(part.strip(" \"'") for part in header["name"].split("."))
            if name in lists:
                return f"{file}, line {number}: [{name}] twice: there may be several; write [[{name}]] each time"
            earlier = line_of(key_lines("\n".join(rows[: number - 1])), tuple(name.split(".")))
            place = f" (also in line {earlier})" if earlier else ""
            return f"{file}, line {number}: the table [{name[:60]}] is there twice{place}; put all its keys under one"
        if key := _KEY.match(row):
            return f"{file}, line {number}: the key {key['name'][:60]} is there twice; keep one of the two"
    if advice := _advice(row, text):
        return f"{file}, line {number}: {shortened(row.strip(), 80)}: {advice}"
    shown = error if len(error) <= _LONGEST_MESSAGE else f"{error[:_LONGEST_MESSAGE]}..."
    return f"{file}: not valid TOML: {shown}"
