"""The reaction flow map Φ(c, b, h, σ): closed-form kinetics with a network's correction (DESIGN §5).

With the parts of `pumped_binding.closed_flow` and g = 1 − e^{−rate h},

    w(h) = w − slow (1 + g N₁) − fast (1 + g N₂),   u(h) = q(w(h)) (1 + g N₃) + excess (1 + g N₄),

N(c, b, h, σ) a small network. Every correction multiplies something that vanishes at rest, so
rest stays an exact fixed point, relaxation to it has a relative error, and Φ is the identity at h = 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from hpcpinn.networks.perceptron import Perceptron, evaluate
from hpcpinn.physics import pumped_binding
from hpcpinn.physics.constants import ReactionConstants
from hpcpinn.physics.logarithm import log
from hpcpinn.physics.pumped_binding import Deviation

N_INPUTS, N_OUTPUTS = 5, 4


class ReactionState(NamedTuple):
    """What moves in split windows, by the names that constants give it (`CalciumConstants.species`).

    Attributes:
        c: Free calcium, µM.
        b: Free calbindin, µM.
        others: What is free of other buffers, in their order, µM.
    """

    c: Float[Array, "..."]
    b: Float[Array, "..."]
    others: tuple[Float[Array, "..."], ...] = ()

    @classmethod
    def of(cls, species: Iterable[Any]) -> "ReactionState":
        """A state of all species in their order: calcium, calbindin, others."""
        c, b, *others = species
        return cls(c, b, tuple(others))

    @classmethod
    def named(cls, values: Mapping[str, Any], names: Sequence[str]) -> "ReactionState":
        """A state of species by name, which constants have in the order of `names`."""
        return cls.of(values[name] for name in names)

    def by_name(self, names: Sequence[str]) -> dict[str, Any]:
        """The species by the names that constants give them in their order."""
        return dict(zip(names, self.species, strict=True))

    @property
    def species(self) -> tuple[Any, ...]:
        """All of them in their order, arrays of the device or the host as they are."""
        return (self.c, self.b, *self.others)

    def each(self, function: Callable[..., Any], *more: "ReactionState") -> "ReactionState":
        """What a function makes of every species, of several states of each."""
        return ReactionState.of(map(function, self.species, *(state.species for state in more)))


@dataclass(frozen=True)
class FlowMapRange:
    """Where a flow map holds; every pair is (least, largest).

    Attributes:
        calcium: c, µM.
        equilibrium: Free calcium that would be in equilibrium with b, k⁻(b_tot − b)/(k⁺b), µM.
        quotient: c over that equilibrium.
        step: h, s; from zero to its largest value. The least is the shortest that was trained.
        ratio: σ = P/A, 1/µm.
    """

    calcium: tuple[float, float] = (0.03, 20.0)
    equilibrium: tuple[float, float] = (0.035, 4.0)
    quotient: tuple[float, float] = (0.4, 200.0)
    step: tuple[float, float] = (1e-5, 2e-2)
    ratio: tuple[float, float] = (0.1, 16.0)

    def contains(
        self,
        state: ReactionState,
        h: Float[ArrayLike, "..."],
        ratio: Float[ArrayLike, "..."],
        k: ReactionConstants,
    ) -> Bool[Array, "..."]:
        """Whether Φ may be used for a state; NaN is outside."""
        h, ratio = jnp.asarray(h), jnp.asarray(ratio)
        equilibrium = k.k_minus * (k.b_tot - state.b) / (k.k_plus * jnp.maximum(state.b, 1e-300))
        quotient = state.c / equilibrium
        inside = (h >= 0.0) & (h <= self.step[1]) & (state.b > 0.0)
        pairs = (self.calcium, self.equilibrium, self.quotient, self.ratio)
        for (low, high), x in zip(pairs, (state.c, equilibrium, quotient, ratio), strict=True):
            inside = inside & (x >= low) & (x <= high)
        return inside


_REST = 0.05
"""Calcium at rest for which the boxes' lower ends were chosen, µM."""


