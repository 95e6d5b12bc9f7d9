"""Where the equation is asked to hold on a piece: collocation points on the square and its edges.

Initial data, edge traces and forcing live on a tensor grid of Gauss nodes, whatever the collocation.
The points at which the equation's residual is minimised are those of the grid, or random ones to
which the forcing is interpolated: it is as smooth in a window as the grid must take it to be.
"""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.legendre import leggauss

from hpcpinn.networks.trunk import Features, Trunk


@dataclass(frozen=True)
class Grid:
    """A tensor grid of Gauss nodes on [−1, 1]², time slow, space fast: point q = t·n_space + x.

    Attributes:
        space, time: Nodes.
        space_weight, time_weight: Quadrature weights; each sums to 1.
    """

    space: Float[np.ndarray, " X"]
    time: Float[np.ndarray, " T"]
    space_weight: Float[np.ndarray, " X"]
    time_weight: Float[np.ndarray, " T"]

    @property
    def points(self) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
        """ξ and τ of every point."""
        xi, tau = np.meshgrid(self.space, self.time)
        return xi.ravel(), tau.ravel()

    @property
    def weight(self) -> Float[np.ndarray, " Q"]:
        return np.outer(self.time_weight, self.space_weight).ravel()


def gauss_grid(n_space: int, n_time: int) -> Grid:
    """Gauss-Legendre nodes in space and time."""
    space, space_weight = leggauss(n_space)
    time, time_weight = leggauss(n_time)
    return Grid(space, time, space_weight / 2.0, time_weight / 2.0)


def lagrange(nodes: Float[np.ndarray, " n"], targets: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m n"]:
    """Matrix that evaluates at `targets` the polynomial through values at `nodes`."""
    difference = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(difference, 1.0)
    weight = 1.0 / difference.prod(axis=1)
    gap = targets[:, None] - nodes[None, :]
    exact = np.isclose(gap, 0.0, atol=1e-14)
    terms = weight / np.where(exact, 1.0, gap)
    matrix = terms / terms.sum(axis=1, keepdims=True)
    through: Float[np.ndarray, "m n"] = np.where(exact.any(axis=1, keepdims=True), exact.astype(np.float64), matrix)
    return through


@dataclass(frozen=True)
class CollocationPoints:
    """Collocation points in the square.

    Attributes:
        xi, tau: Places ξ and τ of the points, (Q,).
        weight: Weight of every point in the mean of squared residuals, (Q,); they sum to 1.
        from_space: Interpolation of values at the grid's space nodes to the points, (Q, X).
        from_grid: Interpolation of values on the grid to the points, (Q, X·T); None where they are the grid.
    """

    xi: Float[np.ndarray, " Q"]
    tau: Float[np.ndarray, " Q"]
    weight: Float[np.ndarray, " Q"]
    from_space: Float[np.ndarray, "Q X"]
    from_grid: Float[np.ndarray, "Q XT"] | None = None


def grid_points(grid: Grid) -> CollocationPoints:
    """The nodes of the grid with their quadrature weights."""
    spread = np.tile(np.eye(len(grid.space)), (len(grid.time), 1))
    return CollocationPoints(*grid.points, grid.weight, spread)


def random_points(grid: Grid, count: int, seed: int) -> CollocationPoints:
    """Scrambled Sobol points of equal weight (quasi Monte Carlo); the same for the same seed."""
    from scipy.stats import qmc  # takes longer to load than most of this package

    unit = qmc.Sobol(2, seed=seed).random_base2(max(1, (count - 1).bit_length()))[:count]
    xi, tau = 2.0 * unit.T - 1.0
    space, time = lagrange(grid.space, xi), lagrange(grid.time, tau)
    both = (time[:, :, None] * space[:, None, :]).reshape(count, -1)
    return CollocationPoints(xi, tau, np.full(count, 1.0 / count), space, both)


@dataclass(frozen=True)
class FeatureTable:
    """The trunk's features at every place a piece needs them; computed once, shared by all pieces.

    Attributes:
        grid: Nodes of initial data, edge traces and forcing.
        points: Collocation points.
        inside: Features at the collocation points, (Q, M).
        on_grid: Values on the grid, (X·T, M).
        initial: Values at τ = −1 on the grid's space nodes, (X, M).
        final: Values at τ = +1 on the grid's space nodes, (X, M).
        edge: Values at ξ = −1 and ξ = +1 on the grid's time nodes, (2, T, M).
        edge_slope: Outward derivative ±∂ξ there, (2, T, M).
    """

    trunk: Trunk
    grid: Grid
    points: CollocationPoints
    inside: Features
    on_grid: Float[Array, "XT M"]
    initial: Float[Array, "X M"]
    final: Float[Array, "X M"]
    edge: Float[Array, "2 T M"]
    edge_slope: Float[Array, "2 T M"]

    @property
    def n_features(self) -> int:
        return self.trunk.n_features


def feature_table(trunk: Trunk, grid: Grid, points: CollocationPoints | None = None) -> FeatureTable:
    """Evaluates the trunk at the points (by default the grid's), on the edges and at both ends."""
    points = points or grid_points(grid)
    n_space, n_time = len(grid.space), len(grid.time)
    places = [
        (points.xi, points.tau),
        grid.points,
        *((grid.space, np.full(n_space, moment)) for moment in (-1.0, 1.0)),
        *((np.full(n_time, side), grid.time) for side in (-1.0, 1.0)),
    ]
    # One call for all places, so that one program is compiled.
    everywhere = map(np.asarray, trunk.features(*(np.concatenate(axis) for axis in zip(*places, strict=True))))
    cuts = np.cumsum([len(xi) for xi, _ in places])[:-1]
    parts = [Features(*part) for part in zip(*(np.split(x, cuts) for x in everywhere), strict=True)]
    inside, on_grid, initial, final, left, right = parts
    return FeatureTable(
        trunk=trunk,
        grid=grid,
        points=points,
        inside=jax.device_put(inside),
        on_grid=jax.device_put(on_grid.value),
        initial=jax.device_put(initial.value),
        final=jax.device_put(final.value),
        edge=jax.device_put(np.stack([left.value, right.value])),
        edge_slope=jax.device_put(np.stack([-left.dx, right.dx])),
    )
