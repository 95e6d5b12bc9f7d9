"""Mistakes in a run description, as Pydantic finds them, in the words of a user."""

import reprlib
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from pydantic import BaseModel

from hpcpinn.config.lines import Path
from hpcpinn.config.reading import Problem, table_class
from hpcpinn.wording import meant, printable

_OF_ONE_KIND: Mapping[str, str] = {"direction": "three numbers, such as [0, 1, 0]"}
"""Keys that are lists, but no lists of tables."""


def problem_of(detail: Mapping[str, Any], schema: type[BaseModel]) -> Problem:
    """Pydantic's finding in the words of a user."""
    path: Path = tuple(detail["loc"])
    value, limits = detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "missing" | "too_long" | "too_short" if key := _of_one_kind(path):
            return key, f"expected {_OF_ONE_KIND[str(key[-1])]}"
        case "extra_forbidden":
            return path, f"unknown key{_suggestion(path, schema)}"
        case "missing":
            return path, "missing; it has no default"
        case "model_type" | "model_attributes_type" | "dict_type":
            if isinstance(value, list) and len(path) == 1:
                return path, f"[[{path[0]}]] is one table, of which there is one; write [{path[0]}]"
            return path, f"{_shown(value)} is not a table of keys"
        case "tuple_type" if _of_one_kind(path) == path:
            return path, f"{_shown(value)} is not {_OF_ONE_KIND[str(path[-1])]}"
        case "tuple_type" if isinstance(value, Mapping):
            return path, f"expected a list of tables, written [[{'.'.join(map(str, path))}]]"
        case "tuple_type":
            return path, f"{_shown(value)} is not a list; write [ ] around its entries, commas between them"
        case "literal_error":
            return path, f"{_shown(value)} is not one of {limits['expected']}"
        case "value_error":
            return path, str(limits["error"])
        case "finite_number":
            return path, f"{_shown(value)} is not a finite number"
        case "string_too_short" | "too_short":
            return path, "must not be empty"
        case "string_unicode":
            if "\ufffd" in printable(str(value)):
                return path, f"{_shown(value)} is not UTF-8; rename the file (or its folder)"
            return path, f"{_shown(value)} is UTF-8, but the locale is not; set LC_ALL=C.UTF-8, or rename the file"
        case "too_long":
            return path, f"has {limits['actual_length'] or 'too many'} entries; {limits['max_length']} are the most"
    message = detail["msg"].removeprefix("Input should be ")
    return path, f"{_shown(value)} is not allowed: must be {message}"


def _shown(value: Any) -> str:
    """A value as it is written in TOML, shortened where a line would not hold it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, date | time):
        return value.isoformat()
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 3, 80, 80, 70
    return short.repr(value)


def _of_one_kind(path: Path) -> Path:
    """The part of a path that leads to one of `_OF_ONE_KIND`, in a description or in a table of it; empty for none."""
    return next((path[:length] for length in (1, 2) if len(path) >= length and path[length - 1] in _OF_ONE_KIND), ())


def _suggestion(path: Path, schema: type[BaseModel]) -> str:
    """The nearest key of the table that `path` points into, or all of its keys."""
    table = _table_at(path[:-1], schema)
    known = list(table.model_fields)
    elsewhere = [
        name
        for name, inner in _tables(schema)
        if str(path[-1]) in inner.model_fields and isinstance(getattr(schema(), name), inner)
    ]
    if elsewhere:
        return f"; it belongs into [{elsewhere[0]}]"
    return "; " + (meant(str(path[-1]), known) or f"known here: {', '.join(known)}")


def _table_at(path: Path, schema: type[BaseModel]) -> type[BaseModel]:
    """The class of the table that `path` leads to."""
    table = schema
    for key in path:
        if isinstance(key, str):
            table = dict(_tables(table)).get(key, table)
    return table


def _tables(table: type[BaseModel]) -> Iterable[tuple[str, type[BaseModel]]]:
    """Names and classes of the tables, and lists of tables, directly inside `table`."""
    for name, info in table.model_fields.items():
        inner = table_class(info.annotation)
        if inner is not None:
            yield name, inner
