"""Where and when a field rose highest, from a result file that may be larger than memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.io import layout, schema, storage
from hpcpinn.io.datasets import read as declared_in
from hpcpinn.io.geometry import Geometry, geometry_in
from hpcpinn.io.layout import Committed

_VALUES_AT_ONCE = 4_000_000
"""Of a field that are in memory, 32 MB."""


@dataclass(frozen=True)
class Peak:
    """How far a field rose above what it was at the start, over the frames and the samples of probes.

    Attributes:
        rise: Largest rise, in the unit of the field.
        time: User time of the largest rise.
        site: Nearest place, such as ``apic[3](0.5)``.
        looked: Places where it was looked for: "frames" or "frames and probes".
        by_probe: Whether a probe saw it, not a frame.
        frames_every: User time from frame to frame; None where there is but one, or nobody knows.
        probes_every: User time from sample to sample of probes; None where there is but one, or nobody knows.
        moved: Largest movement up or down, in the unit of `rise`; None where nobody knows.
        rest: Value at the start, the median over all places, in the unit of `rise`; None where nobody knows.
        rest_share: Share of `rest`; what moves by less is at rest.
    """

    rise: float
    time: float
    site: str
    looked: str
    by_probe: bool = False
    frames_every: float | None = None
    probes_every: float | None = None
    moved: float | None = None
    rest: float | None = None
    rest_share: float = 1e-2

    @property
    def is_at_rest(self) -> bool:
        """Whether it moved by no more than what counts as rest, as far as anybody knows."""
        if self.moved is None or self.rest is None:
            return False
        return self.moved <= self.rest_share * abs(self.rest)


def peaks(path: str | Path, field: str) -> tuple[Peak, ...]:
    """The peak of a field in every member of a population, or in the one cell; none of a run without frames. Serial.

    Raises:
        InputError: The file is no result.
    """
    with storage.open_existing(Path(path), schema.FORMAT, schema.FORMAT_VERSION) as file:
        committed = Committed(*file["committed"][:].tolist())
        if not committed.frames:
            return ()
        geometry, places = geometry_in(file), probe_places_in(file)
        size, per = int(np.prod(geometry.shape)), geometry.values_per_piece
        pieces = file["members/pieces"][:] if "members" in file else np.array([size // per])
        first_cell = np.cumsum([0, *pieces]) * per
        in_cells = _largest(file[field], file["time"][: committed.frames], first_cell)
        count = len(file["probes/name"])
        piece = places.get("piece", np.zeros(count, int))
        by_piece = np.searchsorted(np.cumsum(pieces), piece, side="right")
        probes = np.argsort(by_piece, kind="stable")  # those of a member one after the other
        first_probe = np.searchsorted(by_piece[probes], np.arange(len(pieces) + 1))
        samples = file["probes/time"][: committed.samples]
        in_probes = _largest(file[f"probes/{field}"], samples, first_probe, probes)
        starts = [float(np.nanmedian(part)) for part in np.split(file[field][0].ravel(), first_cell[1:-1])]
        every = _spacing(file["time"][: committed.frames]), _spacing(samples)
        share = next(one.rest_share for one in layout.fields_in(file) if one.name == field)
        found = zip(in_cells, in_probes, starts, strict=True)
        seen = _Seen(geometry, places, every, share)
        return tuple(seen.peak(cell, probe, rest) for cell, probe, rest in found)


def probe_places_in(file: h5py.File) -> dict[str, Shaped[ndarray, " p"]]:
    """Where probes are, as `Geometry.probe_site` takes it."""
    found = declared_in(file, schema.PROBES)
    return {name.removeprefix("probes/"): x for name, x in found.items() if name not in ("probes/name", "probes/time")}


def _spacing(times: Float[ndarray, " T"]) -> float | None:
    """The longest step: the end of a run may cut the last one short. None where there is but one time."""
    steps = np.diff(times)
    return float(np.max(steps)) if len(steps) else None


def in_blocks(values: h5py.Dataset, rows: int) -> Iterator[tuple[int, Float[ndarray, " N"], Float[ndarray, "n N"]]]:
    """The first rows of a field as blocks that memory holds: number of their first row, row 0, and they themselves."""
    width = int(np.prod(values.shape[1:]))
    if not rows or not width:
        return
    start, at_once = values[0].ravel(), max(1, _VALUES_AT_ONCE // width)
    for begin in range(0, rows, at_once):
        yield begin, start, values[begin : min(begin + at_once, rows)].reshape(-1, width)


_Found = tuple[float, float, int, float]
"""Rise, time and column, and the largest move up or down."""


def _largest(
    values: h5py.Dataset,
    times: Float[ndarray, " T"],
    first: Int[ndarray, " ends"],
    order: Int[ndarray, " P"] | None = None,
) -> list[_Found | None]:
    """The largest rise above the first row in every group of columns: stretches of `order`, between `first`."""
    found: list[_Found | None] = [None] * (len(first) - 1)
    order = np.arange(int(np.prod(values.shape[1:]))) if order is None else order
    for begin, start, part in in_blocks(values, len(times)):
        rise = (part - start)[:, order]
        rise = np.where(np.isnan(rise), 0.0, rise)  # outside a mask
        for number, (low, high) in enumerate(zip(first[:-1], first[1:], strict=True)):
            if low == high:
                continue
            row, column = np.unravel_index(np.argmax(rise[:, low:high]), (len(rise), high - low))
            value, best = float(rise[row, low + column]), found[number]
            moved = max(0.0 if best is None else best[3], value, -float(rise[:, low:high].min()))
            if best is None or value > best[0]:
                found[number] = value, float(times[begin + row]), int(order[low + column]), moved
            else:
                found[number] = *best[:3], moved
    return found


@dataclass(frozen=True)
class _Seen:
    """What all peaks of a file share.

    Attributes:
        geometry: Places of the cells.
        places: Places of the probes.
        every: User time from frame to frame, and from sample to sample.
        rest_share: Share of the value at rest; what moves by less is at rest.
    """

    geometry: Geometry
    places: dict[str, ndarray]
    every: tuple[float | None, float | None]
    rest_share: float

    def peak(self, cell: _Found | None, probe: _Found | None, rest: float) -> Peak:
        """The higher of what cells and probes saw."""
        assert cell is not None  # a member has cells
        by_probe = probe is not None and probe[0] > cell[0]
        value, time, column, moved = probe if probe is not None and by_probe else cell
        return Peak(
            rise=value,
            time=time,
            site=self.geometry.probe_site(self.places, column) if by_probe else self.geometry.site(column),
            looked="frames" if probe is None else "frames and probes",
            by_probe=by_probe,
            frames_every=self.every[0],
            probes_every=None if probe is None else self.every[1],
            moved=max(moved, cell[3]),
            rest=rest,
            rest_share=self.rest_share,
        )
