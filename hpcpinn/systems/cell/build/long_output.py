"""How long a long run is, and what it writes, where its description does not say."""

import json

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.systems.cell.build.protocol import duration_of
from hpcpinn.systems.cell.build.run_spec import OutputPlan
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.config.settings import output_cells

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


def ends_of_trains(config: RunConfig, stimulus: Stimulus | None) -> Float[ndarray, " t"]:
    """Shortly after the last pulse of every train, ms, when its calcium is there.

    Of a single train after bursts spread over it, its last among them.
    """
    if stimulus is None or stimulus.protocol.trains > MOST_TRAINS:
        return np.zeros(0)
    protocol = stimulus.protocol
    bursts = protocol.bursts if protocol.trains > 1 else -(-protocol.bursts // MOST_BURSTS)
    backwards = stimulus.pulse_times[:: -protocol.pulses * bursts]
    return config.stimulation.start + backwards[::-1] + AFTER_TRAIN


def long_output(config: RunConfig, stimulus: Stimulus | None) -> OutputPlan:
    """How long a long run is, and what it writes; where nothing is said, it chooses.

    The whole protocol, one cell per piece, about `FRAMES` frames, in step with the trains, or with the bursts of a
    single one, and `SAMPLES` probe samples, in step with the bursts.
    """
    run = config.run
    duration, output_interval, probe_interval = duration_of(config), run.output_interval, run.probe_interval
    trains = bursts = None
    if stimulus is not None and stimulus.protocol.trains > 1 and stimulus.protocol.train_interval is not None:
        trains = float(stimulus.protocol.train_interval)
    if stimulus is not None and stimulus.protocol.bursts > 1:
        bursts = float(stimulus.protocol.burst_interval)
    chosen = ("output_interval" not in run.model_fields_set, "probe_interval" not in run.model_fields_set)
    if chosen[0]:
        output_interval = _in_step(max(1.0, duration / FRAMES), trains or bursts)
    if chosen[1]:
        probe_interval = _in_step(max(0.1, duration / SAMPLES), bursts)
    return OutputPlan(duration, output_interval, probe_interval, output_cells(config), chosen)


def description_of(config: RunConfig, plan: OutputPlan) -> str:
    """The run description as a result keeps it, JSON: with what a long run has chosen itself."""
    document = json.loads(config.to_json())
    document["run"] |= {name: getattr(plan, name) for name in ("duration", "output_interval", "probe_interval")}
    document["pieces"]["cells_per_piece"] = plan.cells_per_piece
    return json.dumps(document)
