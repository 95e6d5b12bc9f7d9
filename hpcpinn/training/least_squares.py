"""Trains all heads of a rank by physics least squares: Gauss-Newton, linear algebra only.

For a frozen trunk the residual rows of a piece (equation, initial data, both ends) are linear in
its head apart from the reaction, so Gauss-Newton converges in a few steps. One linearisation is
condensed to what an interface sees: if the ends receive g, they send

    o = o_base + S g,

with S small (2KT × 2KT). Schwarz sweeps then cost a small matrix product per piece, and the
heads are recovered once, when the sweeps have converged.

Two ways to the normal matrix. Where the source's Jacobian hardly varies over a piece and a window
(most pieces, most of the time) it is a combination of a few matrices that all pieces share, with
the piece's mean coefficients: no row is ever formed. Elsewhere it is summed from the rows. The
gradient is always that of the rows, so the choice changes how fast Newton converges, not where to.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.lax.linalg import triangular_solve
from jaxtyping import Array, Float

from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import FeatureTable
from hpcpinn.training.local import (
    EdgeRows,
    Number,
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
    """Weights beside the equation rows' (1).

    Attributes:
        initial: Weight of the rows of initial data, relative to the equation's.
        edge: Weight of the rows of Robin data at the ends, relative to the equation's.
        balance: Weight of the one row per piece and volume that asks for its content at the end of the window to
            be what it was at the start plus what came in: errors of single points must not add
            up over thousands of windows.
    """

    initial: float = 3.0
    edge: float = 3.0
    balance: float = 100.0


Features = TypeVar("Features")
Geometry = TypeVar("Geometry")


@dataclass(frozen=True, eq=False)
class PieceRows(Generic[Features, Geometry]):
    """What the rows of a rank's pieces are made of, but for the data of a window.

    Attributes:
        equation: The system.
        table: Features of the trunk at the collocation points.
        geometry: Shapes of the pieces.
        edges: What ends, or sides, receive and send.
        weights: Weights of initial and edge rows beside the equation's.
        batch: Pieces factorised together, with all rows formed (accelerators); None goes piece by piece and forms
            rows only where needed (processors).
    """

    equation: ReactionDiffusion
    table: Features
    geometry: Geometry
    edges: EdgeRows
    weights: RowWeights = RowWeights()
    batch: int | None = None


CableRows = PieceRows[FeatureTable, PieceGeometry]
"""Those of the pieces of a cable."""


class Linearisation(NamedTuple):
    """One Gauss-Newton linearisation, condensed to the interfaces.

    Attributes:
        resolvent: (1/Δt − mean Jacobian)⁻¹, which turns residuals into errors, (P, K, K).
        cholesky: Lower factor of the normal matrix, (P, KM, KM).
        transfer: S above, (P, 2KT, 2KT).
    """

    resolvent: Float[Array, "P K K"]
    cholesky: Float[Array, "P N N"]
    transfer: Float[Array, "P E E"]


class _Piece(NamedTuple):
    """What the normal matrix of one piece depends on."""

    length: Float[Array, ""]
    taper: Float[Array, "G Q"]
    volume: Float[Array, "G X"]
    edges: EdgeRows
    jacobian: Float[Array, "Q K K"]
    mean: Float[Array, "K K"]
    resolvent: Float[Array, "K K"]
    weight: Float[Array, " Q"]
    varies: Array


def linearise(
    rows: CableRows,
    window: Window,
    heads: Float[Array, "P K M"],
    *,
    exact_above: float = 0.1,
    resolvent: Float[Array, "P K K"] | None = None,
) -> Linearisation:
    """Linearises at `heads`, factorises every piece and condenses it to its ends.

    Residual rows are multiplied by the resolvent, so that a row is the error that its residual
    would cause within the window: slow and stiff modes then count alike, with no weights to tune.

    Args:
        rows: What the rows are made of.
        window: Data of the window.
        heads: Heads at which the rows are linearised, (P, K, M).
        exact_above: Variation of the Jacobian within a piece, times the resolvent, above which
            rows are formed.
        resolvent: Weights of the rows to take instead of those at `heads`: what least squares find is then
            a function of the window's data alone.
    """
    equation, table = rows.equation, rows.table
    field = field_at(table.inside.value, heads, equation)
    jacobian = source_jacobian(equation, field, window.forcing)
    quadrature = jnp.asarray(table.points.weight)
    weight = quadrature * jnp.broadcast_to(window.emphasis, jacobian.shape[:2])
    mean = jnp.einsum("pqkl,q->pkl", jacobian, quadrature)
    identity = jnp.eye(len(equation.scale))
    if resolvent is None:
        resolvent = jnp.linalg.inv(identity / window.duration - mean)
    spread = jnp.einsum("pkl,pqlm->pqkm", resolvent, jacobian - mean[:, None])
    ratio = jnp.asarray(equation.scale)[None, :] / jnp.asarray(equation.scale)[:, None]
    varies = jnp.max(jnp.abs(spread) * ratio, axis=(1, 2, 3)) > exact_above
    uneven = jnp.any(jnp.abs(weight - quadrature) > 1e-12 * quadrature, axis=1)
    taper = rows.geometry.taper @ table.points.from_space.T
    volume = volume_weight(table, rows.geometry)
    pieces = _Piece(rows.geometry.length, taper, volume, rows.edges, jacobian, mean, resolvent, weight, varies | uneven)
    tables = _shared_products(table, rows.weights)

    def one_piece(piece: _Piece) -> tuple[Array, Array]:
        from_rows = partial(_from_rows, equation, table, piece, window.duration)
        from_means = partial(_from_means, equation, tables, piece, window.duration)
        inside = from_rows() if rows.batch else jax.lax.cond(piece.varies, from_rows, from_means)
        normal = inside + _data_block(equation, tables, piece, window.duration)
        for content in balances(equation):
            balance = rows.weights.balance * _balance_row(equation, content, table, piece, window.duration)
            normal = normal + jnp.outer(balance, balance)
        cholesky = jnp.linalg.cholesky(normal)
        return cholesky, _transfer(equation, table, piece, window.duration, cholesky, rows.weights)

    cholesky, transfer = jax.lax.map(one_piece, pieces, batch_size=rows.batch)
    return Linearisation(resolvent, cholesky, transfer)


class _Products(NamedTuple):
    """Products of features that all pieces share.

    Attributes:
        inside: Products of every two of (value, dt, dx, dxx) inside, (4, 4, M, M).
        edge: Products value·value, value·slope (symmetric) and slope·slope at both ends, (2, 3, M, M).
        initial: Products of values at the start, (M, M).
    """

    inside: Float[Array, "4 4 M M"]
    edge: Float[Array, "2 3 M M"]
    initial: Float[Array, "M M"]


def _shared_products(table: FeatureTable, weights: RowWeights) -> _Products:
    inside, grid = table.inside, table.grid
    parts = jnp.stack([inside.value, inside.dt, inside.dx, inside.dxx])
    pairs = jnp.einsum("aqi,q,bqj->abij", parts, jnp.asarray(table.points.weight), parts)

    def symmetric(a: Float[Array, "T M"], b: Float[Array, "T M"]) -> Float[Array, "M M"]:
        product = a.T @ b
        return 0.5 * (product + product.T)

    time_root = weights.edge * jnp.sqrt(jnp.asarray(grid.time_weight))[:, None]
    edge = []
    for end in range(2):
        value, slope = time_root * table.edge[end], time_root * table.edge_slope[end]
        edge.append(jnp.stack([symmetric(value, value), symmetric(value, slope), symmetric(slope, slope)]))
    start = weights.initial * jnp.sqrt(jnp.asarray(grid.space_weight))[:, None] * table.initial
    return _Products(pairs, jnp.stack(edge), start.T @ start)


def _coefficients(
    equation: ReactionDiffusion,
    piece: _Piece,
    taper: Float[Array, "... G"],
    mixed: Float[Array, "... K K"],
    duration: Number,
) -> Float[Array, "... K K 4"]:
    """Weights of (value, dt, dx, dxx) in row k for species l, in units of the scale."""
    per_length = 2.0 / piece.length
    diffusion = jnp.asarray(equation.diffusion)
    scale = jnp.asarray(equation.scale)
    direct = piece.resolvent
    taper = taper[..., None, :]
    shape = jnp.broadcast_shapes(mixed.shape, taper.shape)
    columns = [
        jnp.broadcast_to(-mixed, shape),
        jnp.broadcast_to(direct * (2.0 / duration), shape),
        jnp.broadcast_to(-direct * diffusion * per_length * taper, shape),
        jnp.broadcast_to(-direct * diffusion * per_length**2, shape),
    ]
    return jnp.stack(columns, axis=-1) * (scale[None, :] / scale[:, None])[..., None]


def _from_means(equation: ReactionDiffusion, tables: _Products, piece: _Piece, duration: Number) -> Float[Array, "N N"]:
    """Normal matrix of the equation rows with the piece's mean coefficients."""
    taper = jnp.sum(piece.taper * piece.weight, axis=-1)
    rows = _coefficients(equation, piece, taper, piece.resolvent @ piece.mean, duration)
    both = jnp.einsum("kla,kmb->lmab", rows, rows)
    return _assembled(jnp.einsum("lmab,abij->lmij", both, tables.inside))


