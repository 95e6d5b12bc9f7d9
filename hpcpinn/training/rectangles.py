"""The local problem on rectangles: what is asked of the field on every piece during one window.

A piece is a rectangle of the plane through a window of time, mapped to (ξ, η, τ) ∈ [−1, 1]³; the field on
it is read out of products of features, u(ξ, η, τ) = Σ_ijl a_ijl φ_i(ξ) χ_j(η) ψ_l(τ). Where a side lies on
a wall of the domain the features are flat there, so that no flux passes, whatever the heads are.

Arrays are batched over the P pieces of a rank; K species, M features and X nodes along both sides, T nodes
and L features in time. Ends are sides here: 0, 1 at ξ = −1, 1 and 2, 3 at η = −1, 1; a trace lives on
N = X·T nodes of a side, time fast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hpcpinn.networks.axis import AxisFeatures, AxisTrunk, mirrored
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import Grid, gauss_grid
from hpcpinn.training.local import Number, robin_parameter

SIDES = (-1.0, 1.0)

NO_WALL, WALL_FIRST, WALL_LAST, TWO_WALLS = range(4)
"""Which ends of an axis are walls: the kinds of an axis."""


class RectangleData(NamedTuple):
    """Data of one time window.

    Attributes:
        duration: Length of the window.
        initial: Field at the start of the window at the nodes, (P, K, X, X).
        forcing: Data of the equation, the same everywhere; None where it takes none.
    """

    duration: Float[Array, ""]
    initial: Float[Array, "P K X X"]
    forcing: Any = None


@dataclass(frozen=True)
class RectangleTable:
    """Features of the trunks wherever a piece needs them; the first axis is the kind of a side's axis.

    Attributes:
        trunks: Trunks along a side, one per kind.
        clock: Trunk in time.
        grid: Nodes; those in space are for both sides.
        line: Features at the nodes of a side, leaves (4, X, M).
        ends: Features at both ends of a side, slopes outward, leaves (4, 2, M).
        time: Features at the nodes in time, leaves (T, L).
        start, final: Features at τ = −1 and 1, (L,).
    """

    trunks: tuple[AxisTrunk, ...]
    clock: AxisTrunk
    grid: Grid
    line: AxisFeatures
    ends: AxisFeatures
    time: AxisFeatures
    start: Float[Array, " L"]
    final: Float[Array, " L"]

    @property
    def head_shape(self) -> tuple[int, int, int]:
        """Features along both sides and in time."""
        return self.trunks[0].n_features, self.trunks[0].n_features, self.clock.n_features

    def along(self, places: Float[np.ndarray, " n"]) -> AxisFeatures:
        """Features of all kinds at places of a side, leaves (4, n, M)."""
        return _stacked([trunk.features(places) for trunk in self.trunks])


def rectangle_table(trunk: Callable[..., AxisTrunk], clock: AxisTrunk, n_space: int, n_time: int) -> RectangleTable:
    """Evaluates the trunks at Gauss nodes and at the ends of their axes.

    Args:
        trunk: Makes a trunk along a side that is flat at the given ends.
        clock: Trunk in time.
        n_space, n_time: Nodes along a side and in time.
    """
    walled = trunk(flat_at=SIDES[:1])
    trunks = (trunk(flat_at=()), walled, mirrored(walled), trunk(flat_at=SIDES))
    return tabulated(trunks, clock, gauss_grid(n_space, n_time))


def tabulated(trunks: tuple[AxisTrunk, ...], clock: AxisTrunk, grid: Grid) -> RectangleTable:
    """Evaluates trunks, one per kind of axis, at the nodes of a grid and at the ends of their axes."""
    ends = _stacked([trunk.features(np.array(SIDES)) for trunk in trunks])
    outward = np.array(SIDES)[None, :, None]
    borders = np.asarray(clock.features(np.array(SIDES)).value)
    return RectangleTable(
        trunks=trunks,
        clock=clock,
        grid=grid,
        line=_stacked([trunk.features(grid.space) for trunk in trunks]),
        ends=ends._replace(slope=jnp.asarray(np.asarray(ends.slope) * outward)),
        time=clock.features(grid.time),
        start=jnp.asarray(borders[0]),
        final=jnp.asarray(borders[1]),
    )


def _stacked(features: list[AxisFeatures]) -> AxisFeatures:
    return AxisFeatures(*(jnp.asarray(np.stack(parts)) for parts in zip(*features, strict=True)))


class RectangleGeometry(NamedTuple):
    """The pieces of a rank.

    Attributes:
        size: Lengths of the sides, the same for all pieces, (2,).
        centre: Centre of every piece, µm, (P, 2).
        walls: Kinds of both axes of every piece, (P, 2).
        block: Row of every piece in `blocks`, (P,).
        blocks: Kinds that occur, but for mirror images: pieces of one are alike, (C, 2).
        flipped: Whether a piece is the image in ξ and in η, (P, 2).
    """

    size: Float[Array, " 2"]
    centre: Float[Array, "P 2"]
    walls: Int[Array, "P 2"]
    block: Int[Array, " P"]
    blocks: Int[Array, "C 2"]
    flipped: Bool[Array, "P 2"]


def rectangle_geometry(
    size: Float[np.ndarray, " 2"], centre: Float[np.ndarray, "P 2"], walls: Int[np.ndarray, "P 2"]
) -> RectangleGeometry:
    """Sorts pieces of equal size by what their sides are; arguments as the attributes."""
    flipped = walls == WALL_LAST
    blocks, block = np.unique(np.where(flipped, WALL_FIRST, walls), axis=0, return_inverse=True)
    arrays = (size, centre, walls, block.ravel(), blocks.reshape(-1, 2), flipped)
    return RectangleGeometry(*map(jnp.asarray, arrays))


def read_out(
    heads: Float[Array, "P K Mx My L"],
    x: Float[Array, "P n Mx"],
    y: Float[Array, "P m My"],
    t: Float[Array, "o L"],
    equation: ReactionDiffusion,
) -> Float[Array, "P K n m o"]:
    """What the heads make of features along the axes, in the units of the field."""
    scale = jnp.asarray(equation.scale)[:, None, None, None]
    in_time = jnp.einsum("pkijl,ol->pkijo", heads, t)
    in_y = jnp.einsum("pkijo,pmj->pkimo", in_time, y)
    return jnp.einsum("pkimo,pni->pknmo", in_y, x) * scale


def field_on(
    equation: ReactionDiffusion,
    geometry: RectangleGeometry,
    line: AxisFeatures,
    time: Float[Array, "o L"],
    heads: Float[Array, "P K Mx My L"],
) -> Float[Array, "P K n n o"]:
    """The field, rest and departure, at places `line` of both sides and times of the given features."""
    x, y = line.value[geometry.walls[:, 0]], line.value[geometry.walls[:, 1]]
    rest = jnp.asarray(equation.rest)[:, None, None, None]
    return rest + read_out(heads, x, y, time, equation)


def residual(
    equation: ReactionDiffusion,
    geometry: RectangleGeometry,
    line: AxisFeatures,
    time: AxisFeatures,
    window: RectangleData,
    heads: Float[Array, "P K Mx My L"],
) -> Float[Array, "P K n n o"]:
    """u_t − D ∇²u − source where the features are given (both sides at the same places)."""
    x = AxisFeatures(*(part[geometry.walls[:, 0]] for part in line))
    y = AxisFeatures(*(part[geometry.walls[:, 1]] for part in line))
    per_x, per_y = (2.0 / geometry.size[0]) ** 2, (2.0 / geometry.size[1]) ** 2
    change = (2.0 / window.duration) * read_out(heads, x.value, y.value, time.slope, equation)
    bend = per_x * read_out(heads, x.bend, y.value, time.value, equation)
    bend = bend + per_y * read_out(heads, x.value, y.bend, time.value, equation)
    rest = jnp.asarray(equation.rest)[:, None, None, None]
    field = rest + read_out(heads, x.value, y.value, time.value, equation)
    diffusion = jnp.asarray(equation.diffusion)[:, None, None, None]
    return change - diffusion * bend - source(equation, field, window.forcing)


def source(equation: ReactionDiffusion, field: Float[Array, "P K n n o"], forcing: Any) -> Float[Array, "P K n n o"]:
    """The equation's source at all points."""
    species_last = jnp.moveaxis(field, 1, -1)
    flat = species_last.reshape(-1, species_last.shape[-1])
    flat = jax.vmap(lambda u: equation.source(u, forcing))(flat)
    return jnp.moveaxis(flat.reshape(species_last.shape), -1, 1)


