"""The induced electric field and its quasipotential along a neuron (EQUATIONS §2).

The field enters the cable equation through the quasipotential ψ alone: ψ falls along the field,
ψ_child = ψ_parent − ½(E_child + E_parent)·Δr, and is exact for a uniform field, ψ = −E·(r − r_root).
Fields are peaks in space; the waveform of a pulse gives their course in time. V/m, µm and mV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree, QhullError

from hpcpinn.core.plausibility import check
from hpcpinn.errors import InputError, warn
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.csv_rows import columns_of

_MV_PER_V_M_UM = 1e-3
"""1 V/m over 1 µm is 1e-3 mV."""

REACH = 20.0
"""Outside all samples the nearest one counts up to here, µm: fields of coils change over millimetres."""


class ElectricField(Protocol):
    """A field in space."""

    def __call__(self, xyz: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The field vectors at positions (µm), V/m."""
        ...

    def warn_of_guesses(self, cable: Cable, strength: float = 1.0) -> None:
        """Says where on a cell the field is not known, and what is taken there; and where it is not of usual size.

        Args:
            cable: The cell.
            strength: Factor of the field.
        """
        ...


@dataclass(frozen=True)
class UniformField:
    """The same field everywhere.

    Attributes:
        vector: V/m.
    """

    vector: tuple[float, float, float]

    def __call__(self, xyz: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        return np.broadcast_to(np.asarray(self.vector, float), np.shape(xyz)).copy()

    def warn_of_guesses(self, cable: Cable, strength: float = 1.0) -> None:
        """Known everywhere."""


def uniform_field(magnitude: float, direction: Sequence[float]) -> UniformField:
    """A uniform field of a magnitude (V/m) along a direction of any length.

    Raises:
        InputError: The direction is not three finite numbers, or all are zero; a magnitude that
            is not finite.
    """
    along = np.asarray(direction, float)
    if along.shape != (3,) or not np.all(np.isfinite(along)) or not np.any(along):
        shown = ", ".join(f"{value:g}" for value in np.atleast_1d(along))
        raise InputError(f"field direction [{shown}]: give three numbers that are not all zero")
    if not np.isfinite(magnitude):
        raise InputError(f"field magnitude {magnitude}: give a finite number of V/m")
    x, y, z = magnitude * along / np.linalg.norm(along)
    return UniformField((float(x), float(y), float(z)))


class SampledField:
    """A field known at points, linear between them; made by `read_field`.

    Between samples the field is linear on the tetrahedra of their Delaunay triangulation; outside
    of all of them (or where the samples lie on a line or a plane) the nearest sample counts if it
    is within `REACH`. In the place of a sample it is that sample, to the last bit.
    """

    def __init__(
        self, positions: Float[ndarray, "m 3"], vectors: Float[ndarray, "m 3"], path: str = "field", fix: str = ""
    ):
        """Arguments: positions in µm, vectors in V/m, and for messages the file's name and how to cover a cell."""
        self._positions, self._vectors, self._path, self._fix = positions, vectors, path, fix
        self._nearest = KDTree(positions)
        from scipy.interpolate import LinearNDInterpolator  # takes long to load, and few runs have a file

        try:
            self._linear = LinearNDInterpolator(positions, vectors)
        except (QhullError, ValueError):  # flat, or fewer than five points
            self._linear = None

    def __call__(self, xyz: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The field vectors at positions (µm), V/m.

        Raises:
            InputError: A position is farther than `REACH` outside of the samples.
        """
        xyz = np.asarray(xyz, float)
        inside = np.full(xyz.shape, np.nan) if self._linear is None else self._linear(xyz)
        beyond, nearest, is_sample = self._beyond(xyz, inside)
        worst = int(np.argmax(beyond))
        if beyond[worst] > REACH:
            x, y, z = xyz[worst]
            raise InputError(
                f"{self._path}: does not cover the cell: the place ({x:.1f}, {y:.1f}, {z:.1f}) µm lies "
                f"{beyond[worst]:.1f} µm from the nearest sample, outside of all, and "
                f"{int(np.sum(beyond > REACH))} of {len(xyz)} places do so; {self._advice(xyz)}"
            )
        return np.where((np.isnan(inside).any(axis=-1) | is_sample)[:, None], self._vectors[nearest], inside)

    def _beyond(
        self, xyz: Float[ndarray, "n 3"], inside: Float[ndarray, "n 3"]
    ) -> tuple[Float[ndarray, " n"], Int[ndarray, " n"], Bool[ndarray, " n"]]:
        """How far positions outside of all samples are from the nearest one, 0 inside, µm; which that is; if in it."""
        distance, nearest = self._nearest.query(xyz)
        return np.where(np.isnan(inside).any(axis=-1), distance, 0.0), nearest, distance == 0.0

    def _advice(self, xyz: Float[ndarray, "n 3"]) -> str:
        """How to make samples cover a cell: in which unit they would."""
        if self._fix:
            return self._fix
        low, high = xyz.min(axis=0), xyz.max(axis=0)
        for unit, factor in (("mm", 1e3), ("m", 1e6), ("cm", 1e4), ("nm", 1e-3)):
            scaled = factor * self._positions
            if np.all(scaled.min(axis=0) <= low + REACH) and np.all(scaled.max(axis=0) >= high - REACH):
                return f"sample the whole cell, in µm; positions in {unit} would be multiplied by {factor:g}"
        return "sample the whole cell, in µm"

    def flatness(self) -> str:
        """``lie in a plane``, where samples say nothing of the field in some direction; empty in general."""
        if self._linear is not None:
            return ""
        spread = np.linalg.svd(self._positions - self._positions.mean(axis=0), compute_uv=False)
        rank = int(np.sum(spread > 1e-9 * max(spread[0], 1e-30))) if spread[0] > 0.0 else 0
        return ("are one place", "lie on a line", "lie in a plane", "are too few to enclose anything")[rank]

    def warn_of_guesses(self, cable: Cable, strength: float = 1.0) -> None:
        """Says where on a cell the field is that of the nearest sample, since none enclose the place."""
        largest = abs(strength) * float(np.linalg.norm(self._vectors, axis=1).max())
        check("field", largest, f"{self._path}: the largest sample, times field.magnitude")
        ends = cable.xyz.reshape(-1, 3)
        inside = np.full(ends.shape, np.nan) if self._linear is None else self._linear(ends)
        beyond = self._beyond(ends, inside)[0]
        guessed = np.flatnonzero(beyond > _AT_A_SAMPLE)
        if not len(guessed):
            return
        names = list(dict.fromkeys(cable.sections[s].name for s in cable.section[np.unique(guessed // 2)]))
        more = len(names) - _SECTIONS_SHOWN
        shown = ", ".join(names[:_SECTIONS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        warn(
            f"{self._path}: the samples {self.flatness() or 'do not enclose the cell'}: at {len(guessed)} of "
            f"{len(ends)} ends of its parts ({shown}) the field is that of the nearest sample, up to "
            f"{beyond.max():.3g} µm away; sample a volume around the cell"
        )


_AT_A_SAMPLE = 1e-3
"""µm: a place that is a sample's own needs no others around it."""
_SECTIONS_SHOWN = 6
"""Names of sections that a message lists."""


_COLUMNS = ("x", "y", "z", "Ex", "Ey", "Ez")


def read_field(path: str | Path) -> SampledField:
    """Reads samples of a field: rows ``x,y,z,Ex,Ey,Ez`` in µm and V/m.

    Raises:
        InputError: Missing or malformed file, a number that is not finite, no rows, one place
            with two fields; one line with the place.
    """
    rows = columns_of(Path(path), _COLUMNS, "field")
    if not rows:
        raise InputError(f"{path}: no rows of numbers; a field needs at least one sample")
    table = np.array([numbers for _, numbers in rows])
    _, first, group = np.unique(table[:, :3], axis=0, return_index=True, return_inverse=True)
    earlier = first[group.ravel()]
    clash = np.flatnonzero((table[:, 3:] != table[earlier, 3:]).any(axis=1))
    if len(clash):
        line, other = rows[clash[0]][0], rows[earlier[clash[0]]][0]
        raise InputError(f"{path}:{line}: the place of line {other} with another field; keep one of them")
    kept = np.sort(first)
    return SampledField(table[kept, :3], table[kept, 3:], str(path))


def as_table(xyz: Float[ndarray, "n 3"], vectors: Float[ndarray, "n 3"]) -> str:
    """Samples of a field as `read_field` reads them, to the last bit."""
    rows = (",".join(map(repr, row)) for row in np.hstack([xyz, vectors]).tolist())
    return "\n".join([",".join(_COLUMNS), *rows, ""])


def quasipotential(cable: Cable, field: ElectricField) -> Float[ndarray, " nodes"]:
    """ψ at every node of a cable, mV; zero at the root.

    The way from a node to the first point of a neurite that is wired to it (a dendrite on the
    soma) counts as part of the way: its potential drives current along the wire, too.

    Args:
        cable: Cut it finely where the field is not uniform: along a frustum E is taken as linear.
        field: The field at its peak.

    Raises:
        InputError: The field does not cover the cable.
    """
    at_ends = field(cable.xyz.reshape(-1, 3)).reshape(-1, 2, 3)
    along = cable.xyz[:, 1] - cable.xyz[:, 0]
    fall = 0.5 * np.sum((at_ends[:, 0] + at_ends[:, 1]) * along, axis=1)
    psi = np.zeros(cable.n_nodes)
    root = int(cable.node[0, 0])
    place, E = {root: cable.xyz[0, 0]}, {root: at_ends[0, 0]}
    for f, (tail, head) in enumerate(cable.node.tolist()):
        wire = 0.5 * (E[tail] + at_ends[f, 0]) @ (cable.xyz[f, 0] - place[tail])
        psi[head] = psi[tail] - _MV_PER_V_M_UM * (wire + fall[f])
        place[head], E[head] = cable.xyz[f, 1], at_ends[f, 1]
    return psi
