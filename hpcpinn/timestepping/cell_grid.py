"""The cable as compartments for split windows: volumes, membrane, and what diffuses between them.

Every frustum of the cable is one compartment; refine the cable first (`Cable.split`) for a finer
grid. Between middles the flux through a node without storage: conductances 1/∫ds/A of the half
compartments around it, in star (EQUATIONS §1, junctions).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CYTOSOL, LUMEN


@dataclass(frozen=True)
class CellGrid:
    """Geometry of split windows.

    Attributes:
        volume: Volume of every compartment, µm³, (N,).
        ratio: Membrane over volume σ, 1/µm.
        coupling: Symmetric weights w_ij in µm, rows sum to zero: D Σ_j w_ij u_j is what diffuses
            into compartment i.
        lumen: Grid within the reticulum, with its own membrane over volume; None where no species lives in it.
    """

    volume: Float[ndarray, " N"]
    ratio: Float[ndarray, " N"]
    coupling: sparse.csr_matrix
    lumen: "CellGrid | None" = None

    @property
    def n(self) -> int:
        return len(self.volume)

    @property
    def laplacian(self) -> sparse.csr_matrix:
        """Λ with (Λu)_i ≈ (1/A) ∂s(A ∂s u), 1/µm²."""
        return (sparse.diags(1.0 / self.volume) @ self.coupling).tocsr()

    def within(self, volume: str) -> "CellGrid":
        """The grid of a volume.

        Raises:
            KeyError: There is no such volume.
        """
        found = {CYTOSOL: self, LUMEN: self.lumen}[volume]
        if found is None:
            raise KeyError(volume)
        return found

    def taken(self, cells: Int[ndarray, " n"]) -> "CellGrid":
        """Some of the compartments, and what couples them."""
        coupling = self.coupling[cells][:, cells].tocsr()
        return CellGrid(self.volume[cells], self.ratio[cells], coupling, self.lumen and self.lumen.taken(cells))


def cell_grid(cable: Cable, volumes: Sequence[str] = (CYTOSOL,)) -> CellGrid:
    """One compartment per frustum.

    Args:
        cable: The cable.
        volumes: Names of the volumes in which species live.

    Raises:
        InputError: A frustum has no volume, no length, or is filled by its reticulum.
    """
    inner, outer = cable.radius - cable.er_radius, cable.radius + cable.er_radius
    if np.any(inner <= 0.0) or np.any(cable.length <= 0.0):
        row = int(np.argmax(np.any(inner <= 0.0, axis=1) | (cable.length <= 0.0)))
        raise InputError(
            f"frustum {row}: length {cable.length[row]:g} µm, radii {cable.radius[row]} µm, reticulum "
            f"{cable.er_radius[row]} µm leave no volume; repair the morphology"
        )
    conductance = _half_conductance(cable.length, inner, outer)
    lumen = cell_grid(cable.within(LUMEN)) if LUMEN in volumes else None
    coupling = _star_coupling(cable.node, conductance, cable.n_nodes)
    return CellGrid(cable.volume, cable.membrane / cable.volume, coupling, lumen)


def _half_conductance(
    length: Float[ndarray, " F"], inner: Float[ndarray, "F 2"], outer: Float[ndarray, "F 2"]
) -> Float[ndarray, "F 2"]:
    """1/∫ds/A from both ends to the middle, A = π·inner·outer with both factors linear in s.

    ∫ds/(pq) over a length l is l log(1 + x)/x /(p₀q₁) with x = p₁q₀/(p₀q₁) − 1.
    """
    p_mid, q_mid = inner.mean(axis=1, keepdims=True), outer.mean(axis=1, keepdims=True)
    start = inner * q_mid
    x = p_mid * outer / start - 1.0
    safe = np.where(np.abs(x) < 1e-8, 1.0, x)
    mean = np.where(np.abs(x) < 1e-8, 1.0 - 0.5 * x, np.log1p(x) / safe)
    conductance: Float[ndarray, "F 2"] = np.pi * start / (0.5 * length[:, None] * mean)
    return conductance


def _star_coupling(node: Int[ndarray, "F 2"], conductance: Float[ndarray, "F 2"], n_nodes: int) -> sparse.csr_matrix:
    """w_ij = g_i g_j / Σg at every node: the node's own value eliminated."""
    n = len(node)
    ends = node.ravel()
    owner = np.repeat(np.arange(n), 2)
    incidence = sparse.csr_matrix((conductance.ravel(), (owner, ends)), (n, n_nodes))
    total = np.bincount(ends, conductance.ravel(), minlength=n_nodes)
    full = (incidence @ sparse.diags(1.0 / np.maximum(total, 1e-300)) @ incidence.T).tocsr()
    full.setdiag(0.0)
    full.eliminate_zeros()
    return (full - sparse.diags(np.asarray(full.sum(axis=1)).ravel())).tocsr()
