"""Where and when the next observation tells most, by the Fisher information."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from hpcpinn.io.draws import NextObservation


@dataclass(frozen=True)
class Candidates:
    """Places in a rectangle, and times, at which one more observation could be made: every one with every other.

    Attributes:
        x, y: Places along both axes, µm.
        t: Times, ms.
    """

    x: Float[ndarray, " X"]
    y: Float[ndarray, " Y"]
    t: Float[ndarray, " T"]

    @classmethod
    def within(
        cls, sides: Sequence[tuple[float, float]], last: float, places: int = 41, times: int = 60
    ) -> "Candidates":
        """Those of a rectangle.

        Args:
            sides: First and last coordinate along x and y, µm.
            last: Time until which observations may be made, ms.
            places: Number of places along each axis.
            times: Number of times; what changes, changes early, where they are closer.
        """
        x, y = (np.linspace(first, end, places) for first, end in sides)
        return cls(x, y, last * (np.arange(1, times + 1) / times) ** 2)


Predicted = Callable[[Float[Array, " p"], Float[ndarray, " N"], Float[ndarray, " N"], Float[ndarray, " N"]], Array]
"""What the model says at logarithms z, in places x, y at times t."""


def gains(sensitivity: Float[ndarray, "N p"], covariance: Float[ndarray, "p p"], noise: float) -> Float[ndarray, " N"]:
    """By how much one observation shrinks the log-volume of the posterior: ½ log(1 + gᵀ Σ g/noise²).

    Exact for a linear model (the determinant of a rank-one change of the information).

    Args:
        sensitivity: Derivatives g of what is observed by the logarithms.
        covariance: Σ of the logarithms before.
        noise: Standard deviation of the observation.
    """
    scaled = sensitivity / noise
    gain: Float[ndarray, " N"] = 0.5 * np.log1p(np.einsum("np,pq,nq->n", scaled, covariance, scaled))
    return gain


def next_observation(
    predicted: Predicted,
    centre: Float[ndarray, " p"],
    covariance: Float[ndarray, "p p"],
    noise: float,
    among: Candidates,
) -> NextObservation:
    """The best place and time for one more observation.

    Args:
        predicted: The model.
        centre, covariance: Mean and covariance of the logarithms, by the observations there are, (p,) and (p, p).
        noise: Standard deviation of the next, in the unit of what is observed.
        among: Places and times that are tried.
    """
    x, y, t = among.x, among.y, among.t
    every_t, every_y, every_x = (grid.ravel() for grid in np.meshgrid(t, y, x, indexing="ij"))
    ways = np.eye(len(centre))
    columns = [
        jax.jvp(lambda z: predicted(z, every_x, every_y, every_t), (jnp.asarray(centre),), (jnp.asarray(way),))[1]
        for way in ways
    ]
    gain = gains(np.stack([np.asarray(column) for column in columns], axis=1), covariance, noise)
    gain = gain.reshape(len(t), len(y), len(x))
    when, row, column = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return NextObservation(
        x=x, y=y, t=t, over_places=gain[when], over_times=gain[:, row, column],
        best=np.array([x[column], y[row], t[when]]), gain=float(gain[when, row, column]),
    )  # fmt: skip
