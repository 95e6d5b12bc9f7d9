"""A flow map for a user's own constants: trained from the equation, measured, written."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hpcpinn.errors import SolveError
from hpcpinn.io import flow_map_file, places
from hpcpinn.networks.perceptron import n_parameters
from hpcpinn.physics.constants import ReactionConstants
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.timestepping.flow_map_error import errors, quantiles, random_states
from hpcpinn.timestepping.flow_map_store import save_flow_map
from hpcpinn.training.flow_map import FlowMap, FlowMapRange, box_around
from hpcpinn.training.flow_map_training import FlowMapTraining
from hpcpinn.wording import duration

MEASURED_FROM = 10_000
"""Seeds of the states that errors are measured on start here: none of them was trained on."""


@dataclass(frozen=True)
class FlowMapTask:
    """What a flow map is trained for.

    Attributes:
        k: Constants of the reaction.
        preset: Name of the preset that they differ from.
        inputs: Files that must not be written over, by what messages call them.
    """

    k: ReactionConstants
    preset: str
    inputs: Mapping[str, Path]


def train_flow_map(
    task: FlowMapTask,
    output: Path,
    training: FlowMapTraining,
    *,
    budget: float = np.inf,
    states: int = 500,
    progress: ProgressDisplay = NO_PROGRESS,
) -> dict[str, tuple[float, float, float]]:
    """Trains a flow map for constants and writes it with its measured errors.

    Args:
        task: Constants, and what is not to be written over.
        output: The file.
        training: How it is trained; boxes are moved to where the constants' rest is.
        budget: Wall time for the training, s.
        states: Fresh random states that the errors are measured on.
        progress: Display that is told what is being done, and about every accepted step of the training.

    Returns:
        Errors (median, 95 %, worst) by name.

    Raises:
        InputError: The file cannot be written there.
        SolveError: The training ended in numbers that are not finite.
        OutputError: The file cannot be written.
    """
    places.check_usable(output, task.inputs, "name another file with --output", flow_map_file.FORMAT)
    k = task.k
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
    record = {
        name: value if isinstance(value, int | float | str) else str(value) for name, value in asdict(training).items()
    }
    record |= {
        "accepted_steps": done,
        "seconds": seconds,
        "preset": task.preset,
        "parameters": n_parameters(flow_map.network),
        "measured_states": states,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    save_flow_map(output, flow_map, error=found, training=record)
    return found
