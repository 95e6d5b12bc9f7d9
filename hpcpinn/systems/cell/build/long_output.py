"""How long a long run is, and what it writes, where its description does not say."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.systems.cell.config.schema import RunConfig

FRAMES, SAMPLES = 200, 50_000
"""About how many frames and probe samples a long run keeps where nothing is said."""

AFTER_TRAIN = 10.0
"""ms after the last pulse of a train: a frame is written then."""

MOST_TRAINS, MOST_BURSTS = 500, 150
"""Where there are more trains, their ends get no frames of their own; of the bursts of a single train, about as
many get one."""


def _in_step(interval: float, period: float | None) -> float:
    """An interval about as long that a period is a multiple of, or the other way round: all are seen alike."""
    if period is None:
        return interval
    return period / round(period / interval) if interval < period else period * round(interval / period)


def _ends_of_trains(config: RunConfig, stimulus: Stimulus | None) -> Float[ndarray, " t"]:
    """Shortly after the last pulse of every train, ms, when its calcium is there.

    Of a single train after bursts spread over it, its last among them.
    """
    if stimulus is None or stimulus.protocol.trains > MOST_TRAINS:
        return np.zeros(0)
    protocol = stimulus.protocol
    bursts = protocol.bursts if protocol.trains > 1 else -(-protocol.bursts // MOST_BURSTS)
    backwards = stimulus.pulse_times[:: -protocol.pulses * bursts]
    return config.stimulation.start + backwards[::-1] + AFTER_TRAIN


def with_long_defaults(config: RunConfig, stimulus: Stimulus | None) -> RunConfig:
    """The run description with what a long run takes where nothing is said.

    The whole protocol, one cell per piece, about `FRAMES` frames, in step with the trains, or with the bursts of a
    single one, and `SAMPLES` probe samples, in step with the bursts.
    """
    run, pieces = config.run, config.pieces
    changes: dict[str, float] = {}
    if "duration" not in run.model_fields_set and stimulus is not None:
        changes["duration"] = config.stimulation.start + stimulus.protocol.duration
    duration = changes.get("duration", run.duration)
    trains = bursts = None
    if stimulus is not None and stimulus.protocol.trains > 1 and stimulus.protocol.train_interval is not None:
        trains = float(stimulus.protocol.train_interval)
    if stimulus is not None and stimulus.protocol.bursts > 1:
        bursts = float(stimulus.protocol.burst_interval)
    if "output_interval" not in run.model_fields_set:
        changes["output_interval"] = _in_step(max(1.0, duration / FRAMES), trains or bursts)
    if "probe_interval" not in run.model_fields_set:
        changes["probe_interval"] = _in_step(max(0.1, duration / SAMPLES), bursts)
    if "cells_per_piece" not in pieces.model_fields_set:
        pieces = pieces.model_copy(update={"cells_per_piece": 1})
    return config.model_copy(update={"run": run.model_copy(update=changes), "pieces": pieces})
