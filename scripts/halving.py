"""How far windows that were found are off at the end of a motif."""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.timestepping.influx import InfluxTable
from hpcpinn.timestepping.pulse_windows import Excursion, halved
from hpcpinn.timestepping.splitting import Splitting, plan_windows
from hpcpinn.training.flow_map import ReactionState


def halving_error(
    splitting: Splitting,
    state: ReactionState,
    influx: InfluxTable,
    ends: Int[ndarray, " K"],
    excursion: Excursion,
) -> float:
    """Estimated relative error at the end of a motif: its windows against their halves.

    Args:
        splitting: A Strang composition.
        state: State at the start of the motif.
        influx: Influx of the motif.
        ends: Windows, lengths in multiples of four ticks.
        excursion: Measure of errors.
    """
    ends = np.asarray(ends, int)
    halves = halved(ends)
    coarse, _ = splitting.advance(state, plan_windows(ends, influx, splitting.diffusion))
    fine, _ = splitting.advance(state, plan_windows(halves, influx, splitting.diffusion))
    return excursion.error(coarse, fine) * 4.0 / 3.0
