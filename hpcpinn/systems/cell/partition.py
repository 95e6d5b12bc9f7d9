"""``hpcpinn partition``: how a cell would be shared among ranks, without solving anything."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.domain.partition import BALANCE, Partition, partition, refined_for
from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable

MOST_RANKS = 65_535
"""Ranks beyond those of any cluster, which would only be waited for."""

_PIECES_PER_RANK = 24
"""Fewest pieces per rank with which whole pieces can be shared evenly."""


@dataclass(frozen=True)
class SharedCell:
    """A cell, cut into pieces and shared.

    Attributes:
        cable: The pieces.
        partition: Owners of the pieces.
        n_pieces_of_run: Pieces that a run makes; fewer than here where they had to be cut finer.
    """

    cable: Cable
    partition: Partition
    n_pieces_of_run: int

    def figures(self) -> dict[str, object]:
        """The partition in numbers, ready for JSON."""
        shares = self.partition
        owned = np.bincount(shares.owner, minlength=shares.n)
        length = np.bincount(shares.owner, weights=self.cable.length, minlength=shares.n)
        return {
            "ranks": shares.n,
            "imbalance": shares.imbalance,
            "cuts": shares.cuts,
            "interfaces": shares.interfaces,
            "subdomains": shares.n_subdomains,
            "connected_imbalance": shares.connected_imbalance,
            "pieces": self.cable.n_frusta,
            "pieces_per_rank": owned.tolist(),
            "length_um_per_rank": length.tolist(),
        }


def share_pieces(pieces: Cable, n: int) -> SharedCell:
    """Shares the pieces of a cell among `n` ranks.

    Where there are too few of them to share them evenly they are cut finer, so that interfaces between ranks come to
    lie inside sections.

    Args:
        pieces: Pieces as a run without sources cuts them.
        n: Number of ranks.

    Raises:
        InputError: `n` is not between 1 and `MOST_RANKS`.
    """
    if not 1 <= n <= MOST_RANKS:
        most = "at least 1" if n < 1 else f"at most {MOST_RANKS}"
        raise InputError(f"-n {n}: cannot share a cell among {n} ranks; use {most}")
    n_pieces_of_run = pieces.n_frusta
    pieces = refined_for(pieces, n)
    shares = partition(pieces, piece_cost(pieces), n)
    if shares.imbalance > BALANCE:
        pieces = refined_for(pieces, _PIECES_PER_RANK * n)
        shares = partition(pieces, piece_cost(pieces), n)
    return SharedCell(pieces, shares, n_pieces_of_run)


def piece_cost(cable: Cable) -> Float[ndarray, " F"]:
    """Cost of every piece: the same for all, since all have the same collocation points."""
    return np.ones(cable.n_frusta)
