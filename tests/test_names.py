"""Names: a word that means one thing means it everywhere."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "hpcpinn"

ARRAYS = {"Array", "jax.Array", "ndarray", "np.ndarray"}

Defined = ast.ClassDef | ast.FunctionDef

NO_NOUN = re.compile(
    r"(After|As|At|Before|Between|By|For|From|In|It|Its|Likewise|Of|On|Such|Their|Then|There|This|Those|To|Told|Until"
    r"|When|Where|Which|While|Who|With)\b|The same\b|(1/s|nA|ms|mV|s|µM|µM/s|µm|µm²|µm³|\([\w, ·]*\))[.,;]"
)
"""Beginnings of a line that does not say by itself what it describes."""


def test_no_class_name_has_two_meanings() -> None:
    places = defaultdict(list)
    for file, node in nodes():
        if isinstance(node, ast.ClassDef):
            places[node.name].append(f"{file}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_attributes_and_arguments_are_described_by_lines_that_can_be_read_alone() -> None:
    lines = [f"{where}: {name}: {text}" for where, _, name, text in described() if NO_NOUN.match(text)]
    assert lines == []


def test_what_is_described_is_there() -> None:
    missing = [
        f"{where}: {one}"
        for where, definition, names, _ in described()
        for one in names.split(", ")
        if not is_made_elsewhere(definition) and one not in names_in(definition)
    ]
    assert missing == []


def test_arrays_of_public_signatures_have_a_shape() -> None:
    """Functions within functions are left out, as those are that begin with an underscore."""
    bare = [f"{file}:{line}: {name}" for file in sources() for line, name in bare_in(parsed(file).body)]
    assert bare == [], 'say the shape: Float[Array, ...], or Shaped[ndarray, "..."] where it has any'


def described() -> Iterator[tuple[str, Defined, str, str]]:
    """Place, class or function, name and text of every entry under Attributes or Args in the package."""
    for file, node in nodes():
        if isinstance(node, Defined):
            for name, text in entries(ast.get_docstring(node) or ""):
                yield f"{file}: {node.name}", node, name, text


def sources() -> list[Path]:
    return [file.relative_to(PACKAGE) for file in sorted(PACKAGE.rglob("*.py"))]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text())


@cache
def nodes() -> list[tuple[Path, ast.AST]]:
    """Everything in every file of the package."""
    return [(file, node) for file in sources() for node in ast.walk(parsed(file))]


@cache
def classes() -> dict[str, ast.ClassDef]:
    """All classes by name, of which none has two meanings."""
    return {node.name: node for _, node in nodes() if isinstance(node, ast.ClassDef)}


def bare_in(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Lines and names of public parameters, results and fields that are arrays of no said shape."""
    for node in body:
        if not isinstance(node, Defined) or (node.name.startswith("_") and not node.name.endswith("__")):
            continue
        if isinstance(node, ast.FunctionDef):
            given = [
                (argument.arg, argument.annotation) for argument in ast.walk(node.args) if isinstance(argument, ast.arg)
            ]
            said = [*given, (node.name, node.returns)]
        else:
            yield from bare_in(node.body)
            said = [(ast.unparse(x.target), x.annotation) for x in node.body if isinstance(x, ast.AnnAssign)]
        yield from ((node.lineno, name) for name, hint in said if hint is not None and has_bare(hint))


def has_bare(hint: ast.AST) -> bool:
    """Whether an annotation names arrays outside of ``Float[Array, "n"]`` and its like."""
    if isinstance(hint, ast.Subscript) and isinstance(hint.slice, ast.Tuple) and len(hint.slice.elts) == 2:
        shape = hint.slice.elts[1]
        if isinstance(shape, ast.Constant) and isinstance(shape.value, str):
            return False
    if isinstance(hint, ast.Name | ast.Attribute):
        return ast.unparse(hint) in ARRAYS
    return any(map(has_bare, ast.iter_child_nodes(hint)))


def entries(docstring: str) -> Iterator[tuple[str, str]]:
    """Name and first line of text of what stands under Attributes or Args."""
    for section in re.findall(r"^(?:Attributes|Args):\n((?:    .*\n?)+)", docstring, re.MULTILINE):
        yield from re.findall(r"^    (\S.*?): +(.*)", section, re.MULTILINE)


def names_in(definition: Defined) -> set[str]:
    """Parameters of a function; fields, members and parameters of a class, and of those that it is made from."""
    if isinstance(definition, ast.FunctionDef):
        return {argument.arg for argument in ast.walk(definition.args) if isinstance(argument, ast.arg)}
    inside = list(ast.walk(definition))
    members = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    members |= {node.attr for node in inside if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    members |= {node.name for node in inside if isinstance(node, ast.FunctionDef)}
    for base in definition.bases:
        if isinstance(base, ast.Name) and base.id in classes():
            members |= names_in(classes()[base.id])
    return members | {node.arg for node in inside if isinstance(node, ast.arg)}


def is_made_elsewhere(definition: Defined) -> bool:
    """Whether a function makes some of the fields: a table of declared constants."""
    return isinstance(definition, ast.ClassDef) and any(isinstance(base, ast.Call) for base in definition.bases)
