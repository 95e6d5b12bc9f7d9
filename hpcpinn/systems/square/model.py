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

from hpcpinn.core.parameters import with_values
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
        constants: Constants that are not learned.
        trunk: Trunk along both axes.
        modes: Eigenfunctions from features, (M, M).
        decay: λ of every eigenfunction, 1/µm².
        places: Quadrature nodes along an axis, µm, with
        projection: what takes values there to coefficients of the eigenfunctions, (M, Q).
        learns_size: Whether the half width of the square is learned. What is above then is that of the known
            one: in units of the half width the eigenfunctions are always the same.
    """

    constants: DopamineConstants
    trunk: AxisTrunk
    modes: Float[np.ndarray, "M M"]
    decay: Float[np.ndarray, " M"]
    places: Float[np.ndarray, " Q"]
    projection: Float[np.ndarray, "M Q"]
    learns_size: bool = False

    def along(self, x: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N M"]:
        """The eigenfunctions at places along an axis, µm."""
        features = np.asarray(self.trunk.features(np.asarray(x) / self.constants.half_width).value)
        values: Float[np.ndarray, "N M"] = features @ self.modes
        return values

    def observed_at(self, x: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N M"] | Float[np.ndarray, " N"]:
        """What `predicted` wants to know of places along an axis, µm: the eigenfunctions there, or the places."""
        return np.asarray(x) if self.learns_size else self.along(x)

    def predicted(
        self,
        values: Mapping[str, Any],
        at_x: Float[Array, "N ..."],
        at_y: Float[Array, "N ..."],
        t: Float[Array, " N"],
    ) -> Float[Array, " N"]:
        """Dopamine, µM. Traceable in everything.

        Args:
            values: Learned constants by name; the others are the model's own.
            at_x, at_y: `observed_at` of the places.
            t: Times, ms.
        """
        k = with_values(self.constants, values)
        wider = k.half_width / self.constants.half_width
        if self.learns_size:
            at_x, at_y = (self._seen(x / k.half_width) for x in (at_x, at_y))
        release = profile(self.places * wider, k.sigma**2, k)
        start = jnp.asarray(self.projection) @ release
        left, right = (at * jnp.exp(-k.D * t[:, None] * (self.decay / wider**2)) for at in (at_x, at_y))
        # The heads of a release that is a product are one too: a_ij = C0 start_i start_j.
        seen: Float[Array, " N"] = k.C0 * jnp.exp(-k.k * t) * (left @ start) * (right @ start)
        return seen

    def _seen(self, place: Float[Array, " N"]) -> Float[Array, "N M"]:
        """The eigenfunctions at places in units of the half width; beyond a wall those of the mirror image.

        So what a constant makes of the data stays smooth where a wall passes a place.
        """
        inside = 1.0 - jnp.abs(jnp.mod(place + 1.0, 4.0) - 2.0)
        return self.trunk.value(inside) @ self.modes


def make_square_model(
    constants: DopamineConstants, n_features: int, seed: int = 0, *, learns_size: bool = False
) -> SquareModel:
    """Sets up the model.

    Args:
        constants: Constants of the square.
        n_features: Number of features along an axis.
        seed: Seed of the trunk's random weights.
        learns_size: Whether the half width is learned.
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
    return SquareModel(constants, trunk, modes, np.maximum(decay, 0.0), a * nodes, projection, learns_size)
