"""Formulas of the voltage that people write as text: ``0.182 * 6 * linoid((V + 38) / 6)``.

Arithmetic, conditional expressions and a few functions; nothing else is understood, so a file of formulas is data and
no program. What is read once is a tree, which NumPy and JAX evaluate alike, with derivatives. Plain Python: no arrays.
"""

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hpcpinn.errors import InputError
from hpcpinn.wording import meant

FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "exp": "e to the power of x",
        "log": "natural logarithm of x",
        "sqrt": "square root of x",
        "tanh": "hyperbolic tangent of x",
        "abs": "absolute value of x",
        "min": "smaller one of two",
        "max": "larger one of two",
        "linoid": "x/(1 - exp(-x)), which is 1 at x = 0",
        "sigmoid": "1/(1 + exp(-x))",
    }
)
"""What a formula may call, and what it is."""

_ARGUMENTS = {"min": 2, "max": 2}
_OPERATORS: Mapping[type, tuple[str, Callable[[float, float], float]]] = {
    ast.Add: ("+", lambda a, b: a + b),
    ast.Sub: ("-", lambda a, b: a - b),
    ast.Mult: ("*", lambda a, b: a * b),
    ast.Div: ("/", lambda a, b: a / b),
    ast.Pow: ("**", lambda a, b: float(a**b)),
}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_LONGEST, _DEEPEST = 2000, 60


@dataclass(frozen=True)
class Node:
    """One operation of a formula.

    Attributes:
        kind: ``number``, ``name``, an operator, ``negative``, ``if`` with a comparison (``if<``), or a function.
        parts: What it is applied to.
        value: Value of a number.
        name: Name of a variable.
    """

    kind: str
    parts: tuple["Node", ...] = ()
    value: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class Formula:
    """A formula as it was read; equal to another of the same text.

    Attributes:
        text: Text of it.
        root: Last operation.
    """

    text: str
    root: Node = field(compare=False, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """Names of its variables."""
        return frozenset(node.name for node in _walk(self.root) if node.kind == "name")


def read_formula(text: str, names: frozenset[str]) -> Formula:
    """Reads a formula.

    Args:
        text: Expression such as ``4 * exp(-(V + 65) / 18)``, in Python's spelling.
        names: Variables that it may have.

    Raises:
        InputError: It is no such expression; one line with the part that is not understood.
    """
    if len(text) > _LONGEST:
        raise InputError(f"a formula of {len(text)} letters; {_LONGEST} are the most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise InputError(f"{text!r} is no formula ({why}); write such as 4 * exp(-(V + 65) / 18)") from None
    return Formula(text, _folded(_Reader(text, names).node(tree.body, 0)))


@dataclass(frozen=True)
class _Reader:
    """Turns Python's syntax into nodes."""

    text: str
    names: frozenset[str]

    def node(self, found: ast.expr, depth: int) -> Node:
        """The node of an expression."""
        if depth > _DEEPEST:
            raise InputError(f"a formula nested deeper than {_DEEPEST} levels")

        def inner(part: ast.expr) -> Node:
            return self.node(part, depth + 1)

        match found:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
                return Node("number", value=float(value))
            case ast.Name(id=name):
                return Node("name", name=self._known(name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Node("negative", (inner(operand),))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return inner(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return Node(_OPERATORS[type(op)][0], (inner(left), inner(right)))
            case ast.IfExp(test=ast.Compare(left=left, ops=[op], comparators=[right])) if type(op) in _COMPARISONS:
                kind = f"if{_COMPARISONS[type(op)]}"
                return Node(kind, (inner(left), inner(right), inner(found.body), inner(found.orelse)))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                wanted = _ARGUMENTS.get(name, 1)
                if len(arguments) != wanted:
                    raise InputError(f"{self._shown(found)}: {name} takes {wanted}, and there are {len(arguments)}")
                return Node(name, tuple(inner(one) for one in arguments))
            case ast.Call(func=ast.Name(id=name)):
                advice = meant(name, FUNCTIONS) or f"there are {', '.join(FUNCTIONS)}"
                raise InputError(f"{self._shown(found)}: no function {name!r}; {advice}")
        raise InputError(
            f"{self._shown(found)} is not understood in a formula; use + - * / **, `a if V < b else c`, "
            f"and {', '.join(FUNCTIONS)}"
        )

    def _known(self, name: str) -> str:
        if name not in self.names:
            advice = meant(name, sorted(self.names)) or f"there are {', '.join(sorted(self.names))}"
            raise InputError(f"{self.text!r}: no variable {name!r}; {advice}")
        return name

    def _shown(self, found: ast.expr) -> str:
        return repr(ast.get_source_segment(self.text.strip(), found) or self.text)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for part in node.parts:
        yield from _walk(part)


def _folded(node: Node) -> Node:
    """The tree with numbers put together that are known already."""
    parts = tuple(_folded(part) for part in node.parts)
    if parts and all(part.kind == "number" for part in parts):
        try:
            if node.kind == "negative":
                return Node("number", value=-parts[0].value)
            for sign, operation in _OPERATORS.values():
                if node.kind == sign:
                    return Node("number", value=operation(parts[0].value, parts[1].value))
        except (ArithmeticError, TypeError):
            raise InputError(f"{parts[0].value:g} {node.kind} {parts[1].value:g} has no value") from None
    return Node(node.kind, parts, node.value, node.name)


def evaluate(formula: Formula, values: Mapping[str, Any], xp: Any, linoid: Callable[[Any], Any]) -> Any:
    """The value of a formula.

    Args:
        formula: The formula.
        values: Values of its variables: numbers or arrays, which may be traced.
        xp: ``numpy`` or ``jax.numpy``.
        linoid: x/(1 - exp(-x)) for arrays of `xp`, smooth through zero.
    """

    def at(node: Node) -> Any:
        if node.kind == "number":
            return node.value
        if node.kind == "name":
            return values[node.name]
        parts = [at(part) for part in node.parts]
        match node.kind:
            case "negative":
                return -parts[0]
            case "+":
                return parts[0] + parts[1]
            case "-":
                return parts[0] - parts[1]
            case "*":
                return parts[0] * parts[1]
            case "/":
                return parts[0] / parts[1]
            case "**":
                power = parts[1]
                return parts[0] ** (int(power) if isinstance(power, float) and power.is_integer() else power)
            case "if<":
                return xp.where(parts[0] < parts[1], parts[2], parts[3])
            case "if<=":
                return xp.where(parts[0] <= parts[1], parts[2], parts[3])
            case "if>":
                return xp.where(parts[0] > parts[1], parts[2], parts[3])
            case "if>=":
                return xp.where(parts[0] >= parts[1], parts[2], parts[3])
            case "min":
                return xp.minimum(*parts)
            case "max":
                return xp.maximum(*parts)
            case "linoid":
                return linoid(parts[0])
            case "sigmoid":
                return 1.0 / (1.0 + xp.exp(-parts[0]))
            case function:
                return getattr(xp, function)(parts[0])

    return at(formula.root)
