"""Diffusion alone, of one species: what a split window leaves to the cable."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.physics.constants import CYTOSOL


@dataclass(frozen=True)
class DiffusionSystem:
    """u_t = (1/A) ∂s(A D ∂s u); see `ReactionDiffusion`.

    Linear, and zero is as good a rest as any: heads then describe the field itself. Whatever volume it is in, it is the
    only one.

    Attributes:
        coefficient: D, µm²/s; may be traced.
    """

    coefficient: Float[Array, ""] | float

    names = ("field",)
    scale = (1.0,)
    rate = (0.0,)
    rest = (0.0,)
    content = (1.0,)
    volumes = (CYTOSOL,)

    @property
    def diffusion(self) -> tuple[Any, ...]:
        return (self.coefficient,)

    def source(self, u: Float[Array, " 1"], forcing: Any) -> Float[Array, " 1"]:
        """Nothing reacts."""
        return jnp.zeros_like(u)

    def passage(self, u: Float[Array, " 1"], forcing: Any) -> Float[Array, " 2"]:
        """Nothing crosses the membrane."""
        return jnp.zeros(2)
