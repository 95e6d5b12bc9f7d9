"""A stiff integrator for the pointwise reaction: the sub-step for states that no flow map covers.

Linearly implicit Euler steps with the exact Jacobian of all species, on a grid that starts fine because
binding is fast, extrapolated to fourth order (Deuflhard's scheme). Slow against a flow map, and
right for any state with c ≥ 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.physics.constants import CYTOSOL, BufferConstants, Organelle, ReactionConstants
from hpcpinn.physics.pumped_binding import Deviation, ErRatio, clearance_slope, organelle_release, rates

STEPS = 48
"""Sub-steps of one call; each is 1.25 times the one before until a 20th of the whole."""
_DIVISIONS = (1, 2, 3, 4)


def stiff_flow(
    d: Deviation,
    h: Float[Array, "..."],
    ratio: Float[Array, "..."],
    k: ReactionConstants,
    er_ratio: ErRatio | None = None,
) -> Deviation:
    """The reaction over h, for any h and state; batched over all axes.

    Args:
        d: State relative to rest, µM.
        h: Time, s.
        ratio: σ = P/A, 1/µm.
        k: Constants.
        er_ratio: Membrane of an organelle over the volumes it parts; None without one.
    """
    share = jnp.asarray(_shares())

    def advance(now: Deviation, part: Float[Array, ""]) -> tuple[Deviation, None]:
        return _extrapolated(now, part * h, ratio, k, er_ratio), None

    shape = jnp.broadcast_shapes(*map(jnp.shape, (d.u, d.w, h, ratio)))
    begun: Deviation = jax.tree.map(lambda x: jnp.broadcast_to(x, shape), d)
    return jax.lax.scan(advance, begun, share)[0]


def _shares() -> Float[np.ndarray, " STEPS"]:
    length = np.minimum(1e-4 * 1.25 ** np.arange(STEPS), 0.05)
    share: Float[np.ndarray, " STEPS"] = length / length.sum()
    return share


def _extrapolated(d: Deviation, h: Array, ratio: Array, k: ReactionConstants, er_ratio: ErRatio | None) -> Deviation:
    """Aitken-Neville on the numbers of parts 1, 2, 3, 4."""
    table = [_euler(d, h, ratio, k, er_ratio, n) for n in _DIVISIONS]
    for column in range(1, len(_DIVISIONS)):
        for row in range(len(_DIVISIONS) - 1, column - 1, -1):
            weight = 1.0 / (_DIVISIONS[row] / _DIVISIONS[row - column] - 1.0)
            table[row] = jax.tree.map(lambda x, y, w=weight: x + w * (x - y), table[row], table[row - 1])
    return table[-1]


def _euler(
    d: Deviation, h: Array, ratio: Array, k: ReactionConstants, er_ratio: ErRatio | None, parts: int
) -> Deviation:
    """`parts` steps of (1 − τJ) δ = τ F, with the Jacobian of the start.

    The rows of the buffers besides calbindin hold their own δ and that of u alone, and those of an organelle's buffers
    that of its calcium z, whose row holds that of u. Eliminated, they leave two unknowns.
    """
    tau = h / parts
    to_w = k.k_minus + k.k_plus * (k.c_rest + d.u)  # ∂u'/∂w
    extrusion = ratio * clearance_slope(d.u, k)
    lumen = [_Lumen.of(d, er, er_ratio, tau, k) for er in k.organelles]
    for one in lumen:
        extrusion = extrusion + one.extrusion
    to_u = -(to_w + k.k_plus * (k.b_rest + d.v) + extrusion)  # ∂u'/∂u
    others = [
        _Other.of(v, buffer, d.u, to_w, tau, k) for v, buffer in zip(d.others, k.buffers_in(CYTOSOL), strict=True)
    ]
    for other in others:
        to_u = to_u - other.binding * (1.0 + other.into_u)
    a, b, c = 1.0 - tau * to_u, -tau * to_w, tau * extrusion
    determinant = a - b * c
    now = d
    for _ in range(parts):
        f = rates(now, ratio, k, er_ratio)
        gained, in_all = f.u, f.w
        for other, freed in zip(others, f.others, strict=True):
            gained = gained + other.into_u * freed
        for one in lumen:
            gained, in_all = gained + one.given(f.lumen, tau), in_all + one.given(f.lumen, tau)
        du = tau * (gained - b * in_all) / determinant
        dw = tau * (a * in_all - c * gained) / determinant
        inside = [x for one in lumen for x in one.moved(now.lumen, f.lumen, du, tau)]
        moved = (
            v + tau * (freed - other.binding * du) / other.own
            for v, other, freed in zip(now.others, others, f.others, strict=True)
        )
        now = Deviation(now.u + du, now.w + dw, tuple(moved), tuple(inside))
    return now


class _Lumen(NamedTuple):
    """The rows of an organelle.

    With x_u = −∂x/∂u and x_z = ∂x/∂z of what it gives, its buffers eliminated,

        Z dz − τσ_e x_u du = τ (z' − Σ freed (1 − 1/own)),     Z = 1 + τσ_e x_z + Σ τk⁺b/own.

    Attributes:
        extrusion: What that adds to the rate at which u is lost, σ_c x_u (1 − τσ_e x_z/Z), 1/s.
        into_z: τσ_e x_u.
        out_of_z: σ_c x_z, 1/s.
        pivot: Z.
        binding: τk⁺b of its buffers.
        own: 1 + τ(k⁻ + k⁺e) of them.
    """

    extrusion: Array
    into_z: Array
    out_of_z: Array
    pivot: Array
    binding: tuple[Array, ...]
    own: tuple[Array, ...]

    @classmethod
    def of(cls, d: Deviation, er: Organelle, er_ratio: ErRatio | None, tau: Array, k: ReactionConstants) -> "_Lumen":
        """At a state."""
        assert er_ratio is not None
        (z, *held), buffers = d.lumen, k.buffers_in(er.name)
        release = organelle_release(d, er, k)
        binding = tuple(tau * b.k_plus * (b.free(er.rest) + y) for y, b in zip(held, buffers, strict=True))
        own = tuple(1.0 + tau * (b.k_minus + b.k_plus * (er.rest + z)) for b in buffers)
        back = tau * er_ratio.lumen * release.by_z
        pivot = sum((x / y for x, y in zip(binding, own, strict=True)), 1.0 + back)
        lost = er_ratio.cytosol * release.by_u * (1.0 - back / pivot)
        return cls(lost, tau * er_ratio.lumen * release.by_u, er_ratio.cytosol * release.by_z, pivot, binding, own)

    def _alone(self, f: tuple[Array, ...], tau: Array) -> Array:
        """dz if u stood still."""
        gained, *freed = f
        return tau * sum((-x * (1.0 - 1.0 / y) for x, y in zip(freed, self.own, strict=True)), gained) / self.pivot

    def given(self, f: tuple[Array, ...], tau: Array) -> Array:
        """What the cytosol gains by it, per time."""
        return self.out_of_z * self._alone(f, tau)

    def moved(self, now: tuple[Array, ...], f: tuple[Array, ...], du: Array, tau: Array) -> tuple[Array, ...]:
        """The rows after a step in which u has moved."""
        (z, *held), freed = now, f[1:]
        dz = self._alone(f, tau) + self.into_z * du / self.pivot
        rows = zip(held, freed, self.binding, self.own, strict=True)
        return (z + dz, *(y + (tau * x - binding * dz) / own for y, x, binding, own in rows))


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
    def of(cls, v: Array, buffer: BufferConstants, u: Array, to_w: Array, tau: Array, k: ReactionConstants) -> "_Other":
        """At a state, with ∂u'/∂w of it."""
        unbinding = buffer.k_minus + buffer.k_plus * (k.c_rest + u)
        own = 1.0 + tau * unbinding
        return cls(buffer.k_plus * (buffer.free(k.c_rest) + v), own, tau * (to_w - unbinding) / own)
