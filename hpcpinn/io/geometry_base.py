"""What every geometry of fields is asked for, and the places of probes on it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import h5py
import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.io.schema import Dataset
from hpcpinn.wording import counted


@dataclass(frozen=True)
class ProbeSite:
    """A point of a tree that is recorded finely in time.

    Attributes:
        name: What the user called it.
        piece: Row of the refined cable.
        fraction: Position on the piece, 0 at its start, 1 at its end.
    """

    name: str
    piece: int
    fraction: float


@dataclass(frozen=True)
class ProbePoint:
    """A point of a box or line that is recorded finely in time.

    Attributes:
        name: What the user called it.
        at: Coordinates x, y, z, as many as there are axes, µm.
    """

    name: str
    at: tuple[float, ...]


Probe = ProbeSite | ProbePoint


@dataclass(frozen=True)
class Geometry(ABC):
    """Where the values of a field are, in an order that does not depend on ranks."""

    kind: ClassVar[str]
    declared: ClassVar[tuple[Dataset, ...]]

    @property
    @abstractmethod
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of a frame."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame."""

    @property
    def pieces(self) -> Int[ndarray, " n"] | None:
        """Rank that hands in every piece of a frame; None where rank 0 hands in all of it."""
        return None

    @property
    def values_per_piece(self) -> int:
        """Values of a frame that a piece has, one after the other."""
        return 1

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file."""
        return {}

    @property
    def owners(self) -> dict[str, Int[ndarray, " n"]]:
        """Ranks of what was computed apart, by name of the dataset: all that another number of ranks changes."""
        return {}

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What is written, by name of the dataset."""

    @classmethod
    @abstractmethod
    def read(cls, file: h5py.File) -> Self:
        """The geometry of an open file."""

    @abstractmethod
    def facts(self, ranks: int) -> dict[str, str]:
        """A line or two for people, by what they are about."""

    @abstractmethod
    def coordinates(self) -> dict[str, tuple[Any, Shaped[ndarray, "..."], str]]:
        """Axes, values and unit of what says where a value is."""

    @abstractmethod
    def site(self, column: int) -> str:
        """What people call the place of a value; `column` counts the values of a frame."""

    @abstractmethod
    def locate(self, place: str) -> int:
        """The value of a frame that is nearest to a place, or holds it: the number that `site` takes.

        Args:
            place: Place as people write it: a site of a cell, ``x,y`` on a box, a name.

        Raises:
            InputError: There is no such place.
        """

    def probe_site(self, places: Mapping[str, Shaped[ndarray, " p"]], number: int) -> str:
        """What people call the place of a probe; `places` as `probe_places` made them."""
        return at_words({name: float(values[number]) for name, values in places.items()})

    def probe_places(self, probes: Sequence[Probe]) -> dict[str, Shaped[ndarray, " p"]]:
        """Columns that say where probes are."""
        points = [probe.at for probe in probes if isinstance(probe, ProbePoint)]
        places = np.reshape(np.array(points, float), (len(probes), len(self.axes)))
        return dict(zip(reversed(self.axes), places.T, strict=True))

    @abstractmethod
    def difference(self, other: "Geometry") -> str:
        """What tells it from another, in words; empty where values of one are values of the other."""

    def part(self, first: int, count: int) -> tuple["Geometry", Int[ndarray, " n"]]:
        """Some pieces as a geometry of their own, and the columns of its values.

        Raises:
            InputError: It has no parts.
        """
        raise InputError(f"a {self.kind} has no members; take the whole result")


def nearest(place: str, lines: Mapping[str, Float[ndarray, " _"]]) -> tuple[int, ...]:
    """The cells of a grid that hold a place.

    Args:
        place: Coordinates in the order x, y, z, with commas between.
        lines: Middles of the cells along every axis, in that order.

    Raises:
        InputError: These are no such numbers, or they are beyond the outermost cells.
    """
    wanted = ",".join(lines)
    try:
        numbers = [float(word) for word in place.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(lines):
        raise InputError(f"place {place!r}: is not {wanted}; give {counted(len(lines), 'number')} with commas between")
    found = []
    for number, (name, line) in zip(numbers, lines.items(), strict=True):
        index, half = int(np.argmin(np.abs(line - number))), 0.5 * float(np.max(np.diff(line), initial=0.0))
        if not abs(float(line[index]) - number) <= half * (1.0 + 1e-9) + 1e-12 * abs(number):
            raise InputError(
                f"place {place!r}: {name} = {number:g} is outside {line[0] - half:g} to {line[-1] + half:g}"
            )
        found.append(index)
    return tuple(found)


def at_words(place: Mapping[str, float]) -> str:
    """``x = 1, y = 2.5``."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in place.items())


def differing(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """``cells is 3 in the file and 4 in this run`` of the first that differs; empty where nothing does."""
    for what, (found, wanted) in pairs.items():
        if found != wanted:
            return f"{what} is {found} in the file and {wanted} in this run"
    return ""
