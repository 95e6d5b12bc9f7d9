"""Fewer frusta, the same cell: fuses what is one frustum already, merges what is tiny.

Length, membrane area ∫2πa ds and volume of every section stay exactly as they were; section
ends and points where something is attached stay where they are.
"""

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.morphology.cable import Cable

BEND_TOLERANCE = 1.0
"""µm by which fusing may move the drawn centre line; the arc length stays whatever it draws."""

RADIUS_MARGIN = 1.25
"""A merged frustum may leave the range of the radii it replaces by this factor, no more."""


@dataclass(frozen=True)
class FrustumGroup:
    """Consecutive frusta of one section seen as one.

    Attributes:
        first, last: Rows of the cable.
        length: Σ length.
        first_moment: ∫ a ds.
        second_moment: ∫ a² ds.
        radius: Start and end radius of the frustum with these three integrals.
        extremes: Smallest and largest radius among the members.
    """

    first: int
    last: int
    length: float
    first_moment: float
    second_moment: float
    radius: tuple[float, float]
    extremes: tuple[float, float]


def simplify(cable: Cable, shorter_than: float) -> tuple[Cable, int, int]:
    """Fuses frusta in line and merges frusta shorter than a length into their neighbours.

    Args:
        cable: The cable, without endoplasmic reticulum yet.
        shorter_than: Frusta below this length are merged (µm).

    Returns:
        The cable, the number of frusta gone by fusing, and by merging. A tiny frustum stays
        where it is a whole section, or where one frustum could not stand for the change of
        radius (see `merged`).
    """
    groups: list[FrustumGroup] = []
    n_fused = 0
    for rows in _runs(cable):
        fused = _fuse(cable, rows)
        n_fused += len(rows) - len(fused)
        groups.extend(_merge(fused, shorter_than))
    return _rebuilt(cable, groups), n_fused, cable.n_frusta - n_fused - len(groups)


def merged(one: FrustumGroup, other: FrustumGroup) -> FrustumGroup | None:
    """The one frustum with the length, membrane area and volume of two neighbours.

    Its radii solve r₀ + r₁ = 2 ∫a/L and r₀² + r₀r₁ + r₁² = 3 ∫a²/L. The roots are real for any
    radius profile; None if one is not positive, or leaves the range of the members' radii by
    more than ``RADIUS_MARGIN``: a step of the radius is not smeared out.
    """
    length = one.length + other.length
    first = one.first_moment + other.first_moment
    second = one.second_moment + other.second_moment
    total = 2.0 * first / length
    product = total**2 - 3.0 * second / length
    spread = np.sqrt(max(total**2 - 4.0 * product, 0.0))
    thin, thick = 0.5 * (total - spread), 0.5 * (total + spread)
    low = min(one.extremes[0], other.extremes[0])
    high = max(one.extremes[1], other.extremes[1])
    if not (thin >= low / RADIUS_MARGIN and thick <= high * RADIUS_MARGIN):
        return None
    widens = one.first_moment / one.length < other.first_moment / other.length
    return FrustumGroup(
        first=one.first,
        last=other.last,
        length=length,
        first_moment=first,
        second_moment=second,
        radius=(thin, thick) if widens else (thick, thin),
        extremes=(low, high),
    )


def _runs(cable: Cable) -> list[Int[ndarray, " k"]]:
    """Rows that may be joined: consecutive in a section, nothing attached in between."""
    used = np.bincount(cable.node.ravel(), minlength=cable.n_nodes)
    joined = (
        (cable.section[1:] == cable.section[:-1])
        & (used[cable.node[1:, 0]] == 2)
        & (cable.node[1:, 0] == cable.node[:-1, 1])
    )
    return np.split(np.arange(cable.n_frusta), np.flatnonzero(~joined) + 1)


