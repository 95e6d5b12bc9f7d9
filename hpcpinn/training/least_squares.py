"""Trains all heads of a rank by physics least squares: Gauss-Newton, linear algebra only.

For a frozen trunk the residual rows of a piece (equation, initial data, both ends) are linear in
its head apart from the reaction, so Gauss-Newton converges in a few steps. One linearisation is
condensed to what an interface sees: if the ends are told g, they report

    o = o_base + S g,

with S small (2KT × 2KT). Schwarz sweeps then cost a small matrix product per piece, and the
heads are recovered once, when the sweeps have converged.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import FeatureTable
from hpcpinn.training.local import (
    EdgeRows,
    PieceGeometry,
    Window,
    combine,
    edge_values,
    field_at,
    residual,
    robin_parameter,
    source_jacobian,
)


class RowWeights(NamedTuple):
    """Weights of the initial and the edge rows beside the equation's (1)."""

    initial: float = 10.0
    edge: float = 10.0


class Linearisation(NamedTuple):
    """One Gauss-Newton linearisation, condensed to the interfaces.

    Attributes:
        jacobian: Source Jacobian at the collocation points, (P, Q, K, K).
        resolvent: (1/Δt − jacobian)⁻¹, which turns residuals into errors, (P, Q, K, K).
        cholesky: Lower factor of the normal matrix, (P, KM, KM).
        gain: Heads per unit of received data, (P, KM, 2KT).
        transfer: S above, (P, 2KT, 2KT).
    """

    jacobian: Float[Array, "P Q K K"]
    resolvent: Float[Array, "P Q K K"]
    cholesky: Float[Array, "P N N"]
    gain: Float[Array, "P N E"]
    transfer: Float[Array, "P E E"]


def linearise(
    equation: ReactionDiffusion,
    table: FeatureTable,
    geometry: PieceGeometry,
    edges: EdgeRows,
    window: Window,
    heads: Float[Array, "P K M"],
    weights: RowWeights,
    batch: int = 64,
) -> Linearisation:
    """Linearises at `heads`, factorises every piece and condenses it to its ends.

    Residual rows are multiplied by the resolvent, so that a row is the error that its residual
    would cause within the window: slow and stiff modes then count alike, with no weights to tune.

    Args:
        batch: Pieces factorised at a time (bounds the memory of the row matrices).
    """
    field = field_at(table.inside.value, heads, equation)
    jacobian = source_jacobian(equation, field, window.forcing)
    identity = jnp.eye(len(equation.scale))
    resolvent = jnp.linalg.inv(identity / window.duration - jacobian)

    def one_piece(piece):
        geometry, edges, jacobian, resolvent, emphasis = piece
        normal = _normal_matrix(
            equation, table, geometry, edges, window.duration, jacobian, resolvent, emphasis, weights
        )
        cholesky = jnp.linalg.cholesky(normal)
        told = _edge_matrix(equation, table, geometry.length, window.duration, edges.receive)
        reported = _edge_matrix(equation, table, geometry.length, window.duration, edges.send)
        weighted = told * (weights.edge**2 * jnp.asarray(table.grid.time_weight))[:, None]
        gain = cho_solve((cholesky, True), weighted.reshape(-1, told.shape[-1]).T)
        return cholesky, gain, reported.reshape(-1, told.shape[-1]) @ gain

    emphasis = jnp.broadcast_to(window.emphasis, jacobian.shape[:2])
    cholesky, gain, transfer = jax.lax.map(
        one_piece, (geometry, edges, jacobian, resolvent, emphasis), batch_size=batch
    )
    return Linearisation(jacobian, resolvent, cholesky, gain, transfer)


def _edge_matrix(equation, table, length, duration, rows) -> Float[Array, "2 K T N"]:
    """Rows of one piece that give its edge combinations (in units of the scale) from its head."""
    n_species = len(equation.scale)
    kappa = robin_parameter(equation, duration)
    slope = table.edge_slope[:, None] * (2.0 / length / kappa)[None, :, None, None]
    one_species = (
        rows[:, 0, None, None, None] * table.edge[:, None]
        + rows[:, 1, None, None, None] * slope
    )  # (2, K, T, M)
    placed = one_species[:, :, :, None, :] * jnp.eye(n_species)[None, :, None, :, None]
    return placed.reshape(*one_species.shape[:3], -1)


