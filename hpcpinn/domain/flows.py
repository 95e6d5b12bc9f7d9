"""How much calcium a rank's pieces hold and what passes their membrane: the conservation check."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.training.local import Window, field_at, pointwise


def node_volume(solver: WindowSolver) -> Float[Array, "P G X"]:
    """Volume that every space node stands for, of that which a species lives in (`PieceGeometry`), µm³."""
    weight = jnp.asarray(solver.table.grid.space_weight)
    return solver.geometry.length[:, None, None] * solver.geometry.area * weight


def calcium_content(solver: WindowSolver, field: Float[Array, "P K X"]) -> Float[Array, ""]:
    """∫A Σ_k content_k u_k ds of this rank: total calcium up to a constant, µM·µm³."""
    content = jnp.asarray(solver.equation.content)
    return jnp.einsum("k,pkx,pkx->", content, field, node_volume(solver))


def membrane_flows(
    solver: WindowSolver, window: Window, heads: Float[Array, "P K M"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Calcium that passes this rank's membrane in a window, µM·µm³: net, and inward terms only."""
    equation, grid = solver.equation, solver.table.grid
    field = field_at(solver.table.on_grid, heads, equation)

    flows = pointwise(equation.passage)(field, window.forcing)
    time_weight = jnp.asarray(grid.time_weight)[:, None]
    area = solver.geometry.cross_section(equation.volumes.index(CYTOSOL))
    volume = solver.geometry.length[:, None] * area * jnp.asarray(grid.space_weight)
    share = (time_weight[None] * volume[:, None, :]).reshape(field.shape[0], -1)
    net, inward = window.duration * jnp.einsum("pqf,pq->f", flows, share)
    return net, inward
