"""Concentrations below zero in a result file: no cell has them, and what makes them is a sign that slipped."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import layout, storage
from hpcpinn.io.layout import Committed
from hpcpinn.io.read import cable_in
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.compartments import site_name

SPECIES = ("calcium", "calbindin")

_OF_REST, _OF_RISE = 0.01, 5e-3
"""Shares of the value at the start, and of the largest rise above it, by which a good solution may undershoot."""
_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Negative:
    """Where a concentration is lowest, and that is clearly below zero.

    Attributes:
        species: Of `SPECIES`.
        value: µM (in a dimensionless run without unit).
        time: User time.
        site: Nearest place, such as ``apic[3](0.5)``.
    """

    species: str
    value: float
    time: float
    site: str

    def words(self, unit: str = "ms", concentration: str = "uM") -> str:
        """``calcium falls to -15.9 uM at tip[0](1), at 0.9 ms: ...``."""
        value, time = f"{self.value:.3g} {concentration}".rstrip(), f"{self.time:.4g} {unit}".rstrip()
        return (
            f"{self.species} falls to {value} at {self.site}, at {time}: below zero it has no meaning; check sign and "
            "size of what takes it out: flux.value, voltage, physics.constants"
        )


def below_zero(path: str | Path) -> tuple[Negative, ...]:
    """Every species that falls clearly below zero, over the frames of the cell and the samples of probes. Serial.

    Raises:
        InputError: The file is no result.
    """
    with storage.open_existing(Path(path), layout.FORMAT, layout.FORMAT_VERSION) as file:
        committed = Committed(*file["committed"][:].tolist())
        cable = cable_in(file)
        found = []
        for species in SPECIES:
            worst: Negative | None = None
            for group, place, rows in (("", "cells", committed.frames), ("probes/", "probes", committed.samples)):
                low = _lowest(file[f"{group}{species}"], rows)
                if low is None or (worst is not None and worst.value <= low[0]):
                    continue
                time = float(file[f"{group}time"][low[1]])
                worst = Negative(species, low[0], time, _site(file[place], cable, low[2]))
            if worst is not None:
                found.append(worst)
        return tuple(found)


def _lowest(values: h5py.Dataset, rows: int) -> tuple[float, int, int] | None:
    """Value, row and column of the lowest; None where that is not clearly below zero."""
    if not rows or not values.shape[1]:
        return None
    start: Float[ndarray, " N"] = values[0]
    at_once = max(1, _VALUES_AT_ONCE // values.shape[1])
    lowest, risen = (0.0, 0, 0), 0.0
    for begin in range(0, rows, at_once):
        part = values[begin : min(begin + at_once, rows)]
        part = np.where(np.isfinite(part), part, start)  # other checks speak of these
        risen = max(risen, float(np.max(part - start)))
        row, column = np.unravel_index(np.argmin(part), part.shape)
        if part[row, column] < lowest[0]:
            lowest = float(part[row, column]), begin + int(row), int(column)
    allowed = max(_OF_REST * float(np.max(np.abs(start))), _OF_RISE * risen)
    return lowest if lowest[0] < -allowed else None


def _site(places: h5py.Group, cable: Cable, column: int) -> str:
    """The place on its section, named as users name it."""
    piece, fraction = int(places["piece"][column]), float(np.mean(places["fraction"][column]))
    section = int(cable.section[piece])
    total = cable.length[cable.section == section].sum()
    return site_name(cable, section, round(float((cable.start[piece] + fraction * cable.length[piece]) / total), 3))
