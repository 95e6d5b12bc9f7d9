"""The trunk: hidden layers of a network on the square (ξ, τ) ∈ [−1, 1]², shared by all pieces.

On every piece the field is a linear read-out (the piece's *head*) of the same features,
u(ξ, τ) = Σ_j φ_j(ξ, τ; θ) a_j (DESIGN §3). Values and derivatives of the features at the
collocation points are therefore computed once and serve every piece.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"sine": jnp.sin, "tanh": jnp.tanh}


class HiddenLayers(nn.Module):
    """Fully connected hidden layers from (ξ, τ) to `width` features.

    Attributes:
        width: Features per layer.
        layers: Number of hidden layers.
        activation: Key of `ACTIVATIONS`.
        scale: Half-width of the uniform law of the first layer's weights for every input (ξ and
            τ); it sets the frequencies of a sine trunk.
    """

    width: int
    layers: int = 1
    activation: str = "sine"
    scale: tuple[float, ...] = (2.2, 2.2)

    @nn.compact
    def __call__(self, point: Float[Array, " inputs"]) -> Float[Array, " width"]:
        activation = ACTIVATIONS[self.activation]

        def first_weights(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
            half_width = jnp.asarray(self.scale, dtype)[:, None]
            return half_width * jax.random.uniform(key, shape, dtype, -1.0, 1.0)

        def any_phase(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
            return jax.random.uniform(key, shape, dtype, -jnp.pi, jnp.pi)

        hidden = point
        for layer in range(self.layers):
            hidden = nn.Dense(
                self.width,
                kernel_init=first_weights if layer == 0 else nn.initializers.glorot_uniform(),
                bias_init=any_phase,
                param_dtype=jnp.float64,
                dtype=jnp.float64,
            )(hidden)
            hidden = activation(hidden)
        return hidden


class Features(NamedTuple):
    """Features and their derivatives at a set of points, each of shape (points, features)."""

    value: Float[Array, "n M"]
    dx: Float[Array, "n M"]
    dxx: Float[Array, "n M"]
    dt: Float[Array, "n M"]


class SeparableLayers(nn.Module):
    """Products of features of ξ and features of τ: two networks side by side.

    Every feature of ξ comes with every feature of τ. A field that does not move is then
    represented as well as its start is, whatever its shape: windows can be chained thousands of
    times without a mode that grows, which a joint network of (ξ, τ) does not guarantee.

    Attributes:
        width: Features of ξ and of τ.
        layers, activation, scale: Depth, activation and frequencies of both networks, see `HiddenLayers`.
    """

    width: tuple[int, int]
    layers: int = 1
    activation: str = "sine"
    scale: tuple[float, float] = (2.2, 2.2)

    def setup(self) -> None:
        self.networks = [
            HiddenLayers(width, self.layers, self.activation, (scale,))
            for width, scale in zip(self.width, self.scale, strict=True)
        ]

    def __call__(self, point: Float[Array, " 2"]) -> Float[Array, " width"]:
        of_space, of_time = (network(point[i : i + 1]) for i, network in enumerate(self.networks))
        return jnp.outer(of_space, of_time).ravel()

    def separately(self, line: Float[Array, " n"]) -> list[Float[Array, "n _"]]:
        """Features of ξ and of τ along a line of values."""
        return [jax.vmap(lambda x, net=net: net(x[None]))(line) for net in self.networks]


Network = HiddenLayers | SeparableLayers


@dataclass(frozen=True)
class Trunk:
    """A network with its parameters θ and the mixing that makes its features orthonormal.

    Attributes:
        network: The hidden layers.
        parameters: θ.
        mixing: (width, features) matrix absorbed into the heads.
    """

    network: Network
    parameters: Any
    mixing: Float[Array, "width M"]

    @property
    def n_features(self) -> int:
        return self.mixing.shape[1]

    def features(self, xi: Float[ArrayLike, " n"], tau: Float[ArrayLike, " n"]) -> Features:
        """Features at the points (xi, tau), with derivatives in ξ and τ by forward mode."""
        mixed: Features = mixed_features(self.network, self.parameters, self.mixing, xi, tau)
        return mixed


@partial(jax.jit, static_argnums=0)
def hidden_features(
    network: Network, parameters: Any, xi: Float[ArrayLike, " n"], tau: Float[ArrayLike, " n"]
) -> Features:
    """The network's own features (before mixing) and their derivatives at the points."""

    def hidden(x: Float[Array, ""], t: Float[Array, ""]) -> Any:
        return network.apply(parameters, jnp.stack([x, t]))

    def at_point(x: Float[Array, ""], t: Float[Array, ""]) -> Features:
        one = jnp.ones_like(x)

        (value, dx), (_, dxx) = jax.jvp(lambda r: jax.jvp(lambda s: hidden(s, t), (r,), (one,)), (x,), (one,))
        dt = jax.jvp(lambda s: hidden(x, s), (t,), (one,))[1]
        return Features(value, dx, dxx, dt)

    return jax.vmap(at_point)(jnp.asarray(xi), jnp.asarray(tau))


