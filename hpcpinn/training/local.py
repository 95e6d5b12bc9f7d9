"""The local problem: what is asked of the field on every piece during one window.

Arrays are batched over the P pieces of a rank; K species, M features, X × T collocation points
(Q = X·T), two ends e (0: ξ = −1, 1: ξ = +1); rectangles have four. What depends on the volume that a species lives in
has an axis G: of length 1 where all live in the same, else K.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CYTOSOL, LUMEN
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import FeatureTable

Number = Float[Array, ""] | float


class PieceGeometry(NamedTuple):
    """Geometry of the pieces at the space nodes of the collocation grid.

    Attributes:
        length: Length of every piece, µm, (P,).
        area: Cross-section of a species' volume, of the cytosol A = π(a² − r_ER²), µm², (P, G, X).
        taper: A'/A per length, 1/µm, (P, G, X).
        membrane_ratio: Plasma membrane per volume of the cytosol P/A, 1/µm, (P, X).
        end_area: A at both ends, µm², (P, 2, G).
        er_ratio: Membrane of the reticulum per volume of the cytosol and of its lumen, 1/µm, (P, 2, X); None where no
            species lives in it.
    """

    length: Float[Array, " P"]
    area: Float[Array, "P G X"]
    taper: Float[Array, "P G X"]
    membrane_ratio: Float[Array, "P X"]
    end_area: Float[Array, "P 2 G"]
    er_ratio: Float[Array, "P 2 X"] | None = None

    def cross_section(self, number: int) -> Float[Array | np.ndarray, "P X"]:
        """A of the volume that a species lives in, µm²."""
        return self.area[:, min(number, self.area.shape[1] - 1)]

    def of_species(self, number: int) -> "PieceGeometry":
        """The geometry of one species alone; `number` may be that of any where all live in the same volume."""
        if self.area.shape[1] == 1:
            return self
        one = slice(number, number + 1)
        return self._replace(area=self.area[:, one], taper=self.taper[:, one], end_area=self.end_area[:, :, one])


class _Inside(NamedTuple):
    """A volume along the pieces: `area`, `taper` and `end_area` as in `PieceGeometry`, and its membrane per volume."""

    area: Float[np.ndarray, "P X"]
    taper: Float[np.ndarray, "P X"]
    membrane_ratio: Float[np.ndarray, "P X"]
    end_area: Float[np.ndarray, "P 2"]


def distinct(volumes: Sequence[str]) -> tuple[str, ...]:
    """Volumes of the axis G, from those of all species: the only one, or all."""
    return tuple(volumes) if len(set(volumes)) > 1 else tuple(volumes[:1])


def piece_geometry(pieces: Cable, xi: Float[np.ndarray, " X"], volumes: Sequence[str] = (CYTOSOL,)) -> PieceGeometry:
    """Evaluates areas and their slopes of every piece at the positions ξ.

    Args:
        pieces: The pieces.
        xi: The positions.
        volumes: Volume of every species.
    """
    inside = {volume: _inside(pieces.within(volume), xi) for volume in {CYTOSOL, *volumes}}
    cytosol, parts = inside[CYTOSOL], [inside[volume] for volume in distinct(volumes)]
    er_ratio = None
    if LUMEN in inside:
        own = inside[LUMEN].membrane_ratio
        er_ratio = jax.device_put(np.stack([own * inside[LUMEN].area / cytosol.area, own], axis=1))
    return PieceGeometry(
        length=jax.device_put(pieces.length),
        area=jax.device_put(np.stack([part.area for part in parts], axis=1)),
        taper=jax.device_put(np.stack([part.taper for part in parts], axis=1)),
        membrane_ratio=jax.device_put(cytosol.membrane_ratio),
        end_area=jax.device_put(np.stack([part.end_area for part in parts], axis=2)),
        er_ratio=er_ratio,
    )


def _inside(pieces: Cable, xi: Float[np.ndarray, " X"]) -> _Inside:
    fraction = (np.asarray(xi)[None, :] + 1.0) / 2.0

    def along(ends: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "P X"]:
        between: Float[np.ndarray, "P X"] = ends[:, :1] + fraction * (ends[:, 1:] - ends[:, :1])
        return between

    def slope(ends: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "P 1"]:
        per_length: Float[np.ndarray, " P"] = (ends[:, 1] - ends[:, 0]) / pieces.length
        return per_length[:, None]

    radius, er = along(pieces.radius), along(pieces.er_radius)
    area = np.pi * (radius**2 - er**2)
    area_slope = 2.0 * np.pi * (radius * slope(pieces.radius) - er * slope(pieces.er_radius))
    return _Inside(
        area, area_slope / area, 2.0 * np.pi * radius / area, np.pi * (pieces.radius**2 - pieces.er_radius**2)
    )


class Window(NamedTuple):
    """Data of one time window.

    Attributes:
        duration: Length of the window in internal time.
        initial: Field at the start of the window, (P, K, X).
        forcing: Pytree of the equation's data on the grid, leaves (P, X·T); a solver takes it to
            its collocation points with `collocated`.
        emphasis: Relative weights of the residual's rows, (P, Q).
    """

    duration: Float[Array, ""]
    initial: Float[Array, "P K X"]
    forcing: Any
    emphasis: Float[Array, "P Q"] | float = 1.0


def collocated(table: FeatureTable, window: Window) -> Window:
    """The window with its forcing at the collocation points, leaves (P, Q)."""
    if table.points.from_grid is None:
        return window
    to_points = jnp.asarray(table.points.from_grid.T)
    return window._replace(forcing=jax.tree.map(lambda leaf: leaf @ to_points, window.forcing))


class EdgeRows(NamedTuple):
    """Which combination of value u and scaled outward slope ∂n u/κ an end receives and sends.

    Attributes:
        receive: Coefficients of (value, slope) in the Robin data that an end receives, (P, ends, 2).
        send: Coefficients of (value, slope) in the Robin data that an end sends, (P, ends, 2).
    """

    receive: Float[Array, "P ends 2"]
    send: Float[Array, "P ends 2"]


def robin_parameter(equation: ReactionDiffusion, duration: Number) -> Float[Array, " K"]:
    """κ_k = √((1/Δt + rate_k)/D_k): how fast species k decays away from a disturbed end."""
    rate = jnp.asarray(equation.rate) + 1.0 / duration
    return jnp.sqrt(rate / jnp.asarray(equation.diffusion))


def evaluate(
    values: Float[Array, "n M"], heads: Float[Array, "P K M"], equation: ReactionDiffusion
) -> Float[Array, "P K n"]:
    """What the heads read out of feature values (or derivatives) at n points.

    Heads describe the departure from rest in units of the scale, so that rest is exact.
    """
    departure = jnp.einsum("pkm,nm->pkn", heads, values)
    return departure * jnp.asarray(equation.scale)[:, None]


def field_at(
    values: Float[Array, "n M"], heads: Float[Array, "P K M"], equation: ReactionDiffusion
) -> Float[Array, "P K n"]:
    """The field itself, rest and departure, where the features have the given values."""
    return jnp.asarray(equation.rest)[:, None] + evaluate(values, heads, equation)


def pointwise(
    function: Callable[[Float[Array, " K"], Any], Float[Array, "..."]],
) -> Callable[[Float[Array, "P K Q"], Any], Float[Array, "P Q ..."]]:
    """Maps a function of (u (K,), forcing) over pieces and points: u (P, K, Q), forcing (P, Q)."""
    return jax.vmap(jax.vmap(function, in_axes=(1, 0)), in_axes=(0, 0))


def source(equation: ReactionDiffusion, field: Float[Array, "P K Q"], forcing: Any) -> Float[Array, "P K Q"]:
    """The equation's source at all points."""
    return jnp.swapaxes(pointwise(equation.source)(field, forcing), 1, 2)


