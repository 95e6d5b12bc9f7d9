"""Which compartment a junction belongs to, and with it which rank."""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.morphology.compartments import Compartments


def compartment_near(cells: Compartments) -> Int[ndarray, " points"]:
    """A compartment of the same cell for every point: itself, or for a junction the first that hangs there."""
    near = np.full(cells.n_points, -1)
    near[: cells.count] = np.arange(cells.count)
    while np.any(near < 0):
        child = np.flatnonzero((cells.parent >= 0) & (near >= 0))[::-1]
        above = cells.parent[child]
        fresh = near[above] < 0
        if not np.any(fresh):
            break
        near[above[fresh]] = near[child[fresh]]
    return near


def owner_of_points(cells: Compartments, owner: Int[ndarray, " n"]) -> Int[ndarray, " points"]:
    """The rank of every point: junctions belong to a rank that has a compartment below them."""
    ranks: Int[ndarray, " points"] = owner[compartment_near(cells)]
    return ranks