def _from_rows(
    equation: ReactionDiffusion, table: FeatureTable, piece: _Piece, duration: Number
) -> Float[Array, "N N"]:
    """Normal matrix of the equation rows, summed from the rows."""
    inside = table.inside
    mixed = jnp.einsum("kl,qlm->qkm", piece.resolvent, piece.jacobian)
    rows = _coefficients(equation, piece, piece.taper.T, mixed, duration)
    rows = rows * jnp.sqrt(piece.weight)[:, None, None, None]
    parts = (inside.value, inside.dt, inside.dx, inside.dxx)
    features = jnp.stack(parts, axis=-1)
    matrix = jnp.einsum("qkla,qma->kqlm", rows, features)
    matrix = matrix.reshape(-1, len(equation.scale) * table.n_features)
    return matrix.T @ matrix


def _assembled(blocks: Float[Array, "K K M M"]) -> Float[Array, "N N"]:
    n_species, _, n_features, _ = blocks.shape
    size = n_species * n_features
    return blocks.transpose(0, 2, 1, 3).reshape(size, size)


def _data_block(equation: ReactionDiffusion, tables: _Products, piece: _Piece, duration: Number) -> Float[Array, "N N"]:
    """Normal matrix of the initial and edge rows, block diagonal in the species."""
    slope = 2.0 / piece.length / robin_parameter(equation, duration)
    robin_in = piece.edges.receive
    blocks = []
    for k in range(len(equation.scale)):
        value_part, slope_part = robin_in[:, 0], robin_in[:, 1] * slope[k]
        terms = jnp.stack([value_part**2, 2.0 * value_part * slope_part, slope_part**2], axis=1)
        blocks.append(jnp.einsum("er,erij->ij", terms, tables.edge) + tables.initial)
    normal: Float[Array, "N N"] = jax.scipy.linalg.block_diag(*blocks)
    return normal


