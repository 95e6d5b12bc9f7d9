"""Finite volumes on the cable graph: cells, exact geometry, the conservative diffusion operator."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable


@dataclass(frozen=True)
class Mesh:
    """Cells of equal length within each frustum, in the order of the frusta.

    Attributes:
        cable: One frustum per cell.
        frustum: Frustum of the original cable that holds each cell.
        fraction: Fractions of that frustum at which the cell starts and ends, (N, 2).
        volume: Cytosolic volume of each cell, exact for a frustum, µm³.
        membrane: Membrane area ∫2πa ds of each cell, µm².
        half: Conductance from each end of a cell to its middle, 1/∫ds/A, µm.
        coupling: Symmetric weights w_ij between cells, µm: the flux into cell i is
            D Σ_j w_ij (u_j − u_i). Rows of the matrix sum to zero.
    """

    cable: Cable
    frustum: Int[ndarray, " N"]
    fraction: Float[ndarray, "N 2"]
    volume: Float[ndarray, " N"]
    membrane: Float[ndarray, " N"]
    half: Float[ndarray, "N 2"]
    coupling: sparse.csr_matrix

    @property
    def n_cells(self) -> int:
        return len(self.volume)

    @property
    def middle(self) -> Float[ndarray, " N"]:
        """Fraction of its frustum at which the middle of each cell lies."""
        fraction: Float[ndarray, " N"] = self.fraction.mean(axis=1)
        return fraction

    def share(self, frustum: int, first: float, last: float) -> Float[ndarray, " N"]:
        """Part of each cell's membrane that lies between two fractions of one frustum."""
        start, end = self.fraction.T
        low, high = np.maximum(start, first), np.minimum(end, last)
        inside = (self.frustum == frustum) & (high > low)
        radius = self.cable.radius
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y = (low - start) / (end - start), (high - start) / (end - start)
            mean = (x + y) / 2.0
            here = radius[:, 0] + (radius[:, 1] - radius[:, 0]) * mean
            part = (y - x) * here / radius.mean(axis=1)
        return np.where(inside, part, 0.0)

    def averages(self, parts: int) -> sparse.csr_matrix:
        """Averages over equal parts of every frustum, (frusta·parts, N).

        From several cells per part by volume; from several parts per cell by the parabola in each
        cell that has the cell's average and the values at its ends.

        Raises:
            InputError: Neither divides the other.
        """
        cells = np.bincount(self.frustum)
        if not np.any(cells % parts):
            within = np.arange(self.n_cells) - (np.cumsum(cells) - cells)[self.frustum]
            group = self.frustum * parts + within // (cells // parts)[self.frustum]
            share = self.volume / np.bincount(group, self.volume)[group]
            entries = share, (group, np.arange(self.n_cells))
            return sparse.csr_matrix(entries, (len(cells) * parts, self.n_cells))
        if cells.min() == cells.max() and parts % cells[0] == 0:
            return self._parts(parts // int(cells[0]))
        raise InputError(f"reference: {cells.min()} cells of a frustum cannot be averaged over {parts} parts")

    def points(self, frustum: Int[ndarray, " P"], fraction: Float[ndarray, " P"]) -> sparse.csr_matrix:
        """Values at points of the original cable, (P, N), second order.

        Linear between the middle of a cell and its ends.
        """
        first = np.searchsorted(self.frustum, frustum)
        count = np.searchsorted(self.frustum, frustum, side="right") - first
        along = np.asarray(fraction) * count
        within = np.clip(along.astype(int), 0, count - 1)
        cell, x = first + within, along - within
        side = np.where(x < 0.5, 0, 1)
        outward = np.abs(2.0 * x - 1.0)
        own = sparse.eye(self.n_cells, format="csr")[cell]
        node = self._at_nodes()[self.cable.node[cell, side]]
        return (sparse.diags(1.0 - outward) @ own + sparse.diags(outward) @ node).tocsr()

    def _parts(self, count: int) -> sparse.csr_matrix:
        x = np.arange(count + 1) / count
        hump = np.diff(3.0 * x**2 - 2.0 * x**3) * count  # 6x(1 − x), which has the average one
        rise = np.diff(x**2) / 2.0 * count
        at_ends = [self._at_nodes()[self.cable.node[:, side]] for side in (0, 1)]
        shares = ((1.0 - rise - hump / 2.0, at_ends[0]), (rise - hump / 2.0, at_ends[1]))
        own = sparse.kron(sparse.eye(self.n_cells), hump[:, None])
        return sum((sparse.kron(value, share[:, None]) for share, value in shares), own).tocsr()

    def _at_nodes(self) -> sparse.csr_matrix:
        """Values at the nodes, (nodes, N): those that balance the fluxes of the cells around."""
        ends, half = self.cable.node.ravel(), self.half.ravel()
        total = np.bincount(ends, half)
        entries = half / total[ends], (ends, np.arange(2 * self.n_cells) // 2)
        return sparse.csr_matrix(entries, (len(total), self.n_cells))

    def inlet(self, node: int, area: float | None = None) -> tuple[Int[ndarray, " n"], Float[ndarray, " n"]]:
        """Cells that share what is let in at a node, and how many µm² of it each one gets.

        The node stores nothing, so an amount I splits by conductance: I w_i / Σ w.

        Args:
            node: Node of the original cable.
            area: Cross-section; by default that of the free end.

        Raises:
            InputError: Where several frusta meet at the node and no area is given, or none does.
        """
        cell, side = np.nonzero(self.cable.node == node)
        if len(cell) != 1 and (area is None or not len(cell)):
            raise InputError(f"flux at node {node}: {len(cell)} frusta meet there; name a free end or give its area")
        if area is None:
            a, e = self.cable.radius[cell[0], side[0]], self.cable.er_radius[cell[0], side[0]]
            area = np.pi * (a * a - e * e)
        weight = self.half[cell, side]
        return cell, area * weight / weight.sum()


def make_mesh(cable: Cable, cells: int | Sequence[int] | Int[ndarray, " F"]) -> Mesh:
    """Cuts every frustum into equal cells and builds the diffusion operator.

    Args:
        cable: The geometry; its frusta may themselves be graded.
        cells: Number of cells per frustum, one number or one per frustum.
    """
    count = np.broadcast_to(np.asarray(cells, int), (cable.n_frusta,))
    if count.min() < 1:
        raise InputError(f"cells per frustum is {count.min()}; give at least 1")
    frustum = np.repeat(np.arange(cable.n_frusta), count)
    first = np.concatenate([np.arange(n) / n for n in count])
    last = np.concatenate([np.arange(1, n + 1) / n for n in count])
    fine = cable.split([np.arange(1, n) / n for n in count])
    half = _half_conductance(fine)
    return Mesh(
        cable=fine,
        frustum=frustum,
        fraction=np.stack([first, last], axis=1),
        volume=fine.volume,
        membrane=fine.membrane,
        half=half,
        coupling=_coupling(fine.node, half),
    )


def _coupling(ends: Int[ndarray, "N 2"], half: Float[ndarray, "N 2"]) -> sparse.csr_matrix:
    """Half-cell conductances meet at nodes without storage; the node values are eliminated.

    With weights w_i from the cells around a node, the balance Σ w_i (u_i − ū) = 0 gives
    ū, and what remains between two cells is w_i w_j / Σ w: for two cells the series rule, for
    a branch point the star-mesh rule.
    """
    n_cells = len(ends)
    end = np.argsort(ends.ravel(), kind="stable")
    node = ends.ravel()[end]
    first = np.flatnonzero(np.r_[True, node[1:] != node[:-1]])
    degree = np.diff(np.r_[first, len(node)])
    rows, columns, weights = [], [], []
    for k in np.unique(degree[degree > 1]):
        around = end[first[degree == k][:, None] + np.arange(k)]
        cell, w = around // 2, half.ravel()[around]
        pair = w[:, :, None] * w[:, None, :] / w.sum(axis=1)[:, None, None]
        i, j = np.nonzero(~np.eye(k, dtype=bool))
        rows.append(cell[:, i].ravel())
        columns.append(cell[:, j].ravel())
        weights.append(pair[:, i, j].ravel())
    if not rows:
        return sparse.csr_matrix((n_cells, n_cells))
    i, j, w = (np.concatenate(x) for x in (rows, columns, weights))
    matrix = sparse.csr_matrix((w, (i, j)), (n_cells, n_cells))
    return (matrix - sparse.diags(np.asarray(matrix.sum(axis=1)).ravel())).tocsr()


def _half_conductance(cable: Cable) -> Float[ndarray, "N 2"]:
    """1/∫ds/A from each end of a cell to its middle, exact where a and r_ER are linear.

    A = π (a − e)(a + e) is a product p·q of two linear functions, so the integral over a length
    l is l/π · log(q₁p₀ / q₀p₁) / (q₁p₀ − q₀p₁); without a reticulum it is l/(π a₀ a₁).
    """
    a, e = cable.radius, cable.er_radius
    if np.any(a <= e):
        row = int(np.argmax(np.any(a <= e, axis=1)))
        raise InputError(f"frustum {row}: the reticulum (radius {e[row]}) reaches the membrane")
    middle = slice(None), None
    inner, outer = a - e, a + e
    p = np.stack([inner[:, 0], inner.mean(axis=1), inner[:, 1]], axis=1)
    q = np.stack([outer[:, 0], outer.mean(axis=1), outer[:, 1]], axis=1)
    small = q[:, :2] * p[:, 1:]
    z = (q[:, 1:] * p[:, :2] - small) / small
    ratio = np.where(np.abs(z) < 1e-9, 1.0 - z / 2.0, np.log1p(z) / np.where(z == 0.0, 1.0, z))
    reach: Float[ndarray, "N 2"] = np.pi * small / (0.5 * cable.length[middle] * ratio)
    return reach
