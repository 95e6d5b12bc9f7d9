"""Dopamine that diffuses from a point of release and is taken up, on a square (EQUATIONS §3).

    C_t = D ∇²C − k C   on [−a, a]²,   ∂C/∂n = 0 on all edges

The release is a Gaussian with its mirror images in the edges, so that the start has no flux through
them either: C(0) = C0 g(x, 0) g(y, 0). Then the solution on the bounded square is known,

    C = C0 e^{−kt} g(x, t) g(y, t),   g = (σ/s) Σ_m exp(−(x − 2am)²/(2s²)),   s² = σ² + 2Dt.

Units: µm, ms, µM.
"""

from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from hpcpinn.core.pytrees import traced
from hpcpinn.physics.dopamine_constants import PRESETS, DopamineConstants

__all__ = ["IMAGES", "PRESETS", "DopamineConstants", "DopamineSystem", "exact", "profile"]

traced(DopamineConstants)

IMAGES = 16
"""Mirror images on either side that are summed: exact to round-off up to s = 4a."""


@dataclass(frozen=True)
class DopamineSystem:
    """The equation for solvers, see `ReactionDiffusion`; D and k may be traced.

    Attributes:
        D, k: Diffusion and uptake.
        C0: Typical size of the field.
    """

    D: Any
    k: Any
    C0: float = 1.0

    names = ("dopamine",)
    rest = (0.0,)
    content = (1.0,)
    volumes = ("square",)

    @classmethod
    def of(cls, constants: DopamineConstants) -> Self:
        """The system of some constants."""
        return cls(constants.D, constants.k, constants.C0)

    @property
    def diffusion(self) -> tuple[Any, ...]:
        return (self.D,)

    @property
    def scale(self) -> tuple[float, ...]:
        return (self.C0,)

    @property
    def rate(self) -> tuple[Any, ...]:
        return (self.k,)

    def source(self, u: Float[Array, " 1"], forcing: Any) -> Float[Array, " 1"]:
        """Uptake."""
        lost: Float[Array, " 1"] = -self.k * u
        return lost

    def passage(self, u: Float[Array, " 1"], forcing: Any) -> Float[Array, " 2"]:
        """What uptake takes away; nothing comes in."""
        return jnp.stack([-self.k * u[0], 0.0 * u[0]])


def profile(
    x: Float[ArrayLike, "..."], variance: Float[ArrayLike, "..."], constants: DopamineConstants
) -> Float[Array, "..."]:
    """g of the closed form where s² is `variance`, along one axis. Traceable in everything."""
    x, variance = jnp.asarray(x)[..., None], jnp.asarray(variance)[..., None]
    centres = 2.0 * constants.half_width * jnp.arange(-IMAGES, IMAGES + 1)
    bells = jnp.exp(-((x - centres) ** 2) / (2.0 * variance))
    return constants.sigma / jnp.sqrt(variance[..., 0]) * jnp.sum(bells, axis=-1)


def exact(
    x: Float[ArrayLike, "..."], y: Float[ArrayLike, "..."], t: Float[ArrayLike, "..."], constants: DopamineConstants
) -> Float[Array, "..."]:
    """The closed form at points and times, µM; shapes are broadcast. Traceable in everything."""
    field: Float[Array, "..."] = _exact(x, y, t, constants.replace(name="", duration=0.0))
    return field


@jax.jit
def _exact(x: Array, y: Array, t: Array, constants: DopamineConstants) -> Float[Array, "..."]:
    """`exact` as one program, whatever the preset is called."""
    variance = constants.sigma**2 + 2.0 * constants.D * t
    spread = profile(x, variance, constants) * profile(y, variance, constants)
    return constants.C0 * jnp.exp(-constants.k * t) * spread
