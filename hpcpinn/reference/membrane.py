"""Membrane fluxes and channel gates of EQUATIONS §1, written for the reference alone."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.constants import FARADAY, GAS, CalciumConstants, Gate, Organelle

Numbers = Float[ndarray, "..."] | float
"""Values of any shape; NumPy makes a number of what has no axes."""


def pump(c: Numbers, k: CalciumConstants) -> Numbers:
    """What PMCA and NCX take out, µM·µm/s."""
    square = c * c
    current: Numbers = k.pmca_max * square / (k.pmca_K**2 + square) + k.ncx_max * c / (k.ncx_K + c)
    return current


def pump_slope(c: Float[ndarray, "..."], k: CalciumConstants) -> Float[ndarray, "..."]:
    """d pump / dc, µm/s."""
    K2 = k.pmca_K**2
    slope: Float[ndarray, "..."] = (
        2.0 * k.pmca_max * K2 * c / (K2 + c * c) ** 2 + k.ncx_max * k.ncx_K / (k.ncx_K + c) ** 2
    )
    return slope


def serca(c: Float[ndarray, "..."], e: Float[ndarray, "..."], er: Organelle) -> Float[ndarray, "..."]:
    """What SERCA pumps bring into an organelle that holds e, µM·µm/s of its membrane."""
    pumped: Float[ndarray, "..."] = er.serca_max * er.rest * c / ((er.serca_K + c) * e)
    return pumped


def organelle_leak(er: Organelle, c_rest: float) -> float:
    """v_e in µm/s: as given, or such that leak and pumps of an organelle cancel at rest."""
    if er.leak is not None:
        return er.leak
    return er.serca_max * c_rest / (er.serca_K + c_rest) / (er.rest - c_rest)


def ghk(voltage: Numbers, k: CalciumConstants) -> tuple[Numbers, Numbers]:
    """Permeability factors (p B(ξ) c_o, p B(−ξ)): influx = first − c · second, per channel.

    B(x) = x/(eˣ − 1), by its series near x = 0. With `ghk_sign="as_printed"` the denominator is
    1 − e^{+ξ} in place of 1 − e^{−ξ} ([S1] eq. 20), which drains the cell at rest.
    """
    xi = 1e-3 * k.z_ca * FARADAY / (GAS * k.temperature) * np.asarray(voltage, float)
    p = k.vdcc_permeability
    if k.ghk_sign == "as_printed":
        drain = p * _bernoulli(xi)
        return -k.c_o * np.exp(-xi) * drain, -drain
    return p * k.c_o * _bernoulli(xi), p * _bernoulli(-xi)


def _bernoulli(x: ndarray) -> ndarray:
    near = np.abs(x) < 1e-4
    safe = np.where(near, 1.0, x)
    return np.where(near, 1.0 - x / 2.0 + x * x / 12.0, safe / np.expm1(safe))


GateRates = tuple[Numbers, Numbers]
"""Steady value x∞ and relaxation rate 1/τ (a number where it is constant)."""


def gate_rates(gate: Gate, voltage: Numbers, k: CalciumConstants) -> GateRates:
    """x∞ and 1/τ at a voltage."""
    x = 1e-3 * gate.z * FARADAY / (GAS * k.temperature) * (voltage - gate.half)
    if gate.rate is None:
        return 1.0 / (1.0 + np.exp(-x)), 1.0 / gate.tau
    alpha, beta = gate.rate * np.exp(gate.gamma * x), gate.rate * np.exp((gate.gamma - 1.0) * x)
    total = alpha + beta
    return alpha / total, 1.0 / (1.0 / total + gate.tau)


def advance_gate(x: Numbers, duration: float, before: GateRates, middle: GateRates, after: GateRates) -> Numbers:
    """One exponential step of x' = (x∞ − x)/τ, exact for constant voltage, else fourth order.

    In the gate's own time σ = ∫dt/τ the equation is dx/dσ = x∞ − x; x∞ is taken as the parabola
    in σ through its values at the start, the middle and the end of the step.

    Args:
        x: Gate at the start.
        duration: Length of the step.
        before, middle, after: `gate_rates` at those three moments.
    """
    (s0, r0), (s1, r1), (s2, r2) = before, middle, after
    half = duration / 24.0 * (5.0 * r0 + 8.0 * r1 - r2)
    end = duration / 6.0 * (r0 + 4.0 * r1 + r2)
    slope = (s1 - s0) / half
    bend = ((s2 - s0) / end - slope) / (end - half)
    grown = -np.expm1(-end)  # ∫ e^{σ−end} dσ, and below the same with σ and σ²
    once = end - grown
    twice = end * end - 2.0 * once
    moved: ndarray = x + (s0 - x) * grown + (slope - bend * half) * once + bend * twice
    return moved


def conductance(states: Sequence[Numbers], k: CalciumConstants) -> Numbers:
    """G, the product of the gates to their powers."""
    product = np.ones_like(states[0]) if states else np.array(1.0)
    for gate, x in zip(k.gates, states, strict=True):
        product = product * x**gate.power
    return product


def steady_gates(voltage: Numbers, k: CalciumConstants) -> list[Numbers]:
    """x∞ of every gate."""
    return [gate_rates(gate, voltage, k)[0] for gate in k.gates]


def leak_permeability(k: CalciumConstants) -> float:
    """v_l in µm/s: as given, or such that all fluxes cancel at rest.

    Raises:
        InputError: Where the channel brings in more than the pumps take out at rest.
    """
    if k.leak is not None:
        return k.leak
    rest = np.array(k.rest_voltage)
    inflow, outflow = ghk(rest, k)
    channel = k.vdcc_density * conductance(steady_gates(rest, k), k) * (inflow - k.c_rest * outflow)
    needed = float(pump(np.array(k.c_rest), k) - channel)
    if needed < 0.0 or k.c_o <= k.c_rest:
        raise InputError(
            f"no leak can balance rest: pumps − channel = {needed:.3g} µM·µm/s at "
            f"c_rest = {k.c_rest} µM, {k.rest_voltage} mV; set constants.leak"
        )
    return needed / (k.c_o - k.c_rest)
