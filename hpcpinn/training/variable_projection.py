"""Trains the trunk that all pieces share: Levenberg-Marquardt with the heads projected out.

For every trunk the best heads are a least-squares problem per piece, so the sum of squares is a
function of the trunk's parameters θ alone (variable projection). Its Gauss-Newton matrix is
Σ_pieces J_θᵀ (1 − Q Qᵀ) J_θ, where Q spans the columns of the piece's head Jacobian (Kaufman's
form): what the heads can undo does not count. Sums run over the pieces of all ranks, so every
rank takes the same step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from hpcpinn.networks.trunk import Trunk, remixed
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import CollocationPoints, Grid
from hpcpinn.training.least_squares import RowWeights
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt, Quadratic, Watch, unwatched
from hpcpinn.training.local import EdgeRows, PieceGeometry, robin_parameter

_HEAD_STEPS = 3
"""Gauss-Newton steps on the heads per trunk, from the heads of the first trunk."""
_RIDGE = 1e-9
"""Pull of the heads towards where they are, relative to the rows' size; keeps them finite."""


class TrainedPieces(NamedTuple):
    """The pieces of a rank in the window that the trunk learns from; leaves (P, ...).

    Attributes:
        geometry, edges: Pieces, and what their ends receive and send, as in the window's solver.
        taper: A'/A per length at the collocation points, 1/µm, (P, Q, G).
        initial, forcing, emphasis: Start, forcing and weights of collocation points of the `collocated` window.
        robin_in: Robin data that the ends receive, (P, 2, K, T).
        resolvent: Turns residuals into errors, one per piece, (P, K, K).
        heads: Heads to start from, (P, K, M).
    """

    geometry: PieceGeometry
    edges: EdgeRows
    taper: Float[Array, "P Q G"]
    initial: Float[Array, "P K X"]
    forcing: Any
    emphasis: Float[Array, "P Q"]
    robin_in: Float[Array, "P 2 K T"]
    resolvent: Float[Array, "P K K"]
    heads: Float[Array, "P K M"]


