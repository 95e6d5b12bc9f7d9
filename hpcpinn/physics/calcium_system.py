"""Calcium and its buffers as a reaction-diffusion system for the solver (EQUATIONS §1)."""

import math
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
    """Calcium and its buffers with binding, pumps, leak, channels and release; see `ReactionDiffusion`.

    Attributes:
        constants: Constants, which may be traced.
        measured_by: Plain numbers that scales, rates and the rest that heads are counted from are made of, so that
            nothing is learned by way of these; None: `constants` themselves.
    """

    constants: CalciumConstants
    measured_by: CalciumConstants | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return self.constants.species

    @property
    def content(self) -> tuple[float, ...]:
        """Total calcium is c − Σ b, but for a constant."""
        return (1.0, *(-1.0 for _ in self.constants.all_buffers))

    @property
    def diffusion(self) -> tuple[Scalar, ...]:
        return (self.constants.D_c, *(buffer.D for buffer in self.constants.all_buffers))

    @property
    def scale(self) -> tuple[float, ...]:
        """Of calcium a µM-like measure; of buffers the share that an influx may bind.

        Squares of buffers' scales add up to that of one with all they hold, so that a buffer that is told in two parts
        is solved as the whole is.
        """
        k = self.known
        whole = sum(buffer.total for buffer in k.all_buffers)
        of_buffers = (max(_mean(buffer.total, whole) / 8.0, 1e-300) for buffer in k.all_buffers)
        return (max(k.c_rest, k.k_minus / max(k.k_plus, 1e-300)), *of_buffers)

    @property
    def rate(self) -> tuple[float, ...]:
        """Binding empties free calcium at Σ k⁺b; buffers have no fast loss of their own."""
        k = self.known
        binding = [buffer.k_plus * buffer.free(k.c_rest) for buffer in k.all_buffers]
        return (sum(binding[1:], binding[0]), *(0.0 for _ in binding))

    @property
    def rest(self) -> tuple[float, ...]:
        return self.known.rest

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

    def passage(self, u: Float[Array, " K"], forcing: CalciumForcing) -> Float[Array, " 2"]:
        """Calcium through the membrane per volume: net, and its inward terms."""
        c, *_ = u
        flows = jnp.stack([self.membrane_influx(c, forcing), self.membrane_inward(forcing)])
        return forcing.membrane_ratio * flows

    def source(self, u: Float[Array, " K"], forcing: CalciumForcing) -> Float[Array, " K"]:
        """Σ f(b, c) + (P/A) j_PM for calcium, f(b, c) for every buffer."""
        c, *free = u
        freed = [calcium.unbinding(c, b, buffer) for b, buffer in zip(free, self.constants.all_buffers, strict=True)]
        influx = forcing.membrane_ratio * self.membrane_influx(c, forcing)
        return jnp.stack([sum(freed[1:], freed[0]) + influx, *freed])


def _mean(one: float, other: float) -> float:
    """Geometric mean, exact where they are the same."""
    return one if one == other else math.sqrt(one * other)
