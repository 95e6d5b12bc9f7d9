"""Tables of the run description in Python: some keys by position, values of any library, the same words of errors."""

import inspect
import os
from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo

from hpcpinn.config.load import Origin, refusal
from hpcpinn.config.reading import Reading
from hpcpinn.config.values import Table
from hpcpinn.errors import InputError


class Given(Table):
    """A table of the run description whose first keys may be given by position.

    Attributes:
        table: Name of the table.
        order: Keys in the order in which they may be given without their names.
        inside: Table within it that takes all keys it does not have itself; empty for none.
        of_text: Key that text or a path in the first place stands for; empty where it is that of any other value.
    """

    table: ClassVar[str] = ""
    order: ClassVar[tuple[str, ...]] = ()
    inside: ClassVar[str] = ""
    of_text: ClassVar[str] = ""

    def __init__(self, *values: Any, **keys: Any) -> None:
        """Takes the keys of the table.

        Raises:
            InputError: An unknown key, a wrong type, a value out of range, or more values than `order` has names.
        """
        name, order = f"hpcpinn.{type(self).__name__}", self.order
        if self.of_text and values and isinstance(values[0], (str, os.PathLike)):
            order = (self.of_text, *order[1:])
        if len(values) > len(order):
            by_position = " and ".join(order) or "nothing"
            raise InputError(f"{name}: {len(values)} values without a name; {by_position} can be given so")
        for key, value in zip(order, values, strict=False):
            if key in keys:
                raise InputError(f"{name}: {key} is given twice, by position and by name; leave one away")
            keys[key] = value
        if self.inside:
            inner = {key: keys.pop(key) for key in list(keys) if key not in type(self).model_fields}
            if inner:
                keys[self.inside] = {**keys.get(self.inside, {}), **inner}
        try:
            super().__init__(**{key: plain(value) for key, value in keys.items()})
        except ValidationError as error:
            raise refusal(error, Origin(name, reading=Reading(name, type(self)))) from None

    @classmethod
    def __pydantic_init_subclass__(cls, **more: Any) -> None:
        """Gives the class the signature of its keys and what they mean, which `help` and notebooks show."""
        super().__pydantic_init_subclass__(**more)
        keys = (inspect.getdoc(cls.__bases__[-1]) or "").partition("Attributes:\n")[2]
        cls.__doc__ = f"{inspect.getdoc(cls)}\n\nAttributes:\n{keys}" if keys else cls.__doc__
        cls.__signature__ = signature_of(cls)

    @property
    def given(self) -> dict[str, Any]:
        """The keys that were given, as a job file holds them."""
        return document_of(self)

    def tables(self) -> dict[str, Any]:
        """What it adds to a run description."""
        return {self.table: self.given}


def document_of(table: BaseModel) -> dict[str, Any]:
    """The keys of a table that were given, as TOML has them: no nulls, lists for tuples."""
    return dict(plain(table.model_dump(exclude_unset=True, exclude_none=True)))


def plain(value: Any) -> Any:
    """The value as a job file could hold it: paths as text, arrays and tuples as lists, tables as mappings."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, BaseModel):
        return document_of(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def signature_of(kind: type[Given]) -> inspect.Signature:
    """The keys of a table as parameters: those of `order` by position, the others by name."""
    by_position, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    fields = dict(kind.model_fields)
    if kind.inside:
        inner = fields.pop(kind.inside).annotation
        assert isinstance(inner, type) and issubclass(inner, BaseModel)
        fields |= inner.model_fields
    ordered = [*kind.order, *(name for name in fields if name not in kind.order)]
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                by_position if name in kind.order else by_name,
                default=inspect.Parameter.empty if fields[name].is_required() else fields[name].default,
                annotation=type_of(fields[name]),
            )
            for name in ordered
        ]
    )


def type_of(info: FieldInfo) -> Any:
    """The type of a key without its limits; text, too, where a number may name its unit."""
    return _bare(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)


def _bare(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        with_unit = any(isinstance(one, BeforeValidator) for one in arguments[1:])
        plain_type = _bare(arguments[0])
        return plain_type | str if with_unit and plain_type is float else plain_type
    if origin in (Union, UnionType):
        return reduce(or_, (_bare(one) for one in arguments))
    if origin in (None, Literal):
        return annotation
    return origin[tuple(one if one is ... else _bare(one) for one in arguments)]
