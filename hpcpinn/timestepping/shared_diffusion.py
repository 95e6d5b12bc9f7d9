"""Diffusion of cells that are spread over ranks: one exchange per short window.

A term of the Chebyshev series looks one neighbour further. A rank that knows, besides its own cells,
all those within as many steps of them as the series has terms can do a whole window by itself: it
computes that *halo* too, in which the unknown outside creeps inwards by one cell per term and never
reaches the rank's own. The halo is as deep as the shortest windows ask, of which there are most; the series
of longer ones exchange its sums again whenever the halo is used up. Message: two species at the cells of the
halo, and four numbers instead of two in every exchange after a window's first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.exchange import ExchangePlan, messages_for_ghosts, plan_exchange
from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.timestepping.cell_grid import CellGrid
from hpcpinn.timestepping.diffusion import TERMS_PER_ROUND, CableDiffusion, Series, cable_diffusion, rounds_of


@dataclass(frozen=True, eq=False)
class SharedDiffusion:
    """Diffusion of one rank's cells; the interface of `CableDiffusion`, collective over all ranks.

    Attributes:
        local: Diffusion on the rank's cells, then those of its halo.
        n_own: Number of its own.
        rounds: Rounds of the recurrence that the halo serves.
        plan: Messages between ranks, cell by cell.
        communicator: All ranks.
    """

    local: CableDiffusion
    n_own: int
    rounds: int
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
        """See `CableDiffusion.series`."""
        return self.local.series(lengths, padded)

    def __call__(
        self, fields: Float[Array, "species n"], coefficients: Float[Array, "terms species"], terms: Int[Array, ""]
    ) -> Float[Array, "species n"]:
        """The rank's own fields after a window."""
        left = jnp.asarray(rounds_of(terms))
        known = self._with_halo(fields)
        nothing = jnp.zeros_like(known)
        # the first stretch takes what is over, so that no exchange is for less than it could serve
        later = jnp.maximum(left - 1, 0) // self.rounds
        sums = self.local.recur(known, coefficients, (nothing, nothing), left, later * self.rounds)

        def one_stretch(index: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
            own = jnp.concatenate([x[:, : self.n_own] for x in sums])
            both = self._with_halo(own).reshape(2, *known.shape)
            top = (later - index) * self.rounds
            return self.local.recur(known, coefficients, (both[0], both[1]), top, top - self.rounds)

        sums = jax.lax.fori_loop(0, later, one_stretch, sums)
        return self.local.close(known, coefficients, sums)[:, : self.n_own]

    def _with_halo(self, own: Float[Array, "k n"]) -> Float[Array, "k m"]:
        """Own values, and those of the halo from their owners. Collective over all ranks."""
        halo = jnp.zeros((self.local_count - self.n_own, len(own)))
        return self.communicator.exchange(jnp.concatenate([own.T, halo]), self.plan).T

    @property
    def local_count(self) -> int:
        """Own cells and halo."""
        return self.n_own + len(self.plan.receive_rows)


def shared_diffusion(
    grid: CellGrid,
    owner: Int[ndarray, " N"],
    coefficients: Sequence[float],
    short: float,
    communicator: Communicator,
    tolerance: float = 1e-10,
    volumes: Sequence[str] = (CYTOSOL,),
) -> CableDiffusion | SharedDiffusion:
    """The diffusion of this rank's cells. Every rank plans for all; not collective.

    Args:
        grid: All cells.
        owner: Rank of each.
        coefficients: D of every species, µm²/s.
        short: Windows up to this length (s) need one exchange, longer ones more.
        communicator: All ranks.
        tolerance: What the series may leave out, relative to the field.
        volumes: Volume of every species.
    """
    whole = cable_diffusion(grid, coefficients, tolerance, volumes=volumes)
    if communicator.size == 1:
        return whole
    rounds = max(1, int(rounds_of(int(np.max(whole.series(np.array([short])).terms)))))
    depth = rounds * TERMS_PER_ROUND + 1
    neighbours = (grid.coupling != 0).astype(np.int8).tocsr()
    halos = [_halo(neighbours, owner, rank, depth) for rank in range(communicator.size)]
    own = np.flatnonzero(owner == communicator.rank)
    if not any(len(halo) for halo in halos):
        return cable_diffusion(grid.taken(own), coefficients, tolerance, whole.radius, volumes)
    mine = np.concatenate([own, halos[communicator.rank]])
    local = cable_diffusion(grid.taken(mine), coefficients, tolerance, whole.radius, volumes)
    plan = plan_exchange(messages_for_ghosts(owner, halos), communicator.rank)
    return SharedDiffusion(local, len(own), rounds, plan, communicator)


def _halo(neighbours: sparse.csr_matrix, owner: Int[ndarray, " N"], rank: int, depth: int) -> Int[ndarray, " h"]:
    """Cells of others within `depth` steps of a rank's own, increasing."""
    reached = owner == rank
    for _ in range(depth):
        grown = reached | (neighbours @ reached.astype(np.int64) > 0)
        if np.array_equal(grown, reached):
            break
        reached = grown
    return np.flatnonzero(reached & (owner != rank))
