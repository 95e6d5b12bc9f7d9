"""``hpcpinn partition``: how a cell would be shared among ranks, without solving anything."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.domain.partition import BALANCE, Partition, partition, refined_for
from hpcpinn.domain.pieces import PieceRule, cut_into_pieces
from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.morphology.swc import read_swc
from hpcpinn.systems.cell.config.schema import MorphologyConfig, PiecesConfig

MOST_RANKS = 65_535
"""Ranks beyond those of any cluster, which would only be waited for."""

_PIECES_PER_RANK = 24
"""Fewest pieces per rank with which whole pieces can be shared evenly."""


@dataclass(frozen=True)
class SharedCell:
    """A cell, cut into pieces and shared.

    Attributes:
        cable: The pieces.
        partition: Who owns them.
        n_pieces_of_run: Pieces that a run makes; fewer than here where they had to be cut finer.
        warnings: What the reader of the file wants the user to know.
    """

    cable: Cable
    partition: Partition
    n_pieces_of_run: int
    warnings: tuple[str, ...]

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


def share_cell(morphology: MorphologyConfig, n: int, rule: PiecesConfig | None = None) -> SharedCell:
    """Cuts a cell into pieces as a run without sources would, and shares them among `n` ranks.

    Where there are too few pieces to share them evenly the pieces are cut finer, so that interfaces
    between ranks come to lie inside sections.

    Raises:
        InputError: The file cannot be read, or `n` is not between 1 and `MOST_RANKS`.
    """
    if n < 1:
        raise InputError(f"-n {n}: cannot share a cell among {n} ranks; use at least 1")
    if n > MOST_RANKS:
        raise InputError(f"-n {n}: cannot share a cell among {n} ranks; use at most {MOST_RANKS}")
    pieces, warnings = cut_cell(morphology, rule or PiecesConfig())
    return share_pieces(pieces, n, warnings)


def cut_cell(morphology: MorphologyConfig, rule: PiecesConfig) -> tuple[Cable, tuple[str, ...]]:
    """The pieces of a cell without sources, and the warnings of the file's reader.

    Raises:
        InputError: The file cannot be read.
    """
    tree = read_swc(morphology_path(morphology.file), units=morphology.units)
    cable, _ = cable_from_swc(
        tree,
        soma=morphology.soma,
        merge_below=morphology.merge_below,
        er_fraction=morphology.er_fraction,
        er_radius=morphology.er_radius,
    )
    lengths = PieceRule(rule.max_length, rule.source_length, rule.growth)
    return cut_into_pieces(cable, [], [], lengths).cable, tree.warnings


def share_pieces(pieces: Cable, n: int, warnings: tuple[str, ...] = ()) -> SharedCell:
    """Shares pieces among `n` ranks, cut finer where whole ones cannot be shared evenly."""
    n_pieces_of_run = pieces.n_frusta
    pieces = refined_for(pieces, n)
    shares = partition(pieces, piece_cost(pieces), n)
    if shares.imbalance > BALANCE:
        pieces = refined_for(pieces, _PIECES_PER_RANK * n)
        shares = partition(pieces, piece_cost(pieces), n)
    return SharedCell(pieces, shares, n_pieces_of_run, warnings)


def piece_cost(cable: Cable) -> Float[ndarray, " F"]:
    """Cost of every piece: the same for all, since all have the same collocation points."""
    return np.ones(cable.n_frusta)
