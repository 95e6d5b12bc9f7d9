"""When the coil fires: rTMS protocols as trains of bursts of pulses (EQUATIONS §2).

A protocol is `trains` trains; a train is `bursts` bursts, one every `burst_interval`; a burst is
`pulses` pulses, one every `pulse_interval`. Repetitive stimulation without bursts has one pulse per
burst. The pulse times come from exact arithmetic on the intervals, so the last of ten thousand
pulses is as exact as the first: 18 Hz is one pulse every 500/9 ms, not every 55.5555555555555571.

Host side, NumPy only. Times in ms.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from hpcpinn.errors import InputError
from hpcpinn.wording import meant

Time = int | float | Fraction
"""ms; a float stands for the decimal number that it prints as, 0.1 for one tenth."""


@dataclass(frozen=True)
class Gap:
    """One kind of pause between successive pulses, from onset to onset.

    Attributes:
        after: What ends with it: a pulse inside a burst, a burst inside a train, or a train.
        length: Duration of the pause, ms.
        count: Number of such pauses in the protocol.
    """

    after: Literal["pulse", "burst", "train"]
    length: float
    count: int


@dataclass(frozen=True)
class PulseProtocol:
    """Trains of bursts of pulses; the first pulse is at time zero.

    Attributes:
        name: Name for messages and tables.
        pulses: Pulses per burst.
        bursts: Bursts per train.
        trains: Trains.
        burst_interval: Time from one burst to the next, ms; the last burst of a train has as long.
        pulse_interval: Time from one pulse to the next inside a burst, ms; None for a single pulse.
        train_interval: Time from one train to the next, ms; None: trains follow without a pause.
        rests_at_end: The published duration counts the pause after the last train.
        waveform: Name of the waveform the protocol is usually given with.

    Raises:
        InputError: A number is not positive, an interval is missing, or bursts or trains overlap.
    """

    name: str
    pulses: int
    bursts: int
    trains: int
    burst_interval: Time
    pulse_interval: Time | None = None
    train_interval: Time | None = None
    rests_at_end: bool = True
    waveform: str = "biphasic"

    def __post_init__(self) -> None:
        for key in ("pulses", "bursts", "trains"):
            _check_count(f"{self.name}: {key}", getattr(self, key))
        for key in ("burst_interval", "pulse_interval", "train_interval"):
            if getattr(self, key) is not None:
                _exact(f"{self.name}: {key}", getattr(self, key))
        if self.pulses > 1 and self.pulse_interval is None:
            raise InputError(f"{self.name}: pulse_interval is missing; {self.pulses} pulses per burst need one")
        if self._burst_span >= self._burst_interval:
            raise InputError(
                f"{self.name}: burst_interval = {float(self._burst_interval):.9g} ms, but the last pulse of a "
                f"burst comes {float(self._burst_span):.9g} ms after its first; make the interval longer than that"
            )
        if self._train_interval < self._on_time:
            raise InputError(
                f"{self.name}: train_interval = {float(self._train_interval):.9g} ms, but a train takes "
                f"{float(self._on_time):.9g} ms; make the interval at least that"
            )

    @property
    def count(self) -> int:
        """Number of pulses."""
        return self.trains * self.bursts * self.pulses

    @property
    def duration(self) -> float:
        """Duration as it is published, ms."""
        last = self._train_interval if self.rests_at_end else self._on_time
        return float((self.trains - 1) * self._train_interval + last)

    @property
    def on_time(self) -> float:
        """Duration of a train, the interval of its last burst included, ms."""
        return float(self._on_time)

    @property
    def off_time(self) -> float:
        """Pause between trains, ms; 0 where they follow each other."""
        return float(self._train_interval - self._on_time)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The pauses from onset to onset of successive pulses, shortest structure first.

        Their counts add up to one less than the pulses, their lengths to the time of the last pulse.
        """
        after_burst = self._burst_interval - self._burst_span
        after_train = self._train_interval - self._on_time + after_burst
        kinds = (
            Gap("pulse", float(self._pulse_interval), self.trains * self.bursts * (self.pulses - 1)),
            Gap("burst", float(after_burst), self.trains * (self.bursts - 1)),
            Gap("train", float(after_train), self.trains - 1),
        )
        return tuple(gap for gap in kinds if gap.count)

    @property
    def shortest_gap(self) -> float:
        """Shortest pause from onset to onset, ms; infinite for a single pulse."""
        return min((gap.length for gap in self.gaps), default=math.inf)

    def pulse_times(self) -> Float[np.ndarray, " count"]:
        """Onset of every pulse, ms, increasing from zero; each is the exact time, rounded once."""
        intervals = (self._train_interval, self._burst_interval, self._pulse_interval)
        common = math.lcm(*(interval.denominator for interval in intervals))
        train, burst, pulse = (int(interval * common) for interval in intervals)
        # Python's quotient of two integers of any size is correctly rounded; a product of floats is not.
        times = [
            (i * train + j * burst + k * pulse) / common
            for i in range(self.trains)
            for j in range(self.bursts)
            for k in range(self.pulses)
        ]
        return np.asarray(times, np.float64)

    def structure(self) -> Int[np.ndarray, "count 3"]:
        """Train, burst within the train and pulse within the burst of every pulse, from zero."""
        shape = (self.trains, self.bursts, self.pulses)
        return np.stack(np.unravel_index(np.arange(self.count), shape), axis=-1)

    @property
    def _pulse_interval(self) -> Fraction:
        # With one pulse per burst nothing depends on it.
        wanted = self.pulses > 1 and self.pulse_interval is not None
        return _exact("pulse_interval", self.pulse_interval) if wanted else Fraction(0)

    @property
    def _burst_interval(self) -> Fraction:
        return _exact("burst_interval", self.burst_interval)

    @property
    def _train_interval(self) -> Fraction:
        if self.train_interval is None:
            return self._on_time
        return _exact("train_interval", self.train_interval)

    @property
    def _burst_span(self) -> Fraction:
        """From the first to the last pulse of a burst."""
        return (self.pulses - 1) * self._pulse_interval

    @property
    def _on_time(self) -> Fraction:
        return self.bursts * self._burst_interval


