"""From a run description to what solves coupled windows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.domain.first_order_window import FirstOrderWindow
from hpcpinn.domain.interfaces import build_interfaces, storage_order
from hpcpinn.domain.newton import NewtonSettings
from hpcpinn.domain.partition import colour
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.marching.controller import WindowRule
from hpcpinn.morphology import Cable
from hpcpinn.networks.trunk import Trunk, make_separable_trunk, make_trunk, split_features
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.calcium_system import CalciumSystem
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.voltage import compact_weights
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.coupled_slots import CoupledSlots
from hpcpinn.timestepping.motifs import SlotSolver
from hpcpinn.timestepping.slot_drive import SlotDrive
from hpcpinn.training.collocation import CollocationPoints, Grid, feature_table, gauss_grid, grid_points, random_points
from hpcpinn.training.first_order import REMEDIES, FirstOrder
from hpcpinn.training.local import piece_geometry

PIECES_PER_BATCH = 1024
"""Pieces that an accelerator factorises together: some 100 MB of rows."""


def window_rule(config: RunConfig, unit: float) -> WindowRule:
    """Lengths and tolerance of coupled windows.

    Args:
        config: The run description.
        unit: Internal time per user time.
    """
    return WindowRule(
        first=config.window.first * unit,
        shortest=config.window.shortest * unit,
        longest=config.window.longest * unit,
        tolerance=config.window.tolerance,
        unit=unit,
        remedy=REMEDIES.get(config.training.trainer, "use more network.features"),
    )


def coupled_solver(
    config: RunConfig,
    k: CalciumConstants,
    pieces: Cable,
    owner: Int[np.ndarray, " F"],
    communicator: Communicator,
) -> tuple[WindowSolver, Int[np.ndarray, " P"]]:
    """What solves coupled windows on this rank's pieces, and these as it stores them. Not collective.

    Args:
        config: The run description.
        k: Constants, with the leak that balances rest.
        pieces: Pieces of the whole tree.
        owner: Rank of every piece.
        communicator: All ranks.
    """
    colours = colour(pieces)
    local = storage_order(owner, colours, communicator.rank)
    mine = pieces.take(local)

    chosen, training = config.network, config.training
    n_space, n_time = split_features(chosen.features)
    make: Callable[..., Trunk] = partial(make_trunk, chosen.features)
    if chosen.trunk == "separable":
        make = partial(make_separable_trunk, n_space, n_time)
    trunk = make(
        seed=config.run.seed,
        layers=chosen.layers,
        activation=chosen.activation,
        scale=(chosen.scale, chosen.scale),
    )
    grid = gauss_grid(training.points_space or n_space + 2, training.points_time or n_time + 2)
    table = feature_table(trunk, grid, collocation_points(config, grid))
    equation = CalciumSystem(k)
    geometry = piece_geometry(mine, table.grid.space, equation.volumes)
    solver = window_solver(
        config,
        equation=equation,
        table=table,
        geometry=geometry,
        interfaces=build_interfaces(
            pieces, owner, colours, communicator.rank, config.schwarz.transmission, equation.volumes
        ),
        communicator=communicator,
        sweeping=SweepSettings(
            n_red=int(np.sum(colours[local] == 0)),
            order=config.schwarz.order,
            acceleration=config.schwarz.chosen_acceleration,
            tolerance=config.schwarz.jump_tolerance,
            max_sweeps=config.schwarz.max_sweeps,
            most_per_window=2 * config.schwarz.max_sweeps,
        ),
    )
    return solver, local


def collocation_points(config: RunConfig, grid: Grid) -> CollocationPoints:
    """Where the equation is asked to hold: the grid's nodes, or as many random points."""
    if config.training.collocation == "random":
        return random_points(grid, len(grid.weight), config.run.seed)
    return grid_points(grid)


def window_solver(config: RunConfig, **common: Any) -> WindowSolver:
    """The solver that a run description asks for.

    Args:
        common: The attributes of `WindowSolver`.
    """
    training = config.training
    adaptive = training.collocation == "residual-adaptive"
    if training.trainer in ("adam", "lbfgs"):
        return FirstOrderWindow(
            **common,
            optimiser=FirstOrder(training.trainer, training.learning_rate, decay=training.steps),
            alpha=training.alpha,
            steps=training.steps,
            adaptive=adaptive,
        )
    newton = NewtonSettings(training.newton_tolerance, training.newton_max)
    batch = None if jax.default_backend() == "cpu" else PIECES_PER_BATCH
    return CoupledWindow(**common, newton=newton, batch=batch, adaptive=adaptive)


def build_coupled_slots(
    config: RunConfig,
    k: CalciumConstants,
    pieces: Cable,
    owner: Int[ndarray, " F"],
    solver: SlotSolver,
    communicator: Communicator,
) -> CoupledSlots:
    """Coupled windows for the slots of a run. Not collective.

    Args:
        config: The run description.
        k: Constants, with the leak that balances rest.
        pieces: Pieces of all members.
        owner: Rank of every piece.
        solver: Solver of voltage and influx, on the nodes of this rank's pieces in the order of the tree.
        communicator: All ranks.
    """
    windows, stored = coupled_solver(config, k, pieces, owner, communicator)
    order = np.searchsorted(np.sort(stored), stored)
    n_space = len(windows.table.grid.space)
    rows = (order[:, None] * n_space + np.arange(n_space)).ravel()
    releases = solver.releases
    drive = SlotDrive(
        grid=windows.table.grid,
        check_space=windows.checks[0],
        check_time=windows.checks[1],
        geometry=windows.geometry,
        weights=compact_weights(solver.to_cells[rows]),
        releases=None if releases is None else releases.taken(order * n_space),
        time_unit=k.time_unit,
    )
    pulse = 0.0 if solver.stimulus is None else solver.stimulus.waveform.duration
    return CoupledSlots(windows, drive, order, window_rule(config, k.time_unit), pulse)
