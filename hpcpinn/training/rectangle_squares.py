"""Trains all heads of a rank's rectangles by physics least squares, as `least_squares` does on cables.

The normal matrix is a sum of a few Kronecker products of small matrices, one factor per axis, with the
source's Jacobian at rest: no row is ever formed. Pieces whose sides are walls alike have the same one, but
for mirror images; there are at most four factorisations. The gradient is that of the rows themselves.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax.linalg import triangular_solve
from jaxtyping import Array, Float

from hpcpinn.networks.axis import AxisFeatures
from hpcpinn.training.least_squares import Correction, Linearisation, PieceRows, normal_solved
from hpcpinn.training.local import EdgeRows, Number, combine, robin_parameter
from hpcpinn.training.rectangles import (
    RectangleData,
    RectangleGeometry,
    RectangleTable,
    residual,
    resolvent_at_rest,
    rest_jacobian,
    side_values,
    start_values,
)

N_SIDES = 4

RectangleRows = PieceRows[RectangleTable, RectangleGeometry]
"""Rows of the pieces of a square."""


class _Block(NamedTuple):
    """What the normal matrix of one kind of piece depends on.

    Attributes:
        walls: Kinds of both axes, (2,).
        receive, send: Rows of the sides, (4, 2).
    """

    walls: Array
    receive: Array
    send: Array


def linearise(rows: RectangleRows, window: RectangleData) -> Linearisation:
    """Factorises every kind of piece and condenses it to its sides.

    Returns:
        Factors by kind, (C, KM², KM²); the transfer operators are those of all pieces.
    """
    cholesky = factors(rows, window)

    def one_kind(kind: tuple[_Block, Array]) -> Array:
        block, lower = kind
        return _transfer(rows, block, window.duration, lower)

    transfer = jax.lax.map(one_kind, (_blocks(rows.geometry, rows.edges), cholesky))
    return Linearisation(
        resolvent_at_rest(rows.equation, window),
        cholesky,
        _of_pieces(rows.table, rows.geometry, len(rows.equation.scale), transfer),
    )


def factors(rows: RectangleRows, window: RectangleData) -> Float[Array, "C N N"]:
    """Lower Cholesky factors of the normal matrices of every kind of piece, N = KM²L."""
    resolvent = resolvent_at_rest(rows.equation, window)

    def one_kind(block: _Block) -> Array:
        lower: Array = jnp.linalg.cholesky(_normal(rows, block, window, resolvent))
        return lower

    lower: Float[Array, "C N N"] = jax.lax.map(one_kind, _blocks(rows.geometry, rows.edges))
    return lower


def _blocks(geometry: RectangleGeometry, edges: EdgeRows) -> _Block:
    """Every kind that occurs, with the rows of a piece of it, seen in the mirror where that is an image."""
    kinds = jnp.arange(len(geometry.blocks))
    first = jnp.argmax(geometry.block == kinds[:, None], axis=1)
    flipped = geometry.flipped[first]
    swap = jnp.repeat(flipped, 2, axis=1)
    sides = jnp.where(swap, jnp.array([1, 0, 3, 2]), jnp.arange(N_SIDES))
    receive, send = (rows[first[:, None], sides] for rows in (edges.receive, edges.send))
    return _Block(geometry.blocks, receive, send)


def _of_pieces(
    table: RectangleTable, geometry: RectangleGeometry, n_species: int, transfer: Float[Array, "C E E"]
) -> Float[Array, "P E E"]:
    """The transfer operators of all pieces: of a mirror image, sides and nodes change places."""
    shape = (N_SIDES, n_species, len(table.grid.space), len(table.grid.time))
    plain = np.arange(np.prod(shape)).reshape(shape)

    def flipped(order: np.ndarray, axis: int) -> np.ndarray:
        across, along = slice(2 * axis, 2 * axis + 2), slice(2 - 2 * axis, 4 - 2 * axis)
        image = order.copy()
        image[across] = order[across][::-1]
        image[along] = order[along][:, :, ::-1]
        return image

    images = [plain, flipped(plain, 0), flipped(plain, 1), flipped(flipped(plain, 0), 1)]
    order = jnp.asarray(np.stack([image.ravel() for image in images]))
    image = geometry.flipped[:, 0] + 2 * geometry.flipped[:, 1]

    def one_piece(piece: tuple[Array, Array]) -> Array:
        block, image = piece
        return transfer[block][order[image]][:, order[image]]

    of_pieces: Float[Array, "P E E"] = jax.lax.map(one_piece, (geometry.block, image))
    return of_pieces


def _normal(
    rows: RectangleRows, block: _Block, window: RectangleData, resolvent: Float[Array, "K K"]
) -> Float[Array, "N N"]:
    """Normal matrix of all rows of one kind of piece, in units of the scale."""
    equation, table, size = rows.equation, rows.table, rows.geometry.size
    x, y = _weighted(table, block.walls[0]), _weighted(table, block.walls[1])
    root = jnp.sqrt(jnp.asarray(table.grid.time_weight))[:, None]
    t_value, t_slope = root * table.time.value, root * table.time.slope
    begun = rows.weights.initial**2 * jnp.outer(table.start, table.start)
    per_x, per_y = (2.0 / size[0]) ** 2, (2.0 / size[1]) ** 2
    plain, bent = _over_plane(x, y, per_x, per_y)
    # Row k is Σ_l of (held·value + moved·∂τ + spread·∇²) of species l, in units of the scale.
    scale = jnp.asarray(equation.scale)
    ratio = scale[None, :] / scale[:, None]
    held = -(resolvent @ rest_jacobian(equation, window.forcing)) * ratio
    moved = resolvent * ratio * 2.0 / window.duration
    spread = -resolvent * jnp.asarray(equation.diffusion) * ratio

    def block_of(a: int, b: int) -> Array:
        def products(left: Array, right: Array) -> Array:
            return left[:, a] @ right[:, b]

        still = products(held, held) * plain + products(spread, spread) * bent[1]
        still = still + products(held, spread) * bent[0] + products(spread, held) * bent[0].T
        crossed = products(moved, held) * plain + products(moved, spread) * bent[0]
        back = products(held, moved) * plain + products(spread, moved) * bent[0].T
        if a == b:
            still = still + _sides(rows, block, x, y, window.duration, a)
        total = jnp.kron(still, t_value.T @ t_value)
        total = total + jnp.kron(products(moved, moved) * plain, t_slope.T @ t_slope)
        total = total + jnp.kron(crossed, t_slope.T @ t_value) + jnp.kron(back, t_value.T @ t_slope)
        return total + jnp.kron(plain, begun) if a == b else total

    species = range(len(equation.scale))
    normal = jnp.block([[block_of(a, b) for b in species] for a in species])
    return 0.5 * (normal + normal.T)


def _over_plane(
    x: AxisFeatures, y: AxisFeatures, per_x: Array, per_y: Array
) -> tuple[Float[Array, "MM MM"], tuple[Float[Array, "MM MM"], Float[Array, "MM MM"]]]:
    """Products over the plane of values with values, and of values and of ∇² with ∇²."""
    x_v, x_b, x_bb = x.value.T @ x.value, x.value.T @ x.bend, x.bend.T @ x.bend
    y_v, y_b, y_bb = y.value.T @ y.value, y.value.T @ y.bend, y.bend.T @ y.bend
    value_bend = per_x * jnp.kron(x_b, y_v) + per_y * jnp.kron(x_v, y_b)
    crossed = jnp.kron(x_b.T, y_b) + jnp.kron(x_b, y_b.T)
    bend_bend = per_x**2 * jnp.kron(x_bb, y_v) + per_y**2 * jnp.kron(x_v, y_bb) + per_x * per_y * crossed
    return jnp.kron(x_v, y_v), (value_bend, bend_bend)


def _sides(
    rows: RectangleRows, block: _Block, x: AxisFeatures, y: AxisFeatures, duration: Number, k: int
) -> Float[Array, "MM MM"]:
    """Products over the plane of what species k receives at the sides."""
    slope = 2.0 / rows.geometry.size / robin_parameter(rows.equation, duration)[k]
    total = jnp.zeros((x.value.shape[1] * y.value.shape[1],) * 2)
    for side in range(N_SIDES):
        axis, end = divmod(side, 2)
        ends = AxisFeatures(*(part[block.walls[axis], end] for part in rows.table.ends))
        row = block.receive[side, 0] * ends.value + block.receive[side, 1] * slope[axis] * ends.slope
        across = jnp.outer(row, row)
        along = (y if axis == 0 else x).value
        along = along.T @ along
        total = total + (jnp.kron(across, along) if axis == 0 else jnp.kron(along, across))
    return rows.weights.edge**2 * total


def _weighted(table: RectangleTable, kind: Array) -> AxisFeatures:
    """Features along a side times the root of the quadrature weight."""
    root = jnp.sqrt(jnp.asarray(table.grid.space_weight))[:, None]
    return AxisFeatures(*(root * part[kind] for part in table.line))


def _transfer(
    rows: RectangleRows, block: _Block, duration: Number, cholesky: Float[Array, "N N"]
) -> Float[Array, "E E"]:
    """S: what the sides send per unit of what they receive, in units of the scale."""
    table, n_species = rows.table, len(rows.equation.scale)
    slope = 2.0 / rows.geometry.size[:, None] / robin_parameter(rows.equation, duration)
    lines = [table.line.value[block.walls[axis]] for axis in range(2)]

    def reading(of: Array) -> Array:
        """Reading of the sides that `of` (4, 2) asks for, (4, K, N, K M²L)."""
        sides = []
        for side in range(N_SIDES):
            axis, end = divmod(side, 2)
            ends = AxisFeatures(*(part[block.walls[axis], end] for part in table.ends))
            species = []
            for k in range(n_species):
                across = of[side, 0] * ends.value + of[side, 1] * slope[axis, k] * ends.slope
                along = lines[1 - axis]
                letters = "i,yj,tl->ytijl" if axis == 0 else "j,xi,tl->xtijl"
                flat = jnp.einsum(letters, across, along, table.time.value)
                flat = flat.reshape(along.shape[0] * table.time.value.shape[0], -1)
                placed = jnp.zeros((flat.shape[0], n_species, flat.shape[1])).at[:, k].set(flat)
                species.append(placed.reshape(flat.shape[0], -1))
            sides.append(jnp.stack(species))
        return jnp.stack(sides)

    robin_in = reading(block.receive) * (rows.weights.edge**2 * side_weight(table))[:, None]
    robin_in, sent = (part.reshape(-1, part.shape[-1]) for part in (robin_in, reading(block.send)))

    def solved(flat: Array) -> Array:
        return triangular_solve(cholesky, flat, left_side=False, lower=True, transpose_a=True)

    return solved(sent) @ solved(robin_in).T


def side_weight(table: RectangleTable) -> Float[Array, " N"]:
    """Quadrature weights of the nodes of a side, time fast; they sum to 1."""
    return jnp.asarray(np.outer(table.grid.space_weight, table.grid.time_weight).ravel())


def loss(
    rows: RectangleRows, window: RectangleData, robin_in: Float[Array, "P 4 K N"], heads: Float[Array, "P K M M L"]
) -> Float[Array, ""]:
    """Half the sum of squares of all rows of all pieces, in units of the scale."""
    parts = weighted_rows(rows, window, robin_in, heads)
    return 0.5 * sum((jnp.sum(part**2) for part in parts), jnp.zeros(()))


def weighted_rows(
    rows: RectangleRows, window: RectangleData, robin_in: Float[Array, "P 4 K N"], heads: Float[Array, "P K M M L"]
) -> tuple[Float[Array, "P K X X T"], Float[Array, "P K X X"], Float[Array, "P 4 K N"]]:
    """The weighted rows of all pieces, in units of the scale: the equation's, of the start, of the sides."""
    equation, table, geometry = rows.equation, rows.table, rows.geometry
    scale = jnp.asarray(equation.scale)[:, None, None]
    space, time = (jnp.sqrt(jnp.asarray(x)) for x in (table.grid.space_weight, table.grid.time_weight))
    plane = space[:, None] * space
    miss = residual(equation, geometry, table.line, table.time, window, heads)
    miss = jnp.einsum("kl,plxyt->pkxyt", resolvent_at_rest(equation, window), miss) / scale[..., None]
    start = (start_values(equation, table, geometry, heads, table.start) - window.initial) / scale
    value, slope = side_values(equation, table, geometry, window.duration, heads)
    sides = (combine(rows.edges.receive, value, slope) - robin_in) / scale[:, 0]
    return (
        plane[:, :, None] * time * miss,
        rows.weights.initial * plane * start,
        rows.weights.edge * jnp.sqrt(side_weight(table)) * sides,
    )


