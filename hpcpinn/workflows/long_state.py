"""Where a long run is, what it has counted, and what it says of itself at the end."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.timestepping.firing import Rises
from hpcpinn.timestepping.motifs import DriveState
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.workflows.coupled_slots import CoupledWork
from hpcpinn.workflows.verdict import Verdict


@dataclass(frozen=True)
class LongState:
    """Where a long run is.

    Attributes:
        time: ms.
        calcium: Calcium and calbindin.
        companion: The same, followed in windows twice as long: their distance is the error estimate.
        drive: Membrane and channels.
        reach: Largest distance of every member's calcium from rest in a slot so far, µM, root mean
            square over tree and slot.
        rises: Action potentials at this rank's compartments so far.
    """

    time: float
    calcium: ReactionState
    companion: ReactionState
    drive: DriveState
    reach: Float[ndarray, " M"]
    rises: Rises


class SlotWork(NamedTuple):
    """What a slot took.

    Attributes:
        split_windows: Their number.
        outside, evaluated: As of `LongTally`.
        coupled: Of coupled windows.
    """

    split_windows: int = 0
    outside: int = 0
    evaluated: int = 0
    coupled: CoupledWork = CoupledWork()


@dataclass(frozen=True)
class LongTally:
    """Sums over the slots; plain numbers, kept in checkpoints.

    Attributes:
        slots, windows: So far; of the windows `coupled_windows` were coupled.
        solved, reused: Slots whose voltage was solved, and was that of an earlier one.
        mismatch: Largest difference at the start of a slot with which an earlier one was reused.
        outside: States that the flow map's box did not hold, advanced by a stiff sub-step.
        evaluated: States that were advanced in all.
        error: Largest error estimate of a slot and member so far, relative to the member's `reach`.
        coupled_error: Largest error estimate of a coupled window, in the measure of `window.tolerance`.
        next_frame, next_sample: Numbers of the next ones.
        seconds_voltage, seconds_windows, seconds_companion, seconds_output: Wall time of the parts.
    """

    slots: int = 0
    windows: int = 0
    coupled_windows: int = 0
    solved: int = 0
    reused: int = 0
    mismatch: float = 0.0
    outside: int = 0
    evaluated: int = 0
    error: float = 0.0
    coupled_error: float = 0.0
    next_frame: int = 1
    next_sample: int = 1
    seconds_voltage: float = 0.0
    seconds_windows: float = 0.0
    seconds_companion: float = 0.0
    seconds_output: float = 0.0

    def with_windows(self, done: SlotWork) -> "LongTally":
        """With the windows of one more slot."""
        return replace(
            self,
            windows=self.windows + done.split_windows + done.coupled.windows,
            coupled_windows=self.coupled_windows + done.coupled.windows,
            coupled_error=max(self.coupled_error, done.coupled.error),
            outside=self.outside + done.outside,
            evaluated=self.evaluated + done.evaluated,
        )


@dataclass(frozen=True)
class LongSummary:
    """What a long run says of itself at the end; also in its file of metrics. Times in ms, wall times in s.

    Attributes:
        verdict: What came of it.
    """

    result: str
    duration: float
    pulses: int
    ranks: int
    members: int
    sections: int
    cells: int
    voltage_compartments: int
    slots: int
    windows: int
    coupled_windows: int
    coupled_error: float
    motifs_solved: int
    motifs_reused: int
    motif_mismatch: float
    error_estimate: float
    outside_flow_map: float
    seconds: float
    seconds_setup: float
    seconds_voltage: float
    seconds_windows: float
    seconds_companion: float
    seconds_output: float
    seconds_per_second: float
    memory_gib: float
    output_mib: float
    verdict: Verdict
