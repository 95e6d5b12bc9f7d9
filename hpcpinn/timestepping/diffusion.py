"""Diffusion over a window by the exact cable operator: e^{hDΛ} as a Chebyshev series.

The spectrum of Λ lies in [−ρ, 0] with ρ from Gershgorin's circles, so with X = 1 + 2Λ/ρ

    e^{hDΛ} = Σ_n c_n T_n(X),   c_0 = e^{−z}I_0(z),  c_n = 2e^{−z}I_n(z),   z = hDρ/2,

and what is left out of the series is known beforehand. The work is O(compartments) per term and
the number of terms grows with √z; nothing is factored, and windows of any length cost nothing to
prepare. Compartments of neurons are long against √(D h): a few terms give all digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import sparse, special

from hpcpinn.timestepping.cell_grid import CellGrid

_WIDTH = 3
"""Entries of a row that are gathered; rows of more neighbours add the rest one by one."""


class Stencil(NamedTuple):
    """Λ in padded rows, and the entries that did not fit.

    Attributes:
        column, value: (N, width).
        row_of_rest, column_of_rest, value_of_rest: (R,).
    """

    column: Int[Array, "N width"]
    value: Float[Array, "N width"]
    row_of_rest: Int[Array, " R"]
    column_of_rest: Int[Array, " R"]
    value_of_rest: Float[Array, " R"]


class Series(NamedTuple):
    """Chebyshev coefficients of every window.

    Attributes:
        coefficients: (windows, terms, species), rows padded with zeros.
        terms: Terms that count, per window.
    """

    coefficients: Float[Array, "K terms species"]
    terms: Int[Array, " K"]

    def padded(self, more: int) -> "Series":
        """With some windows of no length at the end: one times the field, no term that counts."""
        coefficients = jnp.pad(self.coefficients, ((0, more), (0, 0), (0, 0)))
        coefficients = coefficients.at[len(self.terms) :, 0].set(1.0)
        return Series(coefficients, jnp.pad(self.terms, (0, more)))


@dataclass(frozen=True)
class CableDiffusion:
    """Diffusion of several species on the same compartments.

    Attributes:
        stencil: X − diagonal part and all: 1 + 2Λ/ρ.
        radius: ρ, 1/µm².
        coefficients: D of every species, µm²/s.
        tolerance: What may be left out of the series, relative to the field.
    """

    stencil: Stencil
    radius: float
    coefficients: tuple[float, ...]
    tolerance: float = 1e-10

    @property
    def stored(self) -> tuple[()]:
        """Nothing that windows share beside the operator itself."""
        return ()

    def series(self, lengths: Float[ndarray, " K"], padded: int = 0) -> Series:
        """Coefficients for windows of the given lengths (s), rows padded to a length. Host side.

        Each row sums to one, so a uniform field stays and content is kept to round-off.
        """
        z = 0.5 * self.radius * np.outer(lengths, self.coefficients)
        most = int(20 + z.max(initial=0.0) + 8.0 * np.sqrt(z.max(initial=0.0)))
        most = min(most, int(20 + 12.0 * np.sqrt(z.max(initial=0.0) + 1.0)))
        order = np.arange(most)[:, None]
        values = special.ive(order, z[:, None, :]) * np.where(order == 0, 1.0, 2.0)
        tail = np.cumsum(values[:, ::-1], axis=1)[:, ::-1].max(axis=2)  # left out from n on
        terms = np.maximum((tail > self.tolerance).sum(axis=1), 2)
        values = values[:, : terms.max(initial=2)]
        kept = np.arange(values.shape[1]) < terms[:, None]
        values = values * kept[:, :, None]
        values = values / values.sum(axis=1, keepdims=True)
        values = np.pad(values, ((0, 0), (0, max(0, padded - values.shape[1])), (0, 0)))
        return Series(jnp.asarray(values), jnp.asarray(terms))

    def __call__(
        self, fields: Float[Array, "species N"], coefficients: Float[Array, "terms species"], terms: Array
    ) -> Float[Array, "species N"]:
        """The fields after the window that one row of `series` belongs to."""

        def next_term(n: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            before, now, total = carry
            after = 2.0 * self._shifted(now) - before
            return now, after, total + coefficients[n][:, None] * after

        first = self._shifted(fields)
        total = coefficients[0][:, None] * fields + coefficients[1][:, None] * first
        return jax.lax.fori_loop(2, terms, next_term, (fields, first, total))[2]

    def _shifted(self, u: Float[Array, "species N"]) -> Float[Array, "species N"]:
        """X u."""
        s = self.stencil
        out = jnp.einsum("nw,knw->kn", s.value, u[:, s.column])
        if not s.value_of_rest.size:
            return out
        return out.at[:, s.row_of_rest].add(s.value_of_rest * u[:, s.column_of_rest])


def cable_diffusion(
    compartments: CellGrid,
    coefficients: Sequence[float],
    tolerance: float = 1e-10,
    radius: float | None = None,
) -> CableDiffusion:
    """The diffusion propagator of some compartments.

    Args:
        compartments: Geometry.
        coefficients: D of every species, µm²/s.
        tolerance: What may be left out, relative to the field.
        radius: ρ of all compartments, where these are only some of them.
    """
    laplacian = compartments.laplacian
    radius = radius or 2.0 * float(np.abs(laplacian.diagonal()).max(initial=0.0)) or 1.0
    shifted = (2.0 / radius * laplacian).tocsr()
    shifted = (shifted + sparse.identity(compartments.n)).tocsr()
    return CableDiffusion(_stencil(shifted), radius, tuple(map(float, coefficients)), tolerance)


def _stencil(matrix: sparse.csr_matrix) -> Stencil:
    """Rows of a sparse matrix, the largest entries of each padded to one width."""
    entries = matrix.tocoo()
    order = np.lexsort((-np.abs(entries.data), entries.row))
    row, column, value = entries.row[order], entries.col[order], entries.data[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    fits = place < _WIDTH
    columns = np.repeat(np.arange(matrix.shape[0])[:, None], _WIDTH, axis=1)
    values = np.zeros(columns.shape)
    columns[row[fits], place[fits]] = column[fits]
    values[row[fits], place[fits]] = value[fits]
    rest = (row[~fits], column[~fits], value[~fits])
    return Stencil(jnp.asarray(columns), jnp.asarray(values), *map(jnp.asarray, rest))
