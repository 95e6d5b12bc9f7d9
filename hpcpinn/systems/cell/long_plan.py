"""What a long run will write and need, said before it begins."""

import resource
from dataclasses import dataclass

import numpy as np

from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.timestepping.motifs import MotifCache
from hpcpinn.wording import biology, bytes_of, counted


@dataclass(frozen=True)
class LongPlan:
    """What a long run will write and need.

    Attributes:
        duration: Duration of the run, ms.
        slots: Stretches of the protocol.
        output_interval, probe_interval: Times between frames of the cell, and between samples of the probes, ms.
        chosen: Whether the run has chosen them itself.
        frames, samples: How many at most: long windows may pass several moments at once.
        probes: Number of probes.
        size: Most bytes of the result.
        free: Bytes that are free where the result will lie.
        memory: Most bytes of a rank's memory, about.
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


def plan_of(setup: SlotSetup, since: float, size: int, free: int) -> LongPlan:
    """What a run will write and need.

    Args:
        setup: What it is made of.
        since: Time from which it goes on, ms.
        size: Size of its result, bytes, at most.
        free: Room where that will lie, bytes.
    """
    spec = setup.spec
    used = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Rows wait in memory for the next checkpoint, at worst all of them; and motifs are kept.
    memory = used + size / setup.communicator.size + MotifCache.most_bytes
    return LongPlan(
        duration=spec.duration - since,
        slots=len(setup.slots),
        output_interval=spec.output_interval,
        probe_interval=spec.probe_interval,
        chosen=setup.chosen,
        frames=len(spec.times) + int(np.sum(setup.frame_times <= spec.duration)),
        samples=len(spec.sample_times) if setup.probes else 0,
        probes=len(setup.probes),
        size=size,
        free=free,
        memory=memory,
    )