@partial(jax.jit, static_argnums=0)
def mixed_features(
    network: Network,
    parameters: Any,
    mixing: Float[Array, "width M"],
    xi: Float[ArrayLike, " n"],
    tau: Float[ArrayLike, " n"],
) -> Features:
    """The features after mixing and their derivatives at the points."""
    raw = hidden_features(network, parameters, xi, tau)
    return Features(*(part @ mixing for part in raw))


@partial(jax.jit, static_argnums=0)
def _drawn(network: Network, seed: ArrayLike) -> Any:
    """θ of a seed."""
    return network.init(jax.random.PRNGKey(seed), jnp.zeros(2))


def make_trunk(
    n_features: int,
    *,
    seed: int = 0,
    layers: int = 1,
    activation: str = "sine",
    scale: tuple[float, float] = (2.2, 2.2),
    surplus: int = 3,
    grid: int = 17,
) -> Trunk:
    """A frozen random trunk whose features are orthonormal on the square.

    Random features on a small square are nearly dependent. `surplus * n_features` of them are
    drawn and the `n_features` leading left singular directions on an even grid are kept: the
    least squares on the heads are then well conditioned.

    Args:
        n_features: Number of features M after mixing.
        seed: Seed of θ.
        layers: Hidden layers.
        activation: "sine" or "tanh".
        scale: Frequencies in ξ and τ, see `HiddenLayers`.
        surplus: Raw features per kept feature.
        grid: Points per direction of the grid on which the features are made orthonormal.
    """
    network = HiddenLayers(surplus * n_features, layers, activation, scale)
    parameters = _drawn(network, seed)
    return orthonormalise(network, parameters, n_features, grid)


def orthonormalise(network: HiddenLayers, parameters: Any, n_features: int, grid: int) -> Trunk:
    """Attaches the mixing that makes the leading features orthonormal on an even grid."""
    grid = max(grid, int(2 * n_features**0.5) + 1)
    line = jnp.linspace(-1.0, 1.0, grid)
    xi, tau = (part.ravel() for part in jnp.meshgrid(line, line))
    raw: Any = jax.vmap(lambda x, t: network.apply(parameters, jnp.stack([x, t])))(xi, tau)
    _, singular, right = jnp.linalg.svd(raw, full_matrices=False)
    mixing = right[:n_features].T / singular[:n_features] * grid
    return Trunk(network, parameters, mixing)


def remixed(trunk: Trunk, parameters: Any, grid: int = 17) -> Trunk:
    """The trunk with other parameters θ, spanning what its mixing makes of them, orthonormal again.

    Directions that θ has lost (below 1e-12 of the leading one) keep their size.
    """
    grid = max(grid, int(2 * trunk.n_features**0.5) + 1)
    line = jnp.linspace(-1.0, 1.0, grid)
    xi, tau = (part.ravel() for part in jnp.meshgrid(line, line))
    apply: Any = trunk.network.apply
    raw = jax.vmap(lambda x, t: apply(parameters, jnp.stack([x, t])))(xi, tau)
    _, singular, right = jnp.linalg.svd(raw @ trunk.mixing, full_matrices=False)
    singular = jnp.maximum(singular, 1e-12 * singular[0])
    return Trunk(trunk.network, parameters, trunk.mixing @ (right.T / singular * grid))