def _normal_matrix(
    equation, table, geometry, edges, duration, jacobian, resolvent, emphasis, weights
) -> Float[Array, "N N"]:
    """Sum of the outer products of all weighted rows of one piece."""
    grid, inside = table.grid, table.inside
    n_species, n_features = len(equation.scale), table.n_features
    scale = jnp.asarray(equation.scale)
    per_length = 2.0 / geometry.length
    taper = (table.points.from_space @ geometry.taper)[:, None]
    transport = per_length**2 * inside.dxx + per_length * taper * inside.dx
    operator = (2.0 / duration) * inside.dt[None] - jnp.asarray(equation.diffusion)[
        :, None, None
    ] * transport[None]  # (K, Q, M)
    weight = jnp.asarray(table.points.weight) * emphasis
    ratio = jnp.sqrt(weight)[:, None, None] * scale[None, None, :]
    ratio = ratio / scale[None, :, None]
    direct = resolvent * ratio
    mixed = (resolvent @ jacobian) * ratio
    rows = (
        jnp.einsum("qkl,lqm->kqlm", direct, operator)
        - jnp.einsum("qkl,qm->kqlm", mixed, inside.value)
    ).reshape(n_species * len(weight), n_species * n_features)

    initial = weights.initial * jnp.sqrt(jnp.asarray(grid.space_weight))[:, None] * table.initial
    initial_block = jnp.kron(jnp.eye(n_species), initial.T @ initial)
    told = _edge_matrix(equation, table, geometry.length, duration, edges.receive)
    told = told * (weights.edge * jnp.sqrt(jnp.asarray(grid.time_weight)))[:, None]
    told = told.reshape(-1, told.shape[-1])
    return rows.T @ rows + initial_block + told.T @ told


class Correction(NamedTuple):
    """A Gauss-Newton step before the interfaces have spoken.

    Attributes:
        heads: Heads if all ends were told zero, (P, K, M).
        reported: What the ends report then, (P, 2, K, T).
    """

    heads: Float[Array, "P K M"]
    reported: Float[Array, "P 2 K T"]


def correct(
    equation: ReactionDiffusion,
    table: FeatureTable,
    geometry: PieceGeometry,
    edges: EdgeRows,
    window: Window,
    heads: Float[Array, "P K M"],
    linear: Linearisation,
    weights: RowWeights,
) -> Correction:
    """One Gauss-Newton step from `heads`, its rows evaluated afresh (the factors may be older)."""
    n_pieces, n_species, n_features = heads.shape
    grid, inside = table.grid, table.inside
    scale = jnp.asarray(equation.scale)[:, None]
    resolvent, jacobian = linear.resolvent, linear.jacobian

    miss = residual(equation, table, geometry, window, heads)
    weight = jnp.asarray(table.points.weight) * jnp.broadcast_to(window.emphasis, jacobian.shape[:2])
    row = jnp.einsum("pqkl,plq->pkq", resolvent, miss) / scale * weight[:, None, :]
    pull = jnp.einsum("pqlk,plq->pkq", resolvent, row / scale) * scale
    reacting = jnp.einsum("pqlk,plq->pkq", jacobian, pull / scale) * scale
    per_length = (2.0 / geometry.length)[:, None, None]
    taper = (geometry.taper @ table.points.from_space.T)[:, None, :]
    diffused = jnp.asarray(equation.diffusion)[:, None] * pull
    gradient = (
        (2.0 / window.duration) * pull @ inside.dt
        - (per_length**2 * diffused) @ inside.dxx
        - (per_length * taper * diffused) @ inside.dx
        - reacting @ inside.value
    )
    start = field_at(table.initial, heads, equation) - window.initial
    initial_weight = weights.initial**2 * jnp.asarray(grid.space_weight)
    gradient = gradient + (start / scale * initial_weight) @ table.initial

    # Edge rows with nothing told: their pull on the head is that of the current edge values.
    value, slope = edge_values(equation, table, geometry, window.duration, heads)
    now = combine(edges.receive, value, slope) / scale
    told_now = now.reshape(n_pieces, -1)
    step = jax.vmap(lambda factor, g: cho_solve((factor, True), g))(
        linear.cholesky, gradient.reshape(n_pieces, -1)
    )
    step = step + jnp.einsum("pne,pe->pn", linear.gain, told_now)
    moved = heads - step.reshape(heads.shape)
    value, slope = edge_values(equation, table, geometry, window.duration, moved)
    return Correction(moved, combine(edges.send, value, slope))


def respond(
    equation: ReactionDiffusion, linear: Linearisation, told: Float[Array, "P 2 K T"]
) -> Float[Array, "P 2 K T"]:
    """What the ends report in addition when they are told `told`: S g."""
    scale = jnp.asarray(equation.scale)[:, None]
    flat = (told / scale).reshape(told.shape[0], -1)
    return jnp.einsum("pij,pj->pi", linear.transfer, flat).reshape(told.shape) * scale


def accept(
    equation: ReactionDiffusion,
    linear: Linearisation,
    correction: Correction,
    told: Float[Array, "P 2 K T"],
) -> Float[Array, "P K M"]:
    """The heads after the step, with the ends told `told`."""
    scale = jnp.asarray(equation.scale)[:, None]
    flat = (told / scale).reshape(told.shape[0], -1)
    return correction.heads + jnp.einsum("pne,pe->pn", linear.gain, flat).reshape(
        correction.heads.shape
    )
