"""From the description of a square to its run."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from hpcpinn.domain.first_order_window import FirstOrderRectangles
from hpcpinn.domain.newton import NewtonSettings
from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.domain.rectangles import Rectangles
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.errors import InputError
from hpcpinn.io.read import Result
from hpcpinn.marching.controller import WindowRule
from hpcpinn.networks.axis import make_axis_trunk
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.dopamine import PRESETS, DopamineConstants, DopamineSystem
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.systems.square.config_checks import square_from_json
from hpcpinn.systems.square.setup import SquareSetup
from hpcpinn.systems.square.trunk import OPTIMISER, SquareTrunkTraining
from hpcpinn.systems.square.windows import SquareRun
from hpcpinn.training.first_order import REMEDIES, FirstOrder
from hpcpinn.training.rectangles import rectangle_table
from hpcpinn.wording import biology

FINER = "use more network.features_space, domain.subdomains or schwarz.max_sweeps"
"""What helps where the shortest window fails, besides what its trainer wants."""


def constants_of(config: SquareConfig) -> DopamineConstants:
    """The preset with what the run description changes."""
    return PRESETS[config.physics.preset].replace(**config.physics.constants.changes)


def duration_of(config: SquareConfig) -> float:
    """How long is simulated, ms."""
    return config.run.duration or PRESETS[config.physics.preset].duration


def constants_in(result: Result) -> DopamineConstants:
    """The constants that a result was made with.

    Raises:
        InputError: It is of another version.
    """
    return constants_of(square_from_json(json.dumps(result.config), str(result.path)))


def square_run(config: SquareConfig, communicator: Communicator) -> SquareRun:
    """The run of a description, with what trains its trunks where it asks for that.

    Raises:
        InputError: More ranks than subdomains, or frames farther apart than the run is long.
    """
    interval, end = config.run.output_interval, duration_of(config)
    if interval > end:
        raise InputError(
            f"run.output_interval: {biology(interval, 6)} is longer than the run ({biology(end, 6)}); "
            f"use at most {end:g}",
            ("run", "output_interval"),
        )
    run = SquareRun(build_square(config, communicator), communicator)
    return replace(run, improvement=SquareTrunkTraining.of_trainer(config.training.trainer, OPTIMISER))


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
    return SquareSetup(
        constants=constants,
        domain=domain,
        owner=owner,
        local=local,
        solver=solver,
        rule=window_rule(config),
        duration=duration_of(config),
        frame_interval=config.run.output_interval,
        cells=config.run.cells,
    )


def window_rule(config: SquareConfig) -> WindowRule:
    """Lengths and tolerance of windows."""
    given = config.window
    return WindowRule(
        first=min(given.first, duration_of(config)),
        shortest=given.shortest,
        longest=given.longest,
        tolerance=given.tolerance,
        growth=given.growth,
        remedy=REMEDIES.get(config.training.trainer, FINER),
    )