def box_around(k: ReactionConstants, box: FlowMapRange) -> FlowMapRange:
    """The box for other constants: with a lower rest its lower ends of calcium are lower by as much."""
    share = min(1.0, k.c_rest / _REST)
    (calcium, most), (equilibrium, highest) = box.calcium, box.equilibrium
    return replace(box, calcium=(share * calcium, most), equilibrium=(share * equilibrium, highest))


@dataclass(frozen=True, eq=False)
class FlowMap:
    """Φ.

    Attributes:
        network: The correction N.
        constants: Constants of the reaction that the network was trained for.
        box: Ranges of state and time in which the map holds.
    """

    network: Perceptron
    constants: ReactionConstants
    box: FlowMapRange

    def __call__(
        self, state: ReactionState, h: Float[ArrayLike, "..."], ratio: Float[ArrayLike, "..."]
    ) -> ReactionState:
        """The state after h; shapes broadcast. Right inside the box only.

        Args:
            state: c and b, µM.
            h: Time, s.
            ratio: σ = P/A, 1/µm.
        """
        d = pumped_binding.deviation(state.c, state.b, self.constants)
        return ReactionState.of(pumped_binding.state(self.flow(d, h, ratio), self.constants))

    def flow(self, d: Deviation, h: Float[ArrayLike, "..."], ratio: Float[ArrayLike, "..."]) -> Deviation:
        """The same for a deviation from rest."""
        k, h, ratio = self.constants, jnp.asarray(h), jnp.asarray(ratio)
        closed = pumped_binding.closed_flow(d, h, ratio, k)
        correction = evaluate(self.network, self._inputs(d, closed, h, ratio))
        of_slow, of_fast, of_manifold, of_excess = 1.0 + correction * closed.gone
        w = d.w - closed.slow * of_slow - closed.fast * of_fast
        q = pumped_binding.quasi_steady(w, ratio, k)
        return Deviation(q * of_manifold + closed.excess * of_excess, w)

    def _inputs(self, d: Deviation, closed: pumped_binding.ClosedFlow, h: Array, ratio: Array) -> Array:
        """Logarithms of c, q, b, h·rate and σ, each of order one."""
        k = self.constants
        scale = max(k.c_rest, 1e-300)
        columns = (
            log((k.c_rest + d.u) / (6.0 * scale)) / 2.0,
            log((k.c_rest + closed.q) / (6.0 * scale)) / 2.0,
            log(ratio / 2.0) / 1.5,
            log(closed.rate * h + 0.05) / 2.0 - 0.5,
            log(closed.rate / (k.k_plus * k.b_rest)),
        )
        return jnp.stack(jnp.broadcast_arrays(*columns))


def sample_box(
    box: FlowMapRange, k: ReactionConstants, n: int, seed: int, near_rest: float = 0.0
) -> tuple[Float[np.ndarray, " n"], ...]:
    """Random states of a box, uniform in the logarithms of its coordinates.

    Args:
        box: The box.
        k: Constants.
        n: Number of states.
        seed: Seed of the random states.
        near_rest: Share that is drawn around rest instead (quotient and equilibrium log-normal).

    Returns:
        c, b, h, σ, each (n,).
    """
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    while sum(map(len, kept)) < n:
        size = 4 * n
        equilibrium, quotient, h, ratio = (
            np.exp(rng.uniform(np.log(low), np.log(high), size))
            for low, high in (box.equilibrium, box.quotient, box.step, box.ratio)
        )
        close = rng.random(size) < near_rest
        equilibrium = np.where(close, k.c_rest * np.exp(rng.normal(0.0, 0.3, size)), equilibrium)
        quotient = np.where(close, np.exp(rng.normal(0.0, 0.3, size)), quotient)
        c = equilibrium * quotient
        b = k.b_tot * k.k_minus / (k.k_minus + k.k_plus * equilibrium)
        inside = np.ones(size, bool)
        for (low, high), x in zip(
            (box.calcium, box.equilibrium, box.quotient), (c, equilibrium, quotient), strict=True
        ):
            inside &= (x >= low) & (x <= high)
        kept.append(np.stack([c, b, h, ratio], axis=1)[inside])
    return tuple(np.concatenate(kept)[:n].T)
