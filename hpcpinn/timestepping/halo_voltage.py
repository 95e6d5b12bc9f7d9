"""The compartments whose voltage the cells of a rank follow: its own and, along cuts, some of others.

Calcium's cells take their voltage from compartments nearby, and where a tree is cut some of these belong
to another rank. What is known of a rank's own compartments is sent to those who need them, once per
slot and never within.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.exchange import ExchangePlan, messages_for_ghosts, plan_exchange


@dataclass(frozen=True, eq=False)
class HaloVoltage:
    """What a rank hears of.

    Attributes:
        own: Compartments of this rank, increasing, (n,).
        others: Compartments of other ranks that it needs, increasing, (m,).
        to_cells: Weights of own and then others' compartments in each of its cells, rows add up to one.
        plan: Messages between the ranks; None where no rank needs another.
        communicator: All ranks.
    """

    own: Int[ndarray, " n"]
    others: Int[ndarray, " m"]
    to_cells: sparse.csr_matrix
    plan: ExchangePlan | None
    communicator: Communicator

    @property
    def compartments(self) -> Int[ndarray, " halo"]:
        """All that it knows, in the order of the columns of `to_cells`."""
        return np.concatenate([self.own, self.others])

    def with_halo(self, values: Float[ndarray, "n ..."]) -> Float[ndarray, "halo ..."]:
        """Values at own compartments, and those of others below them. Collective over all ranks."""
        if self.plan is None:
            return np.asarray(values)
        blank = np.zeros((len(self.others), *values.shape[1:]))
        return np.asarray(self._exchanged(jnp.asarray(np.concatenate([values, blank]))))

    @cached_property
    def _exchanged(self) -> Callable[[Array], Array]:
        plan = self.plan
        assert plan is not None
        return jax.jit(lambda rows: self.communicator.exchange(rows, plan))


def halo_voltage(
    to_cells: sparse.csr_matrix,
    cell_owner: Int[ndarray, " N"],
    owner: Int[ndarray, " P"],
    communicator: Communicator,
) -> HaloVoltage:
    """What this rank hears of. Every rank plans for all; not collective.

    Args:
        to_cells: Weights of all compartments in all cells.
        cell_owner: Rank of every cell.
        owner: Rank of every compartment.
        communicator: All ranks.
    """
    ranks = range(communicator.size)
    own = [np.flatnonzero(owner == rank) for rank in ranks]
    needed = [np.unique(to_cells[np.flatnonzero(cell_owner == rank)].indices) for rank in ranks]
    others = [np.setdiff1d(wanted, mine) for wanted, mine in zip(needed, own, strict=True)]
    messages = messages_for_ghosts(owner, others)
    rank = communicator.rank
    mine = to_cells[np.flatnonzero(cell_owner == rank)]
    columns = np.concatenate([own[rank], others[rank]])
    return HaloVoltage(
        own[rank],
        others[rank],
        mine[:, columns].tocsr(),
        plan_exchange(messages, rank) if messages else None,
        communicator,
    )