def _fuse(cable: Cable, rows: Int[ndarray, " k"]) -> list[FrustumGroup]:
    """Groups as long as possible whose radius profile is one straight line."""
    membrane, volume = cable.take(rows).membrane, cable.take(rows).volume
    groups = []
    first, end = int(rows[0]), int(rows[-1])
    while first <= end:
        last = _reach(cable, first, end)
        members = slice(first - rows[0], last + 1 - rows[0])
        start, stop = float(cable.radius[first, 0]), float(cable.radius[last, 1])
        groups.append(
            FrustumGroup(
                first=first,
                last=last,
                length=float(cable.length[first : last + 1].sum()),
                first_moment=float(membrane[members].sum() / (2.0 * np.pi)),
                second_moment=float(volume[members].sum() / np.pi),
                radius=(start, stop),
                extremes=(min(start, stop), max(start, stop)),
            )
        )
        first = last + 1
    return groups


def _reach(cable: Cable, first: int, end: int) -> int:
    """The last row, `end` at most, up to which the frusta from `first` on are one; found in strides."""
    last, stride = first, 1
    while stride > 0:
        if last + stride <= end and _is_one_frustum(cable, first, last + stride):
            last += stride
            stride *= 2
        else:
            stride //= 2
    return last


def _is_one_frustum(cable: Cable, first: int, last: int) -> bool:
    rows = slice(first, last + 1)
    s = np.r_[0.0, np.cumsum(cable.length[rows])] / cable.length[rows].sum()
    a, b = cable.radius[first, 0], cable.radius[last, 1]
    line = a + s * (b - a)
    off = np.abs(cable.radius[rows] - np.stack([line[:-1], line[1:]], axis=1)).max()
    if off > 1e-9 * max(a, b):
        return False
    chord = cable.xyz[first, 0] + s[1:-1, None] * (cable.xyz[last, 1] - cable.xyz[first, 0])
    moved = np.linalg.norm(cable.xyz[rows][:-1, 1] - chord, axis=1)
    return bool(moved.max() <= BEND_TOLERANCE)


def _merge(groups: list[FrustumGroup], shorter_than: float) -> list[FrustumGroup]:
    """Merges the shortest group first, with its shorter neighbour if that goes, else the other.

    A tiny group that neither neighbour can take stays.
    """
    there = dict(enumerate(groups))
    before = {k: k - 1 for k in there}
    after = {k: k + 1 for k in there}
    tiny = [(group.length, k) for k, group in there.items() if group.length < shorter_than]
    heapify(tiny)
    while tiny:
        length, k = heappop(tiny)
        if k not in there or there[k].length != length:
            continue  # taken or grown since
        beside = [n for n in (before[k], after[k]) if n in there]
        for n in sorted(beside, key=lambda n: there[n].length):
            low, high = min(k, n), max(k, n)
            one = merged(there[low], there[high])
            if one is None:
                continue
            there[low] = one
            del there[high]
            after[low] = after[high]
            before[after[high]] = low
            if one.length < shorter_than:
                heappush(tiny, (one.length, low))
            break
    return [there[k] for k in sorted(there)]


def _rebuilt(cable: Cable, groups: list[FrustumGroup]) -> Cable:
    first = np.array([g.first for g in groups])
    last = np.array([g.last for g in groups])
    node = np.stack([cable.node[first, 0], cable.node[last, 1]], axis=1)
    _, node = np.unique(node, return_inverse=True)
    return Cable(
        sections=cable.sections,
        section=cable.section[first],
        kind=cable.kind[first],
        node=node.reshape(-1, 2),
        start=cable.start[first],
        length=np.array([g.length for g in groups]),
        radius=np.array([g.radius for g in groups]),
        er_radius=np.zeros((len(groups), 2)),
        xyz=np.stack([cable.xyz[first, 0], cable.xyz[last, 1]], axis=1),
        path=np.stack([cable.path[first, 0], cable.path[last, 1]], axis=1),
        swc_id=cable.swc_id[last],
    )
