"""Reads quasipotentials of NeMo-TMS: `quasipotentials.txt`, one ψ (mV) for every segment of `locs_all_seg.txt`.

NeMo-TMS (OpitzLab/NeMo-TMS; S. Shirinpour et al., Brain Stimulation 14 (2021) 1470) takes E of SimNIBS at the centres
of NEURON's segments and integrates it along the tree, ψ_child = ψ_parent − ½(E_child + E_parent)·Δr, in V/m and mm,
from 0 at the first segment. `locs_all_seg.txt` has a row for every segment, in the same order: its centre and its
parent's, µm in the cell's frame to four decimals, nan for the parent of the first.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree

from hpcpinn.core.plausibility import check
from hpcpinn.errors import InputError, warn
from hpcpinn.files import check_regular
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.stimulation.field import REACH
from hpcpinn.physics.stimulation.head.gmsh import FARTHEST
from hpcpinn.physics.stimulation.head.placed import sections_of
from hpcpinn.wording import shortened

_V_PER_M = 1e3
"""1 mV over 1 µm is 1000 V/m."""
_NEAR = 24
"""Ways between segments around one that tell the field there: it changes over millimetres."""
_LEAST = 1e-3
"""Share of the largest singular value below which ways say nothing of a direction: positions have four decimals."""
_SAME = 1e-3
"""µm: a parent is the segment that is nearer than this."""
_NODES = 256
"""Places that are looked for together."""


@dataclass(frozen=True)
class SegmentPotentials:
    """ψ at the centres of segments, and in between.

    A place between two segments has the mean of what both say, each ψ − E·Δr with the field E of the ways around: ψ at
    every centre is the file's own, and that of a uniform field is exact everywhere.

    Attributes:
        source: The file, for messages.
        places: Centres of the segments, µm.
        parent: Parent of every segment; −1 for the first.
        psi: Quasipotential at the centres, mV.
    """

    source: str
    places: Float[ndarray, "n 3"]
    parent: Int[ndarray, " n"]
    psi: Float[ndarray, " n"]

    @cached_property
    def _children(self) -> Int[ndarray, " ways"]:
        """The segments that have a parent: a way leads to each."""
        return np.flatnonzero(self.parent >= 0)

    @cached_property
    def _fields(self) -> Float[ndarray, "ways 3"]:
        """The field at every way, V/m, from the fall of ψ along those around it."""
        child = self._children
        along = self.places[child] - self.places[self.parent[child]]
        fall = -_V_PER_M * (self.psi[child] - self.psi[self.parent[child]])
        middle = 0.5 * (self.places[child] + self.places[self.parent[child]])
        near = KDTree(middle).query(middle, k=[*range(1, min(_NEAR, len(child)) + 1)])[1]
        inverse = np.linalg.pinv(along[near], rcond=_LEAST)
        return np.asarray(np.einsum("nij,nj->ni", inverse, fall[near]))

    def quasipotential(self, cable: Cable) -> Float[ndarray, " nodes"]:
        """ψ at every node of a cable, mV; zero at the root.

        Raises:
            InputError: The cable is not where the segments are.
        """
        nodes = _nodes(cable)
        psi, away = self._at(nodes)
        worst = int(np.argmax(away))
        if away[worst] > REACH:
            x, y, z = nodes[worst]
            raise InputError(
                f"{self.source}: is not of this cell: the place ({x:.1f}, {y:.1f}, {z:.1f}) µm lies "
                f"{away[worst]:.1f} µm off the segments, and {int(np.sum(away > REACH))} of {len(away)} do so; "
                f"{self._advice(nodes)}"
            )
        return np.asarray(psi - psi[int(cable.node[0, 0])])

    def warn_of_guesses(self, cable: Cable, strength: float = 1.0) -> None:
        """Says where the cell leaves the segments by more than the length of one, and an unusual size of the field."""
        child = self._children
        way = np.linalg.norm(self.places[child] - self.places[self.parent[child]], axis=1)
        fall = np.abs(self.psi[child] - self.psi[self.parent[child]])
        largest = abs(strength) * _V_PER_M * float(np.max(fall[way > 1.0] / way[way > 1.0], initial=0.0))
        check("field", largest, f"{self.source}: the steepest fall, times field.magnitude")
        away = self._at(cable.xyz[:, 1])[1]
        aside = np.flatnonzero(away > 0.0)
        if len(aside):
            warn(
                f"{self.source}: {len(aside)} of {len(away)} ends of the cell's parts ({sections_of(cable, aside)}) "
                f"lie up to {away.max():.3g} µm off the segments; give those of this morphology"
            )

    def _at(self, places: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
        """ψ at places, and how far each is off the nearest way between segments, beyond the length of that, µm.

        A dendrite goes on for half a segment behind the centre of its last one.
        """
        child = self._children
        parent = self.parent[child]
        start, along = self.places[parent], self.places[child] - self.places[parent]
        square = np.maximum(np.einsum("wd,wd->w", along, along), 1e-30)
        psi, away = np.zeros(len(places)), np.zeros(len(places))
        for begin in range(0, len(places), _NODES):
            some = places[begin : begin + _NODES]
            share = np.einsum("nwd,wd->nw", some[:, None] - start, along) / square
            share = share.clip(0.0, 1.0)
            distance = np.linalg.norm(some[:, None] - (start + share[..., None] * along), axis=2)
            way, row = distance.argmin(axis=1), np.arange(len(some))
            t, field = share[row, way], self._fields[way] / _V_PER_M
            tail = self.psi[parent[way]] - np.einsum("nd,nd->n", field, some - self.places[parent[way]])
            head = self.psi[child[way]] - np.einsum("nd,nd->n", field, some - self.places[child[way]])
            psi[begin : begin + _NODES] = (1.0 - t) * tail + t * head
            away[begin : begin + _NODES] = np.maximum(distance[row, way] - np.sqrt(square[way]), 0.0)
        return psi, away

    def _advice(self, nodes: Float[ndarray, "n 3"]) -> str:
        """How to bring both together: the unit, where another one would do."""
        for unit, factor in (("mm", 1e3), ("m", 1e6), ("nm", 1e-3)):
            if 0.3 < factor * np.ptp(self.places, axis=0).max() / np.ptp(nodes, axis=0).max() < 3.0:
                return f"positions of the segments look like {unit}, and µm are meant: multiply them by {factor:g}"
        return "name the files of this morphology"


def read_segment_potentials(path: Path, locations: Path | None) -> SegmentPotentials:
    """Quasipotentials of NeMo-TMS with the segments that they belong to.

    Raises:
        InputError: A file that is missing or malformed, another number of rows, a segment whose parent is not there;
            one line with the place.
    """
    psi = _table(path, 1, "ψ of one segment, mV", "quasipotential")
    if locations is None:
        raise InputError(
            f"{path}: quasipotentials without their places; name the segments that they belong to: field.locations = "
            '"locs_all_seg.txt"'
        )
    rows = _table(locations, 6, "x y z of a segment and of its parent, µm", "segment")
    if len(rows) != len(psi):
        raise InputError(
            f"{path}: {len(psi)} rows, and {locations} has {len(rows)}; they go together row by row: name the segments "
            "that NeMo-TMS coupled to the field"
        )
    bad = np.flatnonzero(~np.isfinite(psi[:, 0]))
    if len(bad):
        raise InputError(f"{path}:{bad[0] + 1}: ψ is not finite (outside of the head's mesh?); couple again")
    return SegmentPotentials(str(path), rows[:, :3].copy(), _parents(locations, rows), psi[:, 0].copy())


def _parents(path: Path, rows: Float[ndarray, "n 6"]) -> Int[ndarray, " n"]:
    is_root = np.isnan(rows[:, 3:]).all(axis=1)
    bad = np.flatnonzero(~_plausible(rows[:, :3]) | (~_plausible(rows[:, 3:]) & ~is_root))
    if len(bad):
        raise InputError(f"{path}:{bad[0] + 1}: a position is not finite; export the segments again")
    if is_root.sum() != 1 or len(rows) < 2:
        raise InputError(
            f"{path}: {int(is_root.sum())} segments without a parent (nan nan nan) of {len(rows)}; a cell has one, and "
            "segments that hang on it"
        )
    away, parent = KDTree(rows[:, :3]).query(np.where(is_root[:, None], rows[:, :3], rows[:, 3:]))
    lost = np.flatnonzero(away > _SAME)
    if len(lost):
        raise InputError(f"{path}:{lost[0] + 1}: no segment lies where its parent is said to be; export again")
    return np.where(is_root, -1, parent)


def _plausible(places: Float[ndarray, "n 3"]) -> Bool[ndarray, " n"]:
    return np.asarray((np.abs(places) < FARTHEST).all(axis=1))


def _table(path: Path, width: int, what: str, kind: str) -> Float[ndarray, "n k"]:
    """Numbers of a text file, separated by blanks; nan where that is written."""
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a text file")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {kind} file; give one as NeMo-TMS writes it")
    rows = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as text; give a {kind} file as NeMo-TMS writes it") from None
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError:
            raise InputError(f"{path}:{number}: {shortened(line.strip())!r} is not all numbers; write {what}") from None
        if len(words) != width:
            raise InputError(f"{path}:{number}: {len(words)} numbers instead of {width}; write {what}")
    if not rows:
        raise InputError(f"{path}: no rows of numbers; write {what}, one segment per line")
    return np.array(rows)


def _nodes(cable: Cable) -> Float[ndarray, "nodes 3"]:
    places = np.empty((cable.n_nodes, 3))
    places[cable.node[0, 0]] = cable.xyz[0, 0]
    places[cable.node[:, 1]] = cable.xyz[:, 1]
    return places
