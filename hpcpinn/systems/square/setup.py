"""All that is fixed for a run on a square, and what one try at a window of it gives."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.first_order_window import FirstOrderRectangles
from hpcpinn.domain.newton import NewtonSettings
from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.domain.rectangles import Rectangles
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.networks.axis import make_axis_trunk
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import PRESETS, DopamineConstants, DopamineSystem, exact
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.rectangles import RectangleGeometry, rectangle_table


def constants_of(config: SquareConfig) -> DopamineConstants:
    """The preset with what the run description changes."""
    return PRESETS[config.physics.preset].replace(**config.physics.constants.changes)


def duration_of(config: SquareConfig) -> float:
    """How long is simulated, ms."""
    return config.run.duration or PRESETS[config.physics.preset].duration


@dataclass(frozen=True)
class SquareSetup:
    """All that is fixed for a run, as one rank sees it.

    Attributes:
        config: The run description.
        constants: Of the equation.
        domain: The subdomains.
        owner: Rank of every subdomain.
        local: This rank's, in the order in which it stores them.
        solver: Solves windows on them.
    """

    config: SquareConfig
    constants: DopamineConstants
    domain: Rectangles
    owner: Int[np.ndarray, " P"]
    local: Int[np.ndarray, " p"]
    solver: RectangleWindow


def build_square(config: SquareConfig, communicator: Communicator) -> SquareSetup:
    """Sets up a run; the same on all ranks but for what each owns.

    Raises:
        InputError: More ranks than subdomains.
    """
    constants = constants_of(config)
    a = constants.half_width
    domain = Rectangles((-a, -a), (a, a), config.domain.subdomains)
    owner = domain.owners(communicator.size)
    local = domain.stored(owner, communicator.rank)
    network, training = config.network, config.training
    trunk = partial(
        make_axis_trunk, network.features_space, seed=config.run.seed,
        layers=network.layers, activation=network.activation, scale=network.scale,
    )  # fmt: skip
    clock_trunk = make_axis_trunk(
        network.features_time, seed=config.run.seed + 1,
        layers=network.layers, activation=network.activation, scale=network.scale,
    )  # fmt: skip
    table = rectangle_table(
        trunk,
        clock_trunk,
        training.points_space or network.features_space + 2,
        training.points_time or network.features_time + 2,
    )
    schwarz = config.schwarz
    sweeping = SweepSettings(
        n_red=int(np.sum(domain.colour[local] == 0)),
        order=schwarz.order,
        acceleration=schwarz.acceleration,
        tolerance=schwarz.jump_tolerance,
        max_sweeps=schwarz.max_sweeps,
        most_per_window=schwarz.max_sweeps,
        memory=30,
    )
    # The equation is linear: one set of factors is right for a window, and sweeps need not pause.
    newton = NewtonSettings(
        training.newton_tolerance, training.newton_max, renew_above=np.inf, renew_first=np.inf, inexact=0.0
    )
    common: dict[str, Any] = {
        "equation": DopamineSystem.of(constants), "table": table, "geometry": domain.geometry(local),
        "interfaces": domain.interfaces(owner, communicator.rank), "communicator": communicator, "sweeping": sweeping,
    }  # fmt: skip
    solver: RectangleWindow
    if training.trainer in ("adam", "lbfgs"):
        optimiser = FirstOrder(training.trainer, training.learning_rate, decay=training.steps)
        solver = FirstOrderRectangles(**common, optimiser=optimiser, steps=training.steps)
    else:
        solver = RectangleWindow(**common, newton=newton)
    return SquareSetup(config, constants, domain, owner, local, solver)


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
