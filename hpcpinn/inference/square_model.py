"""The square as a model of its constants: cheap, differentiable, and exact enough to add no error of its own.

One subdomain, with trunks along x and y that are flat at all four walls, and heads that are functions of
time. The equation asks of heads in the plane a (in the eigenfunctions of the trunk's own stiffness)

    da_ij/dt = −(D (λ_i + λ_j) + k) a_ij,

which they follow exactly, so that for all constants at once the heads are known and the joint fit of
network and constants is one of the constants alone: the equation's rows, of which an exact model is asked,
weigh infinitely more than noisy data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.legendre import leggauss
from scipy.linalg import eigh

from hpcpinn.networks.axis import AxisTrunk, make_axis_trunk
from hpcpinn.physics.dopamine import DopamineConstants, profile

_SCALE = 5.2
"""Largest wave number per six features: the release must be seen by features of the whole square."""
_NODES = 4
"""Quadrature nodes per feature."""


@dataclass(frozen=True)
class SquareModel:
    """Dopamine at given places and times as a function of the constants.

    Attributes:
        constants: Those that are not learned.
        trunk: Along both axes.
        modes: Eigenfunctions from features, (M, M).
        decay: λ of every eigenfunction, 1/µm².
        places: Quadrature nodes along an axis, µm, with
        projection: what takes values there to coefficients of the eigenfunctions, (M, Q).
    """

    constants: DopamineConstants
    trunk: AxisTrunk
    modes: Float[np.ndarray, "M M"]
    decay: Float[np.ndarray, " M"]
    places: Float[np.ndarray, " Q"]
    projection: Float[np.ndarray, "M Q"]

    def along(self, x: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N M"]:
        """The eigenfunctions at places along an axis, µm."""
        return np.asarray(self.trunk.features(np.asarray(x) / self.constants.half_width).value) @ self.modes

    def predicted(
        self,
        values: Mapping[str, Any],
        at_x: Float[Array, "N M"],
        at_y: Float[Array, "N M"],
        t: Float[Array, " N"],
    ) -> Float[Array, " N"]:
        """Dopamine, µM. Traceable in everything.

        Args:
            values: Learned constants by name; the others are the model's own.
            at_x, at_y: `along` of the places.
            t: Times, ms.
        """
        known = {name: getattr(self.constants, name) for name in ("D", "k", "C0", "sigma")} | dict(values)
        start = jnp.asarray(self.projection) @ self._release(known["sigma"])
        left, right = (at * jnp.exp(-known["D"] * t[:, None] * self.decay) for at in (at_x, at_y))
        # The heads of a release that is a product are one too: a_ij = C0 start_i start_j.
        return known["C0"] * jnp.exp(-known["k"] * t) * (left @ start) * (right @ start)

    def _release(self, sigma: Any) -> Float[Array, " Q"]:
        """The release along an axis at the quadrature nodes."""
        return profile(self.places, jnp.asarray(sigma) ** 2, self.constants, sigma)


def make_square_model(constants: DopamineConstants, n_features: int, seed: int = 0) -> SquareModel:
    """Sets up the model.

    Args:
        constants: Of the square.
        n_features: Along an axis.
        seed: Of the trunk.
    """
    trunk = make_axis_trunk(n_features, flat_at=(-1.0, 1.0), seed=seed, scale=_SCALE)
    nodes, weights = leggauss(_NODES * n_features)
    a = constants.half_width
    features = trunk.features(nodes)
    value, slope = np.asarray(features.value), np.asarray(features.slope) / a
    mass = a * value.T @ (weights[:, None] * value)
    stiffness = a * slope.T @ (weights[:, None] * slope)
    decay, modes = eigh(0.5 * (stiffness + stiffness.T), 0.5 * (mass + mass.T))
    projection = (value @ modes).T * (a * weights)
    return SquareModel(constants, trunk, modes, np.maximum(decay, 0.0), a * nodes, projection)
