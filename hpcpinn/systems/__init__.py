"""The systems that are known: one line each, and a module is loaded only when it is needed.

Others come with installed packages (entry points of the group ``hpcpinn.systems``) and by the environment variable
``HPCPINN_SYSTEMS``: modules, or files ending in .py, with ``:`` between them as in PATH. Each has its system in
``SYSTEM``.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hpcpinn.errors import InputError
from hpcpinn.wording import meant

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from hpcpinn.core.front import Bare
    from hpcpinn.core.system import System

OWN: Mapping[str, str] = {
    "cell": "hpcpinn.systems.cell",
    "square": "hpcpinn.systems.square",
}
"""Modules of the systems that come with hpcpinn; the first is meant where a description names none."""

COMMON: Mapping[str, str] = {
    "draw": "hpcpinn.systems.common.pictures",
    "validate": "hpcpinn.systems.common.validation",
    "tell_validation": "hpcpinn.systems.common.validation",
}
"""What does for systems that have no such member."""

GROUP = "hpcpinn.systems"
"""Entry points of other packages: ``name = "module:SYSTEM"``."""
VARIABLE = "HPCPINN_SYSTEMS"
"""Modules and files with a system each."""


def system_named(name: str) -> "System":
    """The system of a name.

    Raises:
        InputError: There is none of that name, or its module cannot be loaded.
    """
    known = _known()
    if name not in known:
        hint = meant(name, known) or f"systems of your own are named by {VARIABLE}"
        raise InputError(f"{name!r} is not one of {alternatives(list(known))}; {hint}")
    return known[name]()


def system_names() -> list[str]:
    """Names of all systems, those that come with hpcpinn first.

    Raises:
        InputError: A module of `VARIABLE` cannot be loaded.
    """
    return list(_known())


def places() -> dict[str, str]:
    """Where the systems are from that do not come with hpcpinn, by their names.

    Raises:
        InputError: A module of `VARIABLE` cannot be loaded.
    """
    return {name: place for place, name, _ in [*_of_packages(), *_of_variable()]}


def own_systems() -> "list[System]":
    """Those that come with hpcpinn."""
    return [_of_module(module)() for module in OWN.values()]


def default_name() -> str:
    """Name of the system of descriptions that name none."""
    return next(iter(OWN))


def brought_from_anywhere() -> str:
    """What `VARIABLE` must be in another folder: files by their absolute paths, modules as they are."""
    entries = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    return os.pathsep.join(str(Path(entry).absolute()) if entry.endswith(".py") else entry for entry in entries)


def alternatives(names: list[str]) -> str:
    """Names as a person reads them: ``'cell', 'square' or 'disc'``."""
    shown = [repr(name) for name in names]
    return " or ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def for_python(name: str) -> Any:
    """What a system offers of this name to ``import hpcpinn as hp``; None where none does.

    Raises:
        InputError: A module of `VARIABLE` cannot be loaded.
    """
    for system in all_systems():
        front: Mapping[str, Any] = getattr(system, "front", {})
        if name in front:
            return part(front[name])
    return None


def all_systems() -> "list[System]":
    """All of them, those that come with hpcpinn first.

    Raises:
        InputError: One of them cannot be loaded.
    """
    return [give() for give in _known().values()]


def bare_things() -> "list[Bare]":
    """What stands for a whole job, of every system that takes such a thing; that of the default system is the last.

    Raises:
        InputError: A system cannot be loaded.
    """
    return [part(system.bare) for system in reversed(all_systems()) if hasattr(system, "bare")]


def part(named: Any) -> Any:
    """A part of a system: what is given; or of text the module of that name, or of ``module:object`` that object."""
    if not isinstance(named, str):
        return named
    module, _, inside = named.partition(":")
    found = import_module(module)
    return getattr(found, inside) if inside else found


def _known() -> dict[str, Callable[[], "System"]]:
    """What gives every system, by name."""
    known: dict[str, Callable[[], System]] = {name: _of_module(module) for name, module in OWN.items()}
    for place, name, give in [*_of_packages(), *_of_variable()]:
        if name in known:
            raise InputError(f"{place}: a system of the name {name!r} is there already; give it another name")
        known[name] = give
    return known


def _of_module(module: str) -> Callable[[], "System"]:
    return lambda: import_module(module).SYSTEM


def _of_packages() -> list[tuple[str, str, Callable[[], "System"]]]:
    entries = _entry_points(tuple(sys.path))
    places = [(f"entry point {entry.name} = {entry.value}", entry) for entry in entries]
    return [
        (place, entry.name, partial(_loaded, place, entry.module, entry.load, entry.name)) for place, entry in places
    ]


@cache
def _entry_points(path: tuple[str, ...]) -> "tuple[EntryPoint, ...]":
    """Those of the packages in the folders of a path: all their files are read for it, which takes a while."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))


def _of_variable() -> list[tuple[str, str, Callable[[], "System"]]]:
    entries = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    places = [(f"{VARIABLE}: {entry}", entry) for entry in entries]
    return [_given(place, _loaded(place, entry, partial(_brought, entry))) for place, entry in places]


def _given(place: str, system: "System") -> tuple[str, str, Callable[[], "System"]]:
    return place, system.name, lambda: system


def _loaded(place: str, code: str, load: Callable[[], "System"], name: str | None = None) -> "System":
    """The system that others bring, if it is one.

    Args:
        place: Place where it comes from, for messages.
        code: The file or module that has it.
        load: Loads it.
        name: What it must be called; None: as it likes.
    """
    try:
        system = load()
    except Exception as error:
        why = " ".join(str(error).split())
        said = why if isinstance(error, InputError) else f"{type(error).__name__}: {why}"
        line = _line_in(code, error)
        what = f"{place}: gives no system ({said})" if line is None else f"{place}, line {line}: {said}"
        raise InputError(f"{what}; mend or leave it away") from error
    from hpcpinn.systems.contract import check_system

    check_system(system, place)
    if name is not None and system.name != name:
        raise InputError(f"{place}: its system has the name {system.name!r}; give both one name")
    return system


def _brought(entry: str) -> "System":
    """The system of a module or file that a person names."""
    module = _file(Path(entry)) if entry.endswith(".py") else import_module(entry)
    system: System = module.SYSTEM
    return system


def _line_in(entry: str, error: Exception) -> int | None:
    """The line of the file or module at which it failed; None where it did not begin, or came to its end."""
    if isinstance(error, SyntaxError):
        return error.lineno
    module = sys.modules.get(entry)
    place = str(Path(entry).absolute()) if entry.endswith(".py") else getattr(module, "__file__", None)
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == place]
    return lines[-1] if lines else None


def _file(path: Path) -> ModuleType:
    """The module of a file, loaded once."""
    name, place = f"hpcpinn_system_{path.stem}", str(path.absolute())
    module = sys.modules.get(name)
    if module is None or module.__file__ != place:
        spec = spec_from_file_location(name, place)
        assert spec is not None and spec.loader is not None  # it ends in .py
        module = module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look there for their module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return module


def offered(system: "System", member: str) -> Callable[..., Any]:
    """The member of a system, one of `COMMON`, or what does for all that have none."""
    found: Callable[..., Any] | None = part(getattr(system, member, None))
    if found is not None:
        return found
    return partial(getattr(import_module(COMMON[member]), member), system)
