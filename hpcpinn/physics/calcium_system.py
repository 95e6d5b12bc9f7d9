"""Calcium and its buffers as a reaction-diffusion system for the solver (EQUATIONS §1)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Scalar
from hpcpinn.physics import calcium
from hpcpinn.physics.constants import CALCIUM, CalciumConstants

MOVED = 0.04
"""Share of an organelle's calcium that moves while much happens in the cytosol."""


class CalciumForcing(NamedTuple):
    """What drives calcium at a point besides its own state.

    Attributes:
        membrane_ratio: P/A, 1/µm.
        channel_source: ρ_V G times the inflow factor, µM·µm/s.
        channel_sink: ρ_V G times the outflow factor, µm/s.
        release: Synaptic flux j_SYN, µM·µm/s.
        er_per_cytosol, er_per_lumen: Membrane of the reticulum over both volumes that it parts, 1/µm; None where no
            species lives in it.
    """

    membrane_ratio: Float[Array, "..."]
    channel_source: Float[Array, "..."]
    channel_sink: Float[Array, "..."]
    release: Float[Array, "..."]
    er_per_cytosol: Float[Array, "..."] | None = None
    er_per_lumen: Float[Array, "..."] | None = None


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
        return tuple(one.content for one in self.constants.all_species)

    @property
    def volumes(self) -> tuple[str, ...]:
        return self.constants.volumes

    @property
    def diffusion(self) -> tuple[Scalar, ...]:
        return tuple(one.D for one in self.constants.all_species)

    @property
    def scale(self) -> tuple[float, ...]:
        """Of calcium a µM-like measure or a share of an organelle's rest; of buffers the share that an influx may bind.

        Squares of buffers' scales add up to that of one with all that those of their volume hold, so that a buffer that
        is told in two parts is solved as the whole is.
        """
        k = self.known
        scale = {CALCIUM: max(k.c_rest, k.k_minus / max(k.k_plus, 1e-300))}
        scale |= {organelle.calcium: organelle.rest * MOVED for organelle in k.organelles}
        for volume in k.calcium_of:
            inside = [buffer for buffer in k.all_buffers if buffer.volume == volume]
            whole = sum(buffer.total for buffer in inside)
            scale |= {buffer.name: max(_mean(buffer.total, whole) / 8.0, 1e-300) for buffer in inside}
        return tuple(scale[name] for name in k.species)

    @property
    def rate(self) -> tuple[float, ...]:
        """Binding empties free calcium at Σ k⁺b; buffers have no fast loss of their own."""
        k, rate = self.known, dict.fromkeys(self.known.species, 0.0)
        for volume, own in k.calcium_of.items():
            c = k.calcium_at_rest[volume]
            binding = [buffer.k_plus * buffer.free(c) for buffer in k.all_buffers if buffer.volume == volume]
            rate[own.name] = sum(binding[1:], binding[0]) if binding else 0.0
        return tuple(rate.values())

    @property
    def rest(self) -> tuple[float, ...]:
        return self.known.rest

    @property
    def known(self) -> CalciumConstants:
        """The plain numbers that it is measured by."""
        return self.constants if self.measured_by is None else self.measured_by

    def membrane_influx(self, c: Float[Array, "..."], forcing: CalciumForcing) -> Float[Array, "..."]:
        """j_PM, µM·µm/s, positive into the cytosol."""
        channel = (forcing.channel_source, forcing.channel_sink)
        return calcium.membrane_flux(c, channel, forcing.release, self.constants)

    def membrane_inward(self, forcing: CalciumForcing) -> Float[Array, "..."]:
        """The inward terms of j_PM: channels, release and leak, µM·µm/s."""
        leak = calcium.balanced_leak(self.constants) * self.constants.c_o
        return forcing.channel_source + forcing.release + leak

    def passage(self, u: Float[Array, " K"], forcing: CalciumForcing) -> Float[Array, " 2"]:
        """Calcium through the membrane per volume of the cytosol: net, and its inward terms."""
        c = u[self.names.index(CALCIUM)]
        flows = jnp.stack([self.membrane_influx(c, forcing), self.membrane_inward(forcing)])
        return forcing.membrane_ratio * flows

    def source(self, u: Float[Array, " K"], forcing: CalciumForcing) -> Float[Array, " K"]:
        """f(b, c) for every buffer; Σ f(b, c) and what passes the membranes, per volume, for calcium."""
        k, at = self.constants, dict(zip(self.names, u, strict=True))
        gained: dict[str, Array] = {}
        for volume, own in k.calcium_of.items():
            inside = [buffer for buffer in k.all_buffers if buffer.volume == volume]
            freed = [calcium.unbinding(at[own.name], at[buffer.name], buffer) for buffer in inside]
            gained[own.name] = sum(freed[1:], freed[0]) if freed else jnp.zeros_like(at[own.name])
            gained |= {buffer.name: of_it for buffer, of_it in zip(inside, freed, strict=True)}
        c = at[CALCIUM]
        gained[CALCIUM] = gained[CALCIUM] + forcing.membrane_ratio * self.membrane_influx(c, forcing)
        for er in k.organelles:
            assert forcing.er_per_cytosol is not None and forcing.er_per_lumen is not None
            released = calcium.organelle_release(c, at[er.calcium], er, k.c_rest)
            gained[CALCIUM] = gained[CALCIUM] + forcing.er_per_cytosol * released
            gained[er.calcium] = gained[er.calcium] - forcing.er_per_lumen * released
        return jnp.stack([gained[name] for name in self.names])


def _mean(one: float, other: float) -> float:
    """Geometric mean, exact where they are the same."""
    return one if one == other else math.sqrt(one * other)
