"""Lie and Strang compositions of reaction, influx and diffusion in one compiled scan (DESIGN §5).

    Lie:     R(h) ∘ I(h) ∘ D(h)
    Strang:  R(h/2) ∘ I(second half) ∘ D(h) ∘ I(first half) ∘ R(h/2)

The stiff reaction ends every window, so that calcium leaves it in balance with its buffer whatever
the window's length. Between two Strang windows the half reactions are one, R((h_i + h_{i+1})/2):
a window costs one flow map, and a recorded one another half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.timestepping.diffusion import CableDiffusion, Series
from hpcpinn.timestepping.influx import InfluxTable, InfluxWindow, add_influx
from hpcpinn.training.flow_map import ReactionState

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


def plan_windows(ends: Int[ndarray, " K"], influx: InfluxTable, diffusion: CableDiffusion) -> WindowPlan:
    """Prepares windows that end at the given ticks of a motif, the first one starting at tick 0.

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
        jnp.asarray(lengths), diffusion.series(lengths), influx.over(first, middle), influx.over(middle, ends)
    )


@dataclass(frozen=True)
class Splitting:
    """A composition on some compartments.

    Attributes:
        reaction: What takes a state over h and says how many compartments needed a stiff sub-step.
        diffusion: Exact diffusion.
        ratio: σ of every compartment, 1/µm.
        order: 1 Lie, 2 Strang.
    """

    reaction: Reaction
    diffusion: CableDiffusion
    ratio: Float[Array, " N"]
    order: Literal[1, 2] = 2

    def advance(self, state: ReactionState, plan: WindowPlan) -> tuple[ReactionState, Array]:
        """The state after all windows of a plan, and the number of stiff sub-steps taken."""
        return self._advance(state, plan)

    def follow(self, state: ReactionState, plan: WindowPlan) -> tuple[ReactionState, Frames, Array]:
        """The same with the states at the end of every window."""
        return self._follow(state, plan)

    @cached_property
    def _advance(self):
        def run(state: ReactionState, plan: WindowPlan):
            return self._scan(state, plan, keep=False)[::2]

        return jax.jit(run)

    @cached_property
    def _follow(self):
        def run(state: ReactionState, plan: WindowPlan):
            end, open_ends, count = self._scan(state, plan, keep=True)
            frames = open_ends
            if self.order == 2:
                share = 0.5 * plan.lengths
                frames = jax.vmap(lambda x, h: self.reaction(x, h, self.ratio)[0])(open_ends, share)
            return end, Frames(*frames), count

        return jax.jit(run)

    def _scan(self, state: ReactionState, plan: WindowPlan, keep: bool):
        if self.order == 1:
            return self._lie(state, plan, keep)
        # what is left of each window's reaction is done together with the next one's
        after = jnp.append(plan.lengths[1:], 0.0)
        state, count = self.reaction(state, 0.5 * plan.lengths[0], self.ratio)

        def window(carry, row):
            now, count = carry
            (h, series, first, second), h_next = row
            now = self._influx(now, first)
            now = self._diffused(now, series)
            now = self._influx(now, second)
            closed, outside = self.reaction(now, 0.5 * (h + h_next), self.ratio)
            return (closed, count + outside), now if keep else None

        (state, count), ends = jax.lax.scan(window, (state, count), (plan, after))
        return state, ends, count

    def _lie(self, state: ReactionState, plan: WindowPlan, keep: bool):
        def window(carry, row: WindowPlan):
            now, count = carry
            now = self._influx(self._influx(self._diffused(now, row.series), row.first), row.second)
            now, outside = self.reaction(now, row.lengths, self.ratio)
            return (now, count + outside), now if keep else None

        (state, count), ends = jax.lax.scan(window, (state, jnp.zeros((), int)), plan)
        return state, ends, count

    def _influx(self, state: ReactionState, window: InfluxWindow) -> ReactionState:
        return ReactionState(add_influx(state.c, window, self.ratio), state.b)

    def _diffused(self, state: ReactionState, row: Series) -> ReactionState:
        return ReactionState(*self.diffusion(jnp.stack(state), row.coefficients, row.terms))
