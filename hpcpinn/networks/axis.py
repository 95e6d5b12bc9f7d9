"""The trunk along one axis: a network of one coordinate, for products over the axes of a box.

A box in space and time takes a product of such trunks, one per axis, and a head for every product.
The features of an axis can be made flat at its ends: a field that is read out of them has no flux
there, whatever its heads are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from hpcpinn.networks.trunk import HiddenLayers, constant_first, leading

AT_ONCE = 128
"""Places along an axis that are evaluated together."""


class AxisFeatures(NamedTuple):
    """Features of one coordinate and their derivatives at n places, each (n, M)."""

    value: Float[Array, "n M"]
    slope: Float[Array, "n M"]
    bend: Float[Array, "n M"]


@dataclass(frozen=True)
class AxisTrunk:
    """A network of one coordinate with the mixing that makes its features orthonormal on [−1, 1].

    Attributes:
        network: The hidden layers.
        parameters: θ.
        mixing: (width, features) matrix absorbed into the heads.
        flat_at: Ends (−1.0, 1.0) at which every feature has slope zero.
    """

    network: HiddenLayers
    parameters: Any
    mixing: Float[Array, "width M"]
    flat_at: tuple[float, ...] = ()

    @property
    def n_features(self) -> int:
        return self.mixing.shape[1]

    def features(self, line: Float[ArrayLike, " n"]) -> AxisFeatures:
        """Features at the places of a line, with derivatives by forward mode."""
        raw = _padded(self.network, self.parameters, np.asarray(line, np.float64))
        return AxisFeatures(*jax.device_put([part @ np.asarray(self.mixing) for part in raw]))

    def value(self, line: Float[Array, " n"]) -> Float[Array, "n M"]:
        """The features alone, at places that may be traced."""
        features: AxisFeatures = hidden_features(self.network, self.parameters, line)
        return features.value @ self.mixing


def mirrored(trunk: AxisTrunk) -> AxisTrunk:
    """The trunk with the features φ(−ξ)."""
    layers = dict(trunk.parameters["params"])
    first = layers["Dense_0"]
    layers["Dense_0"] = {**first, "kernel": -first["kernel"]}
    return replace(trunk, parameters={"params": layers}, flat_at=tuple(-end for end in trunk.flat_at))


def remixed(trunk: AxisTrunk, parameters: Any) -> AxisTrunk:
    """The trunk with other parameters θ, spanning what its mixing makes of them: flat, orthonormal again."""
    return _orthonormal(trunk.network, parameters, trunk.flat_at, np.asarray(trunk.mixing), trunk.n_features)


def flattened(trunks: Sequence[AxisTrunk]) -> Float[np.ndarray, " n"]:
    """θ and mixing of all trunks in one vector, for a checkpoint."""
    parts = [part for trunk in trunks for part in (ravel_pytree(trunk.parameters)[0], trunk.mixing.ravel())]
    return np.concatenate([np.asarray(part) for part in parts])


def restored(trunks: Sequence[AxisTrunk], vector: Float[np.ndarray, " n"]) -> list[AxisTrunk]:
    """Trunks of the same architecture with θ and mixing from `flattened`."""
    found, rest = [], np.asarray(vector)
    for trunk in trunks:
        flat, unravel = ravel_pytree(trunk.parameters)
        theta, mixing, rest = np.split(rest, [flat.size, flat.size + trunk.mixing.size])
        mixed = jnp.asarray(mixing).reshape(trunk.mixing.shape)
        found.append(replace(trunk, parameters=unravel(jnp.asarray(theta)), mixing=mixed))
    return found


def without_slopes(
    mixing: Float[Array, "width M"], slopes: Sequence[Float[Array, " width"]]
) -> Float[Array, "width M"]:
    """The nearest mixing whose features have no slope where the network's own have the given ones. Traceable."""
    taken: list[Array] = []
    for slope in slopes:
        for direction in taken:
            slope = slope - direction * (direction @ slope)
        taken.append(slope / jnp.linalg.norm(slope))
        mixing = mixing - jnp.outer(taken[-1], taken[-1] @ mixing)
    return mixing


def _padded(network: HiddenLayers, parameters: Any, line: Float[np.ndarray, " n"]) -> AxisFeatures:
    """The network's own features, evaluated for a multiple of `AT_ONCE` places: few programs to compile."""
    places = np.zeros(-(-max(len(line), 1) // AT_ONCE) * AT_ONCE)
    places[: len(line)] = line
    raw = hidden_features(network, parameters, places)
    return AxisFeatures(*(part[: len(line)] for part in jax.tree.map(np.asarray, raw)))


@partial(jax.jit, static_argnums=0)
def hidden_features(network: HiddenLayers, parameters: Any, line: Float[Array, " n"]) -> AxisFeatures:
    """The network's own features, before mixing, at the places of a line. Traceable."""

    def hidden(x: Array) -> Any:
        return network.apply(parameters, x[None])

    def at_place(x: Array) -> AxisFeatures:
        one = jnp.ones_like(x)
        (value, slope), (_, bend) = jax.jvp(lambda s: jax.jvp(hidden, (s,), (one,)), (x,), (one,))
        return AxisFeatures(value, slope, bend)

    return jax.vmap(at_place)(line)


def make_axis_trunk(
    n_features: int,
    *,
    flat_at: tuple[float, ...] = (),
    seed: int = 0,
    layers: int = 1,
    activation: str = "sine",
    scale: float = 2.2,
    surplus: int = 3,
    grid: int = AT_ONCE,
) -> AxisTrunk:
    """A frozen random trunk along one axis, orthonormal on [−1, 1]; the first feature is constant.

    Args:
        n_features: Number of features after mixing.
        flat_at: Ends (−1.0, 1.0) at which every feature has slope zero.
        seed, layers, activation, surplus: Seed, depth, activation and raw features per kept one, as in `make_trunk`.
        scale: Largest frequency for up to six features; raised in proportion for more.
        grid: Points on the line on which the features are made orthonormal.
    """
    raised = scale * max(1.0, n_features / 6.0)
    network = HiddenLayers(surplus * n_features, layers, activation, (raised,))
    parameters = {"params": constant_first(_initial(network, seed)["params"], activation)}
    return _orthonormal(network, parameters, flat_at, np.eye(network.width), n_features, grid)


def _orthonormal(
    network: HiddenLayers,
    parameters: Any,
    flat_at: tuple[float, ...],
    mixing: Float[np.ndarray, "width m"],
    n_features: int,
    grid: int = AT_ONCE,
) -> AxisTrunk:
    """The leading features of what `mixing` makes of the network's, flat at the given ends."""
    raw = _padded(network, parameters, np.linspace(-1.0, 1.0, grid)).value
    flat = np.eye(network.width)
    if flat_at:
        slopes = _padded(network, parameters, np.array(flat_at)).slope
        # Directions with a slope at an end are taken away; the constant feature has none.
        basis = np.linalg.qr(slopes.T)[0]
        flat -= basis @ basis.T
    within = flat @ mixing
    return AxisTrunk(network, parameters, jax.device_put(within @ leading(raw @ within, n_features)), flat_at)


@partial(jax.jit, static_argnums=0)
def _initial(network: HiddenLayers, seed: int) -> Any:
    return network.init(jax.random.PRNGKey(seed), jnp.zeros(1))