def rest_jacobian(equation: ReactionDiffusion, forcing: Any) -> Float[Array, "K K"]:
    """∂source/∂u at rest."""
    rest = jnp.asarray(equation.rest, jnp.float64)
    jacobian: Float[Array, "K K"] = jax.jacfwd(lambda u: equation.source(u, forcing))(rest)
    return jacobian


def resolvent_at_rest(equation: ReactionDiffusion, window: RectangleData) -> Float[Array, "K K"]:
    """(1/Δt − ∂source/∂u)⁻¹ at rest, which turns residuals into errors."""
    per_window = jnp.eye(len(equation.scale)) / window.duration
    resolvent: Float[Array, "K K"] = jnp.linalg.inv(per_window - rest_jacobian(equation, window.forcing))
    return resolvent


def side_values(
    equation: ReactionDiffusion,
    table: RectangleTable,
    geometry: RectangleGeometry,
    duration: Number,
    heads: Float[Array, "P K Mx My L"],
) -> tuple[Float[Array, "P 4 K N"], Float[Array, "P 4 K N"]]:
    """Departure from rest and its scaled outward slope ∂n u/κ on the nodes of all sides."""
    kinds_x, kinds_y = geometry.walls[:, 0], geometry.walls[:, 1]
    line, ends, time = table.line.value, table.ends, table.time.value
    scale = jnp.asarray(equation.scale)[:, None, None, None]
    in_time = jnp.einsum("pkijl,tl->pkijt", heads, time) * scale
    on_x = jnp.einsum("pkijt,pyj->pkiyt", in_time, line[kinds_y])
    on_y = jnp.einsum("pkijt,pxi->pkxjt", in_time, line[kinds_x])
    kappa = robin_parameter(equation, duration)[:, None]

    def of_both(x_ends: Array, y_ends: Array) -> Array:
        """(P, 4, K, N) from features at the ends of both axes."""
        first = jnp.einsum("pkiyt,pei->pekyt", on_x, x_ends[kinds_x])
        second = jnp.einsum("pkxjt,pej->pekxt", on_y, y_ends[kinds_y])
        both = jnp.concatenate([first, second], axis=1)
        return both.reshape(*both.shape[:3], -1)

    slope = of_both(ends.slope * (2.0 / geometry.size[0]), ends.slope * (2.0 / geometry.size[1]))
    return of_both(ends.value, ends.value), slope / kappa


def start_values(
    equation: ReactionDiffusion,
    table: RectangleTable,
    geometry: RectangleGeometry,
    heads: Float[Array, "P K Mx My L"],
    at: Float[Array, " L"],
) -> Float[Array, "P K X X"]:
    """The field at the nodes in space where the features of time are `at`."""
    return field_on(equation, geometry, table.line, at[None], heads)[..., 0]