@dataclass(frozen=True)
class SharedTrunk:
    """The sum of squares of all pieces of all ranks as a function of θ. Collective over all ranks.

    Attributes:
        equation, grid, points, weights: Equation, collocation and weights of rows, as in the window's solver.
        trunk: The trunk to start from; its mixing stays.
        duration: Length of the window.
        pieces: Pieces of this rank in the window.
        total: Sum over all ranks.
    """

    equation: ReactionDiffusion
    trunk: Trunk
    grid: Grid
    points: CollocationPoints
    weights: RowWeights
    duration: Float[Array, ""]
    pieces: TrainedPieces
    total: Callable[[Float[Array, "..."]], Float[Array, "..."]]

    @cached_property
    def start(self) -> Float[Array, " N"]:
        """θ of the given trunk as one vector."""
        return ravel_pytree(self.trunk.parameters)[0]

    def _departure(self, theta: Array, head: Array, xi: Array, tau: Array) -> tuple[Array, ...]:
        """u, u_ξ, u_ξξ, u_τ of every species at a point, in units of the scale, four times (K,)."""
        parameters = ravel_pytree(self.trunk.parameters)[1](theta)
        readout = self.trunk.mixing @ head.T

        def field(x: Float[Array, ""], t: Float[Array, ""]) -> Float[Array, " K"]:
            apply: Any = self.trunk.network.apply
            features: Array = apply(parameters, jnp.stack([x, t]))
            return features @ readout

        one = jnp.ones_like(xi)
        (value, dx), (_, dxx) = jax.jvp(lambda x: jax.jvp(lambda s: field(s, tau), (x,), (one,)), (xi,), (one,))
        dt = jax.jvp(lambda t: field(xi, t), (tau,), (one,))[1]
        return value, dx, dxx, dt

    def rows(
        self, theta: Float[Array, " N"], head: Float[Array, "K M"], piece: TrainedPieces
    ) -> tuple[Float[Array, " R"], Float[Array, "R N"], Float[Array, "R KM"]]:
        """The weighted rows of one piece with their Jacobians in θ and in the head."""
        equation, grid, points = self.equation, self.grid, self.points
        scale, rest = jnp.asarray(equation.scale), jnp.asarray(equation.rest)
        diffusion = jnp.asarray(equation.diffusion)
        per_length, per_time = 2.0 / piece.geometry.length, 2.0 / self.duration
        kappa = robin_parameter(equation, self.duration)
        initial_weight = self.weights.initial * np.sqrt(grid.space_weight)
        edge_weight = self.weights.edge * np.sqrt(grid.time_weight)

        def inside(
            theta: Array, head: Array, xi: Array, tau: Array, taper: Array, forcing: Any, weight: Array
        ) -> Float[Array, " K"]:
            value, dx, dxx, dt = (scale * part for part in self._departure(theta, head, xi, tau))
            transport = diffusion * (per_length**2 * dxx + per_length * taper * dx)
            miss = per_time * dt - transport - equation.source(rest + value, forcing)
            return jnp.sqrt(weight) * (piece.resolvent @ miss) / scale

        def at_start(theta: Array, head: Array, xi: Array, wanted: Array, weight: Array) -> Float[Array, " K"]:
            value = self._departure(theta, head, xi, -jnp.ones_like(xi))[0]
            return weight * (value - (wanted - rest) / scale)

        def at_edge(
            theta: Array, head: Array, side: Array, tau: Array, receive: Array, robin_in: Array, weight: Array
        ) -> Float[Array, " K"]:
            value, dx, _, _ = self._departure(theta, head, side, tau)
            reading = receive[0] * value + receive[1] * side * per_length * dx / kappa
            return weight * (reading - robin_in / scale)

        n_time = len(grid.time)
        ends = (
            jnp.repeat(jnp.array([-1.0, 1.0]), n_time),
            jnp.tile(grid.time, 2),
            jnp.repeat(piece.edges.receive, n_time, axis=0),
            piece.robin_in.swapaxes(1, 2).reshape(2 * n_time, -1),
            jnp.tile(edge_weight, 2),
        )
        weight = jnp.asarray(points.weight) * piece.emphasis
        blocks = (
            (inside, (jnp.asarray(points.xi), jnp.asarray(points.tau), piece.taper, piece.forcing, weight)),
            (at_start, (jnp.asarray(grid.space), piece.initial.T, jnp.asarray(initial_weight))),
            (at_edge, ends),
        )
        parts = []
        for function, data in blocks:
            every = (None, None) + (0,) * len(data)
            row = jax.vmap(function, in_axes=every)(theta, head, *data)
            slopes = jax.vmap(jax.jacrev(function, argnums=(0, 1)), in_axes=every)(theta, head, *data)
            parts.append((row.ravel(), *(slope.reshape(row.size, -1) for slope in slopes)))
        row, by_theta, by_head = (jnp.concatenate(part) for part in zip(*parts, strict=True))
        return row, by_theta, by_head

    def _fitted(self, theta: Array, piece: TrainedPieces) -> tuple[Array, Array, Array]:
        """Rows, Jacobian in θ and orthonormal basis of the head's columns, at the best head."""

        def basis(by_head: Float[Array, "R KM"]) -> tuple[Float[Array, "_ KM"], Float[Array, "KM KM"]]:
            ridge = _RIDGE * jnp.linalg.norm(by_head) * jnp.eye(by_head.shape[1])
            q, r = jnp.linalg.qr(jnp.concatenate([by_head, ridge]))
            return q, r

        def improve(_: Array, head: Float[Array, "K M"]) -> Float[Array, "K M"]:
            row, by_head = self.rows(theta, head, piece)[::2]
            q, r = basis(by_head)
            step = jax.scipy.linalg.solve_triangular(r, q[: len(row)].T @ row)
            return head - step.reshape(head.shape)

        head = jax.lax.fori_loop(0, _HEAD_STEPS, improve, piece.heads)
        row, by_theta, by_head = self.rows(theta, head, piece)
        return row, by_theta, basis(by_head)[0][: len(row)]

    @cached_property
    def near(self) -> Callable[[Float[Array, " n"]], Quadratic]:
        """The sum of squares near θ."""

        def run(theta: Array) -> Quadratic:
            def one_piece(piece: TrainedPieces) -> Quadratic:
                row, by_theta, q = self._fitted(theta, piece)
                kept = by_theta - q @ (q.T @ by_theta)
                return Quadratic(kept.T @ kept, kept.T @ row, row @ row)

            return Quadratic(*map(self.total, Quadratic.over(self.pieces, one_piece, theta.size)))

        return jax.jit(run)

    @cached_property
    def value(self) -> Callable[[Float[Array, " n"]], Float[Array, ""]]:
        """The sum of squares at θ."""

        def run(theta: Array) -> Array:
            squares = jax.lax.map(lambda piece: jnp.sum(self._fitted(theta, piece)[0] ** 2), self.pieces)
            return self.total(jnp.sum(squares))

        return jax.jit(run)

    def trained(self, optimiser: LevenbergMarquardt, watch: Watch = unwatched) -> tuple[Trunk, list[float]]:
        """The trained trunk, its features orthonormal again, and the sums of squares on the way.

        Args:
            optimiser: How it is trained.
            watch: Function that is called after every accepted step, of `LevenbergMarquardt.minimise`.
        """
        theta, values = optimiser.minimise(self.near, self.value, self.start, watch)
        return remixed(self.trunk, ravel_pytree(self.trunk.parameters)[1](theta)), values
