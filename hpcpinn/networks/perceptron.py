"""A small fully connected network as plain arrays: what a flow map's correction is made of."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Layer(NamedTuple):
    """One affine layer.

    Attributes:
        weight: Weights, (inputs, outputs).
        bias: Biases, (outputs,).
    """

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]


Perceptron = tuple[Layer, ...]
"""Layers from input to output, tanh between them."""


def make_perceptron(sizes: tuple[int, ...], seed: int, last_scale: float = 1e-3) -> Perceptron:
    """Glorot-uniform weights and zero biases.

    Args:
        sizes: Inputs, widths of the hidden layers, outputs.
        seed: Seed of the random weights.
        last_scale: Factor on the last layer's weights: the network starts close to zero.
    """
    keys = jax.random.split(jax.random.PRNGKey(seed), len(sizes) - 1)
    layers = []
    for key, n_in, n_out in zip(keys, sizes[:-1], sizes[1:], strict=True):
        limit = float(np.sqrt(6.0 / (n_in + n_out)))
        weight = jax.random.uniform(key, (n_in, n_out), jnp.float64, -limit, limit)
        layers.append(Layer(weight, jnp.zeros(n_out)))
    last = layers[-1]
    return (*layers[:-1], Layer(last_scale * last.weight, last.bias))


def evaluate(network: Perceptron, inputs: Float[Array, "inputs ..."]) -> Float[Array, "outputs ..."]:
    """The network's outputs, batched over the trailing axes: long rows are what processors like."""
    hidden = inputs
    for layer in network[:-1]:
        hidden = jnp.tanh(_affine(layer, hidden))
    return _affine(network[-1], hidden)


def _affine(layer: Layer, inputs: Float[Array, "inputs ..."]) -> Float[Array, "outputs ..."]:
    bias = layer.bias.reshape(-1, *(1,) * (inputs.ndim - 1))
    return jnp.tensordot(layer.weight, inputs, axes=(0, 0)) + bias


def n_parameters(network: Perceptron) -> int:
    """Number of weights and biases."""
    return sum(layer.weight.size + layer.bias.size for layer in network)
