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


@dataclass(frozen=True)
class Peak:
    """How far calcium rose above what it was at the start, over the frames of the cell and the samples of probes.

    Attributes:
        rise: µM (in a dimensionless run without unit).
        time: User time.
        site: Nearest place, such as ``apic[3](0.5)``.
        looked: Where it was looked for: "frames" or "frames and probes".
    """

    rise: float
    time: float
    site: str
    looked: str


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
        return tuple(_peak(file, cable, *found) for found in zip(in_cells, in_probes, strict=True))


_Found = tuple[float, float, int]
"""Rise, time and column."""


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
            if best is None or value > best[0]:
                found[number] = value, float(times[begin + row]), int(order[low + column])
    return found


def _peak(file: h5py.File, cable: Cable, cell: _Found | None, probe: _Found | None) -> Peak:
    assert cell is not None  # a member has cells
    looked = "frames" if probe is None else "frames and probes"
    if probe is not None and probe[0] > cell[0]:
        piece, fraction = int(file["probes/piece"][probe[2]]), float(file["probes/fraction"][probe[2]])
        return Peak(probe[0], probe[1], _site(cable, piece, fraction), looked)
    fraction = float(file["cells/fraction"][cell[2]].mean())
    return Peak(cell[0], cell[1], _site(cable, int(file["cells/piece"][cell[2]]), fraction), looked)


def _site(cable: Cable, piece: int, fraction: float) -> str:
    """The place on its section, named as users name it."""
    section = int(cable.section[piece])
    total = cable.length[cable.section == section].sum()
    return site_name(cable, section, round(float((cable.start[piece] + fraction * cable.length[piece]) / total), 3))