def volume_weight(table: FeatureTable, geometry: PieceGeometry) -> Float[Array, "P G X"]:
    """Share of a species' volume in a piece that every space node stands for; sums to 1."""
    weight = geometry.area * jnp.asarray(table.grid.space_weight)
    return weight / jnp.sum(weight, axis=-1, keepdims=True)


class Content(NamedTuple):
    """What the balance of one volume counts.

    Attributes:
        weights: Weights of all species, (K,); 0 of those that live elsewhere.
        scale: Typical size: what its species say together, those that count for it or those that count against it.
        number: One of its species.
    """

    weights: tuple[float, ...]
    scale: float
    number: int


def balances(equation: ReactionDiffusion) -> list[Content]:
    """The content of every volume that species live in."""
    found = []
    for volume in dict.fromkeys(equation.volumes):
        weights = tuple(c if v == volume else 0.0 for c, v in zip(equation.content, equation.volumes, strict=True))
        pairs = list(zip(equation.scale, weights, strict=True))
        scale = max(math.hypot(*(s for s, c in pairs if c * sign > 0.0)) for sign in (1.0, -1.0))
        found.append(Content(weights, scale, equation.volumes.index(volume)))
    return found


def _balance_row(
    equation: ReactionDiffusion, counted: Content, table: FeatureTable, piece: _Piece, duration: Number
) -> Float[Array, " N"]:
    """How the content that a piece's volume gains unaccounted for depends on its head."""
    inside, grid = table.inside, table.grid
    content = jnp.asarray(counted.weights)
    scale = jnp.asarray(equation.scale) / counted.scale
    per_length = 2.0 / piece.length
    volume, taper = (x[min(counted.number, len(x) - 1)] for x in (piece.volume, piece.taper))
    share = (table.points.from_space @ (volume / jnp.asarray(grid.space_weight))) * jnp.asarray(table.points.weight)
    grown = volume @ table.initial + 2.0 * share @ inside.dt
    spread = per_length**2 * share @ inside.dxx + per_length * (share * taper) @ inside.dx
    gained = jnp.einsum("q,k,qkl,qm->lm", share, content, piece.jacobian, inside.value)
    moved = duration * jnp.asarray(equation.diffusion)[:, None] * spread
    row: Float[Array, "K M"] = scale[:, None] * (content[:, None] * (grown - moved) - duration * gained)
    return row.ravel()


