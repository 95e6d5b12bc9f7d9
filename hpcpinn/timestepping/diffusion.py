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
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Shaped
from numpy import ndarray
from scipy import sparse, special

from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.timestepping.cell_grid import CellGrid
from hpcpinn.training.local import distinct

TERMS_PER_ROUND = 4
"""Of the series, in the loop: a round has a price of its own."""


Count = Array | np.integer | int


class Stencil(NamedTuple):
    """X = 1 + 2Λ/ρ: what a compartment has from itself and its neighbours in the list, and the rest.

    Compartments come section by section, so nearly all neighbours stand side by side: shifted arrays
    instead of gathers. What is left belongs to junctions.

    Attributes:
        own, before, after: Weights of a compartment itself, the one before it and the one after it, for the volume of
            every species, or for the one of all, (G, N).
        row, column: Places of all other entries, (R,).
        value: These entries, (G, R).
    """

    own: Float[Array, "G N"]
    before: Float[Array, "G N"]
    after: Float[Array, "G N"]
    row: Int[Array, " R"]
    column: Int[Array, " R"]
    value: Float[Array, "G R"]


class Series(NamedTuple):
    """Chebyshev coefficients of every window.

    Attributes:
        coefficients: Coefficients of the terms, (windows, terms, species), rows padded with zeros to whole rounds of
            the loop.
        terms: Terms that count, per window.
    """

    coefficients: Float[Array | ndarray, "K terms species"]
    terms: Int[Array | ndarray, " K"]

    def padded(self, more: int) -> "Series":
        """With some windows of no length at the end: one times the field, no term that counts. Traceable."""
        coefficients = longer_by(more, self.coefficients)
        if isinstance(coefficients, ndarray):
            coefficients[len(self.terms) :, 0] = 1.0
        else:
            coefficients = coefficients.at[len(self.terms) :, 0].set(1.0)
        return Series(coefficients, longer_by(more, self.terms))


def longer_by(
    more: int, x: Shaped[Array, " n *rest"] | Shaped[ndarray, " n *rest"]
) -> Shaped[Array, " m *rest"] | Shaped[ndarray, " m *rest"]:
    """The array with some rows of zeros at its end, on the host where it lies there."""
    pad = np.pad if isinstance(x, ndarray) else jnp.pad
    return pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1))


