"""Writes front.pyi of every system, the signatures of what it offers to Python for type checkers, from the tables.

python scripts/describe_api.py
"""

import inspect
import subprocess
import sys
from pathlib import Path
from types import EllipsisType, ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from hpcpinn.config.given import Given, signature_of
from hpcpinn.systems.cell import front as cell
from hpcpinn.systems.square import front as square

MODULES = (cell, square)
HEAD = '''\
"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from hpcpinn.config.given import Given
'''

FILES = ("file", "waveform")
"""Keys that name files."""


def typed(annotation: Any) -> str:
    """A type as it is written; lists are any sequence, tables may be mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(word for one in arguments for word in typed(one).split(" | ")))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]".replace("'", '"')
    if origin is tuple:
        return f"Sequence[{typed(arguments[0])}]"
    if origin is dict:
        return f"Mapping[{', '.join(map(typed, arguments))}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"{annotation.__name__} | Mapping[str, Any]"
    return "None" if annotation is type(None) else str(annotation.__name__)


def parameter(one: inspect.Parameter) -> str:
    """A parameter with its type and, where that is short, its default."""
    kind = typed(one.annotation)
    if one.name in FILES:
        kind = kind.replace("str", "str | PathLike[str]", 1)
    if one.default is inspect.Parameter.empty:
        return f"{one.name}: {kind}"
    simple = isinstance(one.default, (str, int, float, type(None), EllipsisType)) and str(one.default) != "inf"
    shown = repr(one.default).replace("'", '"') if simple else "..."
    return f"{one.name}: {kind} = {shown}"


def stub(kind: type[Given]) -> str:
    """The class with its signature."""
    parameters = list(signature_of(kind).parameters.values())
    if kind.of_text:  # text in the first place
        first = parameters[0]
        parameters[0] = first.replace(annotation=first.annotation | str)
    told = [f"        {parameter(one)}," for one in parameters]
    if "str" in typed(parameters[0].annotation) and kind.of_text:
        told[0] = told[0].replace("str", "str | PathLike[str]", 1)
    by_name = next((n for n, one in enumerate(parameters) if one.kind is inspect.Parameter.KEYWORD_ONLY), None)
    if by_name is not None:
        told.insert(by_name, "        *,")
    bases = ", ".join(base.__name__ for base in kind.__bases__)
    return "\n".join(
        [f"class {kind.__name__}({bases}):", "    def __init__(", "        self,", *told, "    ) -> None: ..."]
    )


def pages() -> dict[Path, str]:
    """The stub of every module, and where it stands."""
    return {Path(module.__file__ or "").with_suffix(".pyi"): page(module) for module in MODULES}


def page(module: ModuleType) -> str:
    """The whole stub of a module."""
    kinds = [getattr(module, name) for name in module.__all__]
    used: dict[str, set[str]] = {}
    for kind in kinds:
        base = kind.__bases__[1]
        used.setdefault(base.__module__, set()).add(base.__name__)
        for one in signature_of(kind).parameters.values():
            for inner in _tables_in(one.annotation):
                used.setdefault(inner.__module__, set()).add(inner.__name__)
    imports = [f"from {source} import {', '.join(sorted(names))}" for source, names in sorted(used.items())]
    text = "\n".join([HEAD.rstrip("\n"), *imports, "", *(stub(kind) for kind in kinds), ""])
    ruff = [sys.executable, "-m", "ruff"]
    for arguments in (["check", "--select", "I,F401", "--fix", "-q"], ["format"]):
        command = [*ruff, *arguments, "--stdin-filename", str(Path(module.__file__ or "").with_suffix(".pyi")), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def _tables_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for one in get_args(annotation) for found in _tables_in(one)]


if __name__ == "__main__":
    for place, text in pages().items():
        place.write_text(text)
