"""How the induced field runs within one pulse: unit peak, zero outside (EQUATIONS §2).

The field follows the change of the coil's current, and the current is zero before and after a pulse:
so the integral of a coil's waveform is zero, exactly in the shapes below. A waveform is a function of
the time since the onset of its pulse, smooth between its breakpoints and continuous from the right at
them: steps of a solver that end at the breakpoints meet no kink and no jump. Times in ms.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import brentq

from hpcpinn.core.plausibility import check
from hpcpinn.errors import InputError, warn
from hpcpinn.physics.csv_rows import columns_of
from hpcpinn.wording import meant


class Waveform(ABC):
    """The normalised induced field of one pulse; subclasses are immutable and hashable."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For messages and pictures."""

    @property
    @abstractmethod
    def breakpoints(self) -> tuple[float, ...]:
        """Where a jump or a kink may be, ms: from zero to the end of the pulse, increasing."""

    @property
    def duration(self) -> float:
        """Length of the pulse, ms."""
        return self.breakpoints[-1]

    def __call__(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        """The field as a share of its peak, at times t since the onset (ms). Traceable in t."""
        t = jnp.asarray(t, float)
        inside = (t >= 0.0) & (t < self.duration)
        # Outside, the formulas are kept where they are defined: a derivative must not become NaN.
        return jnp.where(inside, self._inside(jnp.clip(t, 0.0, self.duration)), 0.0)

    def curve(self, per_piece: int = 200) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Times (ms) and values for a picture, on both sides of every breakpoint. Host side."""
        edges = self.breakpoints
        t = np.concatenate(
            [np.linspace(a, np.nextafter(b, a), per_piece) for a, b in zip(edges, edges[1:], strict=False)]
        )
        return t, np.asarray(self(jnp.asarray(t)))

    @abstractmethod
    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        """The field at times within the pulse."""


_CROSSING = 0.0756
_TROUGH_TIME, _TROUGH = 0.105, 0.30
_SHELF_START, _SHELF_END, _SHELF = 0.15, 0.20, 0.14
_MONOPHASIC_END = 0.73


@dataclass(frozen=True)
class Monophasic(Waveform):
    """One strong phase of 75.6 µs, then a weak long one of the other sign, 0.73 ms in all.

    Through the published points (crossing, trough of −0.30 at 105 µs, −0.14 from 0.15 to 0.2 ms) by
    arcs of sines; the tail (1 − x)^p falls as steeply as it must for the charge to balance, p = 1.897.
    """

    @property
    def name(self) -> str:
        return "monophasic"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (0.0, _CROSSING, _TROUGH_TIME, _SHELF_START, _SHELF_END, _MONOPHASIC_END)

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        quarter = 0.5 * jnp.pi
        rising = jnp.cos(quarter * t / _CROSSING)
        falling = -_TROUGH * jnp.sin(quarter * (t - _CROSSING) / (_TROUGH_TIME - _CROSSING))
        turned = jnp.cos(jnp.pi * (t - _TROUGH_TIME) / (_SHELF_START - _TROUGH_TIME))
        recovering = -_SHELF - 0.5 * (_TROUGH - _SHELF) * (1.0 + turned)
        left = (_MONOPHASIC_END - t) / (_MONOPHASIC_END - _SHELF_END)
        tail = -_SHELF * jnp.clip(left, 0.0, 1.0) ** _tail_exponent()  # the clip makes the shelf, too
        earlier = [t < _CROSSING, t < _TROUGH_TIME, t < _SHELF_START]
        return jnp.select(earlier, [rising, falling, recovering], tail)


def _tail_exponent() -> float:
    """The exponent of the monophasic tail that makes the integral of the waveform zero."""
    positive = 2.0 / math.pi * _CROSSING
    to_shelf = 2.0 / math.pi * _TROUGH * (_TROUGH_TIME - _CROSSING)
    to_shelf += 0.5 * (_TROUGH + _SHELF) * (_SHELF_START - _TROUGH_TIME)
    left = positive - to_shelf - _SHELF * (_SHELF_END - _SHELF_START)
    return _SHELF * (_MONOPHASIC_END - _SHELF_END) / left - 1.0


_DECAY, _PERIOD = 1.2, 0.303
_BIPHASIC_END = 0.308


@dataclass(frozen=True)
class Biphasic(Waveform):
    """A damped cosine, e^(−t/1.2 ms) cos(2πt/0.303 ms), 0.308 ms in all.

    Cut off at 0.308 ms it would leave 2 % of its charge; a coil's current returns to zero, so the
    cosine ends some 11 µs earlier and goes to zero on a straight line, at the moment that balances
    the charge.
    """

    @property
    def name(self) -> str:
        return "biphasic"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (0.0, self._off, _BIPHASIC_END)

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        end = self._off
        ringing = jnp.exp(-t / _DECAY) * jnp.cos(2.0 * jnp.pi * t / _PERIOD)
        closing = _damped_cosine(end) * (_BIPHASIC_END - t) / (_BIPHASIC_END - end)
        return jnp.where(t < end, ringing, closing)

    @cached_property
    def _off(self) -> float:
        """When the cosine gives way to its closing line (ms), so that the integral is zero."""
        rate, turn = 1.0 / _DECAY, 2.0 * math.pi / _PERIOD

        def charge(end: float) -> float:
            swing = turn * math.sin(turn * end) - rate * math.cos(turn * end)
            cosine = (math.exp(-rate * end) * swing + rate) / (rate**2 + turn**2)
            return cosine + 0.5 * _damped_cosine(end) * (_BIPHASIC_END - end)

        return float(brentq(charge, 0.9 * _PERIOD, _PERIOD, xtol=1e-16))


def _damped_cosine(t: float) -> float:
    return math.exp(-t / _DECAY) * math.cos(2.0 * math.pi * t / _PERIOD)


_RISE = 0.005
"""Time in which the field of a MagPro X100 rises to its peak, ms: the step of the records."""


@dataclass(frozen=True)
class MagProMonophasic(Waveform):
    """The monophasic pulse of a MagPro X100: a quarter of a damped cosine, then a phase of the other sign that rings.

    A fit of ours to the recorded pulse that A. S. Aberra et al., Brain Stimul. 13 (2020) 175 used: 0.2 % root mean
    square of the peak; what a membrane of 0.05 to 1 ms makes of either phase is within 1 % of the record's. As there,
    1.2 % of the charge are left.
    """

    @property
    def name(self) -> str:
        return "magpro-monophasic"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (0.0, _RISE, _TURN, _MAGPRO_END)

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        falling = _ringing(t, 0.35818, 22.29855, -0.017146)
        since = jnp.clip(t - _TURN, 0.0, None)
        settling = jnp.exp(-since / 0.028228)
        returning = -0.23846 * (1.0 - settling)
        returning = returning * (0.095990 * jnp.exp(-since / 0.041149) + 0.904010 * jnp.exp(-since / 0.20597))
        swing = -0.16858 * jnp.exp(-since / 0.038746) * jnp.sin(69.785 * since)
        after = _ringing(jnp.asarray(_TURN), 0.35818, 22.29855, -0.017146) * settling + returning + swing
        return jnp.where(t < _RISE, t / _RISE, jnp.where(t < _TURN, falling, after))


_TURN, _MAGPRO_END = 0.086769, 0.735


@dataclass(frozen=True)
class MagProBiphasic(Waveform):
    """The biphasic pulse of a MagPro X100: a damped cosine that is switched off after one turn.

    A fit of ours to the record, as `MagProMonophasic`: what a membrane of 0.05 to 1 ms makes of it is within 0.6 %.
    """

    @property
    def name(self) -> str:
        return "magpro-biphasic"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (0.0, _RISE, _OFF, _OFF_END)

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        turning = _ringing(t, 1.11879, 20.61621, 0.113436)
        last = _ringing(jnp.asarray(_OFF), 1.11879, 20.61621, 0.113436)
        closing = last * (_OFF_END - t) / (_OFF_END - _OFF)
        return jnp.where(t < _RISE, t / _RISE, jnp.where(t < _OFF, turning, closing))


_OFF, _OFF_END = 0.305263, 0.308419


def _ringing(t: Float[Array, "..."], decay: float, turn: float, phase: float) -> Float[Array, "..."]:
    """A damped cosine that is 1 at the end of the rise: decay in ms, turn in 1/ms."""
    since = t - _RISE
    return jnp.exp(-since / decay) * jnp.cos(turn * since + phase) / math.cos(phase)


@dataclass(frozen=True)
class Reversed(Waveform):
    """A waveform with the current of the coil turned round.

    Attributes:
        forward: Waveform that is reversed.
    """

    forward: Waveform

    @property
    def name(self) -> str:
        return f"{self.forward.name}, reversed"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.forward.breakpoints

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        return -self.forward._inside(t)


_NARROWEST, _WIDEST = 0.010, 0.310


@dataclass(frozen=True)
class Rectangular(Waveform):
    """A rectangle of a controllable device (cTMS), then a lower and longer one of the other sign.

    Attributes:
        width: Duration of the first phase, 0.010 to 0.310 ms.
        reversal: Height of the second phase as a share of the first, up to 1; it lasts
            width / reversal, which balances the charge. 0: no second phase, an ideal that no coil
            gives.

    Raises:
        InputError: A number is outside its range.
    """

    width: float = 0.1
    reversal: float = 0.2

    def __post_init__(self) -> None:
        # not (a <= b) refuses NaN, too
        if not _NARROWEST <= self.width <= _WIDEST:
            raise InputError(f"rectangular waveform: width = {self.width!r}; give {_NARROWEST:g} to {_WIDEST:g} ms")
        if not 0.0 <= self.reversal <= 1.0:
            raise InputError(f"rectangular waveform: reversal = {self.reversal!r}; give 0 to 1")

    @property
    def name(self) -> str:
        return "rectangular"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (0.0, self.width, *((self.width + self.width / self.reversal,) if self.reversal else ()))

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(t < self.width, 1.0, -self.reversal)


@dataclass(frozen=True)
class Recorded(Waveform):
    """A waveform given by points, straight in between; made by `read_waveform`.

    Attributes:
        path: File it came from.
        times: Times of the points, ms, increasing from zero.
        values: Shares of the largest of them.
    """

    path: str
    times: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.times

    def _inside(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.interp(t, np.asarray(self.times), np.asarray(self.values))


WAVEFORMS: dict[str, Waveform] = {
    w.name: w for w in (Monophasic(), Biphasic(), Rectangular(), MagProMonophasic(), MagProBiphasic())
}
"""The named waveforms of EQUATIONS §2."""


def waveform_named(text: str) -> Waveform:
    """A named waveform, or the one in a file (whatever has a suffix or a folder).

    Raises:
        InputError: An unknown name, with the nearest one; or see `read_waveform`.
    """
    if text.lower() in WAVEFORMS:
        return WAVEFORMS[text.lower()]
    if Path(text).suffix or "/" in text:
        return read_waveform(text)
    advice = meant(text, WAVEFORMS) or f"known are {', '.join(WAVEFORMS)}, or a CSV file"
    raise InputError(f"waveform {text!r}: no such waveform; {advice}")


_HEADER = ["time_ms", "value"]


def read_waveform(path: str | Path) -> Recorded:
    """Reads ``time_ms,value`` rows; blank lines and lines starting with # are skipped.

    Time counts from the first row; values are divided by the largest magnitude, their signs kept. A length that
    looks like another unit, and a net charge, are warned of.

    Raises:
        InputError: Missing or malformed file, fewer than two rows, a value that is not a finite
            number, times that do not increase, zeros only; one line with the place.
    """
    rows = [(line, *numbers) for line, numbers in columns_of(Path(path), _HEADER, "waveform")]
    if len(rows) < 2:
        raise InputError(f"{path}: {len(rows)} rows of numbers; a waveform needs two or more")
    for (_, before, _), (line, time, _) in zip(rows, rows[1:], strict=False):
        if time <= before:
            raise InputError(f"{path}:{line}: time {time:g} does not follow {before:g}; sort the rows, one per time")
    peak = max(abs(value) for _, _, value in rows)
    if peak == 0.0:
        raise InputError(f"{path}: every value is 0; a waveform needs a peak")
    first = rows[0][1]
    times = tuple(time - first for _, time, _ in rows)
    check("length of a pulse", times[-1], f"{path}: the length of the pulse")
    waveform = Recorded(str(path), times, tuple(value / peak for _, _, value in rows))
    changed = [f"time counts from its first row, {first:g} ms"] if first else []
    if abs(peak - 1.0) > _NEAR_ONE:
        strength = "field.magnitude says how strong the field is"
        changed.append(f"values are divided by their largest magnitude, {peak:g} ({strength})")
    if changed:
        warn(f"{path}: {', and '.join(changed)}")
    net = net_share(waveform.times, waveform.values)
    if abs(net) > _MOST_NET:
        warn(
            f"{path}: the waveform adds up to {100.0 * net:.0f} % of its absolute area, where a coil's field adds up "
            "to zero: is the record cut off, or shifted? It is taken as it stands"
        )
    return waveform


_NEAR_ONE = 0.02
"""By how much the peak of a record may miss 1 without a word."""

_MOST_NET = 0.01
"""Share of the absolute area; the built-in waveforms balance exactly, and a record to its noise."""


def net_share(times: Sequence[float], values: Sequence[float]) -> float:
    """The integral of a waveform given by points over that of its magnitude; 0 for nothing at all."""
    t, before, after = np.diff(times), np.asarray(values[:-1], float), np.asarray(values[1:], float)
    net = t * 0.5 * (before + after)
    crosses = before * after < 0.0
    # Two triangles where a line crosses zero.
    size = np.where(crosses, before**2 + after**2, 0.0) / np.where(crosses, np.abs(before - after), 1.0)
    absolute = t * 0.5 * np.where(crosses, size, np.abs(before) + np.abs(after))
    return float(net.sum() / absolute.sum()) if absolute.sum() > 0.0 else 0.0