@dataclass(frozen=True)
class CableDiffusion:
    """Diffusion of several species on the same compartments.

    Attributes:
        stencil: X = 1 + 2Λ/ρ.
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

    def width(self, longest: float) -> int:
        """Terms of a row of windows up to a length, s."""
        return self.series(np.array([longest])).coefficients.shape[1]

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
        most = max(padded, values.shape[1])
        room = most - values.shape[1] + (1 - most) % TERMS_PER_ROUND
        values = np.pad(values, ((0, 0), (0, room), (0, 0)))
        return Series(values, terms)

    def __call__(
        self, fields: Float[Array, "species N"], coefficients: Float[ArrayLike, "terms species"], terms: Int[Array, ""]
    ) -> Float[Array, "species N"]:
        """The fields after the window that one row of `series` belongs to.

        By C. W. Clenshaw's recurrence, from the last term to the first: one array less than forwards.
        """
        rounds, nothing = rounds_of(terms), jnp.zeros_like(fields)
        sums = self.recur(fields, coefficients, (nothing, nothing), rounds, 0)
        return self.close(fields, coefficients, sums)

    def recur(
        self,
        fields: Float[Array, "species N"],
        coefficients: Float[ArrayLike, "terms species"],
        sums: tuple[Float[Array, "species N"], Float[Array, "species N"]],
        top: Count,
        bottom: Count,
    ) -> tuple[Float[Array, "species N"], Float[Array, "species N"]]:
        """Rounds of the recurrence, from above `top` down to above `bottom`: `TERMS_PER_ROUND` terms in each.

        A term looks one neighbour further.
        """
        coefficients = jnp.asarray(coefficients)  # on the host where `series` is used by itself

        def one_round(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            now, later = carry
            first = TERMS_PER_ROUND * (top - index)
            for n in range(TERMS_PER_ROUND):
                before = coefficients[first - n][:, None] * fields + 2.0 * self._shifted(now) - later
                now, later = before, now
            return now, later

        carried: tuple[Array, Array] = jax.lax.fori_loop(0, top - bottom, one_round, sums)
        return carried

    def close(
        self,
        fields: Float[Array, "species N"],
        coefficients: Float[ArrayLike, "terms species"],
        sums: tuple[Float[Array, "species N"], Float[Array, "species N"]],
    ) -> Float[Array, "species N"]:
        """The first term, which ends the recurrence."""
        return jnp.asarray(coefficients)[0][:, None] * fields + self._shifted(sums[0]) - sums[1]

    def _shifted(self, u: Float[Array, "species N"]) -> Float[Array, "species N"]:
        """X u."""
        s = self.stencil
        around = jnp.pad(u, ((0, 0), (1, 1)))
        out = s.own * u + s.before * around[:, :-2] + s.after * around[:, 2:]
        if not s.value.size:
            return out
        more = s.value * u.at[:, s.column].get(mode="promise_in_bounds")
        return out.at[:, s.row].add(more, mode="promise_in_bounds")


def rounds_of(terms: Count) -> Count:
    """Rounds of the recurrence for a series of so many terms, of which the first is not in a round."""
    return -(-(terms - 1) // TERMS_PER_ROUND)


def cable_diffusion(
    compartments: CellGrid,
    coefficients: Sequence[float],
    tolerance: float = 1e-10,
    radius: float | None = None,
    volumes: Sequence[str] = (CYTOSOL,),
) -> CableDiffusion:
    """The diffusion propagator of some compartments.

    Args:
        compartments: Geometry.
        coefficients: D of every species, µm²/s.
        tolerance: What may be left out, relative to the field.
        radius: ρ of all compartments, where these are only some of them.
        volumes: Volume of every species.
    """
    laplacians = [compartments.within(volume).laplacian for volume in distinct(volumes)]
    own = max(float(np.abs(laplacian.diagonal()).max(initial=0.0)) for laplacian in laplacians)
    radius = radius or 2.0 * own or 1.0
    identity = sparse.identity(compartments.n)
    stencils = [_stencil(((2.0 / radius * laplacian).tocsr() + identity).tocsr()) for laplacian in laplacians]
    first = stencils[0]
    assert all(np.array_equal(x.row, first.row) and np.array_equal(x.column, first.column) for x in stencils)
    parts = {name: np.stack([getattr(x, name) for x in stencils]) for name in ("own", "before", "after", "value")}
    stencil = Stencil(*jax.device_put(first._replace(**parts)))
    return CableDiffusion(stencil, radius, tuple(map(float, coefficients)), tolerance)


class _Entries(NamedTuple):
    """Those of one volume's matrix: `Stencil` without an axis of volumes, on the host."""

    own: Float[ndarray, " N"]
    before: Float[ndarray, " N"]
    after: Float[ndarray, " N"]
    row: Int[ndarray, " R"]
    column: Int[ndarray, " R"]
    value: Float[ndarray, " R"]


def _stencil(matrix: sparse.csr_matrix) -> _Entries:
    """A sparse matrix: three diagonals, and its other entries one by one."""
    before, after = (np.zeros(matrix.shape[0]) for _ in range(2))
    before[1:], after[:-1] = matrix.diagonal(-1), matrix.diagonal(1)
    entries = matrix.tocoo()
    apart = np.abs(entries.row - entries.col) > 1
    row, column = (x[apart].astype(np.int32) for x in (entries.row, entries.col))
    return _Entries(matrix.diagonal(), before, after, row, column, entries.data[apart])
