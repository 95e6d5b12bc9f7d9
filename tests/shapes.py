"""While tests run, arrays are what signatures say: jaxtyping's shapes and types, checked by beartype.

Checked is every argument, result and field of a dataclass of the package whose annotation names an array, at every
call, or, in what JAX traces, when it is traced. Other annotations are for mypy alone. Functions within functions
are left out, as they would be prepared anew at every call, and so are named tuples, which hold whatever a tree map
makes of them. Shapes and types of numbers are checked everywhere; the library of an array where the domain is built
and trained. Elsewhere JAX's functions also take NumPy's arrays and plain numbers, as JAX itself does. This is what
jaxtyping's own plugin does, at a tenth of its price.
"""

import ast
import functools
import importlib.util
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FunctionType, ModuleType, UnionType
from typing import Any, Union, get_args, get_origin
from unittest.mock import patch

import jax
import numpy as np
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

PACKAGE = "hpcpinn"

TO_THE_LETTER = {"domain", "morphology", "networks", "parallel", "reference", "training"}
"""Folders whose functions are given arrays of the library that they name, and no numbers for arrays without axes."""

NAMES = {"Array", "Bool", "Complex", "Float", "Int", "Integer", "Num", "Shaped"}
"""Names in annotations that are of arrays."""

CONFIGURATION = BeartypeConf(is_pep484_tower=True)
"""An int is a float, as for mypy."""

_MARK = "_with_shapes_checked"


def checked(made: Any) -> Any:
    """A function, or a dataclass, that refuses arrays other than its annotations say."""
    if isinstance(made, type):
        setattr(made, "__init__", _checked(made.__init__))  # noqa: B010, mypy has no say in it
        return made
    return _checked(made)


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    prepared: list[Callable[..., Any]] = []  # when first called: most functions never are

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not prepared:
            prepared.append(beartype(conf=CONFIGURATION)(_with_arrays_only(function)))
        with jaxtyped("context"):  # in which a letter is one size
            return prepared[0](*args, **kwargs)

    return run


def _with_arrays_only(function: Any) -> Any:
    """The function with only those of its annotations that are of arrays."""
    bare = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    bare = functools.update_wrapper(bare, function)
    del bare.__wrapped__
    bare.__kwdefaults__ = function.__kwdefaults__
    hints = {name: hint for name, hint in function.__annotations__.items() if _is_of_arrays(hint)}
    if TO_THE_LETTER.isdisjoint(function.__module__.split(".")):
        hints = {name: _of_any_library(hint) for name, hint in hints.items()}
    bare.__annotations__ = hints
    return bare


def _of_any_library(hint: Any) -> Any:
    """The annotation with arrays of JAX or NumPy, and with numbers where an array may be without axes."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        kinds = [hint.dtype[kind, hint.dim_str] for kind in (jax.Array, np.ndarray)]
        return kinds[0] | kinds[1] | float | np.generic if hint.dim_str in ("", "...") else kinds[0] | kinds[1]
    if hint is jax.Array:
        return jax.Array | np.ndarray | float | np.generic
    origin, parts = get_origin(hint), tuple(map(_of_any_library, get_args(hint)))
    if origin in (Union, UnionType):
        return functools.reduce(operator.or_, parts)
    return origin[parts] if origin in (tuple, list, dict, Sequence, Mapping) else hint


def _is_of_arrays(hint: Any) -> bool:
    if isinstance(hint, type) and get_origin(hint) is None:
        return issubclass(hint, (AbstractArray, jax.Array))
    return any(map(_is_of_arrays, get_args(hint)))


class _Marked(ast.NodeTransformer):
    """Decorates what is to be checked, nearest to the function: what JAX makes of it stays outside."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if _names_arrays([node.returns, *(argument.annotation for argument in arguments)]):
            node.decorator_list.append(ast.Name(_MARK, ast.Load()))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        is_dataclass = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
        fields = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        if is_dataclass and _names_arrays(fields):
            node.decorator_list.insert(0, ast.Name(_MARK, ast.Load()))
        return node


def _names_arrays(annotations: Sequence[ast.expr | None]) -> bool:
    parts = (part for annotation in annotations if annotation is not None for part in ast.walk(annotation))
    return any(isinstance(part, ast.Name) and part.id in NAMES for part in parts)


class _Loader(SourceFileLoader):
    """Loads a module with its functions marked; its byte code has files of its own."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        tree = _Marked().visit(ast.parse(data, path))
        first = next((i for i, part in enumerate(tree.body) if not isinstance(part, ast.Expr)), len(tree.body))
        tree.body.insert(first, ast.parse(f"from {__name__} import checked as {_MARK}").body[0])
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname: str) -> CodeType | None:
        named = functools.partial(importlib.util.cache_from_source, optimization="shapes1")
        with patch("importlib._bootstrap_external.cache_from_source", named):
            return super().get_code(fullname)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parts = fullname.split(".")
        if parts[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def check() -> None:
    """Have what is imported from now on checked."""
    loaded = sorted(name for name in sys.modules if name.split(".")[0] == PACKAGE)
    assert not loaded, f"{loaded} would go unchecked"
    # Right before the finder that it stands for: what counts lines is further in front, and asks those behind it.
    sys.meta_path.insert(sys.meta_path.index(PathFinder), _Finder())