def flattened(trunk: Trunk) -> Float[Array, " n"]:
    """θ and mixing in one vector, for a checkpoint."""
    return jnp.concatenate([ravel_pytree(trunk.parameters)[0], trunk.mixing.ravel()])


def restored(trunk: Trunk, vector: Float[ArrayLike, " n"]) -> Trunk:
    """A trunk of the same architecture with θ and mixing from `flattened`."""
    flat, unravel = ravel_pytree(trunk.parameters)
    numbers = jnp.asarray(vector)
    mixing = numbers[flat.size :].reshape(trunk.mixing.shape)
    return Trunk(trunk.network, unravel(numbers[: flat.size]), mixing)


def split_features(n_features: int) -> tuple[int, int]:
    """How a separable trunk of about `n_features` divides them between ξ and τ.

    More for space, where layers at sources and branch points must be told apart within a piece;
    time has windows, which get shorter where it moves fast.
    """
    of_time = max(2, round((n_features / 1.75) ** 0.5))
    return max(2, n_features // of_time), of_time


def make_separable_trunk(
    n_space: int,
    n_time: int,
    *,
    seed: int = 0,
    layers: int = 1,
    activation: str = "sine",
    scale: tuple[float, float] = (2.2, 2.2),
    surplus: int = 3,
    grid: int = 65,
) -> Trunk:
    """A frozen random trunk of `n_space` × `n_time` product features, orthonormal on the square.

    Args:
        n_space, n_time: Features of ξ and of τ after mixing.
        seed, layers, activation: Seed of the random weights, depth and activation, as in `make_trunk`.
        scale: Frequencies in ξ and τ for up to six features; raised in proportion for more.
        surplus: Raw features per kept feature.
        grid: Points on the line on which the features are made orthonormal.
    """
    raised = (scale[0] * max(1.0, n_space / 6.0), scale[1] * max(1.0, n_time / 6.0))
    network = SeparableLayers((surplus * n_space, surplus * n_time), layers, activation, raised)
    parameters = _drawn(network, seed)
    parameters = _with_constants(parameters, activation)
    line = np.linspace(-1.0, 1.0, grid)
    raw = jax.jit(partial(network.apply, method="separately"))(parameters, line)
    mixing = [leading(part, n) for part, n in zip(raw, (n_space, n_time), strict=True)]
    return Trunk(network, parameters, jax.device_put(np.kron(*mixing)))


def _with_constants(parameters: Any, activation: str) -> Any:
    """θ with the first unit of both networks constant; deeper layers pass it on only approximately.

    A field that is even on a piece, as most are, is then exact: without it the error of the nearest
    combination, divided by the square of a short piece's length, would dominate the residual.
    """
    networks = {name: constant_first(layers, activation) for name, layers in parameters["params"].items()}
    return {"params": networks}


def constant_first(layers: Any, activation: str) -> Any:
    """θ of one network with its first unit constant."""
    kernel, bias = (np.array(layers["Dense_0"][name]) for name in ("kernel", "bias"))
    kernel[:, 0], bias[0] = 0.0, {"sine": 0.5 * np.pi, "tanh": 20.0}[activation]
    return {**layers, "Dense_0": {"kernel": jax.device_put(kernel), "bias": jax.device_put(bias)}}


def leading(raw: Float[ArrayLike, "n width"], count: int) -> Float[np.ndarray, "width count"]:
    """Mixing to the first feature and the `count` − 1 leading directions of the others beside it.

    Orthonormal (mean square 1) on the line. On the host: there is nothing to compile for one use.
    """
    raw = np.asarray(raw)
    points = raw.shape[0]
    size = np.sqrt(np.mean(raw[:, 0] ** 2))
    first = raw[:, 0] / size
    share = first @ raw[:, 1:] / points
    _, singular, right = np.linalg.svd(raw[:, 1:] - np.outer(first, share), full_matrices=False)
    others = right[: count - 1].T / singular[: count - 1] * points**0.5
    mixing = np.zeros((raw.shape[1], count))
    mixing[0, 0] = 1.0 / size
    mixing[1:, 1:], mixing[0, 1:] = others, -(share @ others) / size
    return mixing
