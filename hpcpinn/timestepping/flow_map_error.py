"""How far a flow map is from the truth: fresh random states of its box against a stiff solver.

The truth is SciPy's Radau at 1e-10, state by state; it takes no part in the training. Four errors
are measured: of c relative to c; of the deviation from rest relative to the larger of the
deviations at start and end; of the pumped amount relative to all that has crossed the membrane,
either way; of b relative to b.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray
from scipy.integrate import solve_ivp

from hpcpinn.physics.constants import ReactionConstants
from hpcpinn.physics.pumped_binding import Deviation, deviation
from hpcpinn.training.flow_map import FlowMap, sample_box

TOLERANCE = 1e-10
"""Relative, of the stiff solver."""

WORST_WANTED = 1e-3
"""Largest relative error of calcium that a flow map should have over its box."""

Flow = Callable[[Deviation, Array, Array], Deviation]


class States(NamedTuple):
    """Random states with times, and where the stiff solver takes them.

    Attributes:
        c, b: Calcium and free buffer, µM.
        h: Length of the step, s.
        ratio: σ, 1/µm.
        end: Deviations u and w at the end, and all that has crossed the membrane, µM.
    """

    c: Float[ndarray, " n"]
    b: Float[ndarray, " n"]
    h: Float[ndarray, " n"]
    ratio: Float[ndarray, " n"]
    end: Float[ndarray, "n 3"]


def random_states(flow_map: FlowMap, n: int, seed: int, near_rest: float = 0.0) -> States:
    """States uniform in the logarithms of the box's coordinates, a share of them around rest."""
    c, b, h, ratio = sample_box(flow_map.box, flow_map.constants, n, seed, near_rest)
    ends = [exact(*row, flow_map.constants) for row in zip(c, b, h, ratio, strict=True)]
    return States(c, b, h, ratio, np.array(ends))


def exact(c: float, b: float, h: float, ratio: float, k: ReactionConstants) -> Float[ndarray, " 3"]:
    """(u, w, ∫|crossed|) after h by Radau, in deviations from rest so that nothing cancels there.

    The equation is written out here once more: nothing is shared with the flow map.
    """
    r, half = k.c_rest, k.pmca_K**2
    leak = (k.pmca_max * r * r / (half + r * r) + k.ncx_max * r / (k.ncx_K + r)) / (k.c_o - r)

    def rates(_: float, y: ndarray) -> list[float]:
        u, w, _ = y
        x = r + u
        pmca = k.pmca_max * half * (x + r) / ((half + x * x) * (half + r * r))
        ncx = k.ncx_max * k.ncx_K / ((k.ncx_K + x) * (k.ncx_K + r))
        out = ratio * (leak + pmca + ncx) * u
        binding = -(k.k_minus + k.k_plus * x) * (u - w) - k.k_plus * k.b_rest * u
        return [binding - out, -out, abs(out)]

    u = c - r
    start = [u, u - (b - k.b_rest), 0.0]
    end: Float[ndarray, " 3"] = solve_ivp(
        rates, (0.0, h), start, method="Radau", rtol=TOLERANCE, atol=1e-3 * TOLERANCE
    ).y[:, -1]
    return end


def errors(flow: Flow, states: States, k: ReactionConstants) -> dict[str, Float[ndarray, " n"]]:
    """Errors of a flow by name of the quantity, see above."""
    c, b, h, ratio = map(jnp.asarray, states[:4])
    start = Deviation(*deviation(c, b, k))
    got = jax.jit(flow)(start, h, ratio)
    u, w = np.asarray(got.u), np.asarray(got.w)
    true_u, true_w, crossed = states.end.T
    larger = np.maximum(np.abs(true_u), np.minimum(np.abs(start.u), np.abs(start.w)))
    return {
        "calcium": np.abs(u - true_u) / (k.c_rest + true_u),
        "deviation": np.abs(u - true_u) / larger,
        "pumped": np.abs(w - true_w) / crossed,
        "calbindin": np.abs((u - w) - (true_u - true_w)) / (k.b_rest + true_u - true_w),
    }


def quantiles(measured: Mapping[str, Float[ndarray, " n"]]) -> dict[str, tuple[float, float, float]]:
    """(median, 95 %, worst) of every error."""
    found = {name: np.quantile(values, [0.5, 0.95, 1.0]).tolist() for name, values in measured.items()}
    return {name: (median, most, worst) for name, (median, most, worst) in found.items()}
