"""Lie and Strang compositions of reaction, influx and diffusion in one compiled loop (DESIGN §5).

    Lie:     R(h) ∘ I(h) ∘ D(h)
    Strang:  R(h/2) ∘ I(second half) ∘ D(h) ∘ I(first half) ∘ R(h/2)

The stiff reaction ends every window, so that calcium leaves it in balance with its buffer whatever
the window's length. Between two Strang windows the half reactions are one, R((h_i + h_{i+1})/2):
a window costs one flow map, and a recorded one another half: say which ones are wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.parallel.threads import loop_options
from hpcpinn.physics import pumped_binding
from hpcpinn.physics.constants import ReactionConstants
from hpcpinn.timestepping.cell_weights import CellWeights
from hpcpinn.timestepping.diffusion import longer_by
from hpcpinn.timestepping.influx import InfluxTable, InfluxWindow, add_influx
from hpcpinn.training.flow_map import ReactionState

_MOST_DECAY = 4.0
"""Beyond this many decay times per half window the correction of `_spread` stays what it is there."""

RICHARDSON_DIVISOR = 3.0
"""2² − 1: Strang windows twice as long are apart from them by this many times the error of the windows themselves."""

Reaction = Callable[[ReactionState, Array, Array], tuple[ReactionState, Array]]

Stored = tuple[Any, ...]
"""What all windows share of diffusion, see `Diffusion`."""


class DiffusionRows(Protocol):
    """What a diffusion needs of every window: arrays with one row per window, a named tuple."""

    def padded(self, more: int) -> Any:
        """With some windows of no length at the end: they change no bit."""
        ...


class Diffusion(Protocol):
    """What takes fields over a window by diffusion: `CableDiffusion`, or networks on pieces.

    Attributes:
        stored: What all windows share and a compiled scan is handed as arguments, a tuple.
    """

    @property
    def stored(self) -> Stored: ...

    def width(self, longest: float) -> int:
        """To what plans of windows up to a length (s) pad their rows so that they share compilations; 0: to none."""
        ...

    def series(self, lengths: Float[ndarray, " K"], padded: int = 0) -> DiffusionRows:
        """`DiffusionRows` of windows of the given lengths, s; `padded` as `terms` of `plan_windows`."""
        ...

    def __call__(self, fields: Float[Array, "species N"], *row: Any) -> Float[Array, "species N"]:
        """The fields after the window of one row, which `stored` follows."""
        ...


class WindowPlan(NamedTuple):
    """Everything that the windows of a motif need, ready for the scan.

    Attributes:
        lengths: Lengths of the windows, s, (K,).
        series: Diffusion over every window.
        first, second: Influx over the halves of every window.
    """

    lengths: Float[Array, " K"]
    series: Any
    first: InfluxWindow
    second: InfluxWindow


Frames = ReactionState
"""States at the ends of windows, arrays (K, N)."""

_Carry = tuple[ReactionState, ReactionState | None, Frames, Array]
"""State, states that are kept for frames, frames, count of stiff sub-steps: what goes round the loop."""


def in_rows(frames: Frames, rows: Int[ndarray, " K"], count: int) -> Frames:
    """The frames as rows of longer arrays, on the host; NaN where there is none."""

    def placed(x: Array | ndarray) -> ndarray:
        full = np.full((count, x.shape[1]), np.nan)
        full[rows] = x
        return full

    return frames.each(placed)


def extrapolated(fine: Frames, coarse: Frames) -> Frames:
    """What windows and those twice as long say of windows that grow ever shorter, at ends that both have.

    Strang windows are off by a multiple of their length's square and more (L. F. Richardson and J. A. Gaunt,
    Phil. Trans. A 226 (1927) 299), and that multiple drops out. Linear, so that content is kept.
    """
    return fine.each(lambda one, other: one + (one - other) / RICHARDSON_DIVISOR, coarse)


def plan_windows(ends: Int[ndarray, " K"], influx: InfluxTable, diffusion: Diffusion, terms: int = 0) -> WindowPlan:
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
    if len(ends) == 0 or np.any(ends <= first) or ends[-1] > influx.ticks:
        raise InputError(
            f"split windows: ends {ends} must increase from 0 and stay within the motif's {influx.ticks} ticks"
        )
    if np.any((ends - first) % 2):
        row = int(np.argmax((ends - first) % 2))
        raise InputError(f"split windows: window {row} has {ends[row] - first[row]} ticks; halves need an even number")
    middle = (first + ends) // 2
    lengths = influx.tick * (ends - first)
    return WindowPlan(
        lengths,
        diffusion.series(lengths, terms),
        influx.over(first, middle),
        influx.over(middle, ends),
    )


@dataclass(frozen=True)
class Splitting:
    """A composition on some compartments.

    Attributes:
        reaction: Function that takes a state over h and says how many compartments needed a stiff sub-step.
        diffusion: Diffusion of the species.
        ratio: σ of every compartment, 1/µm.
        order: 1 Lie, 2 Strang.
        binding: Constants with which Strang windows take what comes in as spread over the window, see `_spread`; None:
            they do not.
        cells: Weights from the compartments of the influx to those of calcium; None: they are the same.
    """

    reaction: Reaction
    diffusion: Diffusion
    ratio: Float[Array, " N"]
    order: Literal[1, 2] = 2
    binding: ReactionConstants | None = None
    cells: CellWeights | None = None

    def advance(self, state: ReactionState, plan: WindowPlan) -> tuple[ReactionState, Int[Array, ""]]:
        """The state after all windows of a plan, and the number of stiff sub-steps taken."""
        return self._advance(_strong_state(state), plan, self.diffusion.stored)

    def follow(
        self, state: ReactionState, plan: WindowPlan, rows: Int[ndarray, " r"] | None = None
    ) -> tuple[ReactionState, Frames, Int[Array, ""]]:
        """The same with the states at the ends of windows.

        Args:
            state: State at the start.
            plan: Windows of the plan.
            rows: Windows after which states are wanted; all where None. Every frame of Strang windows costs a half
                reaction.
        """
        room = len(plan.lengths)
        wanted = np.arange(room) if rows is None else np.asarray(rows, int)
        asked = np.pad(wanted, (0, room - len(wanted))).astype(np.int32)
        number = np.asarray(len(wanted), np.int32)
        end, frames, count = self._follow(_strong_state(state), plan, (asked, number), self.diffusion.stored)
        return end, frames.each(lambda x: np.asarray(x)[: len(wanted)]), count

    @cached_property
    def _advance(self) -> Callable[[ReactionState, WindowPlan, Stored], tuple[ReactionState, Array]]:
        def run(state: ReactionState, plan: WindowPlan, stored: Stored) -> tuple[ReactionState, Array]:
            none = jnp.zeros(0, jnp.int32), jnp.zeros((), jnp.int32)
            end, _, count = self._loop(state, plan, none, stored)
            return end, count

        return jax.jit(run, compiler_options=loop_options(len(self.ratio)))

    @cached_property
    def _follow(self) -> Callable[..., tuple[ReactionState, Frames, Int[Array, ""]]]:
        return jax.jit(self._loop, compiler_options=loop_options(len(self.ratio)))

    def _loop(
        self, state: ReactionState, plan: WindowPlan, rows: tuple[Array, Array], stored: Stored
    ) -> tuple[ReactionState, Frames, Int[Array, ""]]:
        """End state, frames of the rows asked for, and the count of sub-steps.

        First come the windows, each with its state kept where frames are asked for, then the frames. A
        frame of Strang windows still lacks its closing reaction: another window from what was kept, of no
        length but for that. So one body serves both, and the reaction is compiled once.
        """
        step = self._strang_step if self.order == 2 else self._lie_step
        reacting, windows = _half_reactions_joined(plan) if self.order == 2 else (plan.lengths, padded(plan, 1))
        asked, number = rows
        last = len(plan.lengths)
        # Windows that plans are padded with are not computed, and so cost nothing.
        used = jnp.sum(plan.lengths > 0.0) + (self.order - 1)
        keeps = len(asked) > 0

        def one(index: Array, carry: _Carry) -> _Carry:
            now, kept, frames, count = carry
            is_window = index < used
            if kept is not None:
                row = asked[jnp.clip(index - used, 0, len(asked) - 1)]
                start = now.each(lambda x, k: jnp.where(is_window, x, k[row]), kept)
                closing = 0.5 * plan.lengths[row] if self.order == 2 else 0.0
                time = jnp.where(is_window, reacting[jnp.minimum(index, len(reacting) - 1)], closing)
            else:
                start, time = now, reacting[index]
            place = jnp.where(is_window, index, last)
            seen, outside = step(start, time, jax.tree.map(lambda x: x[place], windows), stored)
            now = seen.each(lambda x, y: jnp.where(is_window, x, y), now)
            if kept is not None:
                kept = kept.each(lambda k, x: k.at[place].set(x), seen)
                frame = jnp.where(is_window, len(asked), index - used)
                frames = frames.each(lambda f, x: jnp.asarray(f).at[frame].set(x), seen)
            return now, kept, frames, count + jnp.where(is_window, outside, 0)

        cells = len(state.c)
        blank, room = jnp.zeros((last + 1, cells)), jnp.zeros((len(asked) + 1, cells))
        kept = state.each(lambda _: blank) if keeps else None
        start = (state, kept, state.each(lambda _: room), jnp.zeros((), int))
        end, _, frames, count = jax.lax.fori_loop(0, used + number, one, start)
        return end, frames, count

    def _strang_step(
        self, state: ReactionState, reacting: Array, row: WindowPlan, stored: Stored
    ) -> tuple[ReactionState, Array]:
        state, outside = self.reaction(state, reacting, self.ratio)
        state = self._spread(state, row.first, -row.lengths)
        state = self._diffused(state, row.series, stored)
        return self._spread(state, row.second, row.lengths), outside

    def _spread(self, state: ReactionState, window: InfluxWindow, h: Array) -> ReactionState:
        """The influx of one half of a window (h negative: the first), in balance with binding.

        Binding at the rate r is faster than the window: what comes in during a half, and not all in
        the middle of the window, has decayed to (e^{rh/2} − 1)/(rh/2) of what the composition makes
        of it. The difference is bound calcium taken as free, or the other way round: c − Σ b is not
        touched, and neither is the order.
        """
        after = self._influx(state, window)
        if self.binding is None:
            return after
        d = pumped_binding.deviation(state.c, state.b, self.binding, state.others)
        rate = pumped_binding.relaxation_rate(d, self.ratio, self.binding)
        x = jnp.clip(0.5 * rate * h, -_MOST_DECAY, _MOST_DECAY)
        safe = jnp.where(x == 0.0, 1.0, x)
        share = jnp.where(x == 0.0, 0.0, jnp.expm1(safe) / safe - 1.0)
        freed = share * (after.c - state.c)
        parts = [part * freed for part in pumped_binding.other_shares(d, self.binding)]
        others = (*(b + part for b, part in zip(after.others, parts, strict=False)), *after.others[len(parts) :])
        return ReactionState(after.c + freed, after.b + (freed - sum(parts) if parts else freed), others)

    def _lie_step(
        self, state: ReactionState, reacting: Array, row: WindowPlan, stored: Stored
    ) -> tuple[ReactionState, Array]:
        state = self._influx(self._influx(self._diffused(state, row.series, stored), row.first), row.second)
        return self.reaction(state, reacting, self.ratio)

    def _influx(self, state: ReactionState, window: InfluxWindow) -> ReactionState:
        window = window if self.cells is None else self.cells.on_cells(window)
        return state._replace(c=add_influx(state.c, window, self.ratio))

    def _diffused(self, state: ReactionState, row: tuple[Any, ...], stored: Stored) -> ReactionState:
        return ReactionState.of(self.diffusion(jnp.stack(state.species), *row, *stored))


def _half_reactions_joined(plan: WindowPlan) -> tuple[Float[Array, " _"], WindowPlan]:
    """Times of the reactions before, between and after the windows, and a last window of no length.

    The window of no length changes no bit; with it one body serves the whole scan.
    """
    half = 0.5 * plan.lengths
    nothing = jnp.zeros(1)
    reacting = jnp.concatenate([half, nothing]) + jnp.concatenate([nothing, half])
    return reacting, padded(plan, 1)


def padded(plan: WindowPlan, more: int) -> WindowPlan:
    """The plan with some more windows of no length at its end, so that plans share a compilation. Traceable."""
    bare = plan._replace(series=())
    longer: WindowPlan = jax.tree.map(partial(longer_by, more), bare)
    return longer._replace(series=plan.series.padded(more))


def _strong_state(state: ReactionState) -> ReactionState:
    """float64 arrays whatever numbers were given, so that one compilation serves all calls."""
    return state.each(lambda x: jax.device_put(np.asarray(x, np.float64)))
