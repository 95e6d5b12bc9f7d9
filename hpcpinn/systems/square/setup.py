"""All that is fixed for a run on a square, and what one try at a window of it gives."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.domain.rectangles import Rectangles
from hpcpinn.marching.controller import WindowRule
from hpcpinn.physics.dopamine import DopamineConstants, exact
from hpcpinn.training.rectangles import RectangleGeometry


@dataclass(frozen=True)
class SquareSetup:
    """All that is fixed for a run, as one rank sees it.

    Attributes:
        constants: Constants of the equation.
        domain: The subdomains.
        owner: Rank of every subdomain.
        local: Subdomains of this rank, in the order in which it stores them, (p,).
        solver: Solves windows on them.
        rule: Lengths of windows, and the tolerance of their error.
        duration: Length of the run, ms.
        frame_interval: Interval between frames, ms.
        cells: Number of output cells along a side of a subdomain.
    """

    constants: DopamineConstants
    domain: Rectangles
    owner: Int[np.ndarray, " P"]
    local: Int[np.ndarray, " p"]
    solver: RectangleWindow
    rule: WindowRule
    duration: float
    frame_interval: float
    cells: int


@jax.jit
def release(constants: DopamineConstants, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """The field at the start of a run at the given places, µM."""
    return exact(x, y, 0.0, constants)


def positions(
    geometry: RectangleGeometry, line: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "P n n"], Float[np.ndarray, "P n n"]]:
    """x and y, µm, at places (ξ, η) of the pieces, both from `line`."""
    centre, along = np.asarray(geometry.centre), 0.5 * np.asarray(geometry.size)[:, None] * line
    x, y = (centre[:, axis, None] + along[axis] for axis in range(2))
    n = len(line)
    return np.tile(x[:, :, None], (1, 1, n)), np.tile(y[:, None, :], (1, n, 1))


def released(problem: SquareSetup) -> Float[Array, "p K X X"]:
    """The field at the start of a run at the nodes of this rank's pieces, µM."""
    x, y = positions(problem.solver.geometry, problem.solver.table.grid.space)
    field: Float[Array, "p K X X"] = release(problem.constants, x, y)[:, None]
    return field
