"""A flow map for a user's own constants: trained from the equation, measured, written."""

import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hpcpinn.errors import InputError, SolveError
from hpcpinn.io import flow_map_file, places
from hpcpinn.networks.perceptron import n_parameters
from hpcpinn.physics.pumped_binding import ReactionConstants, check_rest, reaction_constants
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.systems.cell.build.constants import constants_of
from hpcpinn.systems.cell.build.places import input_files
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.timestepping.flow_map_error import errors, quantiles, random_states
from hpcpinn.timestepping.flow_map_store import save_flow_map
from hpcpinn.training.flow_map import FlowMap, FlowMapRange, box_around
from hpcpinn.training.flow_map_training import FlowMapTraining
from hpcpinn.wording import duration

MEASURED_FROM = 10_000
"""Seeds of the states that errors are measured on start here: none of them was trained on."""


def train_flow_map(
    config: RunConfig,
    output: Path,
    training: FlowMapTraining,
    *,
    budget: float = np.inf,
    states: int = 500,
    job: Path | None = None,
    progress: ProgressDisplay = NO_PROGRESS,
) -> dict[str, tuple[float, float, float]]:
    """Trains a flow map for the constants of a run description and writes it with its measured errors.

    Args:
        config: The run description.
        output: The file.
        training: How it is trained; boxes are moved to where the constants' rest is.
        budget: Wall time for the training, s.
        states: Fresh random states that the errors are measured on.
        job: File of the run description: it must not be written over.
        progress: Told what is being done, and after every accepted step of the training.

    Returns:
        Errors (median, 95 %, worst) by name.

    Raises:
        InputError: The constants have no flow map, or the file cannot be written there.
        SolveError: The training ended in numbers that are not finite.
        OutputError: The file cannot be written.
    """
    k = _trainable_constants(config)
    places.check_usable(output, input_files(config, job), "name another file with --output", flow_map_file.FORMAT)
    box, training = box_around(k, FlowMapRange()), replace(training, wide=box_around(k, training.wide))
    done, began, most = 0, time.monotonic(), sum(training.steps)

    def note(_: FlowMap, value: float) -> None:
        nonlocal done
        done += 1
        progress.done(done, f"residual {value**0.5:.1e}")

    at_most = f", {duration(budget)} at most" if np.isfinite(budget) else ""
    progress.doing(f"training{at_most}", most, "steps at most")
    flow_map = training.train(k, box, note, budget)
    seconds = time.monotonic() - began
    progress.doing("measuring the error on fresh states")
    measured = errors(flow_map.flow, random_states(flow_map, states, MEASURED_FROM + training.seed), k)
    found = quantiles(measured)
    if not np.isfinite(list(found.values())).all():
        raise SolveError("flow map: the training ended in numbers that are not finite; try another --seed")
    about = {
        name: value if isinstance(value, int | float | str) else str(value) for name, value in asdict(training).items()
    }
    about |= {
        "accepted_steps": done,
        "seconds": seconds,
        "preset": config.physics.preset,
        "parameters": n_parameters(flow_map.network),
        "measured_states": states,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    save_flow_map(output, flow_map, error=found, training=about)
    return found


def _trainable_constants(config: RunConfig) -> ReactionConstants:
    if config.physics.preset == "seed":
        raise InputError("physics.preset: 'seed' is dimensionless; a flow map needs a physical preset")
    if config.buffer:
        raise InputError("a flow map knows calbindin alone; leave further buffers away", ("buffer", 0, "name"))
    described = constants_of(config)
    check_rest(described)
    k = reaction_constants(described)
    for name in ("k_plus", "b_tot"):
        if getattr(k, name) == 0.0:
            raise InputError(
                f"physics.constants.{name}: 0 means that nothing binds, and a flow map is one of binding; "
                "give a positive number, or use window.kind = 'coupled'"
            )
    return k
