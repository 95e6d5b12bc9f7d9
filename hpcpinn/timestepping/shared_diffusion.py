"""Diffusion of cells that are spread over ranks: one exchange per window, whatever its length.

A term of the Chebyshev series looks one neighbour further. A rank that knows, besides its own cells,
all those within as many steps of them as the series has terms can do a whole window by itself: it
computes that *halo* too, in which the unknown outside creeps inwards by one cell per term and never
reaches the rank's own. Message: two species at the cells of the halo, once per window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.exchange import ExchangePlan, messages_for_ghosts, plan_exchange
from hpcpinn.timestepping.cell_grid import CellGrid
from hpcpinn.timestepping.diffusion import CableDiffusion, Series, cable_diffusion


@dataclass(frozen=True, eq=False)
class SharedDiffusion:
    """Diffusion of one rank's cells; the interface of `CableDiffusion`, collective over all ranks.

    Attributes:
        local: On the rank's cells, then those of its halo.
        n_own: Number of its own.
        depth: How many neighbours away the halo reaches: the largest number of terms.
        plan: Who sends which cells to whom.
        communicator: All ranks.
    """

    local: CableDiffusion
    n_own: int
    depth: int
    plan: ExchangePlan
    communicator: Communicator

    @property
    def stored(self) -> tuple[()]:
        """Nothing that windows share beside the operator itself."""
        return ()

    def width(self, longest: float) -> int:
        """See `CableDiffusion.width`."""
        return self.local.width(longest)

    def series(self, lengths: Float[ndarray, " K"], padded: int = 0) -> Series:
        """See `CableDiffusion.series`; windows that need more terms than the halo is deep are a mistake."""
        found = self.local.series(lengths, padded)
        most = int(np.max(found.terms, initial=0))
        if most - 1 > self.depth:
            raise ValueError(f"a window needs {most} terms, the halo is {self.depth} cells deep")
        return found

    def __call__(
        self, fields: Float[Array, "species n"], coefficients: Float[Array, "terms species"], terms: Array
    ) -> Float[Array, "species n"]:
        """The rank's own fields after a window."""
        halo = jnp.zeros((self.local_count - self.n_own, len(fields)))
        rows = jnp.concatenate([fields.T, halo])
        rows = self.communicator.exchange(rows, self.plan)
        return self.local(rows.T, coefficients, terms)[:, : self.n_own]

    @property
    def local_count(self) -> int:
        """Own cells and halo."""
        return self.n_own + len(self.plan.receive_rows)


def shared_diffusion(
    grid: CellGrid,
    owner: Int[ndarray, " N"],
    coefficients: Sequence[float],
    longest: float,
    communicator: Communicator,
    tolerance: float = 1e-10,
) -> CableDiffusion | SharedDiffusion:
    """The diffusion of this rank's cells. Every rank plans for all; not collective.

    Args:
        grid: All cells.
        owner: Rank of each.
        coefficients: D of every species, µm²/s.
        longest: Longest window there will be, s.
        communicator: All ranks.
        tolerance: What the series may leave out, relative to the field.
    """
    whole = cable_diffusion(grid, coefficients, tolerance)
    if communicator.size == 1:
        return whole
    depth = int(np.max(whole.series(np.array([longest])).terms)) - 1
    neighbours = (grid.coupling != 0).astype(np.int8).tocsr()
    halos = [_halo(neighbours, owner, rank, depth) for rank in range(communicator.size)]
    own = np.flatnonzero(owner == communicator.rank)
    if not any(len(halo) for halo in halos):
        return cable_diffusion(_taken(grid, own), coefficients, tolerance, whole.radius)
    mine = np.concatenate([own, halos[communicator.rank]])
    local = cable_diffusion(_taken(grid, mine), coefficients, tolerance, whole.radius)
    plan = plan_exchange(messages_for_ghosts(owner, halos), communicator.rank)
    return SharedDiffusion(local, len(own), depth, plan, communicator)


def _halo(
    neighbours: sparse.csr_matrix, owner: Int[ndarray, " N"], rank: int, depth: int
) -> Int[ndarray, " h"]:
    """Cells of others within `depth` steps of a rank's own, increasing."""
    reached = owner == rank
    for _ in range(depth):
        grown = reached | (neighbours @ reached.astype(np.int64) > 0)
        if np.array_equal(grown, reached):
            break
        reached = grown
    return np.flatnonzero(reached & (owner != rank))


def _taken(grid: CellGrid, cells: Int[ndarray, " n"]) -> CellGrid:
    return CellGrid(grid.volume[cells], grid.ratio[cells], grid.coupling[cells][:, cells].tocsr())
