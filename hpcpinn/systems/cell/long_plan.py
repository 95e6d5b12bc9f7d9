"""What a long run will write and need, said before it begins."""

import resource
from dataclasses import dataclass

import numpy as np

from hpcpinn.io.size import free_bytes, result_bytes
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.timestepping.motifs import MotifCache
from hpcpinn.wording import biology, bytes_of, counted


@dataclass(frozen=True)
class LongPlan:
    """What a long run will write and need.

    Attributes:
        duration: ms.
        slots: Stretches of the protocol.
        output_interval, probe_interval: Between frames of the cell, and between samples of the probes, ms.
        chosen: Whether the run has chosen them itself.
        frames, samples: How many at most: long windows may pass several moments at once.
        probes: Number of probes.
        size: Of the result, bytes, at most.
        free: Where it will lie, bytes.
        memory: Of a rank, bytes, at most about.
    """

    duration: float
    slots: int
    output_interval: float
    probe_interval: float
    chosen: tuple[bool, bool]
    frames: int
    samples: int
    probes: int
    size: int
    free: int
    memory: float

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What a person wants to know before it begins, with labels."""
        by_itself = [" (chosen by the run: " + key + ")" if chosen else "" for key, chosen in zip(
            ("run.output_interval", "run.probe_interval"), self.chosen, strict=True)]  # fmt: skip
        probes = "no probes"
        if self.probes:
            probes = (
                f"{counted(self.probes, 'probe')} every {biology(self.probe_interval)}{by_itself[1]}, "
                f"at most {counted(self.samples, 'sample')}"
            )
        every = biology(self.output_interval)
        return [
            ("plan", f"{biology(self.duration)} of biology in {counted(self.slots, 'slot')}"),
            ("writes", f"the cell every {every}{by_itself[0]}, at most {counted(self.frames, 'frame')}"),
            ("", probes),
            (
                "needs",
                f"at most {bytes_of(self.size)} on disk ({bytes_of(self.free)} free) and about {bytes_of(self.memory)} "
                "of memory per rank; the time is known after the first slots",
            ),
        ]


def plan_of(problem: SlotSetup, asked: set[str], since: float = 0.0) -> LongPlan:
    """What a run will write and need. Serial.

    Args:
        problem: The run, set up.
        asked: Keys of [run] that were given.
        since: Where it goes on from, ms.
    """
    run, header = problem.config.run, problem.header
    ends_of_trains = int(np.sum(problem.frame_times <= run.duration))
    frames = 1 + int(run.duration / run.output_interval * (1.0 + 1e-12)) + ends_of_trains
    samples = 1 + int(run.duration / run.probe_interval * (1.0 + 1e-12)) if header.probes else 0
    slots = sum(1 for _ in problem.slots())
    size = result_bytes(header, frames=frames, samples=samples, windows=slots)
    used = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Rows wait in memory for the next checkpoint, at worst all of them; and motifs are kept.
    memory = used + size / problem.communicator.size + MotifCache.most_bytes
    return LongPlan(
        duration=run.duration - since,
        slots=slots,
        output_interval=run.output_interval,
        probe_interval=run.probe_interval,
        chosen=("output_interval" not in asked, "probe_interval" not in asked),
        frames=frames,
        samples=samples,
        probes=len(header.probes),
        size=size,
        free=free_bytes(run.output),
        memory=memory,
    )