def source_jacobian(equation: ReactionDiffusion, field: Float[Array, "P K Q"], forcing: Any) -> Float[Array, "P Q K K"]:
    """∂source_k/∂u_l at all points."""
    return pointwise(jax.jacfwd(equation.source))(field, forcing)


def residual(
    equation: ReactionDiffusion,
    table: FeatureTable,
    geometry: PieceGeometry,
    window: Window,
    heads: Float[Array, "P K M"],
) -> Float[Array, "P K Q"]:
    """u_t − (1/A) ∂s(A D ∂s u) − source at the collocation points (EQUATIONS §1)."""
    inside = table.inside
    per_length = (2.0 / geometry.length)[:, None, None]
    taper = geometry.taper @ table.points.from_space.T
    diffusion = jnp.asarray(equation.diffusion)[:, None]
    change = (2.0 / window.duration) * evaluate(inside.dt, heads, equation)
    bend = per_length**2 * evaluate(inside.dxx, heads, equation)
    drift = per_length * taper * evaluate(inside.dx, heads, equation)
    field = field_at(inside.value, heads, equation)
    return change - diffusion * (bend + drift) - source(equation, field, window.forcing)


def edge_values(
    equation: ReactionDiffusion,
    table: FeatureTable,
    geometry: PieceGeometry,
    duration: Number,
    heads: Float[Array, "P K M"],
) -> tuple[Float[Array, "P ends K T"], Float[Array, "P ends K T"]]:
    """Departure from rest and its scaled outward slope ∂n u/κ at both ends of every piece."""
    value = jnp.einsum("pkm,etm->pekt", heads, table.edge)
    slope = jnp.einsum("pkm,etm->pekt", heads, table.edge_slope)
    per_length = (2.0 / geometry.length)[:, None, None, None]
    scale = jnp.asarray(equation.scale)[:, None]
    kappa = robin_parameter(equation, duration)[:, None]
    return value * scale, slope * scale * per_length / kappa


def combine(
    rows: Float[Array, "P ends 2"], value: Float[Array, "P ends K T"], slope: Float[Array, "P ends K T"]
) -> Float[Array, "P ends K T"]:
    """The combination of value and slope that `rows` asks for."""
    return rows[:, :, 0, None, None] * value + rows[:, :, 1, None, None] * slope
