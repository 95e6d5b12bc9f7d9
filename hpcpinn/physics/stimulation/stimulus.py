"""What the coil does over a whole protocol: a waveform at every pulse. Times in ms."""

from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.protocols import PulseProtocol
from hpcpinn.physics.stimulation.waveforms import Waveform
from hpcpinn.wording import biology

_ROUNDING = 1e-9
"""Pulses that touch up to this share of their length do not overlap: 0.1 + 0.2 ms and 0.3 ms differ in bits."""


@dataclass(frozen=True)
class Stimulus:
    """A protocol given with a waveform.

    Attributes:
        protocol: Times of the pulses.
        waveform: Shape of a pulse.

    Raises:
        InputError: Pulses come closer than the waveform is long.
    """

    protocol: PulseProtocol
    waveform: Waveform

    def __post_init__(self) -> None:
        gap, length = self.protocol.shortest_gap, self.waveform.duration
        if gap < (1.0 - _ROUNDING) * length:
            raise InputError(
                f"{self.protocol.name}: pulses {biology(gap, 6)} apart are closer than the {self.waveform.name} "
                f"waveform is long ({biology(length, 6)}); space them by {biology(length, 6)} or more, or take a "
                "shorter waveform"
            )

    @cached_property
    def pulse_times(self) -> Float[np.ndarray, " count"]:
        """Onset of every pulse, ms; read-only."""
        times = self.protocol.pulse_times()
        times.flags.writeable = False
        return times

    def __call__(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        """The field as a share of its peak, at times t since the first pulse. Traceable in t."""
        t = jnp.asarray(t, float)
        onsets = jnp.asarray(self.pulse_times)
        last = jnp.clip(jnp.searchsorted(onsets, t, side="right") - 1, 0)
        return self.waveform(t - onsets[last])

    def breakpoints(self, since: float, until: float) -> Float[np.ndarray, " m"]:
        """Where the field may jump or bend inside (since, until), ms: windows end there. Host side.

        Returns:
            Increasing; moments that only rounding keeps apart are given once.
        """
        within = np.asarray(self.waveform.breakpoints)
        first, last = np.searchsorted(self.pulse_times, [since - within[-1], until])
        moments = np.unique(self.pulse_times[first:last, None] + within)
        rounding = 4.0 * np.spacing(until)
        moments = moments[(moments > since + rounding) & (moments < until - rounding)]
        apart: Float[np.ndarray, " m"] = moments[np.diff(moments, prepend=-np.inf) > rounding]
        return apart
