"""Fields below their least value in a result file, such as concentrations below zero, which nothing has."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hpcpinn.io import layout, schema, storage
from hpcpinn.io.extremes import in_blocks, probe_places_in
from hpcpinn.io.geometry import geometry_in
from hpcpinn.io.layout import Committed

_OF_REST, _OF_RISE = 0.01, 5e-3
"""Shares of the value at the start, and of the largest rise above it, by which a good solution may undershoot."""


@dataclass(frozen=True)
class Negative:
    """Where a field is lowest, and that is clearly below the least value that has a meaning.

    Attributes:
        field: Name of the field.
        value: The lowest, in the unit of the field.
        time: User time.
        site: Nearest place, such as ``apic[3](0.5)``.
        least: The least value that has a meaning.
    """

    field: str
    value: float
    time: float
    site: str
    least: float = 0.0

    def words(self, unit: str = "ms", concentration: str = "uM") -> str:
        """``calcium falls to -15.9 uM at tip[0](1), at 0.9 ms: below zero it has no meaning``."""
        value, time = f"{self.value:.3g} {concentration}".rstrip(), f"{self.time:.4g} {unit}".rstrip()
        below = "zero" if self.least == 0.0 else f"{self.least:g}"
        return f"{self.field} falls to {value} at {self.site}, at {time}: below {below} it has no meaning"


def below_zero(path: str | Path) -> tuple[Negative, ...]:
    """Every field that falls clearly below its least value, over all frames and the samples of probes. Serial.

    Raises:
        InputError: The file is no result.
    """
    with storage.open_existing(Path(path), schema.FORMAT, schema.FORMAT_VERSION) as file:
        committed = Committed(*file["committed"][:].tolist())
        geometry, places = geometry_in(file), probe_places_in(file)
        found = []
        for field in layout.fields_in(file):
            if field.least is None:
                continue
            worst: Negative | None = None
            for group, rows in (("", committed.frames), ("probes/", committed.samples)):
                low = _lowest(file[f"{group}{field.name}"], rows, field.least)
                if low is None or (worst is not None and worst.value <= low[0]):
                    continue
                time = float(file[f"{group}time"][low[1]])
                site = geometry.probe_site(places, low[2]) if group else geometry.site(low[2])
                worst = Negative(field.name, low[0], time, site, field.least)
            if worst is not None:
                found.append(worst)
        return tuple(found)


def _lowest(values: h5py.Dataset, rows: int, least: float) -> tuple[float, int, int] | None:
    """Value, row and column of the lowest; None where that is not clearly below the least."""
    lowest, risen, size = (least, 0, 0), 0.0, 0.0
    for begin, start, there in in_blocks(values, rows):
        part = np.where(np.isfinite(there), there, start)  # other checks speak of these
        size = float(np.nanmax(np.abs(start - least), initial=0.0))
        risen = max(risen, float(np.nanmax(part - start, initial=0.0)))
        row, column = np.unravel_index(np.argmin(np.where(np.isnan(part), np.inf, part)), part.shape)
        if part[row, column] < lowest[0]:
            lowest = float(part[row, column]), begin + int(row), int(column)
    allowed = max(_OF_REST * size, _OF_RISE * risen)
    return lowest if lowest[0] < least - allowed else None
