"""Constants of a model, each declared once: unit, bounds, what it is counted in, what it can be, and where it is from.

The constants of a model are a frozen dataclass made from `Constants`, whose fields are declared by `constant` (a
number, which may be traced), `setting` (a choice or a count, never traced) and `nested` (a tuple of declared constants
of their own). What a run description may say of them, what can be learned, how files and documents call them and which
values are odd is derived from that, and written nowhere else.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from hpcpinn.core.plausibility import Quantity
from hpcpinn.errors import InputError
from hpcpinn.wording import meant

if TYPE_CHECKING:
    Scalar = float
else:
    Scalar = Any
"""Type of a constant: a number, which JAX may trace."""

LOGARITHM = 0.0
"""Measure of a constant that is learned as its logarithm."""

_ENTRY = "declared"
_PLAIN = str.maketrans({"µ": "u", "²": "2", "³": "3", "·": " ", "Ω": "ohm", "°": "deg"})
_NAME = re.compile(r"(\w+)(?:\[(\d+)\])?(?:\.(.+))?")


@dataclass(frozen=True)
class Bounds:
    """Values that a constant may have.

    Attributes:
        least: Smallest value.
        most: Largest value.
        is_open: Whether `least` itself is refused.
        may_be_infinite: Whether infinity is a value.
    """

    least: float = -math.inf
    most: float = math.inf
    is_open: bool = False
    may_be_infinite: bool = False

    def __contains__(self, value: float) -> bool:
        if math.isinf(value):
            return self.may_be_infinite
        return self.least < value <= self.most if self.is_open else self.least <= value <= self.most

    def __str__(self) -> str:
        least = f"{'above' if self.is_open else 'at least'} {self.least:g}"
        return " and ".join([least] * math.isfinite(self.least) + [f"at most {self.most:g}"] * math.isfinite(self.most))

    def refusal(self, name: str, value: float | None) -> str:
        """Why a constant cannot have a value; empty where it can, or none is given."""
        return "" if value is None or value in self else f"{value:g} is not allowed: {name!r} must be {self}"


REAL = Bounds()
NON_NEGATIVE = Bounds(0.0)
POSITIVE = Bounds(0.0, is_open=True)
SHARE = Bounds(0.0, 1.0)
MEMBRANE = Bounds(-500.0, 500.0)
"""Of a potential in mV: no membrane survives more, and less than 1 mV looks like volts."""


@dataclass(frozen=True)
class Constant:
    """What is known of a constant besides its value.

    Attributes:
        description: Noun phrase that says what it is.
        unit: Unit as it is printed, such as ``µm²/s``; 1 for a plain number.
        bounds: Values that a run description may give.
        measure: Step that a learned one of either sign is counted in, in its own unit; `LOGARITHM` for one that is
            positive then.
        symbol: Symbol in the equations; empty where that is its name.
        note: Further words for a reader of a document; they follow a semicolon.
        quantity: Usual and possible values; None where no unit can be wrong.
        source: Source of the value of a preset, such as a paper or a measurement.
        is_leaf: Whether it is a number that can be traced.
        is_learnable: Whether it can be inferred from data.
        varies_by: Kind of parts that may have values of their own, such as ``vdcc_density.TYPE``; empty: none.
        needs: Name of another constant without which it is nothing; empty: none.
        choices: Values of a setting that is one of a few.
    """

    description: str
    unit: str = "1"
    bounds: Bounds = REAL
    measure: float = LOGARITHM
    symbol: str = ""
    note: str = ""
    quantity: Quantity | None = None
    source: str = ""
    is_leaf: bool = True
    is_learnable: bool = True
    varies_by: str = ""
    needs: str = ""
    choices: tuple[str, ...] = ()

    @property
    def plain_unit(self) -> str:
        """The unit in ASCII, as files have it: ``um2/s``."""
        return self.unit.translate(_PLAIN)

    @property
    def words(self) -> str:
        """A line of a document with a full stop, such as ``Diffusion of calcium (D_c), µm²/s``, note and source."""
        symbol = f" ({self.symbol})" if self.symbol else ""
        unit = "" if self.unit == "1" else f", {self.unit}"
        more = [self.note] * bool(self.note) + [f"source: {self.source}"] * bool(self.source)
        return "; ".join([f"{self.description}{symbol}{unit}", *more]) + "."


@dataclass(frozen=True)
class Nested:
    """Constants of the parts of a model, one set for each.

    Attributes:
        declaration: Class of one part's constants.
        description: Noun phrase that says what the parts are.
    """

    declaration: "type[Constants]"
    description: str


def constant(
    description: str,
    unit: str = "1",
    bounds: Bounds = REAL,
    *,
    default: Any = MISSING,
    measure: float | None = None,
    **more: Any,
) -> Any:
    """Declares a number, for a field of a class of constants.

    Args:
        description, unit, bounds: Noun phrase, unit and permitted values, as in `Constant`.
        default: Value where a preset does not say.
        measure: Step that a learned one is counted in; None takes the logarithm of what cannot be negative, and the
            unit of what can.
        more: Other fields of `Constant`.
    """
    if measure is None:
        measure = LOGARITHM if isinstance(bounds, Bounds) and bounds.least >= 0.0 else 1.0
    return _declared_by(Constant(description, unit, bounds, measure, **more), default)


def setting(description: str, unit: str = "1", bounds: Bounds = REAL, *, default: Any = MISSING, **more: Any) -> Any:
    """Declares what shapes a model and is no number to learn or differentiate by: a choice, a power.

    Args:
        description, unit, bounds: Noun phrase, unit and permitted values, as in `Constant`.
        default: Value where a preset does not say.
        more: Other fields of `Constant`.
    """
    return _declared_by(Constant(description, unit, bounds, is_leaf=False, is_learnable=False, **more), default)


def nested(declaration: "type[Constants]", description: str, *, default: Any = MISSING) -> Any:
    """Declares a tuple of constants of parts, see `Nested`; `default` where a preset does not say."""
    return field(default=default, metadata={_ENTRY: Nested(declaration, description)})


def _declared_by(entry: Constant, default: Any) -> Any:
    return field(default=default, metadata={_ENTRY: entry})


@dataclass(frozen=True)
class Constants:
    """Base of all classes of constants: frozen, and copied with changes."""

    def __init_subclass__(cls, **more: Any) -> None:
        """Looks at the declarations of a class.

        Raises:
            InputError: Bounds of a constant are none, or its default lies outside them.
        """
        super().__init_subclass__(**more)
        for name, declaration in vars(cls).items():
            entry = declaration.metadata.get(_ENTRY) if isinstance(declaration, Field) else None
            if isinstance(entry, Constant):
                _check(f"{cls.__name__}.{name}", entry, declaration.default)

    def replace(self, **changes: Any) -> Self:
        """A copy with some constants changed; they may be traced."""
        return replace(self, **changes)


def _check(name: str, entry: Constant, default: Any) -> None:
    if not isinstance(entry.bounds, Bounds):
        raise InputError(f"{name}: the bounds {entry.bounds!r} are no Bounds; write POSITIVE, or Bounds(0.01, 5.0)")
    if isinstance(default, int | float) and default not in entry.bounds:
        raise InputError(
            f"{name}: the default {default:g} lies outside its bounds ({entry.bounds}); change one of them"
        )


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str: ...


Preset = TypeVar("Preset", bound=Named)


def presets(*sets: Preset) -> Mapping[str, Preset]:
    """Sets of constants by their names."""
    return MappingProxyType({preset.name: preset for preset in sets})


def declared(declaration: type[Constants]) -> dict[str, Constant]:
    """Constants and settings of a class by name, in its order."""
    return {name: entry for name, entry in _entries(declaration) if isinstance(entry, Constant)}


def nested_in(declaration: type[Constants]) -> dict[str, Nested]:
    """Tuples of constants in a class by name."""
    return {name: entry for name, entry in _entries(declaration) if isinstance(entry, Nested)}


def learnable_in(declaration: type[Constants]) -> dict[str, Constant]:
    """Constants of a class that can be inferred by name, without those of its parts."""
    return {name: entry for name, entry in declared(declaration).items() if entry.is_learnable}


def learnable(parameters: Constants) -> dict[str, Constant]:
    """Constants of a model that can be inferred, those of its parts as ``gates[0].half``; without what is not there."""
    found = {
        name: entry
        for name, entry in learnable_in(type(parameters)).items()
        if getattr(parameters, name) is not None and getattr(parameters, entry.needs or name) is not None
    }
    for name in nested_in(type(parameters)):
        for number, part in enumerate(getattr(parameters, name)):
            found |= {f"{name}[{number}].{member}": entry for member, entry in learnable(part).items()}
    return found


def quantities(declaration: type[Constants]) -> dict[str, Quantity]:
    """What the numbers of a class can be, by name; of parts as ``gates.*.half``."""
    found = {name: entry.quantity for name, entry in declared(declaration).items() if entry.quantity is not None}
    for name, part in nested_in(declaration).items():
        found |= {f"{name}.*.{member}": quantity for member, quantity in quantities(part.declaration).items()}
    return found


def unknown(name: str, known: Iterable[str]) -> str:
    """What a person is told who names a constant that is none of those that can be inferred."""
    names = list(known)
    near = meant(name, names)
    there = f"{near} There" if near else "there"
    return f"{name!r} is no constant that can be inferred; {there} are {', '.join(names)}"


def value_at(parameters: Constants, name: str) -> Any:
    """The value of a constant by its name, such as ``D_c`` or ``gates[0].half``.

    Raises:
        InputError: There is no such constant.
    """
    own, number, member = _parsed(parameters, name)
    return getattr(parameters, own) if member is None else value_at(getattr(parameters, own)[number], member)


def with_values(parameters: Preset, values: Mapping[str, Any]) -> Preset:
    """The constants with some at other values, which may be traced.

    Args:
        parameters: All of them.
        values: Values by name, such as ``gates[0].half``.

    Raises:
        InputError: There is no such constant.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        own, number, member = _parsed(parameters, name)
        if member is None:
            changes[own] = value
            continue
        parts = list(changes.get(own, getattr(parameters, own)))
        parts[number] = with_values(parts[number], {member: value})
        changes[own] = tuple(parts)
    return replace(parameters, **changes)  # type: ignore[type-var]


def _entries(declaration: type[Constants]) -> Iterator[tuple[str, Constant | Nested]]:
    return ((f.name, f.metadata[_ENTRY]) for f in fields(declaration) if _ENTRY in f.metadata)


def _parsed(parameters: Any, name: str) -> tuple[str, int, str | None]:
    """Field, number of the part and its constant (None without parts) that a name stands for."""
    kind, found = type(parameters), _NAME.fullmatch(name)
    own, number, member = found.groups() if found else (name, None, None)
    if member is None and number is None and own in declared(kind):
        return own, 0, None
    if number is not None and member is not None and own in nested_in(kind):
        count = len(getattr(parameters, own))
        if int(number) < count:
            return own, int(number), member
        raise InputError(f"{name!r}: there are {count} {own}, numbered from 0")
    there = [*declared(kind), *(f"{part}[N]" for part in nested_in(kind))]
    raise InputError(f"{name!r} is no constant; there are {', '.join(there)}")
