"""Below a system's build nothing takes a description: what a function needs of it, it is told in a few values."""

import ast
import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hpcpinn.config.values import Table
from hpcpinn.systems import part, system_named, system_names
from tests.test_floors import FILES, module_name, own_imports

READERS = ("config", "build")
"""Modules of a system, or how their names begin, that hold its tables, and that make of them what is solved."""

HOLDERS = ("jax", "result")
"""What may have an attribute ``config`` that is no description: a library; the plain values that a result keeps."""


SOLVE_AGAIN = ("systems.cell.comparison", "systems.square.comparison")
"""Modules that begin with a result, and build what it describes once more."""


def folder_of(system: Any) -> str:
    """Dotted name of a system's folder, without the leading ``hpcpinn.``."""
    return type(system).__module__.removeprefix("hpcpinn.")


SYSTEMS = [system for name in system_names() if folder_of(system := system_named(name)).startswith("systems.")]


def tables_of(system: Any) -> set[str]:
    """Names of the classes of a system's tables."""
    folder = importlib.import_module(f"hpcpinn.{folder_of(system)}")
    found = set()
    for entry in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
        if entry.name.removeprefix(f"{folder.__name__}.").startswith("config"):
            module = vars(importlib.import_module(entry.name))
            found |= {
                name
                for name, value in module.items()
                if isinstance(value, type) and issubclass(value, Table) and value.__module__ == entry.name
            }
    return found


def entries_of(system: Any) -> set[str]:
    """Modules that a system names, where the rest of the house comes in: of actions, commands, parts for Python, ..."""
    named = {name.partition(":")[0].removeprefix("hpcpinn.") for name in _texts(vars(type(system)))}
    return {folder_of(system), *(name for name in named if name.startswith(f"{folder_of(system)}."))}


def _texts(value: Any) -> Iterator[str]:
    """All texts in nested mappings, and in the attributes of what is of no module of Python's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _texts(vars(value))


def may_read(module: str) -> bool:
    """Whether a module may take descriptions of a system."""
    for system in SYSTEMS:
        inside = module.removeprefix(f"{folder_of(system)}.")
        if inside != module and inside.split(".")[0].startswith(READERS):
            return True
    return any(module in entries_of(system) for system in SYSTEMS)


def tables_taken(source: str, tables: set[str]) -> Iterator[str]:
    """Where a file imports the class of a table."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hpcpinn.systems."):
            yield from (f"line {node.lineno}: imports {a.name}" for a in node.names if a.name in tables)


def descriptions_taken(source: str, tables: set[str]) -> Iterator[str]:
    """Where a function takes a description, or reads one from what is solved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                annotation = "" if one.annotation is None else ast.unparse(one.annotation)
                plain = annotation.startswith("Mapping[str, Any]")  # as a result keeps a description
                if set(re.findall(r"\w+", annotation)) & tables or (one.arg in ("config", "described") and not plain):
                    yield f"line {node.lineno}: {node.name} takes {one.arg}"
        elif isinstance(node, ast.Attribute) and node.attr == "config" and _holder(node) not in HOLDERS:
            yield f"line {node.lineno}: reads {ast.unparse(node)}"


def _holder(node: ast.Attribute) -> str:
    """Last name of what an attribute is of."""
    return ast.unparse(node.value).split(".")[-1]


TABLES = {name for system in SYSTEMS for name in tables_of(system)}
OTHERS = [file for file in FILES if not may_read(module_name(file))]
BELOW = [file for file in OTHERS if any(module_name(file).startswith(f"{folder_of(one)}.") for one in SYSTEMS)]


def test_there_is_something_to_look_at() -> None:
    assert {"RunConfig", "SquareConfig", "SynapseConfig", "ParameterConfig"} <= TABLES
    assert {"systems.cell.coupled_run", "systems.square.windows"} <= {module_name(file) for file in BELOW}


@pytest.mark.parametrize("file", OTHERS, ids=module_name)
def test_tables_are_known_to_what_reads_them(file: Path) -> None:
    assert not list(tables_taken(file.read_text(), TABLES))


@pytest.mark.parametrize("file", BELOW, ids=module_name)
def test_what_is_built_does_not_know_its_build(file: Path) -> None:
    builds = tuple(f"{folder_of(system)}.build" for system in SYSTEMS)
    assert module_name(file) in SOLVE_AGAIN or not [name for _, name in own_imports(file) if name.startswith(builds)]


@pytest.mark.parametrize("file", BELOW, ids=module_name)
def test_nothing_below_a_build_takes_a_description(file: Path) -> None:
    assert not list(descriptions_taken(file.read_text(), TABLES))


@pytest.mark.parametrize("wrong", [
    "def f(given: 'RunConfig | None') -> None: ...",
    "def f(config: Any) -> None: ...",
    "class A:\n    def f(self) -> float:\n        return self.problem.config.run.duration",
])  # fmt: skip
def test_a_description_that_is_taken_is_found(wrong: str) -> None:
    assert list(descriptions_taken(wrong, TABLES))
    assert list(tables_taken("from hpcpinn.systems.cell.config.schema import RunConfig", TABLES))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_entries_are_modules(system: Any) -> None:
    for name in entries_of(system):
        assert part(f"hpcpinn.{name}")
