"""Lie and Strang compositions of reaction, influx and diffusion in one compiled scan (DESIGN §5).

    Lie:     R(h) ∘ I(h) ∘ D(h)
    Strang:  R(h/2) ∘ I(second half) ∘ D(h) ∘ I(first half) ∘ R(h/2)

The stiff reaction ends every window, so that calcium leaves it in balance with its buffer whatever
the window's length. Between two Strang windows the half reactions are one, R((h_i + h_{i+1})/2):
a window costs one flow map, and a recorded one another half: say which ones are wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics import pumped_binding
from hpcpinn.physics.pumped_binding import ReactionConstants
from hpcpinn.timestepping.diffusion import CableDiffusion, Series
from hpcpinn.timestepping.influx import InfluxTable, InfluxWindow, add_influx
from hpcpinn.training.flow_map import ReactionState

_MOST_DECAY = 4.0
"""Beyond this many decay times per half window the correction of `_spread` stays what it is there."""

Reaction = Callable[[ReactionState, Array, Array], tuple[ReactionState, Array]]


class WindowPlan(NamedTuple):
    """Everything that the windows of a motif need, ready for the scan.

    Attributes:
        lengths: s.
        series: Diffusion over every window.
        first, second: Influx over the halves of every window.
    """

    lengths: Float[Array, " K"]
    series: Series
    first: InfluxWindow
    second: InfluxWindow


class Frames(NamedTuple):
    """States at the ends of windows, (K, N), µM."""

    c: Float[Array, "K N"]
    b: Float[Array, "K N"]

    def in_rows(self, rows: Int[ndarray, " K"], count: int) -> "Frames":
        """The frames as rows of longer arrays, on the host; NaN where there is none."""

        def placed(x: Array) -> Any:
            full = np.full((count, x.shape[1]), np.nan)
            full[rows] = x
            return full

        return Frames(*map(placed, self))


def plan_windows(
    ends: Int[ndarray, " K"], influx: InfluxTable, diffusion: CableDiffusion, terms: int = 0
) -> WindowPlan:
    """Prepares windows that end at the given ticks of a motif, the first one starting at tick 0.

    Args:
        ends: Ticks, increasing.
        influx: The motif's influx.
        diffusion: The diffusion that it will be used with.
        terms: Rows of diffusion's coefficients are padded to this length, so that plans of windows
            of other lengths share a compilation.

    Raises:
        InputError: The ends do not increase from 0, leave the motif, or a window has an odd number
            of ticks and so no middle.
    """
    ends = np.asarray(ends, int)
    first = np.concatenate([[0], ends[:-1]])
    if len(ends) == 0 or np.any(ends <= first) or ends[-1] >= len(influx.sink):
        raise InputError(
            f"split windows: ends {ends} must increase from 0 and stay within the motif's "
            f"{len(influx.sink) - 1} ticks"
        )
    if np.any((ends - first) % 2):
        row = int(np.argmax((ends - first) % 2))
        raise InputError(
            f"split windows: window {row} has {ends[row] - first[row]} ticks; halves need an even number"
        )
    middle = (first + ends) // 2
    lengths = influx.tick * (ends - first)
    return WindowPlan(
        jnp.asarray(lengths),
        diffusion.series(lengths, terms),
        influx.over(first, middle),
        influx.over(middle, ends),
    )


@dataclass(frozen=True)
class Splitting:
    """A composition on some compartments.

    Attributes:
        reaction: What takes a state over h and says how many compartments needed a stiff sub-step.
        diffusion: Exact diffusion.
        ratio: σ of every compartment, 1/µm.
        order: 1 Lie, 2 Strang.
        binding: With it, Strang windows take what comes in as spread over the window, see `_spread`.
    """

    reaction: Reaction
    diffusion: CableDiffusion
    ratio: Float[Array, " N"]
    order: Literal[1, 2] = 2
    binding: ReactionConstants | None = None

    def advance(self, state: ReactionState, plan: WindowPlan) -> tuple[ReactionState, Array]:
        """The state after all windows of a plan, and the number of stiff sub-steps taken."""
        return self._advance(_strong_state(state), plan)

    def follow(
        self, state: ReactionState, plan: WindowPlan, rows: Int[ndarray, " r"] | None = None
    ) -> tuple[ReactionState, Frames, Array]:
        """The same with the states at the ends of windows.

        Args:
            state: At the start.
            plan: Its windows.
            rows: Which windows; all where None. Every frame of Strang windows costs a half reaction.
        """
        wanted = np.arange(len(plan.lengths)) if rows is None else np.asarray(rows, int)
        # Powers of two, so that few programs are compiled.
        room = 0 if rows is None else max(4, 1 << (len(wanted) - 1).bit_length()) - len(wanted)
        asked = jnp.asarray(np.pad(wanted, (0, room)), jnp.int32)
        end, frames, count = self._follow(_strong_state(state), plan, asked)
        return end, frames if room == 0 else Frames(*(x[: len(wanted)] for x in frames)), count

    @cached_property
    def _advance(self):
        return jax.jit(lambda state, plan: self._scan(state, plan, keep=False)[::2])

    @cached_property
    def _follow(self):
        def run(state: ReactionState, plan: WindowPlan, rows: Array) -> tuple[ReactionState, Frames, Array]:
            end, seen, count = self._scan(state, plan, keep=True)
            if self.order == 1:
                return end, Frames(*(x[rows] for x in seen)), count

            def closed(row: Array) -> ReactionState:
                before = ReactionState(*(x[row] for x in seen))
                return self.reaction(before, 0.5 * plan.lengths[row], self.ratio)[0]

            return end, Frames(*jax.lax.map(closed, rows)), count

        return jax.jit(run)

    def _scan(self, state: ReactionState, plan: WindowPlan, keep: bool):
        """End state, the states after every window (Strang: before its closing reaction), count."""
        step = self._strang_step if self.order == 2 else self._lie_step
        rows = _half_reactions_joined(plan) if self.order == 2 else (plan.lengths, plan)

        def window(carry, row):
            now, count = carry
            now, seen, outside = step(now, *row)
            return (now, count + outside), seen if keep else None

        start = (state, jnp.zeros((), int))
        (state, count), seen = jax.lax.scan(window, start, rows)
        return state, jax.tree.map(lambda x: x[: len(plan.lengths)], seen), count

    def _strang_step(self, state: ReactionState, reacting: Array, row: WindowPlan):
        state, outside = self.reaction(state, reacting, self.ratio)
        state = self._spread(state, row.first, -row.lengths)
        state = self._diffused(state, row.series)
        state = self._spread(state, row.second, row.lengths)
        return state, state, outside

    def _spread(self, state: ReactionState, window: InfluxWindow, h: Array) -> ReactionState:
        """The influx of one half of a window (h negative: the first), in balance with binding.

        Binding at the rate r is faster than the window: what comes in during a half, and not all in
        the middle of the window, has decayed to (e^{rh/2} − 1)/(rh/2) of what the composition makes
        of it. The difference is bound calcium taken as free, or the other way round: c − b is not
        touched, and neither is the order.
        """
        after = self._influx(state, window)
        if self.binding is None:
            return after
        d = pumped_binding.deviation(state.c, state.b, self.binding)
        rate = pumped_binding.relaxation_rate(d, self.ratio, self.binding)
        x = jnp.clip(0.5 * rate * h, -_MOST_DECAY, _MOST_DECAY)
        safe = jnp.where(x == 0.0, 1.0, x)
        share = jnp.where(x == 0.0, 0.0, jnp.expm1(safe) / safe - 1.0)
        freed = share * (after.c - state.c)
        return ReactionState(after.c + freed, after.b + freed)

    def _lie_step(self, state: ReactionState, reacting: Array, row: WindowPlan):
        state = self._influx(self._influx(self._diffused(state, row.series), row.first), row.second)
        state, outside = self.reaction(state, reacting, self.ratio)
        return state, state, outside

    def _influx(self, state: ReactionState, window: InfluxWindow) -> ReactionState:
        return ReactionState(add_influx(state.c, window, self.ratio), state.b)

    def _diffused(self, state: ReactionState, row: Series) -> ReactionState:
        return ReactionState(*self.diffusion(jnp.stack(state), row.coefficients, row.terms))


def _half_reactions_joined(plan: WindowPlan) -> tuple[Float[Array, " K+1"], WindowPlan]:
    """Times of the reactions before, between and after the windows, and a last window of no length.

    The window of no length changes no bit; with it one body serves the whole scan.
    """
    half = 0.5 * plan.lengths
    nothing = jnp.zeros(1)
    reacting = jnp.concatenate([half, nothing]) + jnp.concatenate([nothing, half])
    return reacting, padded(plan, 1)


def padded(plan: WindowPlan, more: int) -> WindowPlan:
    """The plan with some more windows of no length at its end, so that plans share a compilation."""
    longer = jax.tree.map(lambda x: jnp.concatenate([x, jnp.zeros((more, *x.shape[1:]), x.dtype)]), plan)
    identity = longer.series.coefficients.at[len(plan.lengths) :, 0].set(1.0)
    return longer._replace(series=Series(identity, longer.series.terms))


def _strong_state(state: ReactionState) -> ReactionState:
    """float64 arrays whatever numbers were given, so that one compilation serves all calls."""
    return ReactionState(*(jnp.asarray(np.asarray(x, np.float64)) for x in state))
