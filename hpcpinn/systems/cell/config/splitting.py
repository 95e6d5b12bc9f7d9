"""The table of the run description for split windows: long protocols."""

from typing import Annotated, Literal

from pydantic import Field

from hpcpinn.config.shared import Tolerance
from hpcpinn.config.values import File, Finite, NonNegative, PositiveTime, Table
from hpcpinn.core.plausibility import QUANTITIES


class SplitConfig(Table):
    """Split windows (``window.kind`` ``"split"`` or ``"mixed"``): reaction, influx and diffusion one after the other.

    Attributes:
        windows: Lengths from the local error, found once per kind of slot, or fixed ones that
            follow pulses and action potentials.
        tolerance: Local error of adaptive windows, relative to the distance from rest.
        first: Windows while action potentials last, ms; of adaptive ones the shortest.
        growth: Ratio of the lengths of the fixed windows that follow.
        longest: Longest window of a slot with pulses, ms.
        quiet: Windows where there are no pulses, ms.
        slot: Longest stretch whose voltage is solved, and reused, as one, ms.
        motif_tolerance: Largest difference of gates, and of voltages over 100 mV, at the start of a slot
            with which an earlier one's voltage is reused.
        diffusion: Method of diffusion: the ``exact`` operator on cells, or ``networks`` on the pieces
            (`network.features` of them) with factors that are kept for every length of window; mixed windows take
            ``networks``.
        coupled_for: How long mixed windows are coupled after every pulse, and after every clamp or
            release that goes on or off, ms.
        flow_map: File of the reaction's flow map; the one that comes with hpcpinn where left out. In
            a job file a relative path starts at the job file.
        checkpoint_every: Wall time between checkpoints, s.
    """

    windows: Literal["adaptive", "fixed"] = "fixed"
    tolerance: Tolerance = 1e-4
    first: PositiveTime = 0.1
    growth: Annotated[Finite, Field(ge=1)] = 1.2
    longest: PositiveTime = 5.0
    quiet: PositiveTime = 10.0
    slot: PositiveTime = 100.0
    motif_tolerance: NonNegative = 1e-4
    diffusion: Literal["exact", "networks"] = "exact"
    coupled_for: PositiveTime = 5.0
    flow_map: File | None = None
    checkpoint_every: Annotated[NonNegative, QUANTITIES["wall time"]] = 60.0
