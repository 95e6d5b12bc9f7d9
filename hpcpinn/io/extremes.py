"""Where and when calcium rose highest, from a result file that may be larger than memory."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.io import layout, storage
from hpcpinn.io.layout import Committed
from hpcpinn.io.read import cable_in
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.compartments import site_name

_VALUES_AT_ONCE = 4_000_000
"""Of a field that are in memory, 32 MB."""

FLOOR_OF_REST = {"calcium": 1e-2, "calbindin": 1e-4}
"""Shares of the value at rest; what moves by less is at rest. A solver's tolerance, not physiology, is below."""


@dataclass(frozen=True)
class Peak:
    """How far calcium rose above what it was at the start, over the frames of the cell and the samples of probes.

    Attributes:
        rise: µM (in a dimensionless run without unit).
        time: User time.
        site: Nearest place, such as ``apic[3](0.5)``.
        looked: Where it was looked for: "frames" or "frames and probes".
        by_probe: Whether a probe saw it, not a frame.
        frames_every: User time from frame to frame; None where there is but one, or nobody knows.
        probes_every: Likewise of the samples of probes.
        moved: By how much calcium moved at most, up or down, in the unit of `rise`; None where nobody knows.
        rest: What it was at the start, the median over the cell; likewise.
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

    @property
    def is_at_rest(self) -> bool:
        """Whether calcium moved by no more than what counts as rest, as far as anybody knows."""
        if self.moved is None or self.rest is None:
            return False
        return self.moved <= FLOOR_OF_REST["calcium"] * abs(self.rest)


def calcium_peaks(path: str | Path) -> tuple[Peak, ...]:
    """The peak of every member of a population, or of the one cell; none of a run without frames. Serial.

    Raises:
        InputError: The file is no result.
    """
    with storage.open_existing(Path(path), layout.FORMAT, layout.FORMAT_VERSION) as file:
        committed = Committed(*file["committed"][:].tolist())
        if not committed.frames:
            return ()
        pieces = file["members/pieces"][:] if "members" in file else np.array([len(file["pieces/length"])])
        first_cell = np.cumsum([0, *pieces]) * int(file.attrs["cells_per_piece"])
        in_cells = _largest(file["calcium"], file["time"][: committed.frames], first_cell)
        by_piece = np.searchsorted(np.cumsum(pieces), file["probes/piece"][:], side="right")
        probes = np.argsort(by_piece, kind="stable")  # those of a member one after the other
        first_probe = np.searchsorted(by_piece[probes], np.arange(len(pieces) + 1))
        samples = file["probes/time"][: committed.samples]
        in_probes = _largest(file["probes/calcium"], samples, first_probe, probes)
        cable = cable_in(file)
        starts = [float(np.median(row)) for row in np.split(file["calcium"][0], first_cell[1:-1])]
        every = _spacing(file["time"][: committed.frames]), _spacing(samples)
        found = zip(in_cells, in_probes, starts, strict=True)
        return tuple(_peak(file, cable, cell, probe, every, rest) for cell, probe, rest in found)


def _spacing(times: Float[ndarray, " T"]) -> float | None:
    """The longest step: the end of a run may cut the last one short. None where there is but one time."""
    steps = np.diff(times)
    return float(np.max(steps)) if len(steps) else None


_Found = tuple[float, float, int, float]
"""Rise, time and column, and the largest move up or down."""


def _largest(
    values: h5py.Dataset,
    times: Float[ndarray, " T"],
    first: Int[ndarray, " M+1"],
    order: Int[ndarray, " P"] | None = None,
) -> list[_Found | None]:
    """The largest rise above the first row in every group of columns; groups are stretches of `order`."""
    found: list[_Found | None] = [None] * (len(first) - 1)
    if not len(times) or not values.shape[1]:
        return found
    order = np.arange(values.shape[1]) if order is None else order
    start = values[0]
    rows = max(1, _VALUES_AT_ONCE // values.shape[1])
    for begin in range(0, len(times), rows):
        rise = (values[begin : min(begin + rows, len(times))] - start)[:, order]
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


def _peak(
    file: h5py.File,
    cable: Cable,
    cell: _Found | None,
    probe: _Found | None,
    every: tuple[float | None, float | None],
    rest: float,
) -> Peak:
    assert cell is not None  # a member has cells
    by_probe = probe is not None and probe[0] > cell[0]
    of, (value, time, column, moved) = ("probes", probe) if probe is not None and by_probe else ("cells", cell)
    piece, fraction = int(file[f"{of}/piece"][column]), float(np.mean(file[f"{of}/fraction"][column]))
    return Peak(
        rise=value,
        time=time,
        site=_site(cable, piece, fraction),
        looked="frames" if probe is None else "frames and probes",
        by_probe=by_probe,
        frames_every=every[0],
        probes_every=None if probe is None else every[1],
        moved=max(moved, cell[3]),
        rest=rest,
    )


def _site(cable: Cable, piece: int, fraction: float) -> str:
    """The place on its section, named as users name it."""
    section = int(cable.section[piece])
    total = cable.length[cable.section == section].sum()
    return site_name(cable, section, round(float((cable.start[piece] + fraction * cable.length[piece]) / total), 3))
