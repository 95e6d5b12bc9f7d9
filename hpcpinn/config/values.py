"""What tables of the run description are made of: numbers with units and limits, and their base."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hpcpinn.core.parameters import MEMBRANE
from hpcpinn.errors import InputError
from hpcpinn.units import LENGTH, TIME, length_per_unit, plain_mu, quantity


def in_ms(value: object) -> object:
    """The value in ms, where it is a text that names its unit of time."""
    return _with_unit(value, TIME)


def in_um(value: object) -> object:
    """The value in µm, where it is a text that names its unit of length."""
    return _with_unit(value, LENGTH)


def _with_unit(value: object, table: Mapping[str, float]) -> object:
    if not isinstance(value, str):
        return value
    try:
        return quantity(value, table)
    except InputError as error:
        raise ValueError(str(error)) from None


def _in_mV(value: float) -> float:
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
    return plain_mu(text)


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
Potential = Annotated[Finite, Field(ge=MEMBRANE.least, le=MEMBRANE.most), AfterValidator(_in_mV)]
"""mV."""
LONGEST_TIME = 1e12
"""ms, thirty years; nothing that lives is followed for longer."""
LARGEST_LENGTH = 1e9
"""µm, a kilometre."""

Time = Annotated[NonNegative, Field(le=LONGEST_TIME), BeforeValidator(in_ms)]
PositiveTime = Annotated[Positive, Field(le=LONGEST_TIME), BeforeValidator(in_ms)]
TimeOrForever = Annotated[float, Field(gt=0, allow_inf_nan=True), BeforeValidator(in_ms)]
Length = Annotated[NonNegative, Field(le=LARGEST_LENGTH), BeforeValidator(in_um)]
PositiveLength = Annotated[Positive, Field(le=LARGEST_LENGTH), BeforeValidator(in_um)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Size = Annotated[int, Field(ge=1, le=10**4)]
"""A count of things of which each takes a good deal of memory."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Many = Annotated[int, Field(ge=1, le=10**6)]
"""A count of things of which each takes little."""


def several(**more: Any) -> Any:
    """Constraints of a list in a job file: any kind of sequence, and not so long that reading it takes minutes."""
    return Field(strict=False, fail_fast=True, max_length=MOST_ENTRIES, **more)


MOST_ENTRIES = 10**5
"""Of a list."""
Text = Annotated[str, Field(min_length=1), AfterValidator(_readable)]
LengthUnit = Annotated[str, AfterValidator(_is_unit_of_length)]


@dataclass(frozen=True)
class InputFile:
    """Marks a key that names a file to read: in a job file a relative path starts at the job file.

    Attributes:
        or_name: Whether it may be a name instead, which has no suffix and no folder.
    """

    or_name: bool = False

    def is_a_name(self, value: str) -> bool:
        """Whether a value is a name, and no file."""
        return self.or_name and not PurePath(value).suffix and "/" not in value


@dataclass(frozen=True)
class Changes:
    """Marks a table of values by dotted key of the whole description, some of which may name files."""


File = Annotated[Text, InputFile()]
"""A file to read."""
FileOrName = Annotated[Text, InputFile(or_name=True)]
"""A file to read, or the name of something that is known."""


class Table(BaseModel):
    """Base of all tables: immutable, strictly typed, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants")


class Description(Table):
    """Base of a whole run description.

    Attributes:
        system: Name of the system that is described; the reader fills it in.
    """

    system: str = ""

    def to_json(self) -> str:
        """The description as JSON text, as it is stored in a result file."""
        return self.model_dump_json()
