"""Tables of the run description that come from declared constants (`hpcpinn.core.parameters`).

Each function makes the base of a table: the keys are the declaration's, with its units and bounds, and the table adds
what it has besides.

    class PairConstantsConfig(changes_table(PairConstants)):  # type: ignore[misc]
        \"\"\"Constants that differ from the preset.\"\"\"
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field, create_model

from hpcpinn.config.lines import Path
from hpcpinn.config.values import LARGEST_LENGTH, LONGEST_TIME, Potential, Size, Table, in_ms, in_um
from hpcpinn.core.parameters import LOGARITHM, MEMBRANE, POSITIVE, Bounds, Constant, Constants, declared, learnable_in
from hpcpinn.core.plausibility import Quantity

_WITH_UNITS: Mapping[str, tuple[float, Callable[[object], object]]] = {
    "ms": (LONGEST_TIME, in_ms),
    "µm": (LARGEST_LENGTH, in_um),
}
"""Largest value, and what reads a text such as ``"10 min"``, of numbers in the units that users write."""


class DeclaredTable(Table):
    """A table whose keys come from a declaration; each holds its `Constant` in the metadata of its field.

    Attributes:
        of_presets: Presets that the keys are changes of, the default first; empty where nobody says.
    """

    of_presets: ClassVar[Mapping[str, Any]] = {}

    @property
    def changes(self) -> dict[str, Any]:
        """Values that were given, by name."""
        return self.model_dump(exclude_none=True)


def changes_table(declaration: type[Constants], presets: Mapping[str, Any] | None = None) -> type[DeclaredTable]:
    """Constants that differ from a preset: what is left out is None.

    Args:
        declaration: The class of constants.
        presets: Presets by name, the default first, whose values ``hpcpinn systems`` then shows.
    """
    made = _table(
        {
            name: (Annotated[_annotation(declaration, name) | None, entry], None)
            for name, entry in declared(declaration).items()
        }
    )
    made.of_presets = presets or {}
    return made


def whole_table(declaration: type[Constants]) -> type[DeclaredTable]:
    """All constants, with the declaration's own values where they are left out."""
    keys, defaults = {}, {field.name: field.default for field in fields(declaration)}
    for name, entry in declared(declaration).items():
        annotation, default = _annotation(declaration, name), defaults[name]
        annotation = annotation | None if default is None else annotation
        keys[name] = (Annotated[annotation, entry], ... if default is MISSING else default)
    return _table(keys)


def truth_table(declaration: type[Constants]) -> type[DeclaredTable]:
    """Constants that synthetic data are made with: those that can be learned, positive where their logarithm is."""
    keys = {}
    for name, entry in learnable_in(declaration).items():
        number = _number(entry.unit, POSITIVE if entry.measure == LOGARITHM else entry.bounds)
        keys[name] = (Annotated[number | None, entry], None)
    return _table(keys)


def declared_in(table: type[BaseModel]) -> dict[str, Constant]:
    """Declarations of the keys of a table that have one."""
    marks = [(name, mark) for name, info in table.model_fields.items() for mark in info.metadata]
    return {name: mark for name, mark in marks if isinstance(mark, Constant)}


def quantities_in(table: type[BaseModel]) -> dict[str, Quantity]:
    """Quantities of the keys of a table that have one: in their annotation, or by the declaration they come from."""
    marks = [(name, mark) for name, info in table.model_fields.items() for mark in info.metadata]
    found = {name: entry.quantity for name, entry in declared_in(table).items() if entry.quantity is not None}
    return found | {name: mark for name, mark in marks if isinstance(mark, Quantity)}


def declared_quantity_of(described: Any, key: Path) -> Quantity | None:
    """The quantity of a key of a description; None where it has none.

    Args:
        described: A description.
        key: The key; it may lead through lists and tables of tables.
    """
    found = None
    for part in key:
        if isinstance(described, BaseModel):
            found = quantities_in(type(described)).get(str(part))
            described = getattr(described, str(part), None)
        elif isinstance(described, Mapping):
            described = described.get(part)
        elif isinstance(described, Sequence) and isinstance(part, int):
            described = described[part]
        else:
            return None
    return found


def physics_table(constants: type[Table], presets: Iterable[str]) -> type[Table]:
    """The table [physics]: a preset, by default the first, and the constants that differ from it."""
    names = tuple(presets)
    keys: dict[str, Any] = {"preset": (Literal[names], names[0]), "constants": (constants, constants())}
    return create_model("PhysicsTable", __base__=Table, **keys)


def names_of(declaration: type[Constants]) -> Any:
    """The type of a key that names a constant that can be learned."""
    return Literal[tuple(learnable_in(declaration))]


def _table(keys: Mapping[str, Any]) -> type[DeclaredTable]:
    made: type[DeclaredTable] = create_model("DeclaredKeys", __base__=DeclaredTable, **keys)
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
