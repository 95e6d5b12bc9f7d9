"""What a long run will write and need, said before it begins."""

import resource

import numpy as np

from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.timestepping.motifs import MotifCache
from hpcpinn.wording import biology, bytes_of, counted


def plan_of(setup: SlotSetup, since: float, size: int, free: int, memory: float) -> list[tuple[str, str]]:
    """What a person wants to know before a long run begins, lines with labels.

    Args:
        setup: Parts that the run is made of.
        since: Time from which it goes on, ms.
        size: Size of its result, bytes, at most.
        free: Room where that will lie, bytes.
        memory: Memory of a rank, bytes, at most about.
    """
    spec = setup.spec
    by_itself = [
        f" (chosen by the run: run.{name})" if chosen else ""
        for name, chosen in zip(("output_interval", "probe_interval"), setup.chosen, strict=True)
    ]
    frames = len(spec.times) + int(np.sum(setup.frame_times <= spec.duration))  # long windows may pass several at once
    probes = "no probes"
    if setup.probes:
        every = f"every {biology(spec.probe_interval)}{by_itself[1]}"
        probes = f"{counted(len(setup.probes), 'probe')} {every}, at most {counted(len(spec.sample_times), 'sample')}"
    every = f"every {biology(spec.output_interval)}{by_itself[0]}"
    return [
        ("plan", f"{biology(spec.duration - since)} of biology in {counted(len(setup.slots), 'stretch', 'stretches')}"),
        ("writes", f"the cell {every}, at most {counted(frames, 'frame')}"),
        ("", probes),
        (
            "needs",
            f"at most {bytes_of(size)} on disk ({bytes_of(free)} free) and about {bytes_of(memory)} of memory per "
            "rank; the time is known after the first stretches",
        ),
    ]


def memory_of(size: int, ranks: int) -> float:
    """Memory that a rank needs, bytes: rows wait in it for the next checkpoint, at worst all; and motifs are kept."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + size / ranks + MotifCache.most_bytes