def _transfer(
    equation: ReactionDiffusion,
    table: FeatureTable,
    piece: _Piece,
    duration: Number,
    cholesky: Float[Array, "N N"],
    weights: RowWeights,
) -> Float[Array, "E E"]:
    """S: what the ends send per unit of what they receive, in units of the scale."""
    n_species, n_time = len(equation.scale), len(table.grid.time)

    def solved(rows: Float[Array, "2 T M"]) -> Float[Array, "E N"]:
        species = jnp.eye(n_species)[None, :, None, :, None]
        placed = rows[:, None, :, None, :] * species  # (2, K, T, K, M)
        flat = placed.reshape(2 * n_species * n_time, -1)
        return triangular_solve(cholesky, flat, left_side=False, lower=True, transpose_a=True)

    value, slope = solved(table.edge), solved(table.edge_slope)
    per_slope = 2.0 / piece.length / robin_parameter(equation, duration)

    def combined(rows: Float[Array, "2 2"]) -> Float[Array, "E N"]:
        of_value = jnp.broadcast_to(rows[:, 0, None, None], (2, n_species, n_time)).ravel()
        of_slope = rows[:, 1, None, None] * per_slope[None, :, None]
        of_slope = jnp.broadcast_to(of_slope, (2, n_species, n_time)).ravel()
        return value * of_value[:, None] + slope * of_slope[:, None]

    time_weight = weights.edge**2 * jnp.asarray(table.grid.time_weight)
    weighted = combined(piece.edges.receive) * jnp.tile(time_weight, 2 * n_species)[:, None]
    return combined(piece.edges.send) @ weighted.T


def _pull_of_edges(rows: CableRows, duration: Number, robin_in: Float[Array, "P ends K T"]) -> Float[Array, "P K M"]:
    """Transpose of the weighted edge rows applied to data `robin_in`, in units of the scale."""
    table, receive = rows.table, rows.edges.receive
    weighted = robin_in * (rows.weights.edge**2 * jnp.asarray(table.grid.time_weight))
    per_slope = 2.0 / rows.geometry.length[:, None] / robin_parameter(rows.equation, duration)
    value = weighted * receive[:, :, 0, None, None]
    slope = weighted * receive[:, :, 1, None, None] * per_slope[:, None, :, None]
    return jnp.einsum("pekt,etm->pkm", value, table.edge) + jnp.einsum("pekt,etm->pkm", slope, table.edge_slope)


def _solve(cholesky: Float[Array, "P N N"], right: Float[Array, "P K M"], batch: int | None) -> Float[Array, "P K M"]:
    """Solves with the normal matrices; piece by piece on processors, which is kinder to caches."""

    def one_piece(piece: tuple[Array, Array]) -> Array:
        lower, row = piece
        return normal_solved(lower, row[None])[0]

    flat = right.reshape(right.shape[0], -1)
    solved: Array = jax.lax.map(one_piece, (cholesky, flat), batch_size=batch)
    return solved.reshape(right.shape)


def normal_solved(lower: Float[Array, "N N"], right: Float[Array, "n N"]) -> Float[Array, "n N"]:
    """Solves with the normal matrix of one piece, given its lower Cholesky factor, for n right sides."""
    half = triangular_solve(lower, right, left_side=False, lower=True, transpose_a=True)
    return triangular_solve(lower, half, left_side=False, lower=True)


