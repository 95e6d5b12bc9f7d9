"""One dense network on a whole uniform cable and the whole time: the papers' PINN, as a baseline.

No pieces, no windows, no linear algebra: all weights are trained at once on the α-weighted loss
([S1] eq. 10), by Adam (the paper: 4×50 sine net, 10⁻³, 300 points), L-BFGS or, for a small
network, Levenberg-Marquardt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from hpcpinn.networks.trunk import HiddenLayers
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt, from_rows
from hpcpinn.training.rows import ResidualRows, alpha_loss


class DenseNetwork(nn.Module):
    """Fully connected network from (ξ, τ) to the species.

    Attributes:
        species: Number of outputs.
        width, layers, activation: Width, number and activation of the hidden layers.
        scale: Frequencies of the first layer, see `HiddenLayers`.
    """

    species: int
    width: int = 50
    layers: int = 4
    activation: str = "sine"
    scale: float = 2.0

    @nn.compact
    def __call__(self, point: Float[Array, " 2"]) -> Float[Array, " K"]:
        scale = (self.scale, self.scale)
        hidden = HiddenLayers(self.width, self.layers, self.activation, scale)(point)
        return nn.Dense(self.species, param_dtype=jnp.float64, dtype=jnp.float64)(hidden)


@dataclass(frozen=True)
class CableTask:
    """A uniform cable [left, left + length] over [start, start + duration].

    Attributes:
        equation: The system.
        forcing: Data of the equation, the same everywhere and always (a pytree of numbers).
        left, length, start, duration: Extent; internal units.
        initial: Field at the start at the places x (n,), returns (K, n).
        influx: Given flux of every species through the left and the right end, inwards, (K, 2).
    """

    equation: ReactionDiffusion
    forcing: Any
    left: float
    length: float
    start: float
    duration: float
    initial: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, "K n"]]
    influx: Float[np.ndarray, "K 2"]


@dataclass(frozen=True)
class Monolithic:
    """The dense PINN of a task.

    Attributes:
        task: Cable, equation and data that are solved.
        network: The network.
        n_inside, n_initial, n_edge: Collocation points inside, at the start, at each end.
        alpha: Weight of the equation against the data.
        seed: Seed of the random weights and points.
    """

    task: CableTask
    network: DenseNetwork
    n_inside: int = 300
    n_initial: int = 100
    n_edge: int = 50
    alpha: float = 0.5
    seed: int = 0

    def begin(self) -> PyTree:
        """Random weights."""
        return self.network.init(jax.random.PRNGKey(self.seed), jnp.zeros(2))

    def field(self, parameters: PyTree, x: Float[ArrayLike, " n"], t: Float[ArrayLike, "..."]) -> Float[Array, "K n"]:
        """The field at places and internal times."""
        task = self.task
        xi = 2.0 * (jnp.asarray(x) - task.left) / task.length - 1.0
        tau = 2.0 * (jnp.asarray(t) - task.start) / task.duration - 1.0
        points = jnp.stack(jnp.broadcast_arrays(xi, tau), axis=-1)
        apply: Any = self.network.apply
        out: Float[Array, "n K"] = jax.vmap(lambda point: apply(parameters, point))(points)
        return jnp.asarray(task.equation.rest)[:, None] + (out * jnp.asarray(task.equation.scale)).T

    @cached_property
    def _points(self) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " m"]]:
        from scipy.stats import qmc  # takes longer to load than most of this package

        inside = qmc.Sobol(2, seed=self.seed).random_base2((self.n_inside - 1).bit_length())
        return 2.0 * inside[: self.n_inside] - 1.0, np.linspace(-1.0, 1.0, self.n_edge)

    def rows(self, parameters: PyTree) -> ResidualRows:
        """Residual rows in units of the scale, as for one piece; the equation's not preconditioned."""
        task, equation = self.task, self.task.equation
        scale, rest = jnp.asarray(equation.scale), jnp.asarray(equation.rest)
        diffusion = jnp.asarray(equation.diffusion)
        inside, tau = self._points
        per_length, per_time = 2.0 / task.length, 2.0 / task.duration

        def out(xi: Float[Array, ""], tau: Float[Array, ""]) -> Any:
            return self.network.apply(parameters, jnp.stack([xi, tau]))

        def derivative(function: Callable[[Array], Array], x: Float[Array, ""]) -> tuple[Array, Array]:
            value, slope = jax.jvp(function, (x,), (jnp.ones_like(x),))
            return value, slope

        def residual(point: Float[Array, " 2"]) -> Float[Array, " K"]:
            xi, tau = point
            value, change = derivative(lambda s: out(xi, s), tau)
            bend = derivative(lambda s: derivative(lambda r: out(r, tau), s)[1], xi)[1]
            source = equation.source(rest + scale * value, task.forcing) / scale
            return per_time * change - diffusion * per_length**2 * bend - source

        def missing_flux(side: float, influx: Float[Array, " K"]) -> Float[Array, "m K"]:
            def at(tau: Float[Array, ""]) -> Float[Array, " K"]:
                outward = side * per_length * derivative(lambda s: out(s, tau), jnp.asarray(side))[1]
                return outward - influx / (diffusion * scale)

            return jax.vmap(at)(jnp.asarray(tau))

        xi = np.linspace(-1.0, 1.0, self.n_initial)
        wanted = task.initial(task.left + 0.5 * task.length * (xi + 1.0))
        start = jax.vmap(lambda s: out(s, jnp.asarray(-1.0)))(jnp.asarray(xi)).T
        edges = [missing_flux(side, jnp.asarray(task.influx)[:, end]) for end, side in enumerate((-1.0, 1.0))]
        return ResidualRows(
            equation=jax.vmap(residual)(jnp.asarray(inside)).T[None] / jnp.sqrt(self.n_inside),
            initial=((start - (wanted - rest[:, None]) / scale[:, None]) / jnp.sqrt(self.n_initial))[None],
            edge=jnp.stack(edges).transpose(0, 2, 1)[None] / jnp.sqrt(self.n_edge),
        )

    def loss(self, parameters: PyTree) -> Float[Array, ""]:
        """The α-weighted loss."""
        return alpha_loss(self.rows(parameters), self.alpha)[0]

    def train(
        self,
        optimiser: FirstOrder | LevenbergMarquardt,
        watch: Callable[[PyTree, float], bool],
        *,
        chunk: int = 250,
        longest: int = 10**6,
    ) -> PyTree:
        """Trains until `watch` says so.

        Args:
            optimiser: Optimiser with its settings.
            watch: Function of weights and loss, called after every `chunk` first-order steps, or after every step of
                Levenberg-Marquardt; True ends the training.
            chunk: First-order steps per compiled call.
            longest: Most first-order steps.

        Returns:
            The last weights.
        """
        parameters = self.begin()
        if isinstance(optimiser, LevenbergMarquardt):
            flat, unravel = ravel_pytree(parameters)
            weight = (self.alpha**0.5, (1.0 - self.alpha) ** 0.5, (1.0 - self.alpha) ** 0.5)

            def flat_rows(flat: Float[Array, " N"]) -> Float[Array, " R"]:
                rows = self.rows(unravel(flat))
                return jnp.concatenate([w * b.ravel() for w, b in zip(weight, rows, strict=True)])

            near, value = from_rows(flat_rows)
            flat, _ = optimiser.minimise(near, value, flat, lambda p, loss: watch(unravel(p), loss))
            return unravel(flat)

        state = optimiser.begin(parameters)

        @jax.jit
        def advance(parameters: PyTree, state: Any) -> tuple[PyTree, Any, Float[Array, ""]]:
            return optimiser.minimise(self.loss, parameters, state, chunk)

        for _ in range(0, longest, chunk):
            parameters, state, loss = advance(parameters, state)
            if watch(parameters, float(loss)):
                break
        return parameters
