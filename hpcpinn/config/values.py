"""What tables of the run description are made of: numbers with units and limits, and their base."""

import unicodedata
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hpcpinn.errors import InputError
from hpcpinn.units import LENGTH, TIME, length_per_unit, quantity


def _in_ms(value: object) -> object:
    return _with_unit(value, TIME)


def _in_um(value: object) -> object:
    return _with_unit(value, LENGTH)


def _with_unit(value: object, table: Mapping[str, float]) -> object:
    if not isinstance(value, str):
        return value
    try:
        return quantity(value, table)
    except InputError as error:
        raise ValueError(str(error)) from None


def in_mV(value: float) -> float:
    """The value, unless it looks like volts.

    Raises:
        ValueError: It is below 1 mV, but not 0.
    """
    if 0.0 < abs(value) < 1.0:
        raise ValueError(f"{value!r}: mV are expected, and this looks like V; write {1000.0 * value:g}")
    return value


def _is_unit_of_length(text: str) -> str:
    if text != "auto":
        try:
            length_per_unit(text)
        except InputError as error:
            raise ValueError(str(error)) from None
    return text


def _readable(value: str) -> str:
    """The text, unless files, tables and scripts would trip over it.

    Raises:
        ValueError: It has a line end, a NUL or another control character.
    """
    found = next((letter for letter in value if unicodedata.category(letter) == "Cc"), None)
    if found is not None:
        raise ValueError(f"a control character ({found!r}) has no place in a name; leave it out")
    return value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Finite, Field(gt=0)]
NonNegative = Annotated[Finite, Field(ge=0)]
Time = Annotated[NonNegative, BeforeValidator(_in_ms)]
PositiveTime = Annotated[Positive, BeforeValidator(_in_ms)]
TimeOrForever = Annotated[float, Field(gt=0, allow_inf_nan=True), BeforeValidator(_in_ms)]
Length = Annotated[NonNegative, BeforeValidator(_in_um)]
PositiveLength = Annotated[Positive, BeforeValidator(_in_um)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_readable)]
LengthUnit = Annotated[str, AfterValidator(_is_unit_of_length)]


class Table(BaseModel):
    """Base of all tables: immutable, strictly typed, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants")
