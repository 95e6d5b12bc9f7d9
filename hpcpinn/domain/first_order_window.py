"""Solves one space-time window with a first-order optimiser on every piece: the papers' baseline.

A sweep visits the red pieces and then the black ones; each is told what its neighbours last
reported, trains its head for a while, and reports. There is no linearisation to condense, hence
no inner iteration and no acceleration: sweeps and training are one loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.interfaces import exchanged, orders
from hpcpinn.domain.schwarz import halves
from hpcpinn.domain.window_solver import Traces, WindowSolution, WindowSolver
from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.local import Window, collocated, combine, edge_values, evaluate, field_at
from hpcpinn.training.rows import alpha_loss, piece_rows, residual_emphasis, resolvent_at


class Visit(NamedTuple):
    """State of the loop over sweeps.

    Attributes:
        traces: Heads and traces.
        optimiser: State of every piece's optimiser, leaves (P, ...).
        size: Excursion of every species, at least what was given.
        change: Largest change of the field relative to its excursion, over all ranks.
        jump: Largest of the relative interface jump and the misfits of told and initial data.
    """

    traces: Traces
    optimiser: Any
    size: Float[Array, " K"]
    change: Float[Array, ""]
    jump: Float[Array, ""]


@dataclass(frozen=True)
class FirstOrderWindow(WindowSolver):
    """Trains the heads by Adam or L-BFGS on the α-weighted loss; see `WindowSolver`.

    What a loose training leaves of the initial data and of the orders counts as interface jump:
    a low loss alone does not make a solution.

    Attributes:
        optimiser: Which, and its settings.
        alpha: Weight of the equation against the data.
        steps: Most steps per window.
        adaptive: Whether rows are weighted by the residual, anew before every sweep.
    """

    optimiser: FirstOrder = FirstOrder()
    alpha: float = 0.5
    steps: int = 10_000
    adaptive: bool = False

    @cached_property
    def _sweep(self) -> Callable[..., Visit]:
        equation, interfaces, table = self.equation, self.interfaces, self.table
        share = interfaces.relaxation[:, :, None, None]
        per_sweep = max(1, self.steps // self.sweeping.max_sweeps)

        def asked(duration, heads, given) -> Array:
            value, slope = edge_values(equation, table, self.geometry, duration, heads)
            reports = combine(interfaces.rows.send, value, slope)
            slots = exchanged(interfaces, self.communicator, reports)
            return orders(interfaces.rule, interfaces.n_nodes, slots, given)

        def train(pieces, heads, state) -> tuple[Array, Any]:
            def one_piece(piece, head, state):
                geometry, edges, window, told, resolvent = jax.tree.map(lambda x: x[None], piece)
                window = window._replace(duration=window.duration[0])

                def loss(head):
                    rows = piece_rows(
                        equation, table, geometry, edges, window, told, resolvent, head[None]
                    )
                    return alpha_loss(rows, self.alpha)[0]

                return self.optimiser.minimise(loss, head, state, per_sweep)[:2]

            return jax.vmap(one_piece)(pieces, heads, state)

        def run(window: Window, visit: Visit, given: Array) -> Visit:
            duration, heads, told = window.duration, *visit.traces
            n_pieces, n_points = heads.shape[0], len(table.points.weight)
            emphasis = jnp.ones((n_pieces, n_points))
            if self.adaptive:
                emphasis = residual_emphasis(equation, table, self.geometry, window, heads)
            resolvent = resolvent_at(equation, table, window, heads)
            everywhere = Window(jnp.full(n_pieces, duration), window.initial, window.forcing, emphasis)
            state = jax.vmap(self.optimiser.again)(visit.optimiser, heads)
            for first, last in halves(self.sweeping, n_pieces):
                target = (1.0 - share) * told + share * asked(duration, heads, given)
                told = told.at[first:last].set(target[first:last])
                if first == last:
                    continue

                def part(tree, first=first, last=last):
                    return jax.tree.map(lambda x: x[first:last], tree)

                pieces = part((self.geometry, interfaces.rows, everywhere, told, resolvent))
                trained, moved = train(pieces, part(heads), part(state))
                heads = heads.at[first:last].set(trained)
                state = jax.tree.map(lambda x, y, a=first, b=last: x.at[a:b].set(y), state, moved)
            return self._judged(window, visit, Traces(heads, told), state, asked(duration, heads, given))

        return jax.jit(run)

    def _judged(self, window: Window, before: Visit, traces: Traces, state: Any, target: Array) -> Visit:
        """The next state of the loop, with all that tells whether it may end."""
        equation, inside = self.equation, self.table.inside.value
        away = jnp.abs(evaluate(inside, traces.heads, equation))
        moved = jnp.abs(evaluate(inside, traces.heads - before.traces.heads, equation))
        extent = jnp.max(jnp.stack([moved, away]), axis=(1, 3), initial=0.0)
        change, reach = self.communicator.max(extent)
        size = jnp.maximum(before.size, reach)
        value, slope = edge_values(equation, self.table, self.geometry, window.duration, traces.heads)
        received = combine(self.interfaces.rows.receive, value, slope)
        start = field_at(self.table.initial, traces.heads, equation) - window.initial
        misses = (
            jnp.abs(target - traces.told) / (2.0 * size[:, None]),
            jnp.abs(received - traces.told) / size[:, None],
            jnp.abs(start) / size[:, None],
        )
        worst = jnp.stack([jnp.max(miss, initial=0.0) for miss in misses])
        jump = jnp.max(self.communicator.max(worst))
        return Visit(traces, state, size, jnp.max(change / size), jump)

    def solve(
        self,
        window: Window,
        guess: Traces,
        given: Float[Array, "P 2 K T"],
        size: Float[Array, " K"],
        linear: Any = None,
    ) -> WindowSolution:
        """Solves a window; one row of `histories` holds all sweeps. Collective over all ranks."""
        window = collocated(self.table, window)
        state = jax.vmap(self.optimiser.begin)(guess.heads)
        visit = Visit(guess, state, size, jnp.asarray(jnp.inf), jnp.asarray(jnp.inf))
        history = np.full((1, self.sweeping.max_sweeps), np.nan)
        sweeps, agreed = 0, False
        while sweeps < self.sweeping.max_sweeps and not agreed:
            visit = self._sweep(window, visit, given)
            history[0, sweeps] = jump = float(visit.jump)
            sweeps, agreed = sweeps + 1, jump <= self.sweeping.tolerance
            if not np.isfinite(jump):
                break
        return WindowSolution(
            visit.traces, None, np.asarray(visit.size), 1, sweeps, 0,
            float(visit.jump), float(visit.change), agreed, history,
        )  # fmt: skip
