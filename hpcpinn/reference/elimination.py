"""Direct solves on the tree: banded elimination along unbranched runs, a small system between them.

Elimination in tree order makes no fill, so a solve costs a few operations per cell. Here the
runs are factorised together as one banded matrix by LAPACK; what is left couples the branch
points only.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse.linalg import splu

from hpcpinn.errors import SolveError
from hpcpinn.reference.mesh import Mesh


class TreeElimination:
    """Solves (R − D ∇·A∇/V) x = r for K species, R a K×K block per cell that changes.

    Species of a cell lie side by side in x, so that the matrix has K diagonals on either side of its own.

    Args:
        meshes: The cells as every species has them: of the volume that it lives in.
        diffusion: D of every species.
    """

    def __init__(self, meshes: Sequence[Mesh], diffusion: Sequence[float]):
        n, K = meshes[0].n_cells, len(diffusion)
        self._n, self._species = n, K
        node = meshes[0].cable.node
        half, volume = (np.stack([getattr(mesh, name) for mesh in meshes], axis=-1) for name in ("half", "volume"))
        degree = np.bincount(node.ravel())
        linked = np.r_[(node[:-1, 1] == node[1:, 0]) & (degree[node[:-1, 1]] == 2), False]
        first = np.flatnonzero(~np.r_[False, linked[:-1]])
        last = np.flatnonzero(~linked)
        self._length = last - first + 1
        D = np.asarray(diffusion)

        series = np.zeros((n, K))
        i = np.flatnonzero(linked)
        series[i] = half[i, 1] * half[i + 1, 0] / (half[i, 1] + half[i + 1, 0])
        # Ends of runs that meet other runs: row 0 the starts, row 1 the ends.
        cell = np.stack([first, last])
        at = np.stack([node[first, 0], node[last, 1]])
        weight = np.stack([half[first, 0], half[last, 1]])
        weight[degree[at] < 2] = 0.0
        diagonal = series + np.concatenate([np.zeros((1, K)), series[:-1]])
        np.add.at(diagonal, cell.ravel(), weight.reshape(-1, K))

        self._band = np.zeros((3 * K + 1, K * n), order="F")
        self._band[2 * K] = (diagonal / volume * D).ravel()
        self._band[K, K:] = (-series[:-1] / volume[:-1] * D).ravel()
        self._band[3 * K, :-K] = (-series[:-1] / volume[1:] * D).ravel()
        self._set_junctions(cell, at, weight, volume, D)

    def _set_junctions(
        self,
        cell: Int[ndarray, "2 R"],
        at: Int[ndarray, "2 R"],
        weight: Float[ndarray, "2 R K"],
        volume: Float[ndarray, "N K"],
        D: Float[ndarray, " K"],
    ) -> None:
        K = len(D)
        meets = np.any(weight > 0.0, axis=-1)
        nodes, first_seen, which = np.unique(at[meets], return_index=True, return_inverse=True)
        # Later runs first: children are eliminated before their parents.
        rank = np.empty(len(nodes), int)
        rank[np.argsort(-first_seen)] = np.arange(len(nodes))
        # Ends that meet nothing are given to one junction too many, which stays at zero.
        self._n_junctions = len(nodes)
        self._junction = np.full(at.shape, len(nodes))
        self._junction[meets] = rank[which]
        self._weight = weight
        self._rows = K * cell[:, :, None] + np.arange(K)
        # Columns: (start, end) × species; a run touches only its own rows.
        self._columns = np.zeros((len(volume) * K, 2 * K), order="F")
        for end, s in np.ndindex(2, K):
            entry = -D[s] * weight[end, :, s] / volume[cell[end], s]
            self._columns[self._rows[end, :, s], K * end + s] = entry
        # Balance at a junction, Σ w (ū − x) = 0, with x = (what r gives) − columns · ū.
        equation = K * self._junction[:, :, None] + np.arange(K)
        shape = (2, equation.shape[1], K, 2, K)
        row = np.broadcast_to(equation[:, :, :, None, None], shape)
        column = np.broadcast_to(np.moveaxis(equation, 1, 0)[None, :, None], shape)
        self._equation = equation.ravel()
        self._inner = (row.ravel(), column.ravel())

    def factor(self, block: Float[ndarray, "K K N"]) -> Callable[[Float[ndarray, " KN"]], Float[ndarray, " KN"]]:
        """Factorises for one R and returns the solve.

        Args:
            block: R of every cell: how the equation of the first species depends on the second.

        Raises:
            SolveError: The matrix is singular, or holds what is no number.
        """
        K = self._species
        band = self._band.copy(order="F")
        for row, column in np.ndindex(K, K):
            band[2 * K + row - column, column::K] += block[row, column]
        lu, pivots, info = lapack.dgbtrf(band, K, K, overwrite_ab=True)
        if info != 0:
            raise SolveError("reference: the linear system is singular or not finite")

        def along(right: ndarray) -> ndarray:
            solution: ndarray = lapack.dgbtrs(lu, K, K, right, pivots)[0]
            return solution

        if not self._n_junctions:
            return along
        columns = along(self._columns)
        joints = splu(self._joints(columns), permc_spec="NATURAL", diag_pivot_thresh=0.0,
                      options={"SymmetricMode": True})  # fmt: skip
        runs = [(columns[:, K * end + s], end, s) for end, s in np.ndindex(2, K)]

        def solve(right: ndarray) -> ndarray:
            x = along(right)
            u = joints.solve(self._gather(x)).reshape(-1, K)
            for column, end, s in runs:
                x -= column * np.repeat(u[self._junction[end], s], K * self._length)
            return x

        return solve

    def _gather(self, x: Float[ndarray, " KN"]) -> Float[ndarray, " KJ"]:
        flux = self._weight * x[self._rows]
        return np.bincount(self._equation, flux.ravel(), self._species * (self._n_junctions + 1))

    def _joints(self, columns: Float[ndarray, "KN both"]) -> sparse.csc_matrix:
        K = self._species
        size = K * (self._n_junctions + 1)
        inner = self._weight[..., None] * columns[self._rows]
        own = np.bincount(self._equation, self._weight.ravel(), size)
        own[-K:] = 1.0
        diagonal = np.arange(size)
        data = np.r_[inner.ravel(), own]
        row, column = np.r_[self._inner[0], diagonal], np.r_[self._inner[1], diagonal]
        return sparse.csc_matrix((data, (row, column)), (size, size))
