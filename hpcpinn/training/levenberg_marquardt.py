"""Levenberg-Marquardt on a sum of squares whose curvature somebody else assembles.

The parameters may be those of a whole network (dense, `from_rows`) or of a trunk whose heads have
been eliminated (`hpcpinn.training.variable_projection`); the iteration is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import LinAlgError, cho_factor, cho_solve


class Quadratic(NamedTuple):
    """A sum of squares near a point: value + 2 gradient·d + d·curvature·d.

    Attributes:
        curvature: Gauss-Newton matrix JᵀJ, (N, N).
        gradient: Jᵀr, (N,).
        value: rᵀr.
    """

    curvature: Float[Array, "N N"]
    gradient: Float[Array, " N"]
    value: Float[Array, ""]

    @classmethod
    def over(cls, pieces: Any, share: Callable[[Any], "Quadratic"], size: int) -> "Quadratic":
        """The sum of what every piece (leaves with a first axis of pieces) adds for `size` parameters. Traceable."""

        def add(total: Quadratic, piece: Any) -> tuple[Quadratic, None]:
            return jax.tree.map(jnp.add, total, share(piece)), None

        summed: Quadratic
        nothing = cls(jnp.zeros((size, size)), jnp.zeros(size), jnp.zeros(()))
        summed, _ = jax.lax.scan(add, nothing, pieces)
        return summed


Watch = Callable[[Float[Array, " N"], float], bool]
"""Function of parameters and value, called after every accepted step; True ends the iteration."""


def unwatched(parameters: Float[Array, " N"], value: float) -> bool:
    """Watches nothing."""
    return False


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Settings.

    Attributes:
        steps: Most accepted steps.
        damping: First damping, relative to the curvature's diagonal.
        floor: Least diagonal entry that damping is relative to, as a share of the largest: how far
            parameters may go that hardly count near the start.
        tries: Dampings tried per step before giving up.
        tolerance: Relative decrease of the sum of squares below which it ends.
    """

    steps: int = 20
    damping: float = 1e-3
    floor: float = 1e-2
    tries: int = 8
    tolerance: float = 1e-3

    def minimise(
        self,
        near: Callable[[Float[Array, " N"]], Quadratic],
        value: Callable[[Float[Array, " N"]], Float[Array, ""]],
        parameters: Float[Array, " N"],
        watch: Watch = unwatched,
    ) -> tuple[Float[Array, " N"], list[float]]:
        """Minimises. Collective where `near` and `value` are: both the same bits on every rank.

        Args:
            near: The sum of squares near a point.
            value: The sum of squares alone.
            parameters: Parameters to start from, (N,).
            watch: Function that is called after every accepted step.

        Returns:
            The best parameters and the value before the first and after every accepted step.
        """
        damping = self.damping
        values: list[float] = []
        for _ in range(self.steps):
            model = near(parameters)
            now = float(model.value)
            values = values or [now]
            for _ in range(self.tries):
                trial = parameters + jnp.asarray(_damped_step(model, damping, self.floor))
                then = float(value(trial))
                if then < now:
                    break
                damping *= 5.0
            else:
                break
            parameters, damping = trial, max(damping / 4.0, 1e-15)
            values.append(then)
            if watch(parameters, then) or now - then < self.tolerance * now:
                break
        return parameters, values


def _damped_step(model: Quadratic, damping: float, floor: float) -> Float[np.ndarray, " N"]:
    diagonal = np.diag(model.curvature)
    least = floor * diagonal.max(initial=0.0) + 1e-300
    damped = model.curvature + np.diag(damping * np.maximum(diagonal, least))
    try:
        step: Float[np.ndarray, " N"] = -cho_solve(cho_factor(damped, lower=True), model.gradient)
    except LinAlgError:
        step = -np.linalg.lstsq(damped, model.gradient, rcond=None)[0]
    return step


def from_rows(
    rows: Callable[[Float[Array, " N"]], Float[Array, " R"]],
) -> tuple[Callable[[Float[Array, " N"]], Quadratic], Callable[[Float[Array, " N"]], Float[Array, ""]]]:
    """`near` and `value` of the sum of squares of a vector of rows with a dense Jacobian."""

    @jax.jit
    def near(parameters: Float[Array, " N"]) -> Quadratic:
        row, jacobian = rows(parameters), jax.jacfwd(rows)(parameters)
        return Quadratic(jacobian.T @ jacobian, jacobian.T @ row, row @ row)

    @jax.jit
    def value(parameters: Float[Array, " N"]) -> Float[Array, ""]:
        row = rows(parameters)
        return row @ row

    return near, value
