"""Where an action potential starts, and how fast it runs along the axon."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.morphology.axon import REGIONS
from hpcpinn.morphology.compartments import Compartments

AXONAL = (2, 5, 6, 7, *REGIONS)
"""Kinds of an axon: bare, as published cells have a myelinated one in SWC files, and as rules make it."""
_LEAST = 5
"""Compartments on the way, without which no velocity is told."""
_M_PER_S = 1e-3
"""m/s per µm/ms."""


@dataclass(frozen=True)
class Conduction:
    """How an action potential begins and runs.

    Attributes:
        start: Compartment whose voltage rises first.
        time: Time at which it does, ms.
        velocity: Velocity along the axon, m/s; NaN where too few compartments of an axon take part.
    """

    start: int
    time: float
    velocity: float


def conduction(cells: Compartments, rises: Float[ndarray, " n"]) -> Conduction:
    """Start and velocity of an action potential.

    The velocity is that of a straight line through the times at which compartments of the axon rise on the way from the
    start to the one that rises last of those whose whole way has risen, without the first tenth of that way, where it
    gathers speed.

    Args:
        cells: Compartments of the cell.
        rises: Times at which the voltage of each first rises, ms; infinite: never. One does.
    """
    start = int(np.argmin(rises))
    distance, before = _ways_from(cells, start)
    axonal = np.isin(cells.kind, AXONAL) & np.isfinite(rises)
    velocity = np.nan
    if np.any(axonal):
        end = int(np.flatnonzero(axonal)[np.argmax(rises[axonal])])
        way = [point for point in _way(before, end) if point < cells.count]
        chosen = np.array([point for point in way if axonal[point] and distance[point] >= 0.1 * distance[end]], int)
        if len(chosen) >= _LEAST and np.all(np.diff(rises[chosen[::-1]]) > 0.0):
            velocity = float(np.polyfit(rises[chosen], distance[chosen], 1)[0]) * _M_PER_S
    return Conduction(start, float(rises[start]), velocity)


def _ways_from(cells: Compartments, start: int) -> tuple[Float[ndarray, " points"], Int[ndarray, " points"]]:
    """Distance along the tree from a point to all others (µm), and the last point on the way."""
    parent = cells.parent
    length = np.zeros(cells.n_points)
    path = np.zeros(cells.cable.n_nodes)
    path[cells.cable.node[:, 1]] = cells.cable.path[:, 1]
    depth = path[cells.node]
    has_parent = parent >= 0
    length[has_parent] = depth[has_parent] - depth[parent[has_parent]]
    distance, before = np.full(cells.n_points, np.inf), np.full(cells.n_points, -1)
    distance[start] = 0.0
    point = start
    while parent[point] >= 0:  # up to the root
        above = int(parent[point])
        distance[above], before[above] = distance[point] + length[point], point
        point = above
    for point in np.argsort(depth, kind="stable"):  # and down from there: parents come before their children
        above = int(parent[point])
        if above >= 0 and np.isinf(distance[point]):
            distance[point], before[point] = distance[above] + length[point], above
    return distance, before


def _way(before: Int[ndarray, " points"], end: int) -> list[int]:
    """Points from an end back to the start."""
    way = [end]
    while before[way[-1]] >= 0:
        way.append(int(before[way[-1]]))
    return way
