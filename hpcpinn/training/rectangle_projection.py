"""Trains the trunks that all rectangles share: Levenberg-Marquardt with the heads projected out.

As `variable_projection` does on cables: for every trunk the best heads are a least-squares problem per piece,
so the sum of squares is a function of the trunks' parameters θ alone, along a side and in time, and its
Gauss-Newton matrix is Σ_pieces J_θᵀ (1 − J_a N⁻¹ J_aᵀ) J_θ with the normal matrix N = J_aᵀ J_a of the
heads. No J_a is ever formed: N is factorised per kind of piece, as for the window's own solve, and rows are
products over the axes. Only what the features span counts, so they may be made orthonormal at every θ
without a share in the derivatives.

All kinds of axis, free or flat at walls, have one θ: where walls are, the slope is projected away at every θ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from hpcpinn.networks.axis import AxisFeatures, AxisTrunk, hidden_features, mirrored, remixed, without_slopes
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import Grid
from hpcpinn.training.least_squares import RowWeights, normal_solved
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt, Quadratic, Watch, unwatched
from hpcpinn.training.local import EdgeRows
from hpcpinn.training.rectangle_squares import RectangleRows, factors, weighted_rows
from hpcpinn.training.rectangles import (
    NO_WALL,
    SIDES,
    TWO_WALLS,
    WALL_FIRST,
    WALL_LAST,
    RectangleData,
    RectangleGeometry,
    RectangleTable,
    tabulated,
)

_HEAD_STEPS = 2
"""Gauss-Newton steps on the heads per θ; the first is all a linear source needs, but for round-off."""


class Piece(NamedTuple):
    """One piece in the window that the trunks learn from; leaves of all pieces are (P, ...).

    Attributes:
        walls: Kind of both axes.
        kind: Row in the factors.
        edges: What the sides receive and send.
        initial: The field at the start.
        robin_in: Robin data that the sides receive, (4, K, N).
    """

    walls: Int[Array, " 2"]
    kind: Int[Array, ""]
    edges: EdgeRows
    initial: Float[Array, "K X X"]
    robin_in: Float[Array, "4 K N"]


class ProductFeatures(NamedTuple):
    """All through which the rows depend on θ; the first axis of those in space is the kind of a side's axis.

    Attributes:
        line, ends, time: Features along a side, at its ends and in time in some basis, as in `RectangleTable`.
        borders: Features at both ends of time.
    """

    line: AxisFeatures
    ends: AxisFeatures
    time: AxisFeatures
    borders: AxisFeatures


class Basis(NamedTuple):
    """A change of basis of the features of every kind of axis, and of those in time.

    It does not change what is spanned, so it is held where derivatives are taken.
    """

    space: Float[Array, "4 M M"]
    time: Float[Array, "L L"]

    def of(self, features: ProductFeatures) -> ProductFeatures:
        """The features in this basis."""
        line, ends = (AxisFeatures(*(part @ self.space for part in side)) for side in features[:2])
        time, borders = (AxisFeatures(*(part @ self.time for part in side)) for side in features[2:])
        return ProductFeatures(line, ends, time, borders)


class HeadFit(NamedTuple):
    """The rectangles of a rank with their best heads at some θ.

    Attributes:
        basis: Basis in which the features are orthonormal at the nodes.
        lower: Cholesky factors of the normal matrices, see `factors`.
        heads: Best heads, (P, K, M, M, L).
        squares: Sum of squares over all ranks.
    """

    basis: Basis
    lower: Float[Array, "C N N"]
    heads: Float[Array, "P K M M L"]
    squares: Float[Array, ""]


@dataclass(frozen=True)
class SharedAxes:
    """The sum of squares of all rectangles of all ranks as a function of θ. Collective over all ranks.

    Attributes:
        equation, geometry, edges, weights: Equation, pieces, what their sides receive and send, and weights of rows, as
            in the window's solver.
        table: Features of the trunks to start from; their mixings stay.
        window: Window that the trunks learn from.
        robin_in: Robin data that the sides receive in the window, held, (P, 4, K, N).
        total: Sum over all ranks.
    """

    equation: ReactionDiffusion
    table: RectangleTable
    geometry: RectangleGeometry
    edges: EdgeRows
    weights: RowWeights
    window: RectangleData
    robin_in: Float[Array, "P 4 K N"]
    total: Callable[[Float[Array, "..."]], Float[Array, "..."]]

    @cached_property
    def start(self) -> Float[Array, " n"]:
        """θ of the given trunks as one vector, space first."""
        return ravel_pytree(self._networks)[0]

    @property
    def _networks(self) -> tuple[Any, Any]:
        return self.table.trunks[NO_WALL].parameters, self.table.clock.parameters

    def parameters(self, theta: Float[Array, " n"]) -> tuple[Any, Any]:
        """The parameters of the networks of space and time that a vector stands for.

        The unit that is constant in both stays so: without it an even field would not be exact.
        """
        unravel = ravel_pytree(self._networks)[1]
        free = ravel_pytree(tuple(map(_free, self._networks)))[0]
        of_space, of_time = unravel(self.start + free * (theta - self.start))
        return of_space, of_time

    def features(self, theta: Float[Array, " n"]) -> ProductFeatures:
        """The features at θ as the mixings make them. Traceable."""
        of_space, of_time = self.parameters(theta)
        line, ends = _along_sides(self.table.trunks, of_space, self.table.grid.space)
        in_time = _on_axis([self.table.clock], of_time, self.table.grid.time)
        return ProductFeatures(line, ends, *(AxisFeatures(*(part[0] for part in place)) for place in in_time))

    def _holding(self, features: ProductFeatures) -> RectangleTable:
        """A table of these features; its trunks are those from which θ started."""
        line, ends, time, borders = features
        start, final = borders.value
        return replace(self.table, line=line, ends=ends, time=time, start=start, final=final)

    def rows(self, features: ProductFeatures, heads: Float[Array, "K M M L"], piece: Piece) -> Float[Array, " R"]:
        """The weighted rows of one piece. Traceable."""
        one = jax.tree.map(lambda leaf: leaf[None], piece)
        geometry, table = self.geometry._replace(walls=one.walls), self._holding(features)
        window = self.window._replace(initial=one.initial)
        made = RectangleRows(self.equation, table, geometry, one.edges, self.weights)
        parts = weighted_rows(made, window, one.robin_in, heads[None])
        return jnp.concatenate([part.ravel() for part in parts])

    @property
    def pieces(self) -> Piece:
        """This rank's pieces."""
        return Piece(self.geometry.walls, self.geometry.block, self.edges, self.window.initial, self.robin_in)

    def _factors(self, features: ProductFeatures) -> Float[Array, "C N N"]:
        table = self._holding(features)
        return factors(RectangleRows(self.equation, table, self.geometry, self.edges, self.weights), self.window)

    @cached_property
    def fit(self) -> Callable[[Float[Array, " n"]], HeadFit]:
        """The best heads at θ. Collective over all ranks."""

        def run(theta: Array) -> HeadFit:
            plain = self.features(theta)
            basis = _orthonormal(plain, self.table.grid)
            features = basis.of(plain)
            lower = self._factors(features)

            def one_piece(piece: Piece) -> tuple[Array, Array]:
                def improve(_: Array, heads: Array) -> Array:
                    row, pull = jax.vjp(lambda heads: self.rows(features, heads, piece), heads)
                    step = normal_solved(lower[piece.kind], pull(row)[0].reshape(1, -1))
                    return heads - step.reshape(heads.shape)

                shape = (len(self.equation.scale), *self.table.head_shape)
                heads = jax.lax.fori_loop(0, _HEAD_STEPS, improve, jnp.zeros(shape))
                return heads, jnp.sum(self.rows(features, heads, piece) ** 2)

            heads, squares = jax.lax.map(one_piece, self.pieces)
            return HeadFit(basis, lower, heads, self.total(jnp.sum(squares)))

        return jax.jit(run)

    def value(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        """The sum of squares at θ. Collective over all ranks."""
        return self.fit(theta).squares

    def near(self, theta: Float[Array, " n"]) -> Quadratic:
        """The sum of squares near θ. Collective over all ranks."""
        return self._near(theta, self.fit(theta))

    @cached_property
    def _near(self) -> Callable[[Array, HeadFit], Quadratic]:
        def run(theta: Array, fit: HeadFit) -> Quadratic:
            def of_theta(theta: Array) -> ProductFeatures:
                return fit.basis.of(self.features(theta))

            features, slopes = of_theta(theta), jax.jacfwd(of_theta)(theta)

            def one_piece(piece: tuple[Piece, Array]) -> Quadratic:
                here, heads = piece
                return self._near_piece(features, slopes, fit.lower[here.kind], here, heads)

            return Quadratic(*map(self.total, Quadratic.over((self.pieces, fit.heads), one_piece, theta.size)))

        return jax.jit(run)

    def _near_piece(
        self, features: ProductFeatures, slopes: ProductFeatures, lower: Float[Array, "N N"], piece: Piece, heads: Array
    ) -> Quadratic:
        """The share of one piece; `slopes` are the derivatives of the features in θ, along a last axis."""

        def by_features(slope: ProductFeatures) -> Array:
            change: Float[Array, " R"] = jax.jvp(lambda at: self.rows(at, heads, piece), (features,), (slope,))[1]
            return change

        by_theta = jax.vmap(by_features, in_axes=-1)(slopes)
        row, push = jax.linearize(lambda heads: self.rows(features, heads, piece), heads)
        pull = jax.linear_transpose(push, heads)
        pulled = jax.vmap(lambda column: pull(column)[0].ravel())(by_theta)
        undone = jax.vmap(lambda step: push(step.reshape(heads.shape)))(normal_solved(lower, pulled))
        kept = by_theta - undone
        return Quadratic(kept @ kept.T, kept @ row, row @ row)

    def trained(self, optimiser: LevenbergMarquardt, watch: Watch = unwatched) -> tuple[RectangleTable, list[float]]:
        """The table of the trained trunks, orthonormal and flat at walls again, and the sums of squares on the way.

        Collective over all ranks, which all get the same trunks.

        Args:
            optimiser: How they are trained.
            watch: Function that is called after every accepted step, of `LevenbergMarquardt.minimise`.
        """
        theta, values = optimiser.minimise(self.near, self.value, self.start, watch)
        of_space, of_time = self.parameters(theta)
        free, walled, _, closed = self.table.trunks
        free, walled, closed = (remixed(trunk, of_space) for trunk in (free, walled, closed))
        clock = remixed(self.table.clock, of_time)
        return tabulated((free, walled, mirrored(walled), closed), clock, self.table.grid), values


def _free(parameters: Any) -> Any:
    """1 where a network's parameter is trained, 0 for those of its constant unit."""
    ones = jax.tree.map(jnp.ones_like, parameters)
    layers = dict(ones["params"])
    first = layers["Dense_0"]
    layers["Dense_0"] = {"kernel": first["kernel"].at[:, 0].set(0.0), "bias": first["bias"].at[0].set(0.0)}
    return {**ones, "params": layers}


def _on_axis(
    trunks: Sequence[AxisTrunk], parameters: Any, nodes: Float[np.ndarray, " n"]
) -> tuple[AxisFeatures, AxisFeatures]:
    """Features of trunks that share θ at the nodes, leaves (trunks, n, M), and at both ends."""
    places = jnp.concatenate([jnp.asarray(nodes), jnp.asarray(SIDES)])
    raw = hidden_features(trunks[0].network, parameters, places)
    slope_at = dict(zip(SIDES, raw.slope[-2:], strict=True))
    flat = [without_slopes(trunk.mixing, [slope_at[end] for end in trunk.flat_at]) for trunk in trunks]
    mixed = [part @ jnp.stack(flat) for part in raw]
    return AxisFeatures(*(part[:, :-2] for part in mixed)), AxisFeatures(*(part[:, -2:] for part in mixed))


def _along_sides(
    trunks: Sequence[AxisTrunk], parameters: Any, nodes: Float[np.ndarray, " n"]
) -> tuple[AxisFeatures, AxisFeatures]:
    """Features of all kinds of axis at the nodes and, with slopes outward, at the ends, as in `RectangleTable`."""
    line, ends = _on_axis([trunks[kind] for kind in (NO_WALL, WALL_FIRST, TWO_WALLS)], parameters, nodes)
    outward = jnp.asarray(SIDES)[:, None]
    return _with_image(line, -1.0), _with_image(ends._replace(slope=ends.slope * outward), 1.0)


def _with_image(features: AxisFeatures, turn: float) -> AxisFeatures:
    """Features of all kinds from all but `WALL_LAST`, the mirror image, where slopes are `turn` times as large."""

    def every(part: Array, sign: float) -> Array:
        free, walled, closed = part
        return jnp.stack([free, walled, sign * walled[::-1], closed])

    return AxisFeatures(*(every(part, sign) for part, sign in zip(features, (1.0, turn, 1.0), strict=True)))


def _orthonormal(features: ProductFeatures, grid: Grid) -> Basis:
    """The basis in which features are orthonormal at the nodes; mirror images stay images."""

    def of_values(value: Array, weight: np.ndarray) -> Array:
        upper = jnp.linalg.qr(jnp.sqrt(jnp.asarray(weight))[:, None] * value)[1]
        return jax.scipy.linalg.solve_triangular(upper, jnp.broadcast_to(jnp.eye(upper.shape[-1]), upper.shape))

    space = of_values(features.line.value, grid.space_weight)
    space = space.at[WALL_LAST].set(space[WALL_FIRST])
    return Basis(space, of_values(features.time.value, grid.time_weight))
