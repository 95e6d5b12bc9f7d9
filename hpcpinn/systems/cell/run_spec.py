"""What a run of a cell keeps of its description: what it writes, and what its verdict must know."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.systems.common.output import every


@dataclass(frozen=True, eq=False)
class RunSpec:
    """What a run writes, and what is said of it at the end; times are user times.

    Attributes:
        duration: Length of the run, ms.
        output_interval: Interval between frames, ms.
        probe_interval: Interval between samples at probes, ms.
        tolerance: Largest error estimate that was asked for.
        held_at: Membrane voltage where it is neither solved nor read, mV.
        field: Peak of the uniform field, V/m; None without one, or where members differ in it.
        pulses: Onsets of the pulses, ms.
        pulse_length: Length of a pulse, ms.
        units: Units of time and concentration in messages; empty in a dimensionless run.
        may_drain: Whether calcium may fall below zero: the sign that drains a cell was asked for by name.
        settings: Text of what states depend on, by key.
    """

    duration: float
    output_interval: float
    probe_interval: float
    tolerance: float
    held_at: float
    field: float | None
    pulses: Float[ndarray, " n"]
    pulse_length: float
    units: tuple[str, str]
    may_drain: bool
    settings: Mapping[str, str]

    @property
    def times(self) -> Float[ndarray, " T"]:
        """Multiples of the interval between frames, ms."""
        return every(self.output_interval, self.duration)

    @property
    def sample_times(self) -> Float[ndarray, " n"]:
        """Multiples of the interval between samples, ms."""
        return every(self.probe_interval, self.duration)
