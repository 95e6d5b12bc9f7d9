"""Finite differences for diffusion and uptake on a square with closed edges: independent of the networks.

u_t = D (δ_xx + δ_yy) u − k u on the middles of equal cells, by alternating directions (Peaceman &
Rachford 1955, doi:10.1137/0103003): second order in space and time. Uptake is taken out exactly,
u = e^{−kt} v.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve_banded


@dataclass(frozen=True)
class ReferenceSquare:
    """The problem.

    Attributes:
        D, k: Diffusion and uptake.
        half_width: Half of the side.
        start: Field at time 0 of (x, y).
    """

    D: float
    k: float
    half_width: float
    start: Callable[[Float[ndarray, "..."], Float[ndarray, "..."]], Float[ndarray, "..."]]

    def middles(self, cells: int) -> Float[ndarray, " n"]:
        """Middles of the cells along a side."""
        return self.half_width * ((2.0 * np.arange(cells) + 1.0) / cells - 1.0)


def solve_square(
    problem: ReferenceSquare, times: Float[ndarray, " T"], cells: tuple[int, int], *, step: float, settling: float
) -> Float[ndarray, "T m n"]:
    """The field at some times in the middles of the cells, (time, y, x).

    Args:
        problem: What is solved.
        times: Increasing, from 0 on.
        cells: Along x and y.
        step: Time steps as a share of `settling` + t: short while the start spreads, longer later.
        settling: How long the start takes to spread by its own width.
    """
    x, y = (problem.middles(n) for n in cells)
    v = np.asarray(problem.start(x[None, :], y[:, None]), np.float64)
    per_time = 0.5 * problem.D * (np.array(cells) / (2.0 * problem.half_width)) ** 2
    frames, now = [], 0.0
    for time in times:
        while now < time * (1.0 - 1e-12):
            parts = max(1, int(np.ceil((time - now) / (step * (settling + now)))))
            length = (time - now) / parts
            v = _step(v, *(length * per_time))
            now += length
        frames.append(np.exp(-problem.k * time) * v)
    return np.stack(frames)


def _step(v: Float[ndarray, "m n"], share_x: float, share_y: float) -> Float[ndarray, "m n"]:
    """One step: x implicit and y explicit, then the other way round."""
    half = _implicit(v + share_y * _second(v), share_x)
    across = half.T
    return _implicit(across + share_x * _second(across), share_y).T


def _second(v: Float[ndarray, "m n"]) -> Float[ndarray, "m n"]:
    """Second differences along the first axis; no flux at its ends."""
    flux = np.diff(v, axis=0)
    out = np.zeros_like(v)
    out[:-1] += flux
    out[1:] -= flux
    return out


def _implicit(v: Float[ndarray, "m n"], share: float) -> Float[ndarray, "m n"]:
    """(1 − share δ)⁻¹ along the second axis."""
    n = v.shape[1]
    bands = np.empty((3, n))
    bands[0], bands[2] = -share, -share
    bands[1] = 1.0 + 2.0 * share
    bands[1, [0, -1]] -= share
    solved: Float[ndarray, "m n"] = solve_banded((1, 1), bands, v.T).T
    return solved
