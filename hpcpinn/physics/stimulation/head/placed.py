"""A field that is known in the head, as a cell that is placed there sees it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from hpcpinn.core.plausibility import check
from hpcpinn.errors import InputError, warn
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.stimulation.head.placement import HeadPlacement

Outside = Literal["refuse", "nearest"]
"""What becomes of places where a field is not known: no run, or the field of the nearest place where it is."""

_SECTIONS_SHOWN = 6
"""Names of sections that a message lists."""
_HEAD = 1e3
"""mm; no head reaches so far from its origin."""
_OTHER_UNITS = (("µm", 1e-3), ("m", 1e3), ("cm", 10.0))
"""Units that mm are mistaken for, and what they are worth in mm."""


class HeadField(Protocol):
    """A field in a head; places in mm, vectors in V/m along the axes of the head."""

    @property
    def source(self) -> str:
        """The file, for messages."""
        ...

    @property
    def region(self) -> str:
        """Where the field is known, in words: ``tissue 2``."""
        ...

    @property
    def bounds(self) -> Float[ndarray, "2 3"]:
        """The lowest and the highest coordinates at which it is known, mm."""
        ...

    def at(self, places: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The vectors at places; not a number where the field is not known."""
        ...

    def nearest(self, places: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, "n 3"], Float[ndarray, " n"]]:
        """The vectors at the nearest places where it is known, and how far these are, mm."""
        ...


@dataclass(frozen=True)
class PlacedField:
    """A field of the head in the frame of a cell.

    Attributes:
        field: The field in the head.
        placement: Map between cell and head.
        outside: Treatment of places where it is not known.
    """

    field: HeadField
    placement: HeadPlacement
    outside: Outside = "refuse"

    def __call__(self, xyz: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The field vectors along the cell's axes at positions (µm), V/m.

        Raises:
            InputError: It is not known at all of them, and no other is to be taken.
        """
        return self._taken(np.asarray(xyz, float))[0]

    def warn_of_guesses(self, cable: Cable, strength: float = 1.0) -> None:
        """Says where on a cell the field is that of the nearest place where it is known; and an unusual size."""
        vectors, away = self._taken(cable.xyz.reshape(-1, 3))
        largest = abs(strength) * float(np.linalg.norm(vectors, axis=1).max())
        check("field", largest, f"{self.field.source}: the largest field on the cell, times field.magnitude")
        guessed = np.flatnonzero(away > 0.0)
        if len(guessed):
            warn(
                f"{self.field.source}: {len(guessed)} of {len(away)} ends of the cell's parts "
                f"({sections_of(cable, guessed // 2)}) lie outside {self.field.region}: the field there is that of the "
                f"nearest place inside, up to {away.max():.3g} mm away (field.outside)"
            )

    def _taken(self, xyz: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, "n 3"], Float[ndarray, " n"]]:
        """The vectors, and how far away each is taken from, mm; 0 inside."""
        places = self.placement.to_head(xyz)
        vectors, away = self.field.at(places), np.zeros(len(places))
        unknown = np.isnan(vectors).any(axis=1)
        if unknown.any():
            if self.outside == "refuse":
                raise InputError(self._refusal(xyz, places, unknown))
            vectors[unknown], away[unknown] = self.field.nearest(places[unknown])
        return self.placement.turned_into_cell(vectors), away

    def _refusal(self, xyz: Float[ndarray, "n 3"], places: Float[ndarray, "n 3"], unknown: Bool[ndarray, " n"]) -> str:
        worst = int(np.flatnonzero(unknown)[np.argmax(self.field.nearest(places[unknown])[1])])
        distance = float(self.field.nearest(places[[worst]])[1][0])
        where, inside = (", ".join(f"{value:.4g}" for value in point[worst]) for point in (places, xyz))
        return (
            f"{self.field.source}: is not known on the whole cell: {int(unknown.sum())} of {len(places)} places lie "
            f"outside {self.field.region}, the farthest, ({where}) mm, by {distance:.3g} mm, which is ({inside}) µm in "
            "the cell's frame; "
            f"{self._advice(everywhere=bool(unknown.all()))}"
        )

    def _advice(self, *, everywhere: bool) -> str:
        """How to bring field and cell together: the unit, where another one would do."""
        here, (low, high) = self.placement.position, self.field.bounds
        is_a_head = np.abs([low, high]).max() <= _HEAD
        for unit, factor in _OTHER_UNITS if everywhere else ():
            if np.all(low <= factor * here) and np.all(factor * here <= high) and is_a_head:
                return f"placement.position looks like {unit} and is taken as mm: multiply it by {factor:g}"
            if np.all(factor * low <= here) and np.all(here <= factor * high) and not is_a_head:
                return f"the file's coordinates look like {unit}, and mm are meant: multiply them by {factor:g}"
        return "change [placement], or take the nearest known field there: field.outside = 'nearest'"


def sections_of(cable: Cable, frusta: Int[ndarray, " k"]) -> str:
    """Names of the sections that frusta belong to, the first few of them."""
    names = list(dict.fromkeys(cable.sections[s].name for s in cable.section[np.unique(frusta)]))
    more = len(names) - _SECTIONS_SHOWN
    return ", ".join(names[:_SECTIONS_SHOWN]) + (f" and {more} more" if more > 0 else "")
