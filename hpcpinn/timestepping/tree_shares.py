"""A forest of points spread over ranks, and its linear systems solved with one sum over the ranks.

A rank knows its own points and, as *ghosts*, the parents that its points have on other ranks. It
eliminates what only it knows. What is left of all ranks, points that somebody else couples to and the
forks between them, is again a forest, a few points per cut: the exact Schur complement. Its parts are
added up over the ranks and every rank solves it for itself.
"""

from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.timestepping.tree_elimination import PointElimination, plan_elimination


@dataclass(frozen=True)
class Top:
    """What is left of all ranks.

    Attributes:
        plan: Plan of the elimination of these points, which leaves nothing but roots.
        rows: Positions of this rank's part in its own order.
        numbers: Numbers of these points among those of all ranks.
        is_own: Whether this rank knows a point's coupling to its parent.
    """

    plan: PointElimination
    rows: Int[ndarray, " k"]
    numbers: Int[ndarray, " k"]
    is_own: Bool[ndarray, " k"]

    @property
    def count(self) -> int:
        """Points of all ranks: 24 bytes each cross the network in every solve."""
        return len(self.plan.order)


@dataclass(frozen=True, eq=False)
class TreeShare:
    """One rank's share of a forest.

    Attributes:
        points: Points of this rank: its own first, then ghosts.
        n_own: Number of its own points.
        plan: Plan of the elimination of what only this rank knows.
        parent: Position of every point's parent, -1 for roots and ghosts; in the order of the elimination.
        top: Part that the ranks solve together; None where no tree is cut.
        communicator: All ranks.
    """

    points: Int[ndarray, " m"]
    n_own: int
    plan: PointElimination
    parent: Int[ndarray, " m"]
    top: Top | None
    communicator: Communicator

    @cached_property
    def order(self) -> Int[ndarray, " m"]:
        """Point of the forest at every position of the elimination."""
        order: Int[ndarray, " m"] = self.points[self.plan.order]
        return order

    @cached_property
    def is_own(self) -> Bool[ndarray, " m"]:
        """Whether the point at every position is this rank's own."""
        return self.plan.order < self.n_own

    def positions(self, points: Int[ndarray, " k"]) -> Int[ndarray, " k"]:
        """Position of points of the forest, -1 for those that are not this rank's own."""
        place = np.full(max(int(self.points.max(initial=-1)), int(np.max(points, initial=-1))) + 1, -1)
        place[self.points[: self.n_own]] = self.plan.position[: self.n_own]
        found: Int[ndarray, " k"] = place[points]
        return found

    def solve(
        self, diagonal: Float[Array, " m"], coupling: Float[Array, " m"], right: Float[Array, " m"]
    ) -> Float[Array, " m"]:
        """Solves the forest's system; see `PointElimination.solve`. Traceable; collective over all ranks.

        Args:
            diagonal: Diagonal in this rank's order. At ghosts what this rank adds to it, as in `right`.
            coupling: Coupling of every point to its parent, in this rank's order; 0 at ghosts.
            right: Right-hand side in this rank's order.
        """
        return self.plan.solve(diagonal, coupling, right, None if self.top is None else self._rest)

    def _rest(self, rows: Float[Array, "3 left"]) -> Float[Array, " left"]:
        top = self.top
        assert top is not None
        known = jnp.asarray(np.stack([np.ones(len(top.rows)), top.is_own, np.ones(len(top.rows))]))
        whole = jnp.zeros((3, top.count)).at[:, top.numbers].add(known * rows[:, top.rows])
        whole = self.communicator.sum(whole)
        solved = top.plan.solve(*whole[:, top.plan.order])[top.plan.position]
        return (rows[2] / rows[0]).at[top.rows].set(solved[top.numbers])


def share_tree(parent: Int[ndarray, " m"], owner: Int[ndarray, " m"], communicator: Communicator) -> TreeShare:
    """The share of this rank. Every rank plans for all; not collective.

    Args:
        parent: Parent of every point of the forest, -1 for roots.
        owner: Rank of every point.
        communicator: All ranks.
    """
    parent, owner = np.asarray(parent, int), np.asarray(owner, int)
    crossing = np.flatnonzero((parent >= 0) & (owner[parent] != owner))
    if not len(crossing):
        return _alone(parent, owner, communicator)
    seen = np.zeros(len(parent), bool)  # points that another rank couples to
    seen[parent[crossing]] = True
    parts = [_part(parent, owner, seen, rank) for rank in range(communicator.size)]
    number = np.full(len(parent), -1)
    shared = [part.points[part.plan.order[part.rows]] for part in parts]
    whole = np.unique(np.concatenate(shared))
    number[whole] = np.arange(len(whole))
    above = np.full(len(whole), -1)
    for part, points in zip(parts, shared, strict=True):
        up = part.plan.left_parent[part.rows]
        linked = up >= 0
        above[number[points[linked]]] = number[part.points[part.plan.order[up[linked]]]]
    mine, points = parts[communicator.rank], shared[communicator.rank]
    top = Top(plan_elimination(above), mine.rows, number[points], owner[points] == communicator.rank)
    return TreeShare(mine.points, mine.n_own, mine.plan, mine.parent, top, communicator)


def _alone(parent: Int[ndarray, " m"], owner: Int[ndarray, " m"], communicator: Communicator) -> TreeShare:
    """A share of whole trees."""
    part = _part(parent, owner, np.zeros(len(parent), bool), communicator.rank)
    return TreeShare(part.points, part.n_own, part.plan, part.parent, None, communicator)


@dataclass(frozen=True)
class _Part:
    """What one rank eliminates and what it leaves.

    Attributes:
        points, n_own, plan, parent: Points, plan and parents, as in `TreeShare`.
        rows: Positions of what is left and coupled to something, on this rank or another.
    """

    points: Int[ndarray, " m"]
    n_own: int
    plan: PointElimination
    parent: Int[ndarray, " m"]
    rows: Int[ndarray, " k"]


def _part(parent: Int[ndarray, " m"], owner: Int[ndarray, " m"], seen: Bool[ndarray, " m"], rank: int) -> _Part:
    own = np.flatnonzero(owner == rank)
    up = parent[own]
    ghosts = np.unique(up[(up >= 0) & (owner[up] != rank)])
    points = np.concatenate([own, ghosts])
    place = np.full(len(parent), -1)
    place[points] = np.arange(len(points))
    local = np.concatenate([np.where(up >= 0, place[up], -1), np.full(len(ghosts), -1)])
    keep = np.concatenate([seen[own], np.ones(len(ghosts), bool)])
    plan = plan_elimination(local, keep)
    coupled = keep[plan.order[: plan.left]] | (plan.left_parent >= 0)
    coupled[plan.left_parent[plan.left_parent >= 0]] = True
    above = np.where(local >= 0, plan.position[local], -1)[plan.order]
    return _Part(points, len(own), plan, above, np.flatnonzero(coupled))
