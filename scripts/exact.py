"""Exact solutions on cables, trees and points: what every solver is held against first."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import brentq

from hpcpinn.morphology.compartments import Compartments
from hpcpinn.physics.constants import CalciumConstants

Profile = Callable[[Float[ndarray, "..."]], Float[ndarray, "..."]]
"""Value at an arc length."""


def cylinder_mode(length: float, order: int) -> tuple[Profile, float]:
    """Diffusion in a cylinder with closed ends: u = profile(s) e^{−D κ² t}.

    Returns:
        The profile cos(κ s) and κ = order·π/length.
    """
    kappa = order * np.pi / length
    return (lambda s: np.cos(kappa * s)), kappa


def cone_mode(radius: tuple[float, float], length: float, order: int = 1) -> tuple[Profile, float]:
    """Diffusion in a closed cone frustum, radius linear in s: u = profile(s) e^{−D κ² t}.

    With x the distance from the apex, A ∝ x² and the cable equation is that of a sphere: modes are
    (sin κx + q cos κx)/x, with q and κ from the closed ends.

    Args:
        radius: Radii at both ends, different from each other.
        length: Axial length.
        order: Number of the mode, from 1.
    """
    apex = -radius[0] * length / (radius[1] - radius[0])
    first, last = -apex, length - apex

    def cosine_part(kappa: float) -> float:
        x = kappa * first
        return float(-(x * np.cos(x) - np.sin(x)) / (-x * np.sin(x) - np.cos(x)))

    def slope_at_end(kappa: float) -> float:
        # The slope at the end times the denominator of the cosine part: no poles between roots.
        a, b = kappa * first, kappa * last
        return float(
            (b * np.cos(b) - np.sin(b)) * (-a * np.sin(a) - np.cos(a))
            - (a * np.cos(a) - np.sin(a)) * (-b * np.sin(b) - np.cos(b))
        )

    kappa = _root(slope_at_end, np.pi / length, order)
    q = cosine_part(kappa)

    def profile(s: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        x = np.asarray(s) - apex
        return (np.sin(kappa * x) + q * np.cos(kappa * x)) / x

    return profile, kappa


def star_mode(
    lengths: Sequence[float] | Float[ndarray, " n"], radii: Sequence[float] | Float[ndarray, " n"], order: int = 1
) -> tuple[list[Profile], float]:
    """Diffusion in cylinders that meet at one branch point, far ends closed.

    On branch i, s away from the branch point, u = cos(κ(L_i − s))/cos(κ L_i) e^{−D κ² t}; the
    balance Σ a_i² tan(κ L_i) = 0 gives κ.

    Returns:
        One profile per branch, 1 at the branch point, and κ.
    """
    lengths, areas = np.asarray(lengths, float), np.asarray(radii, float) ** 2

    def balance(kappa: float) -> float:
        # Times the product of all cosines: no poles between roots.
        c, s = np.cos(kappa * lengths), np.sin(kappa * lengths)
        others = [np.prod(np.delete(c, i)) for i in range(len(c))]
        return float(np.sum(areas * s * others))

    kappa = _root(balance, np.pi / lengths.sum(), order)

    def branch(length: float) -> Profile:
        return lambda s: np.cos(kappa * (length - s)) / np.cos(kappa * length)

    return [branch(x) for x in lengths], kappa


def fed_cable(length: float, radius: float, diffusion: float, loss: float, flux: float) -> Profile:
    """Steady excess in a cylinder fed at s = 0, leaking through its membrane, closed at the end.

    D u'' = (2 loss/radius) u, −D u'(0) = flux.

    Args:
        loss: Membrane permeability, µm/s.
        flux: Flux density into the end, µM·µm/s.
    """
    m = np.sqrt(2.0 * loss / (radius * diffusion))
    return lambda s: flux / (diffusion * m) * np.cosh(m * (length - s)) / np.sinh(m * length)


def binding(
    t: Float[ndarray, " T"], c: float, b: float, k: CalciumConstants
) -> tuple[Float[ndarray, " T"], Float[ndarray, " T"]]:
    """Calcium and calbindin in a closed well-mixed volume without membrane flux.

    c − b stays, so c' = k⁻(b_tot − b) − k⁺ b c is a Riccati equation in c, −k⁺(c − x₁)(c − x₂).
    """
    excess = c - b
    middle = 0.5 * (excess - k.k_minus / k.k_plus)
    spread = np.sqrt(middle**2 + k.k_minus / k.k_plus * (k.b_tot + excess))
    high, low = middle + spread, middle - spread
    ratio = (c - high) / (c - low) * np.exp(-k.k_plus * (high - low) * np.asarray(t))
    calcium = (high - low * ratio) / (1.0 - ratio)
    return calcium, calcium - excess


def axial_matrix(cells: Compartments, R_i: float) -> Float[ndarray, "n n"]:
    """Currents along a chain of compartments per voltage, µS, from its geometry alone; `R_i` in Ω·cm."""
    matrix = np.zeros((cells.count, cells.count))
    for child in range(1, cells.count):
        g, parent = 100.0 / (R_i * cells.axial[child]), cells.parent[child]
        matrix[[child, parent], [child, parent]] -= g
        matrix[[child, parent], [parent, child]] += g
    return matrix


def _root(function: Callable[[float], float], spacing: float, order: int) -> float:
    """The root number `order` above zero of a function whose roots are some `spacing` apart."""
    grid = spacing * np.arange(1, 200 * (order + 2)) / 100.0
    values = np.array([function(x) for x in grid])
    change = np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))
    i = change[order - 1]
    return float(brentq(function, grid[i], grid[i + 1], xtol=1e-15, rtol=1e-15))
