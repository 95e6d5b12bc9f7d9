"""Calcium and calbindin as a reaction-diffusion system for the solver (EQUATIONS §1)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Scalar
from hpcpinn.physics import calcium
from hpcpinn.physics.constants import CalciumConstants


class CalciumForcing(NamedTuple):
    """What drives calcium at a point besides its own state.

    Attributes:
        membrane_ratio: P/A, 1/µm.
        channel_source: ρ_V G times the inflow factor, µM·µm/s.
        channel_sink: ρ_V G times the outflow factor, µm/s.
        release: Synaptic flux j_SYN, µM·µm/s.
    """

    membrane_ratio: Float[Array, "..."]
    channel_source: Float[Array, "..."]
    channel_sink: Float[Array, "..."]
    release: Float[Array, "..."]


@dataclass(frozen=True)
class CalciumSystem:
    """c and b with binding, pumps, leak, channels and release; see `ReactionDiffusion`.

    Attributes:
        constants: Constants, which may be traced.
        measured_by: Plain numbers that scales, rates and the rest that heads are counted from are made of, so that
            nothing is learned by way of these; None: `constants` themselves.
    """

    constants: CalciumConstants
    measured_by: CalciumConstants | None = None

    names = ("calcium", "calbindin")
    content = (1.0, -1.0)

    @property
    def diffusion(self) -> tuple[Scalar, ...]:
        return (self.constants.D_c, self.constants.D_b)

    @property
    def scale(self) -> tuple[float, ...]:
        """Of calcium a µM-like measure; of calbindin the share that an influx may bind."""
        k = self.known
        return (max(k.c_rest, k.k_minus / max(k.k_plus, 1e-300)), max(k.b_tot / 8.0, 1e-300))

    @property
    def rate(self) -> tuple[float, ...]:
        """Binding empties free calcium at k⁺b; calbindin has no fast loss of its own."""
        k = self.known
        return (k.k_plus * k.b_rest, 0.0)

    @property
    def rest(self) -> tuple[float, ...]:
        return calcium.rest_state(self.known)

    @property
    def known(self) -> CalciumConstants:
        """The plain numbers that it is measured by."""
        return self.constants if self.measured_by is None else self.measured_by

    def membrane_influx(self, c: Float[Array, "..."], forcing: CalciumForcing) -> Array:
        """j_PM, µM·µm/s, positive into the cytosol."""
        channel = (forcing.channel_source, forcing.channel_sink)
        return calcium.membrane_flux(c, channel, forcing.release, self.constants)

    def membrane_inward(self, forcing: CalciumForcing) -> Array:
        """The inward terms of j_PM: channels, release and leak, µM·µm/s."""
        leak = calcium.balanced_leak(self.constants) * self.constants.c_o
        return forcing.channel_source + forcing.release + leak

    def passage(self, u: Float[Array, " 2"], forcing: CalciumForcing) -> Float[Array, " 2"]:
        """Calcium through the membrane per volume: net, and its inward terms."""
        flows = jnp.stack([self.membrane_influx(u[0], forcing), self.membrane_inward(forcing)])
        return forcing.membrane_ratio * flows

    def source(self, u: Float[Array, " 2"], forcing: CalciumForcing) -> Float[Array, " 2"]:
        """f(b, c) + (P/A) j_PM for calcium, f(b, c) for calbindin."""
        c, b = u
        binding = calcium.reaction(c, b, self.constants)
        influx = forcing.membrane_ratio * self.membrane_influx(c, forcing)
        return jnp.stack([binding + influx, binding])
