"""Schwarz sweeps on the interfaces: neighbours alternate until their traces agree.

Two kinds of subdomain. Pieces: a sweep visits the red pieces and then the black ones (or all at
once); each receives what its neighbours last sent and sends back through its condensed
operator (`Linearisation.transfer`), and Anderson's acceleration mixes the last sweeps. Stars: a sweep
solves at the red nodes and then at the black ones, see `stars`; it needs no acceleration. Where one
sweep over stars is not enough, a coarse correction carries the news across the whole tree at once,
see `tree_solve`. All have the same fixed point. The traces travel between ranks inside the compiled
loop.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hpcpinn.domain.interfaces import Interfaces, exchanged, orders
from hpcpinn.domain.stars import Stars, star_sweep
from hpcpinn.domain.tree_solve import tree_solve
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.least_squares import respond

STARS_FIRST = 1
"""Sweeps over stars before a tree solve; enough where diffusion reaches few pieces, and cheaper."""


@dataclass(frozen=True)
class SweepSettings:
    """How pieces agree.

    Attributes:
        n_red: Pieces stored first that form the red half.
        order: "red-black" or "additive".
        acceleration: "tree" (sweeps over stars, then tree solves), "stars" (both with Robin's rule
            only), "anderson" or "none".
        tolerance: Relative interface jump at which a window's sweeps are done.
        max_sweeps: Sweeps per Newton step.
        most_per_window: Sweeps after which a window is given up, to be tried again shorter.
        memory: Earlier sweeps that Anderson's acceleration combines.
    """

    n_red: int
    order: str = "red-black"
    acceleration: str = "anderson"
    tolerance: float = 1e-5
    max_sweeps: int = 8
    most_per_window: int = 16
    memory: int = 3

    @property
    def over_stars(self) -> bool:
        """Whether sweeps go over stars, which then have to be prepared."""
        return self.acceleration in ("tree", "stars")


class Sweeps(NamedTuple):
    """Outcome of the sweeps of one Newton step.

    Attributes:
        robin_in: Robin data that every end receives after the last sweep, (P, ends, K, T).
        made: Number of sweeps.
        jump: Relative interface jump after the last sweep.
        history: Jump after every sweep, NaN where there was none, (max_sweeps,).
    """

    robin_in: Float[Array, "P ends K T"]
    made: Int[Array, ""]
    jump: Float[Array, ""]
    history: Float[Array, " S"]


class Meeting(Protocol):
    """Pieces of a rank whose ends meet, and how they agree.

    Attributes:
        equation, interfaces, communicator, sweeping: System, ends that meet, all ranks and settings of the sweeps.
    """

    @property
    def equation(self) -> ReactionDiffusion: ...
    @property
    def interfaces(self) -> Interfaces: ...
    @property
    def communicator(self) -> Communicator: ...
    @property
    def sweeping(self) -> SweepSettings: ...


class Answers(NamedTuple):
    """What the ends of pieces make of what they receive.

    Attributes:
        transfer: What the ends send per unit of what they receive, (P, E, E) (`Linearisation`).
        base: What all ends send where they receive zero, (P, ends, K, T).
        given: Part of what the ends receive that comes from given fluxes, (P, ends, K, T).
        stars: Condensed stars of `transfer`; None where sweeps do not go over them.
    """

    transfer: Float[Array, "P E E"]
    base: Float[Array, "P ends K T"]
    given: Float[Array, "P ends K T"]
    stars: Stars | None = None


class _Memory(NamedTuple):
    """Last points and steps of the fixed-point iteration, newest first; zero before the start."""

    points: Float[Array, "m ..."]
    steps: Float[Array, "m ..."]


_State = tuple[Array, Array, _Memory, Array, Array, Array]
"""Of a loop of sweeps: received, sent, memory, number of sweeps, jump, history."""


def sweep_until_agreed(
    meeting: Meeting,
    answers: Answers,
    robin_in: Float[Array, "P ends K T"],
    size: Float[Array, " K"],
    tolerance: Float[Array, ""] | float,
    limit: Int[Array, ""] | int | None = None,
) -> Sweeps:
    """Sweeps until the interface jump is below the tolerance. Traceable; collective over all ranks.

    Args:
        meeting: The pieces.
        answers: What their ends make of what they receive; with stars where the settings say so.
        robin_in: First guess of what the ends receive, (P, ends, K, T).
        size: Excursion of every species, the measure of the relative jump.
        tolerance: Relative jump at which to stop; loose while Newton is still far away.
        limit: Sweeps that are left to the window, if fewer than those of a Newton step.

    Returns:
        The traces, with the history of the jump. The jump of an end is half the change that the
        node rule asks of what it receives: the mismatch of value and scaled flux at once.
    """
    equation, interfaces, communicator = meeting.equation, meeting.interfaces, meeting.communicator
    settings, (transfer, base, given, stars) = meeting.sweeping, answers
    assert (stars is not None) == settings.over_stars
    share = interfaces.relaxation[:, :, None, None]
    parts = halves(settings, base.shape[0])

    def asked(robin_out: Array) -> Array:
        slots = exchanged(interfaces, communicator, robin_out)
        return orders(interfaces.rule, interfaces.n_nodes, slots, given)

    def half_sweep(robin_in: Array, robin_out: Array, first: int, last: int) -> tuple[Array, Array]:
        target = asked(robin_out)
        new = (1.0 - share) * robin_in + share * target
        robin_in = robin_in.at[first:last].set(new[first:last])
        answer = base[first:last] + respond(equation, transfer[first:last], robin_in[first:last])
        return robin_in, robin_out.at[first:last].set(answer)

    scale = jnp.asarray(equation.scale)[:, None]

    def flat(ends: Array) -> Array:
        return (ends / scale).reshape(ends.shape[0], 2, transfer.shape[-1] // 2)

    def over_stars(stars: Stars, robin_in: Array) -> Array:
        parts = (flat(base), flat(given), flat(robin_in))
        swept = star_sweep(stars, interfaces, communicator, settings.n_red, settings.order, *parts)
        return swept.reshape(robin_in.shape) * scale

    def over_tree(state: _State) -> _State:
        _, _, memory, count, _, history = state
        robin_in = tree_solve(interfaces, communicator, transfer, flat(base), flat(given))
        robin_in = robin_in.reshape(base.shape) * scale
        robin_out = base + respond(equation, transfer, robin_in)
        jump = jump_of(robin_in, robin_out)
        return robin_in, robin_out, memory, count + 1, jump, history.at[count].set(jump)

    def sweep(robin_in: Array, robin_out: Array) -> tuple[Array, Array]:
        if stars is not None:
            robin_in = over_stars(stars, robin_in)
            return robin_in, base + respond(equation, transfer, robin_in)
        for first, last in parts:
            robin_in, robin_out = half_sweep(robin_in, robin_out, first, last)
        return robin_in, robin_out

    def jump_of(robin_in: Array, robin_out: Array) -> Float[Array, ""]:
        mismatch = jnp.abs(asked(robin_out) - robin_in) / (2.0 * size[:, None])
        return communicator.max(jnp.max(mismatch, initial=0.0))

    def body(state: _State) -> _State:
        robin_in, robin_out, memory, count, _, history = state
        swept, answers = sweep(robin_in, robin_out)
        if settings.acceleration == "anderson":
            swept, memory = _mix(communicator, memory, robin_in / size[:, None], swept / size[:, None])
            swept = swept * size[:, None]
            answers = base + respond(equation, transfer, swept)
        jump = jump_of(swept, answers)
        return swept, answers, memory, count + 1, jump, history.at[count].set(jump)

    most = jnp.minimum(settings.max_sweeps if limit is None else limit, settings.max_sweeps)

    def unfinished(state: _State, most: Array = most) -> Bool[Array, ""]:
        _, _, _, count, jump, _ = state
        return jnp.logical_and(count < most, jump > tolerance)

    def unfinished_by_stars(state: _State) -> Bool[Array, ""]:
        return unfinished(state, jnp.minimum(most, STARS_FIRST))

    robin_out = base + respond(equation, transfer, robin_in)
    history = jnp.full((settings.max_sweeps,), jnp.nan)
    none, far = jnp.zeros((), int), jnp.asarray(jnp.inf)
    state = (robin_in, robin_out, _empty_memory(robin_in, settings.memory), none, far, history)
    if settings.acceleration == "tree":
        state = jax.lax.while_loop(unfinished_by_stars, body, state)
        state = jax.lax.while_loop(unfinished, over_tree, state)
    else:
        state = jax.lax.while_loop(unfinished, body, state)
    robin_in, _, _, count, jump, history = state
    return Sweeps(robin_in, count, jump, history)


def halves(settings: SweepSettings, n_pieces: int) -> list[tuple[int, int]]:
    """First and last piece of every part of a sweep."""
    if settings.order == "additive":
        return [(0, n_pieces)]
    return [(0, settings.n_red), (settings.n_red, n_pieces)]


def _empty_memory(like: Array, depth: int) -> _Memory:
    return _Memory(jnp.zeros((depth, *like.shape)), jnp.zeros((depth, *like.shape)))


def _mix(communicator: Communicator, memory: _Memory, point: Array, image: Array) -> tuple[Array, _Memory]:
    """Anderson's acceleration of `image` = Γ(`point`) (type II, all ranks together)."""
    step = image - point
    known = jnp.any(memory.steps != 0.0, axis=tuple(range(1, memory.steps.ndim)))
    known = communicator.max(known.astype(step.dtype)) > 0.0
    mask = known.reshape(-1, *([1] * step.ndim))
    step_changes = jnp.where(mask, step - memory.steps, 0.0)
    point_changes = jnp.where(mask, point - memory.points, 0.0)
    flat = step_changes.reshape(len(known), -1)
    products = communicator.sum(flat @ jnp.concatenate([flat, step.reshape(1, -1)]).T)
    gram, right = products[:, :-1], products[:, -1]
    # Directions that say nothing new are damped, absent ones are switched off.
    damping = 1e-14 * jnp.trace(gram) + jnp.where(known, 0.0, 1.0)
    gamma = jnp.linalg.solve(gram + jnp.diag(damping), right)
    mixed = image - jnp.tensordot(gamma, point_changes + step_changes, axes=1)

    def push(stack: Float[Array, "m ..."], new: Float[Array, "..."]) -> Float[Array, "m ..."]:
        return jnp.concatenate([new[None], stack[:-1]])

    return mixed, _Memory(push(memory.points, point), push(memory.steps, step))
