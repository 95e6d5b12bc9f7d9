"""Tables of the run description that come from declared constants (`hpcpinn.core.parameters`).

Each function makes the base of a table: the keys are the declaration's, with its units and bounds, and the table adds
what it has besides.

    class PairConstantsConfig(changes_table(PairConstants)):  # type: ignore[misc]
        \"\"\"Constants that differ from the preset.\"\"\"
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, create_model

from hpcpinn.config.values import LARGEST_LENGTH, LONGEST_TIME, Potential, Size, Table, in_ms, in_um
from hpcpinn.core.parameters import LOGARITHM, MEMBRANE, POSITIVE, Bounds, Constant, Constants, declared, learnable_in

_WITH_UNITS: Mapping[str, tuple[float, Callable[[object], object]]] = {
    "ms": (LONGEST_TIME, in_ms),
    "µm": (LARGEST_LENGTH, in_um),
}
"""Largest value, and what reads a text such as ``"10 min"``, of numbers in the units that users write."""


class DeclaredTable(Table):
    """A table whose keys come from a declaration.

    Attributes:
        words: Line of a document for every key that does.
    """

    words: ClassVar[Mapping[str, str]] = {}

    @property
    def changes(self) -> dict[str, Any]:
        """Values that were given, by name."""
        return self.model_dump(exclude_none=True)


def changes_table(declaration: type[Constants]) -> type[DeclaredTable]:
    """Constants that differ from a preset: what is left out is None."""
    entries = declared(declaration)
    return _table(entries, {name: (_annotation(declaration, name) | None, None) for name in entries})


def whole_table(declaration: type[Constants]) -> type[DeclaredTable]:
    """All constants, with the declaration's own values where they are left out."""
    keys: dict[str, Any] = {}
    entries = declared(declaration)
    for field in fields(declaration):
        if field.name not in entries:
            continue
        annotation = _annotation(declaration, field.name)
        default = ... if field.default is MISSING else field.default
        keys[field.name] = (annotation | None if default is None else annotation, default)
    return _table(entries, keys)


def truth_table(declaration: type[Constants]) -> type[DeclaredTable]:
    """Constants that synthetic data are made with: those that can be learned, positive where their logarithm is."""
    entries = learnable_in(declaration)
    keys = {}
    for name, entry in entries.items():
        bounds = POSITIVE if entry.measure == LOGARITHM else entry.bounds
        keys[name] = (_number(entry.unit, bounds) | None, None)
    return _table(entries, keys)


def physics_table(constants: type[Table], presets: Iterable[str]) -> type[Table]:
    """The table [physics]: a preset, by default the first, and the constants that differ from it."""
    names = tuple(presets)
    keys: dict[str, Any] = {"preset": (Literal[names], names[0]), "constants": (constants, constants())}
    return create_model("PhysicsTable", __base__=Table, **keys)


def naming_table(declaration: type[Constants]) -> type[Table]:
    """A table whose `name` is that of a constant that can be learned."""
    keys: dict[str, Any] = {"name": (Literal[tuple(learnable_in(declaration))], ...)}
    return create_model("NamingTable", __base__=Table, **keys)


def _table(entries: Mapping[str, Constant], keys: Mapping[str, Any]) -> type[DeclaredTable]:
    made: Any = create_model("DeclaredKeys", __base__=DeclaredTable, **keys)
    made.words = {name: entry.words for name, entry in entries.items()}
    return made


def _annotation(declaration: type[Constants], name: str) -> Any:
    entry = declared(declaration)[name]
    if entry.choices:
        return Literal[entry.choices]
    if {field.name: field.type for field in fields(declaration)}[name] is int:
        return Size
    return _number(entry.unit, entry.bounds)


def _number(unit: str, bounds: Bounds) -> Any:
    if bounds == MEMBRANE:
        return Potential
    limits: dict[str, float] = {"gt" if bounds.is_open else "ge": bounds.least}
    most, reader = _WITH_UNITS.get(unit, (bounds.most, None))
    limits["le"] = min(bounds.most, most)
    limits = {limit: value for limit, value in limits.items() if abs(value) != float("inf")}
    number = Annotated[float, Field(allow_inf_nan=bounds.may_be_infinite, **limits)]
    return number if reader is None else Annotated[number, BeforeValidator(reader)]
