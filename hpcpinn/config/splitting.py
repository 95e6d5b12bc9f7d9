"""The table of the run description for split windows: long protocols."""

from typing import Annotated

from pydantic import Field

from hpcpinn.config.values import Finite, NonNegative, PositiveTime, Table, Text


class SplitConfig(Table):
    """Split windows (``window.kind = "split"``): reaction, influx and diffusion one after the other.

    Attributes:
        first: Windows while action potentials last, ms.
        growth: Ratio of the lengths of the windows that follow.
        longest: Longest window of a slot with pulses, ms.
        quiet: Windows where there are no pulses, ms.
        slot: Longest stretch whose voltage is solved, and reused, as one, ms.
        motif_tolerance: Largest difference of gates, and of voltages over 100 mV, at the start of a slot
            with which an earlier one's voltage is reused.
        flow_map: File of the reaction's flow map; the one that comes with hpcpinn where left out. In
            a job file a relative path starts at the job file.
        checkpoint_every: Wall time between checkpoints, s.
    """

    first: PositiveTime = 0.1
    growth: Annotated[Finite, Field(ge=1)] = 1.2
    longest: PositiveTime = 5.0
    quiet: PositiveTime = 10.0
    slot: PositiveTime = 100.0
    motif_tolerance: NonNegative = 1e-4
    flow_map: Text | None = None
    checkpoint_every: NonNegative = 60.0
