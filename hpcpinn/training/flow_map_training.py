"""Training of a flow map from the reaction's differential equation alone (DESIGN §5).

No solver is asked: the rows are the residual of u' and w' (`physics.pumped_binding`) at random
states and times, each relative to what it should be compared with, so that a row of 1e-4 is an
error of about 1e-4 of the deviation from rest, however close to rest it is.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from hpcpinn.networks.perceptron import make_perceptron
from hpcpinn.physics import pumped_binding
from hpcpinn.physics.constants import ReactionConstants
from hpcpinn.physics.pumped_binding import Deviation
from hpcpinn.training.flow_map import N_INPUTS, N_OUTPUTS, FlowMap, FlowMapRange, sample_box
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt, Quadratic

LAST = 4
"""States of the last round, over those of the others: the map is worst where few states were seen."""


@dataclass(frozen=True)
class FlowMapTraining:
    """Settings.

    Attributes:
        hidden: Widths of the hidden layers.
        points: Random states with times; of the last of several rounds `LAST` times as many.
        near_rest: Share of them around rest.
        wide: FlowMapRange that they are drawn from, wider than the map's: a fit is worst at its edges.
        steps: Most Levenberg-Marquardt steps of each round; every round draws the states anew and
            starts from the last one's network.
        seed: Seed of the random weights and states.
        manifold_weight: Weight of the rows of u against those of w.
        chunk: States whose Jacobian is held in memory at once.
    """

    hidden: tuple[int, ...] = (20, 20)
    points: int = 8000
    near_rest: float = 0.25
    wide: FlowMapRange = FlowMapRange((0.03, 30.0), (0.03, 5.0), (0.4, 300.0), (1e-5, 2e-2), (0.1, 20.0))
    steps: tuple[int, ...] = (350, 350, 150, 150)
    seed: int = 0
    manifold_weight: float = 1.0
    chunk: int = 500

    def train(
        self,
        k: ReactionConstants,
        box: FlowMapRange,
        watch: Callable[[FlowMap, float], None] = lambda flow_map, value: None,
        budget: float = math.inf,
    ) -> FlowMap:
        """A flow map for the constants over the box.

        Args:
            k: Constants.
            box: Ranges of state and time in which the map shall hold.
            watch: Function of the map and the sum of squares, called after every accepted step.
            budget: Wall time that the rounds may take in all, s; each takes its share of the steps.
        """
        network = make_perceptron((N_INPUTS, *self.hidden, N_OUTPUTS), self.seed)
        flat, unravel = ravel_pytree(network)

        def map_of(parameters: Float[Array, " N"]) -> FlowMap:
            return FlowMap(unravel(parameters), k, box)

        def rows(parameters: Float[Array, " N"], state: Float[Array, " 4"]) -> Float[Array, " 2"]:
            weight = jnp.array([self.manifold_weight, 1.0]) / self.points**0.5
            missed: Float[Array, " 2"] = weight * residual(map_of(parameters), *state)
            return missed

        deadline = math.inf

        def note(parameters: Float[Array, " N"], value: float) -> bool:
            watch(map_of(parameters), value)
            return time.monotonic() >= deadline

        near, value = _sum_of_squares(rows)
        began = time.monotonic()
        for turn, steps in enumerate(self.steps):
            deadline = began + budget * sum(self.steps[: turn + 1]) / sum(self.steps)
            solver = LevenbergMarquardt(steps, damping=1e-1, floor=1e-12, tries=12, tolerance=1e-6)
            points = self.points * (LAST if 0 < turn == len(self.steps) - 1 else 1)
            count = -(-points // self.chunk) * self.chunk
            columns = sample_box(self.wide, k, count, self.seed + 1 + turn, self.near_rest)
            states = jnp.stack([jnp.asarray(x) for x in columns], axis=1)
            states = states.reshape(-1, self.chunk, 4)
            flat, _ = solver.minimise(partial(near, states), partial(value, states), flat, note)
        return map_of(flat)


def rounds(steps: int) -> tuple[int, ...]:
    """A number of steps in the proportions of the usual rounds; none of them empty."""
    usual = FlowMapTraining.steps
    cuts = [round(steps * sum(usual[: turn + 1]) / sum(usual)) for turn in range(len(usual))]
    parts = [end - start for start, end in zip([0, *cuts[:-1]], cuts, strict=True)]
    return tuple(part for part in parts if part > 0)


def residual(
    flow_map: FlowMap,
    c: Float[Array, ""],
    b: Float[Array, ""],
    h: Float[Array, ""],
    ratio: Float[Array, ""],
) -> Float[Array, " 2"]:
    """Residual of the equations of u and w at one state and time.

    That of u is relative to (|u| + |q|) times the rate at which u relaxes, that of w to the fluxes
    at u and at the slow manifold q; both fade for times far below the relaxation, whose residual
    has not the time to count.
    """
    k = flow_map.constants
    start = pumped_binding.deviation(c, b, k)
    now, moved = jax.jvp(lambda t: flow_map.flow(start, t, ratio), (h,), (jnp.ones_like(h),))
    wanted = pumped_binding.rates(now, ratio, k)
    q = pumped_binding.quasi_steady(now.w, ratio, k)
    rate = pumped_binding.relaxation_rate(now, ratio, k)
    flux_u, flux_q = (jnp.abs(ratio * pumped_binding.clearance(x, k) * x) for x in (now.u, q))
    size = jax.lax.stop_gradient(Deviation(rate * (jnp.abs(now.u) + jnp.abs(q)) + 1e-12, flux_u + flux_q + 1e-12))
    fade = jnp.sqrt(jnp.minimum(1.0, h * jax.lax.stop_gradient(rate)))
    return fade * jnp.stack([(moved.u - wanted.u) / size.u, (moved.w - wanted.w) / size.w])


def _sum_of_squares(
    rows: Callable[[Array, Array], Float[Array, " 2"]],
) -> tuple[Callable[[Array, Array], Quadratic], Callable[[Array, Array], Float[Array, ""]]]:
    """`near` and `value` for `LevenbergMarquardt` of states (chunks, n, 4), the Jacobian by chunks."""

    def part(parameters: Array, chunk: Float[Array, "n 4"]) -> Quadratic:
        row = jax.vmap(rows, (None, 0))(parameters, chunk).ravel()
        jacobian = jax.vmap(jax.jacrev(rows), (None, 0))(parameters, chunk).reshape(row.size, -1)
        return Quadratic(jacobian.T @ jacobian, jacobian.T @ row, row @ row)

    @jax.jit
    def near(states: Float[Array, "chunks n 4"], parameters: Float[Array, " N"]) -> Quadratic:
        def add(total: Quadratic, chunk: Array) -> tuple[Quadratic, None]:
            return jax.tree.map(jnp.add, total, part(parameters, chunk)), None

        n = parameters.size
        nothing = Quadratic(jnp.zeros((n, n)), jnp.zeros(n), jnp.zeros(()))
        return jax.lax.scan(add, nothing, states)[0]

    @jax.jit
    def value(states: Float[Array, "chunks n 4"], parameters: Float[Array, " N"]) -> Float[Array, ""]:
        squares = jax.vmap(jax.vmap(rows, (None, 0)), (None, 0))(parameters, states)
        return jnp.sum(squares**2)

    return near, value
