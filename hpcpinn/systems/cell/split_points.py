"""Where the state of a split run lives on the pieces of a cell, and what is read out of it.

With the exact operator: on cells, one or more per piece, which are those of the result. With networks: at
the nodes of the pieces, as between coupled windows; the result's cells are averages of the polynomial
through them, probes its values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.polynomial.legendre import leggauss
from scipy import sparse

from hpcpinn.io.geometry import ProbeSite
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CYTOSOL, LUMEN
from hpcpinn.timestepping.cell_grid import CellGrid
from hpcpinn.training.collocation import lagrange

_GAUSS = 4
"""Nodes per output cell: exact for the cross-section times a polynomial of degree five."""


@dataclass(frozen=True)
class SplitPoints:
    """The points of one cell, piece after piece.

    Attributes:
        per_piece: Points of every piece.
        places: Piece and fraction along it of every point.
        volume: Volume that a point stands for, µm³, (N,).
        ratio: Membrane over volume, 1/µm.
        er_ratio: Membrane of the reticulum over both volumes that it parts (`ErRatio`), 1/µm, (2, N); None where no
            species lives in it.
        to_output: Means over the cells of the result, of what lives in a volume, by its name, (cells, N).
        to_probes: Values at the probes, (probes, N).
    """

    per_piece: int
    places: tuple[Int[ndarray, " N"], Float[ndarray, " N"]]
    volume: Float[ndarray, " N"]
    ratio: Float[ndarray, " N"]
    er_ratio: Float[ndarray, "2 N"] | None
    to_output: Mapping[str, sparse.csr_matrix]
    to_probes: sparse.csr_matrix

    @property
    def n(self) -> int:
        return len(self.volume)


def cell_points(grid: CellGrid, per: int, probes: Sequence[ProbeSite]) -> SplitPoints:
    """The middles of cells, `per` to a piece: what is written is what there is."""
    lumen = grid.lumen
    held = [p.piece * per + min(int(p.fraction * per), per - 1) for p in probes]
    ones = np.ones(len(held)), (np.arange(len(held)), np.array(held, int))
    return SplitPoints(
        per_piece=per,
        places=(np.repeat(np.arange(grid.n // per), per), np.tile((np.arange(per) + 0.5) / per, grid.n // per)),
        volume=grid.volume,
        ratio=grid.ratio,
        er_ratio=None if lumen is None else np.stack([lumen.ratio * lumen.volume / grid.volume, lumen.ratio]),
        to_output=dict.fromkeys((CYTOSOL, LUMEN), sparse.identity(grid.n, format="csr")),
        to_probes=sparse.csr_matrix(ones, (len(held), grid.n)),
    )


def node_points(
    pieces: Cable, nodes: int, per: int, probes: Sequence[ProbeSite], volumes: Sequence[str] = (CYTOSOL,)
) -> SplitPoints:
    """Gauss nodes on every piece.

    Args:
        pieces: Pieces of the cell.
        nodes: Number of nodes on each piece.
        per: Number of cells of the result in each piece.
        probes: Recorded places.
        volumes: Names of the volumes in which species live.
    """
    xi, weight = leggauss(nodes)
    share, weight = 0.5 * (xi + 1.0), 0.5 * weight
    n = pieces.n_frusta
    area = _area(pieces, share)
    radius, er = (_along(ends, share) for ends in (pieces.radius, pieces.er_radius))
    at_probes = lagrange(xi, np.array([2.0 * p.fraction - 1.0 for p in probes]))
    columns = np.array([p.piece for p in probes], int)[:, None] * nodes + np.arange(nodes)
    rows = np.repeat(np.arange(len(probes)), nodes)
    return SplitPoints(
        per_piece=nodes,
        places=(np.repeat(np.arange(n), nodes), np.tile(share, n)),
        volume=(pieces.length[:, None] * area * weight).ravel(),
        ratio=(2.0 * np.pi * radius / area).ravel(),
        er_ratio=np.stack([2.0 * np.pi * er / area, 2.0 / er]).reshape(2, -1) if LUMEN in volumes else None,
        to_output={volume: _averages(pieces.within(volume), xi, per) for volume in dict.fromkeys((CYTOSOL, *volumes))},
        to_probes=sparse.csr_matrix((at_probes.ravel(), (rows, columns.ravel())), (len(probes), n * nodes)),
    )


def _averages(pieces: Cable, xi: Float[ndarray, " X"], per: int) -> sparse.csr_matrix:
    """Volume averages over the output cells of the polynomial through the nodes."""
    inner, weight = leggauss(max(_GAUSS, -(-len(xi) // (2 * per)) + 2))
    first = np.arange(per)[:, None] / per
    share = (first + 0.5 * (inner + 1.0) / per).ravel()
    volume = _area(pieces, share).reshape(pieces.n_frusta, per, -1) * weight
    volume = volume / volume.sum(axis=2, keepdims=True)
    through = lagrange(xi, 2.0 * share - 1.0).reshape(per, len(inner), len(xi))
    blocks = np.einsum("pcg,cgx->pcx", volume, through)
    row = np.arange(pieces.n_frusta * per).reshape(-1, per, 1) + np.zeros((1, 1, len(xi)), int)
    column = np.arange(pieces.n_frusta)[:, None, None] * len(xi) + np.arange(len(xi)) + 0 * row
    shape = (pieces.n_frusta * per, pieces.n_frusta * len(xi))
    return sparse.csr_matrix((blocks.ravel(), (row.ravel(), column.ravel())), shape)


def _along(ends: Float[ndarray, "F 2"], share: Float[ndarray, " n"]) -> Float[ndarray, "F n"]:
    values: Float[ndarray, "F n"] = ends[:, :1] + share * (ends[:, 1:] - ends[:, :1])
    return values


def _area(pieces: Cable, share: Float[ndarray, " n"]) -> Float[ndarray, "F n"]:
    area: Float[ndarray, "F n"] = np.pi * (_along(pieces.radius, share) ** 2 - _along(pieces.er_radius, share) ** 2)
    return area
