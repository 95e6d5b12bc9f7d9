"""Solves one space-time window with a first-order optimiser on every piece: the papers' baseline.

A sweep visits the red pieces and then the black ones; each receives what its neighbours last
sent, trains its head for a while, and sends in turn. There is no linearisation to condense, hence
no inner iteration and no acceleration: sweeps and training are one loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.interfaces import Interfaces, exchanged, orders
from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.domain.schwarz import SweepSettings, halves
from hpcpinn.domain.window_solver import WindowIterate, WindowSolution, WindowSolver
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training import rectangles
from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.least_squares import CableRows
from hpcpinn.training.local import Window, collocated, combine, edge_values, evaluate, field_at
from hpcpinn.training.rectangle_squares import RectangleRows, loss
from hpcpinn.training.rectangles import side_values, start_values
from hpcpinn.training.rows import alpha_loss, piece_rows, residual_emphasis, resolvent_at


class Visit(NamedTuple):
    """State of the loop over sweeps.

    Attributes:
        traces: Heads and traces.
        optimiser: State of every piece's optimiser, leaves (P, ...).
        size: Excursion of every species, at least what was given.
        change: Largest change of the field relative to its excursion, over all ranks.
        jump: Largest of the relative interface jump and the misfits of received and initial data.
    """

    traces: WindowIterate
    optimiser: Any
    size: Float[Array, " K"]
    change: Float[Array, ""]
    jump: Float[Array, ""]


class FirstOrderSweeps(ABC):
    """Sweeps in which every piece is trained by a first-order optimiser, whatever kind the pieces are.

    What a loose training leaves of the initial data and of the orders counts as interface jump:
    a low loss alone does not make a solution.

    Attributes:
        optimiser: Optimiser with its settings.
        steps: Most steps per window.
    """

    equation: ReactionDiffusion
    interfaces: Interfaces
    communicator: Communicator
    sweeping: SweepSettings
    optimiser: FirstOrder
    steps: int

    @abstractmethod
    def ends(
        self, duration: Float[Array, ""], heads: Float[Array, "P K ..."]
    ) -> tuple[Float[Array, "P ends K N"], Float[Array, "P ends K N"]]:
        """Departure from rest and its scaled outward slope at the ends, (P, ends, K, T). Traceable."""

    @abstractmethod
    def departure(self, heads: Float[Array, "P K ..."]) -> Float[Array, "P K Q"]:
        """How far the field is from rest at the collocation points. Traceable."""

    @abstractmethod
    def start_missed(self, window: Any, heads: Float[Array, "P K ..."]) -> Float[Array, "P K X"]:
        """How far the field begins from the window's initial data. Traceable."""

    @abstractmethod
    def prepared(self, window: Any, heads: Float[Array, "P K ..."]) -> Any:
        """What a sweep trains the pieces with; leaves have the pieces as first axis. Traceable."""

    @abstractmethod
    def piece_loss(
        self, piece: Any, robin_in: Float[Array, "P ends K N"], heads: Float[Array, "P K ..."]
    ) -> Float[Array, ""]:
        """What one piece minimises; a first axis of length 1 in all arguments. Traceable."""

    @cached_property
    def _sweep(self) -> Callable[..., Visit]:
        interfaces = self.interfaces
        share = interfaces.relaxation[:, :, None, None]
        per_sweep = max(1, self.steps // self.sweeping.max_sweeps)

        def asked(duration: Float[Array, ""], heads: Array, given: Array) -> Array:
            value, slope = self.ends(duration, heads)
            robin_out = combine(interfaces.rows.send, value, slope)
            slots = exchanged(interfaces, self.communicator, robin_out)
            return orders(interfaces.rule, interfaces.n_nodes, slots, given)

        def train(pieces: Any, robin_in: Array, heads: Array, state: Any) -> tuple[Array, Any]:
            def one_piece(piece: Any, robin_in: Array, head: Array, state: Any) -> tuple[Array, Any]:
                piece, robin_in = jax.tree.map(lambda x: x[None], (piece, robin_in))

                def loss(head: Array) -> Float[Array, ""]:
                    return self.piece_loss(piece, robin_in, head[None])

                return self.optimiser.minimise(loss, head, state, per_sweep)[:2]

            return jax.vmap(one_piece)(pieces, robin_in, heads, state)

        def run(window: Any, visit: Visit, given: Array) -> Visit:
            duration, heads, robin_in = window.duration, *visit.traces
            n_pieces = heads.shape[0]
            pieces = self.prepared(window, heads)
            state = jax.vmap(self.optimiser.again)(visit.optimiser, heads)
            for first, last in halves(self.sweeping, n_pieces):
                target = (1.0 - share) * robin_in + share * asked(duration, heads, given)
                robin_in = robin_in.at[first:last].set(target[first:last])
                if first == last:
                    continue

                of_part = jax.tree.map(lambda x, a=first, b=last: x[a:b], (pieces, robin_in, heads, state))
                trained, moved = train(*of_part)
                heads = heads.at[first:last].set(trained)
                state = jax.tree.map(lambda x, y, a=first, b=last: x.at[a:b].set(y), state, moved)
            return self._judged(window, visit, WindowIterate(heads, robin_in), state, asked(duration, heads, given))

        return jax.jit(run)

    def _judged(self, window: Any, before: Visit, traces: WindowIterate, state: Any, target: Array) -> Visit:
        """The next state of the loop, with all that tells whether it may end."""
        away = jnp.abs(self.departure(traces.heads))
        moved = jnp.abs(self.departure(traces.heads - before.traces.heads))
        extent = jnp.max(jnp.stack([moved, away]), axis=(1, 3), initial=0.0)
        change, reach = self.communicator.max(extent)
        size = jnp.maximum(before.size, reach)
        received = combine(self.interfaces.rows.receive, *self.ends(window.duration, traces.heads))
        misses = (
            jnp.abs(target - traces.robin_in) / (2.0 * size[:, None]),
            jnp.abs(received - traces.robin_in) / size[:, None],
            jnp.abs(self.start_missed(window, traces.heads)) / size[:, None],
        )
        worst = jnp.stack([jnp.max(miss, initial=0.0) for miss in misses])
        jump = jnp.max(self.communicator.max(worst))
        return Visit(traces, state, size, jnp.max(change / size), jump)

    def swept(
        self, window: Any, guess: WindowIterate, given: Float[Array, "P ends K N"], size: Float[Array, " K"]
    ) -> WindowSolution:
        """Solves a window; one row of `histories` holds all sweeps. Collective over all ranks."""
        state = jax.vmap(self.optimiser.begin)(guess.heads)
        visit = Visit(guess, state, size, jnp.asarray(jnp.inf), jnp.asarray(jnp.inf))
        history = np.full((1, self.sweeping.max_sweeps), np.nan)
        sweeps, agreed = 0, False
        while sweeps < self.sweeping.max_sweeps and not agreed:
            stopping.heed(self.communicator)
            visit = self._sweep(window, visit, given)
            history[0, sweeps] = jump = float(visit.jump)
            sweeps, agreed = sweeps + 1, jump <= self.sweeping.tolerance
            if not np.isfinite(jump):
                break
        return WindowSolution(
            visit.traces, None, np.asarray(visit.size), 1, sweeps, 0,
            float(visit.jump), float(visit.change), agreed, history,
        )  # fmt: skip


@dataclass(frozen=True)
class FirstOrderWindow(FirstOrderSweeps, WindowSolver):
    """Trains the heads of a cable's pieces by Adam or L-BFGS on the α-weighted loss; see `WindowSolver`.

    Attributes:
        optimiser: Optimiser with its settings.
        alpha: Weight of the equation against the data.
        steps: Most steps per window.
        adaptive: Whether rows are weighted by the residual, anew before every sweep.
    """

    optimiser: FirstOrder = FirstOrder()
    alpha: float = 0.5
    steps: int = 10_000
    adaptive: bool = False

    def ends(
        self, duration: Float[Array, ""], heads: Float[Array, "P K M"]
    ) -> tuple[Float[Array, "P ends K T"], Float[Array, "P ends K T"]]:
        return edge_values(self.equation, self.table, self.geometry, duration, heads)

    def departure(self, heads: Float[Array, "P K M"]) -> Float[Array, "P K Q"]:
        return evaluate(self.table.inside.value, heads, self.equation)

    def start_missed(self, window: Window, heads: Float[Array, "P K M"]) -> Float[Array, "P K X"]:
        return field_at(self.table.initial, heads, self.equation) - window.initial

    def prepared(self, window: Window, heads: Float[Array, "P K M"]) -> Any:
        n_pieces, n_points = heads.shape[0], len(self.table.points.weight)
        emphasis = jnp.ones((n_pieces, n_points))
        if self.adaptive:
            emphasis = residual_emphasis(self.equation, self.table, self.geometry, window, heads)
        resolvent = resolvent_at(self.equation, self.table, window, heads)
        duration = jnp.full(n_pieces, window.duration)
        everywhere = Window(duration, window.initial, window.forcing, emphasis)
        return self.geometry, self.interfaces.rows, everywhere, resolvent

    def piece_loss(
        self, piece: Any, robin_in: Float[Array, "P ends K T"], heads: Float[Array, "P K M"]
    ) -> Float[Array, ""]:
        geometry, edges, window, resolvent = piece
        window = window._replace(duration=window.duration[0])
        rows = CableRows(self.equation, self.table, geometry, edges)
        return alpha_loss(piece_rows(rows, window, robin_in, resolvent, heads), self.alpha)[0]

    def solve(
        self,
        window: Window,
        guess: WindowIterate,
        given: Float[Array, "P 2 K T"],
        size: Float[Array, " K"],
        linear: Any = None,
    ) -> WindowSolution:
        return self.swept(collocated(self.table, window), guess, given, size)


@dataclass(frozen=True)
class FirstOrderRectangles(FirstOrderSweeps, RectangleWindow):
    """Trains the heads of rectangles by Adam or L-BFGS on the rows that least squares solve.

    Attributes:
        optimiser: Optimiser with its settings.
        steps: Most steps per window.
    """

    optimiser: FirstOrder = FirstOrder()
    steps: int = 10_000

    def ends(
        self, duration: Float[Array, ""], heads: Float[Array, "P K M M L"]
    ) -> tuple[Float[Array, "P sides K N"], Float[Array, "P sides K N"]]:
        return side_values(self.equation, self.table, self.geometry, duration, heads)

    def departure(self, heads: Float[Array, "P K M M L"]) -> Float[Array, "P K Q"]:
        return RectangleWindow.departure(self, heads)

    def start_missed(self, window: rectangles.RectangleData, heads: Float[Array, "P K M M L"]) -> Float[Array, "P K X"]:
        begun = start_values(self.equation, self.table, self.geometry, heads, self.table.start)
        return (begun - window.initial).reshape(*heads.shape[:2], -1)

    def prepared(self, window: rectangles.RectangleData, heads: Float[Array, "P K M M L"]) -> Any:
        duration = jnp.full(heads.shape[0], window.duration)
        return self.geometry.walls, self.interfaces.rows, duration, window.initial

    def piece_loss(
        self, piece: Any, robin_in: Float[Array, "P sides K N"], heads: Float[Array, "P K M M L"]
    ) -> Float[Array, ""]:
        walls, edges, duration, initial = piece
        geometry = self.geometry._replace(walls=walls)
        window = rectangles.RectangleData(duration[0], initial)
        rows = RectangleRows(self.equation, self.table, geometry, edges, self.weights)
        return loss(rows, window, robin_in, heads)

    def solve(
        self,
        window: rectangles.RectangleData,
        guess: WindowIterate,
        given: Float[Array, "P ends K T"] | None,
        size: Float[Array, " K"],
        linear: Any = None,
    ) -> WindowSolution:
        given = jnp.zeros_like(guess.robin_in) if given is None else given
        return self.swept(window, guess, given, size)
