"""What can be said of the keys of tables: their words, units, bounds and defaults, as their classes have them."""

import inspect
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from hpcpinn.config.declared import DeclaredTable, declared_in
from hpcpinn.config.reading import table_class

_SIGNS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_BEYOND = 1e9
"""Limits from here on are those of the machine, which nobody meets."""


def words_of(model: type[BaseModel]) -> dict[str, str]:
    """What is said of every key of a table: by its own docstring, or by the declaration of the constant."""
    found = {name: entry.words for name, entry in declared_in(model).items()}
    for owner in reversed(model.__mro__):  # keys that it shares with others are said there
        found |= described(owner)
    return found


def described(owner: type) -> dict[str, str]:
    """What the ``Attributes`` section of a docstring says of every name."""
    text = (inspect.getdoc(owner) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE)
    return {name.strip(): " ".join(words.split()) for names, words in entries for name in names.split(",")}


def choices(annotation: Any) -> str:
    """The values that a key may take, where they are few, as Markdown."""
    found = [annotation] if get_origin(annotation) is Literal else list(get_args(annotation))
    words = [word for part in found if get_origin(part) is Literal for word in get_args(part)]
    return " One of " + ", ".join(f"`{word}`" for word in words) + "." if words else ""


def written(value: Any) -> str:
    """A default as it is written in TOML; – for none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:g}" if isinstance(value, float) else str(value)


def lines_of(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Tables and keys of a description, a line each: ``tau = 12.5  Time constant, ms. (above 0)``."""
    words, rows = words_of(model), []
    presets = model.of_presets if issubclass(model, DeclaredTable) else {}
    preset = next(iter(presets.values()), None)
    for name, info in model.model_fields.items():
        if table_class(info.annotation) is None and name != "system":
            value = None if info.is_required() else info.get_default(call_default_factory=True)
            value = getattr(preset, name, None) if value is None else value
            default = "required" if info.is_required() else written(value)
            bounds = ", ".join(dict.fromkeys(_bounds(Annotated[(info.annotation, None, *info.metadata)])))
            said = words.get(name, "") + choices(info.annotation).replace("`", "")
            rows.append((f"{name} = {default}", said + f" ({bounds})" * bool(bounds)))
    if presets:
        yield f"  values are those of the preset {next(iter(presets))!r}; presets: {', '.join(presets)}"
    width = max((len(row[0]) for row in rows), default=0)
    yield from (f"  {key:<{width}}  {said}".rstrip() for key, said in rows)
    for name, info in model.model_fields.items():
        inner = table_class(info.annotation)
        if inner is not None:
            dotted, is_list = f"{above}{name}", "tuple" in str(info.annotation)
            yield f"[[{dotted}]]" if is_list else f"[{dotted}]"
            yield from lines_of(inner, f"{dotted}.")


def _bounds(annotation: Any) -> Iterator[str]:
    """Limits anywhere in an annotation, in words."""
    for mark in getattr(annotation, "__metadata__", ()):
        for one in (mark, *getattr(mark, "metadata", ())):
            found = {word: getattr(one, sign, None) for sign, word in _SIGNS.items()}
            limits = {word: limit for word, limit in found.items() if isinstance(limit, int | float)}
            yield from (f"{word} {limit:g}" for word, limit in limits.items() if abs(limit) < _BEYOND)
    for inner in get_args(annotation):
        if get_origin(annotation) is not Literal:
            yield from _bounds(inner)