class Correction(NamedTuple):
    """A Gauss-Newton step before the interfaces have spoken.

    Attributes:
        heads: Heads if all ends received zero, (P, K, M).
        robin_out: Robin data that every end sends then, (P, ends, K, T).
    """

    heads: Float[Array, "P K M"]
    robin_out: Float[Array, "P ends K T"]


def correct(rows: CableRows, window: Window, heads: Float[Array, "P K M"], linear: Linearisation) -> Correction:
    """One Gauss-Newton step from `heads`: gradient of all rows evaluated afresh, older factors."""
    equation, table, geometry, edges, weights = rows.equation, rows.table, rows.geometry, rows.edges, rows.weights
    inside = table.inside
    scale = jnp.asarray(equation.scale)[:, None]
    field = field_at(inside.value, heads, equation)
    jacobian = source_jacobian(equation, field, window.forcing)
    miss = residual(equation, table, geometry, window, heads)
    weight = jnp.asarray(table.points.weight) * jnp.broadcast_to(window.emphasis, jacobian.shape[:2])
    row = jnp.einsum("pkl,plq->pkq", linear.resolvent, miss) / scale * weight[:, None, :]
    pull = jnp.einsum("plk,plq->pkq", linear.resolvent, row / scale) * scale
    start = field_at(table.initial, heads, equation) - window.initial

    # What the content of the piece's volumes has gained unaccounted for, at the start and during the window.
    volume = volume_weight(table, geometry)
    density = volume / jnp.asarray(table.grid.space_weight)
    share = (density @ table.points.from_space.T) * jnp.asarray(table.points.weight)
    parts = []
    for counted in balances(equation):
        content = jnp.asarray(counted.weights)[:, None] / counted.scale
        lost = jnp.sum(content * start * volume, axis=(1, 2))
        lost = lost + window.duration * jnp.sum(content * miss * share, axis=(1, 2))
        parts.append((weights.balance**2 * lost)[:, None, None] * content)
    unbalanced = sum(parts[1:], parts[0])
    pull = pull + window.duration * unbalanced * share * scale
    reacting = jnp.einsum("pqlk,plq->pkq", jacobian, pull / scale) * scale
    per_length = (2.0 / geometry.length)[:, None, None]
    taper = geometry.taper @ table.points.from_space.T
    diffused = jnp.asarray(equation.diffusion)[:, None] * pull
    gradient = (
        (2.0 / window.duration) * pull @ inside.dt
        - (per_length**2 * diffused) @ inside.dxx
        - (per_length * taper * diffused) @ inside.dx
        - reacting @ inside.value
    )
    initial_weight = weights.initial**2 * jnp.asarray(table.grid.space_weight)
    started = start / scale * initial_weight + unbalanced * volume * scale
    gradient = gradient + started @ table.initial

    # The ends receive nothing yet, so their rows pull the present edge values towards zero.
    value, slope = edge_values(equation, table, geometry, window.duration, heads)
    now = combine(edges.receive, value, slope) / scale
    gradient = gradient + _pull_of_edges(rows, window.duration, now)
    moved = heads - _solve(linear.cholesky, gradient, rows.batch)
    value, slope = edge_values(equation, table, geometry, window.duration, moved)
    return Correction(moved, combine(edges.send, value, slope))


def respond(
    equation: ReactionDiffusion, transfer: Float[Array, "P E E"], robin_in: Float[Array, "P ends K T"]
) -> Float[Array, "P ends K T"]:
    """What the ends send in addition when they receive `robin_in`: S g."""
    scale = jnp.asarray(equation.scale)[:, None]
    flat = (robin_in / scale).reshape(robin_in.shape[0], transfer.shape[-1])  # there may be no pieces
    return jnp.einsum("pij,pj->pi", transfer, flat).reshape(robin_in.shape) * scale


def accept(
    rows: CableRows,
    window: Window,
    linear: Linearisation,
    correction: Correction,
    robin_in: Float[Array, "P ends K T"],
) -> Float[Array, "P K M"]:
    """The heads after the step, with the ends receiving `robin_in`."""
    scaled = robin_in / jnp.asarray(rows.equation.scale)[:, None]
    pull = _pull_of_edges(rows, window.duration, scaled)
    return correction.heads + _solve(linear.cholesky, pull, rows.batch)
