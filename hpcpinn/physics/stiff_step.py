"""A stiff integrator for the pointwise reaction: the sub-step for states that no flow map covers.

Linearly implicit Euler steps with the exact 2×2 Jacobian, on a grid that starts fine because
binding is fast, extrapolated to fourth order (Deuflhard's scheme). Slow against a flow map, and
right for any state with c ≥ 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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
    return jax.lax.scan(advance, Deviation(like[0], like[1]), share)[0]


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
            fine, coarse = table[row], table[row - 1]
            table[row] = Deviation(*(x + weight * (x - y) for x, y in zip(fine, coarse, strict=True)))
    return table[-1]


def _euler(d: Deviation, h: Array, ratio: Array, k: ReactionConstants, parts: int) -> Deviation:
    """`parts` steps of (1 − τJ) δ = τ F, with the Jacobian of the start."""
    tau = h / parts
    to_w = k.k_minus + k.k_plus * (k.c_rest + d.u)  # ∂u'/∂w
    extrusion = ratio * clearance_slope(d.u, k)
    to_u = -(to_w + k.k_plus * (k.b_rest + d.u - d.w) + extrusion)  # ∂u'/∂u
    a, b, c = 1.0 - tau * to_u, -tau * to_w, tau * extrusion
    determinant = a - b * c
    now = d
    for _ in range(parts):
        f = rates(now, ratio, k)
        du = tau * (f.u - b * f.w) / determinant
        dw = tau * (a * f.w - c * f.u) / determinant
        now = Deviation(now.u + du, now.w + dw)
    return now