def every(frequency: Time) -> Fraction:
    """The exact interval in ms of so many pulses per second (Hz).

    Raises:
        InputError: The frequency is not a positive number.
    """
    return 1000 / _exact("frequency", frequency, "Hz")


def _check_count(place: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{place} = {value!r}; give a whole number, 1 or more")


def _exact(place: str, value: object, unit: str = "ms") -> Fraction:
    """A positive number as the fraction that its decimal digits say."""
    if isinstance(value, Fraction):
        number = value
    elif isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        number = Fraction(str(value)) if math.isfinite(value) else Fraction(0)
    else:
        number = Fraction(0)
    if number <= 0:
        shown = repr(value) if isinstance(value, str) else value
        raise InputError(f"{place} = {shown}; give a positive number of {unit}")
    return number


def _repetitive(name: str, frequency: int, on: int, trains: int = 1, off: int = 0) -> PulseProtocol:
    """Single pulses at `frequency` Hz, `on` s per train and `off` s between trains."""
    return PulseProtocol(
        name,
        pulses=1,
        bursts=on * frequency,
        trains=trains,
        burst_interval=every(frequency),
        train_interval=1000 * (on + off),
    )


def _theta_bursts(name: str, bursts: int, frequency: int = 50) -> PulseProtocol:
    """Three pulses at `frequency` Hz every 200 ms, without a pause."""
    return PulseProtocol(name, pulses=3, bursts=bursts, trains=1, burst_interval=200, pulse_interval=every(frequency))


def _quadripulse(name: str, pulse_interval: int) -> PulseProtocol:
    """Four monophasic pulses every 5 s for half an hour."""
    return PulseProtocol(
        name,
        pulses=4,
        bursts=360,
        trains=1,
        burst_interval=5000,
        pulse_interval=pulse_interval,
        waveform="monophasic",
    )


_PUBLISHED = (
    _repetitive("1Hz", 1, on=600),
    _repetitive("10Hz", 10, on=4, off=26, trains=75),
    _repetitive("10Hz-dash", 10, on=4, off=11, trains=75),
    _repetitive("20Hz", 20, on=2, off=28, trains=20),
    PulseProtocol(
        "iTBS600",
        pulses=3,
        bursts=10,
        trains=20,
        burst_interval=200,
        pulse_interval=every(50),
        train_interval=10_000,
        rests_at_end=False,  # 192 s: it ends with its last train
    ),
    _theta_bursts("cTBS600", bursts=200),
    _theta_bursts("cTBS300", bursts=100),
    _theta_bursts("30Hz-TBS", bursts=200, frequency=30),
    _quadripulse("QPS5", 5),
    _quadripulse("QPS50", 50),
    _repetitive("deep-18Hz", 18, on=2, off=20, trains=55),
)

PROTOCOLS: Mapping[str, PulseProtocol] = MappingProxyType({protocol.name: protocol for protocol in _PUBLISHED})
"""The named protocols of EQUATIONS §2."""


def protocol_named(name: str) -> PulseProtocol:
    """The protocol of that name; capitals, blanks, dashes and underscores do not matter.

    Raises:
        InputError: Nobody is called so; the message has the nearest name.
    """
    by_key = {_key(known): protocol for known, protocol in PROTOCOLS.items()}
    if _key(name) in by_key:
        return by_key[_key(name)]
    advice = meant(name, PROTOCOLS) or f"known are {', '.join(PROTOCOLS)}"
    raise InputError(f"protocol {name!r}: no such protocol; {advice}")


def _key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in " -_")
