"""A stiff integrator for the pointwise reaction: the sub-step for states that no flow map covers.

Linearly implicit Euler steps with the exact Jacobian of calcium and all its buffers, on a grid that starts fine because
binding is fast, extrapolated to fourth order (Deuflhard's scheme). Slow against a flow map, and
right for any state with c ≥ 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.physics.constants import Buffer
from hpcpinn.physics.pumped_binding import Deviation, ReactionConstants, clearance_slope, rates

STEPS = 48
"""Sub-steps of one call; each is 1.25 times the one before until a 20th of the whole."""
_DIVISIONS = (1, 2, 3, 4)


def stiff_flow(d: Deviation, h: Float[Array, "..."], ratio: Float[Array, "..."], k: ReactionConstants) -> Deviation:
    """The reaction over h, for any h and state; batched over all axes.

    Args:
        d: State relative to rest, µM.
        h: Time, s.
        ratio: σ = P/A, 1/µm.
        k: Constants.
    """
    share = jnp.asarray(_shares())

    def advance(now: Deviation, part: Float[Array, ""]) -> tuple[Deviation, None]:
        return _extrapolated(now, part * h, ratio, k), None

    like = jnp.broadcast_arrays(d.u, d.w, h, ratio)
    others = tuple(jnp.broadcast_to(other, like[0].shape) for other in d.others)
    return jax.lax.scan(advance, Deviation(like[0], like[1], others), share)[0]


def _shares() -> Float[np.ndarray, " STEPS"]:
    length = np.minimum(1e-4 * 1.25 ** np.arange(STEPS), 0.05)
    share: Float[np.ndarray, " STEPS"] = length / length.sum()
    return share


def _extrapolated(d: Deviation, h: Array, ratio: Array, k: ReactionConstants) -> Deviation:
    """Aitken-Neville on the numbers of parts 1, 2, 3, 4."""
    table = [_euler(d, h, ratio, k, n) for n in _DIVISIONS]
    for column in range(1, len(_DIVISIONS)):
        for row in range(len(_DIVISIONS) - 1, column - 1, -1):
            weight = 1.0 / (_DIVISIONS[row] / _DIVISIONS[row - column] - 1.0)
            table[row] = jax.tree.map(lambda x, y, w=weight: x + w * (x - y), table[row], table[row - 1])
    return table[-1]


def _euler(d: Deviation, h: Array, ratio: Array, k: ReactionConstants, parts: int) -> Deviation:
    """`parts` steps of (1 − τJ) δ = τ F, with the Jacobian of the start.

    The rows of the buffers besides calbindin hold their own δ and that of u alone; eliminated, they leave two unknowns.
    """
    tau = h / parts
    to_w = k.k_minus + k.k_plus * (k.c_rest + d.u)  # ∂u'/∂w
    extrusion = ratio * clearance_slope(d.u, k)
    to_u = -(to_w + k.k_plus * (k.b_rest + d.v) + extrusion)  # ∂u'/∂u
    others = [_Other.of(v, buffer, d.u, to_w, tau, k) for v, buffer in zip(d.others, k.buffers, strict=True)]
    for other in others:
        to_u = to_u - other.binding * (1.0 + other.into_u)
    a, b, c = 1.0 - tau * to_u, -tau * to_w, tau * extrusion
    determinant = a - b * c
    now = d
    for _ in range(parts):
        f = rates(now, ratio, k)
        gained = f.u
        for other, freed in zip(others, f.others, strict=True):
            gained = gained + other.into_u * freed
        du = tau * (gained - b * f.w) / determinant
        dw = tau * (a * f.w - c * gained) / determinant
        moved = (
            v + tau * (freed - other.binding * du) / other.own
            for v, other, freed in zip(now.others, others, f.others, strict=True)
        )
        now = Deviation(now.u + du, now.w + dw, tuple(moved))
    return now


class _Other(NamedTuple):
    """The row of a buffer besides calbindin.

    Attributes:
        binding: k⁺b, 1/s.
        own: 1 + τ(k⁻ + k⁺c).
        into_u: Factor of the row where it is added to that of u.
    """

    binding: Array
    own: Array
    into_u: Array

    @classmethod
    def of(cls, v: Array, buffer: Buffer, u: Array, to_w: Array, tau: Array, k: ReactionConstants) -> "_Other":
        """At a state, with ∂u'/∂w of it."""
        unbinding = buffer.k_minus + buffer.k_plus * (k.c_rest + u)
        own = 1.0 + tau * unbinding
        return cls(buffer.k_plus * (buffer.free(k.c_rest) + v), own, tau * (to_w - unbinding) / own)
