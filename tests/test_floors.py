"""The order of the house: imports point down, and every file stays readable at one sitting."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "hpcpinn"

DECLARATIONS = (
    "core.parameters",
    "core.plausibility",
    "physics.constants",
    "physics.dopamine_constants",
    "physics.formulas",
    "physics.membrane_constants",
    "physics.membrane_tables",
)
"""Files that declare constants: plain numbers, from which descriptions of runs and the reference are made as well."""

FLOORS = {
    **dict.fromkeys(DECLARATIONS, 0),
    "bundled": 0,
    "membranes": 0,
    "errors": 0,
    "files": 0,
    "units": 0,
    "wording": 0,
    "progress": 0,
    "coordinates": 0,
    "core": 0,
    "config": 0,
    "morphology": 1,
    "physics": 1,
    "networks": 1,
    "parallel": 1,
    "training": 2,
    "io": 2,
    "reference": 2,
    "marching": 3,
    "domain": 4,
    "timestepping": 4,
    "inference": 5,
    "report": 7,
    "terminal": 7,
    "systems.cell.pictures": 8,
    "systems": 9,
    "api": 10,
    "cli": 11,
    "__main__": 12,
}

_OF_PICTURES = {
    "errors",
    "units",
    "wording",
    "coordinates",
    "config",
    "io",
    "morphology",
    "physics.constants",
    "physics.stimulation.protocols",
}
"""Pictures are made from a result file; the names of protocols in it stand for pulses."""

ALLOWED_SIDEWAYS = {"morphology"}
"""Plain geometry, which everybody above the ground may use, its own floor included."""

LIMITED = {
    # The independent check of the solver shares the geometry and the constants with it, nothing else.
    "reference": {"errors", "morphology", "physics.constants"},
    "report": _OF_PICTURES,
    "systems.cell.pictures": _OF_PICTURES | {"report", "core.order"},
}

FORBIDDEN_LIBRARIES = {
    **{file: {"jax", "flax", "mpi4py", "mpi4jax", "matplotlib"} for file in DECLARATIONS},
    "reference": {"jax", "flax", "optax", "mpi4py", "mpi4jax"},
    "morphology": {"jax", "flax", "mpi4py", "mpi4jax", "matplotlib"},
    "config": {"jax", "flax", "mpi4py", "mpi4jax", "matplotlib"},
    "physics": {"mpi4py", "mpi4jax", "matplotlib"},
    "networks": {"mpi4py", "mpi4jax", "matplotlib"},
    "training": {"mpi4py", "mpi4jax", "matplotlib"},
    # A march knows windows and states, not what they are made of.
    "marching": {"jax", "flax", "optax", "mpi4py", "mpi4jax", "matplotlib"},
    "domain": {"mpi4py", "mpi4jax", "matplotlib"},
    "timestepping": {"mpi4py", "mpi4jax", "matplotlib"},
}
"""Among others: what talks to MPI does so through a communicator."""

LONGEST_FILE = 500

FILES = sorted(PACKAGE.rglob("*.py"))


def room(parts: tuple[str, ...]) -> str:
    """Package or top-level module of a path inside the house, or the file itself where it has a floor of its own."""
    names = [part.removesuffix(".py") for part in parts]
    longer = (".".join(names[:length]) for length in (3, 2))
    return next((name for name in longer if name in FLOORS), names[0])


def running_nodes(file: Path) -> Iterator[ast.AST]:
    """Everything in a file but what is there for the type checker alone."""
    tree = ast.parse(file.read_text())
    for_types = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.If) and ast.unparse(outer.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(outer)
    }
    return (node for node in ast.walk(tree) if id(node) not in for_types)


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, at its top or inside functions.

    Imports for the type checker alone are left out: they are no dependency of the running code.
    """
    for node in running_nodes(file):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            if node.module == "hpcpinn":
                yield from ((node.lineno, f"hpcpinn.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def own_imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and name, without the leading ``hpcpinn.``, of what a file imports from its own house."""
    for line, name in imports(file):
        if name.startswith("hpcpinn.") and name != "hpcpinn.__version__":
            yield line, name.removeprefix("hpcpinn.")


def relative(file: Path) -> tuple[str, ...]:
    return file.relative_to(PACKAGE).parts


def test_every_room_has_a_floor() -> None:
    rooms = {room(relative(file)) for file in FILES} - {"__init__"}
    assert rooms <= FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(relative(file)))
def test_imports_point_down(file: Path) -> None:
    here = room(relative(file))
    if here == "__init__":
        assert not list(own_imports(file))
        return
    for line, name in own_imports(file):
        there = room(tuple(name.split(".")))
        place = f"{'/'.join(relative(file))}:{line} imports {name}"
        if there == here:
            continue
        down = FLOORS[there] < FLOORS[here]
        sideways = there in ALLOWED_SIDEWAYS and FLOORS[there] == FLOORS[here] >= 1
        both_ground = FLOORS[there] == FLOORS[here] == 0
        assert down or sideways or both_ground, f"{place}, floor {FLOORS[there]} from floor {FLOORS[here]}"
        if here in LIMITED:
            assert any(name == allowed or name.startswith(f"{allowed}.") for allowed in LIMITED[here]), (
                f"{place}; {here} may use {sorted(LIMITED[here])}"
            )


def module_name(file: Path) -> str:
    """Dotted name without the leading ``hpcpinn.``."""
    return ".".join(relative(file)).removesuffix(".py").removesuffix(".__init__")


def imported_modules(file: Path, modules: set[str]) -> set[str]:
    """Modules of the house that a file imports: itself the thing imported, or where it is imported from."""
    found = set()
    for node in running_nodes(file):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in (name.removeprefix("hpcpinn.") for name in names if name.startswith("hpcpinn.")):
            found |= {name if name in modules else name.rpartition(".")[0]} & modules
    return found - {module_name(file)}


METHODS = {("api.brought", "api.verbs"), ("api.job", "api.verbs"), ("api.run", "api.verbs")}
"""Who imports what, when called, so that a verb is a method too: ``job.solve()`` is ``solve(job)``."""


def test_no_module_is_imported_by_what_it_imports() -> None:
    modules = {module_name(file) for file in FILES}
    graph = {module_name(file): imported_modules(file, modules) for file in FILES}
    for method, verb in METHODS:
        graph[method].remove(verb)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


SYSTEMS = sorted(path.parent.name for path in (PACKAGE / "systems").glob("*/front.py"))
"""Rooms of the systems that come with hpcpinn."""


def test_nobody_names_a_system_but_itself_and_the_registry() -> None:
    """Neither in code nor in words. What type checkers see of them in ``__init__.py`` is written by a script."""
    assert SYSTEMS == ["cell", "square"]
    registry = {("__init__.py",), ("systems", "__init__.py")}
    for file in FILES:
        here = relative(file)[:-1]
        others = [name for name in SYSTEMS if here[:2] != ("systems", name)]
        tables = "" if len(others) < len(SYSTEMS) else r"|\b(Run|Square)Config\b"
        named = re.search(rf"systems\.({'|'.join(others)})\b{tables}", file.read_text())
        assert not named or relative(file) in registry, f"{'/'.join(relative(file))} names {named[0]}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(relative(file)))
def test_libraries_stay_in_their_rooms(file: Path) -> None:
    forbidden = FORBIDDEN_LIBRARIES.get(room(relative(file)), set())
    for line, name in imports(file):
        assert name.split(".")[0] not in forbidden, f"{'/'.join(relative(file))}:{line} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(relative(file)))
def test_no_file_is_too_long(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines; split it by what it does"