def correct(
    rows: RectangleRows, window: RectangleData, heads: Float[Array, "P K M M L"], linear: Linearisation
) -> Correction:
    """One Gauss-Newton step from `heads` with all sides receiving zero."""
    nothing = jnp.zeros((heads.shape[0], N_SIDES, heads.shape[1], len(side_weight(rows.table))))

    def squares(heads: Array) -> Array:
        return loss(rows, window, nothing, heads)

    moved = heads - _solve(linear.cholesky, rows.geometry, jax.grad(squares)(heads))
    value, slope = side_values(rows.equation, rows.table, rows.geometry, window.duration, moved)
    return Correction(moved, combine(rows.edges.send, value, slope))


def accept(
    rows: RectangleRows,
    window: RectangleData,
    linear: Linearisation,
    correction: Correction,
    robin_in: Float[Array, "P 4 K N"],
) -> Float[Array, "P K M M L"]:
    """The heads after the step, with the sides receiving `robin_in`."""
    scale = jnp.asarray(rows.equation.scale)[:, None]
    weighted = rows.weights.edge**2 * side_weight(rows.table) * robin_in / scale

    def received(heads: Array) -> Array:
        value, slope = side_values(rows.equation, rows.table, rows.geometry, window.duration, heads)
        return jnp.sum(combine(rows.edges.receive, value, slope) / scale * weighted)

    pull = jax.grad(received)(jnp.zeros_like(correction.heads))
    return correction.heads + _solve(linear.cholesky, rows.geometry, pull)


def _solve(
    cholesky: Float[Array, "C N N"], geometry: RectangleGeometry, right: Float[Array, "P K M M L"]
) -> Float[Array, "P K M M L"]:
    """Solves with the normal matrices, piece by piece."""

    def one_piece(piece: tuple[Array, Array]) -> Array:
        kind, row = piece
        return normal_solved(cholesky[kind], row[None])[0]

    flat = right.reshape(right.shape[0], -1)
    solved: Array = jax.lax.map(one_piece, (geometry.block, flat))
    return solved.reshape(right.shape)
