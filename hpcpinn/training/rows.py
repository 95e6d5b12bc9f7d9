"""All that is asked of a piece in a window, as residual rows: what every trainer makes small.

The least-squares trainer assembles its normal matrix from the same rows without forming them, and
has one more per piece, for the balance of its content.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import FeatureTable
from hpcpinn.training.least_squares import CableRows
from hpcpinn.training.local import (
    PieceGeometry,
    Window,
    combine,
    edge_values,
    field_at,
    residual,
    source_jacobian,
)


class ResidualRows(NamedTuple):
    """Rows in units of the scale, times the root of their quadrature weight.

    The mean square over a piece is then the sum of squares.

    Attributes:
        equation: The residual as the error that it would cause within the window, (P, K, Q).
        initial: Misfit of the initial data, (P, K, X).
        edge: Misfit of the Robin data that the ends receive, (P, ends, K, T).
    """

    equation: Float[Array, "P K Q"]
    initial: Float[Array, "P K X"]
    edge: Float[Array, "P ends K T"]


def resolvent_at(
    equation: ReactionDiffusion, table: FeatureTable, window: Window, heads: Float[Array, "P K M"]
) -> Float[Array, "P K K"]:
    """(1/Δt − mean ∂source/∂u)⁻¹ of every piece, which turns residuals into errors."""
    field = field_at(table.inside.value, heads, equation)
    jacobian = source_jacobian(equation, field, window.forcing)
    mean = jnp.einsum("pqkl,q->pkl", jacobian, jnp.asarray(table.points.weight))
    resolvent: Float[Array, "P K K"] = jnp.linalg.inv(jnp.eye(len(equation.scale)) / window.duration - mean)
    return resolvent


def piece_rows(
    rows: CableRows,
    window: Window,
    robin_in: Float[Array, "P ends K T"],
    resolvent: Float[Array, "P K K"],
    heads: Float[Array, "P K M"],
) -> ResidualRows:
    """The rows of every piece at the given heads; `window` must be `collocated`."""
    equation, table, geometry = rows.equation, rows.table, rows.geometry
    scale = jnp.asarray(equation.scale)[:, None]
    miss = residual(equation, table, geometry, window, heads)
    weight = jnp.sqrt(jnp.asarray(table.points.weight) * window.emphasis)
    weight = jnp.broadcast_to(weight, (heads.shape[0], miss.shape[2]))[:, None, :]
    inside = jnp.einsum("pkl,plq->pkq", resolvent, miss) / scale * weight
    start = field_at(table.initial, heads, equation) - window.initial
    value, slope = edge_values(equation, table, geometry, window.duration, heads)
    ends = combine(rows.edges.receive, value, slope) - robin_in
    return ResidualRows(
        equation=inside,
        initial=start / scale * jnp.sqrt(jnp.asarray(table.grid.space_weight)),
        edge=ends / scale * jnp.sqrt(jnp.asarray(table.grid.time_weight)),
    )


def alpha_loss(rows: ResidualRows, alpha: float) -> Float[Array, " P"]:
    """The papers' loss of every piece: α on the equation, 1 − α on all data ([S1] eq. 10)."""
    equation, initial, edge = (jnp.sum(block**2, axis=range(1, block.ndim)) for block in rows)
    return alpha * equation + (1.0 - alpha) * (initial + edge)


def residual_emphasis(
    equation: ReactionDiffusion,
    table: FeatureTable,
    geometry: PieceGeometry,
    window: Window,
    heads: Float[Array, "P K M"],
) -> Float[Array, "P Q"]:
    """Relative row weights that follow the residual: half even, half in proportion to it.

    The mixture of residual-adaptive sampling with density |r|/mean|r| + 1, as weights on fixed
    points instead of moving points: features are shared by all pieces, residuals are not. The
    mean over a piece is 1.
    """
    miss = residual(equation, table, geometry, window, heads)
    error = jnp.einsum("pkl,plq->pqk", resolvent_at(equation, table, window, heads), miss)
    size = jnp.linalg.norm(error / jnp.asarray(equation.scale), axis=-1)
    mean = jnp.sum(size * jnp.asarray(table.points.weight), axis=1, keepdims=True)
    emphasis: Float[Array, "P Q"] = 0.5 + 0.5 * size / jnp.maximum(mean, 1e-300)
    return emphasis
