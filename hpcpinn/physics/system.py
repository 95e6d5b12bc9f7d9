"""What a solver needs to know of an equation: u_t = (1/A) ∂s(A D ∂s u) + source(u, forcing), A of a species' volume.

A new reaction-diffusion system is one class with these members; no solver is touched.
"""

from typing import Any, Protocol

from jaxtyping import Array, Float


class ReactionDiffusion(Protocol):
    """A system of K species on a cable.

    Attributes:
        names: Names of the species.
        diffusion: Diffusion coefficient of every species.
        scale: Typical size of every species; unknowns and residuals are divided by it.
        rate: Fastest linear decay of every species, for the Robin parameter √(rate/D).
        rest: Value of every species at rest.
        content: Weights with which Σ_k content_k u_k is conserved by the reaction, amounts counted in the volume that
            each lives in.
        volumes: Name of the volume that every species lives in; those in the same one have its cross-section A.
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def diffusion(self) -> tuple[float, ...]: ...
    @property
    def scale(self) -> tuple[float, ...]: ...
    @property
    def rate(self) -> tuple[float, ...]: ...
    @property
    def rest(self) -> tuple[float, ...]: ...
    @property
    def content(self) -> tuple[float, ...]: ...
    @property
    def volumes(self) -> tuple[str, ...]: ...

    def source(self, u: Float[Array, " K"], forcing: Any) -> Float[Array, " K"]:
        """Reaction and membrane flux at one point, per time; `forcing` is the point's data."""
        ...

    def passage(self, u: Float[Array, " K"], forcing: Any) -> Float[Array, " 2"]:
        """Content that crosses the membrane at one point, per volume within it and time: net, and inward only."""
        ...
