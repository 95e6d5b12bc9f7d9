"""Goldman-Hodgkin-Katz influx through the calcium channel, affine in calcium.

j_VDCC = ρ_V G(V,t) [ inflow(V) − c outflow(V) ],   inflow = p c_o B(ξ),  outflow = p B(−ξ),
B(x) = x/(eˣ − 1),  ξ = z F V/(R T)                                          (EQUATIONS §1)
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Scalar
from hpcpinn.core.pytrees import traced
from hpcpinn.errors import InputError
from hpcpinn.physics.constants import FARADAY, GAS, BufferConstants, CalciumConstants, Gate

traced(Gate)
traced(BufferConstants)
traced(CalciumConstants)

_SERIES_BELOW = 1e-2  # the first term left out, x⁶/30240, is then below 4e-17


def per_millivolt(k: CalciumConstants) -> Scalar:
    """F/(R T) in 1/mV: what turns a voltage in mV into units of the thermal voltage."""
    return 1e-3 * FARADAY / (GAS * k.temperature)


def bernoulli(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """B(x) = x/(eˣ − 1), smooth through x = 0 together with its derivatives."""
    x = jnp.asarray(x)
    small = jnp.abs(x) < _SERIES_BELOW
    away = jnp.where(small, 1.0, x)  # keeps 0/0 out of the derivatives of the unused branch
    square = x * x
    series = 1.0 - x / 2.0 + square / 12.0 * (1.0 - square / 60.0)
    return jnp.where(small, series, away / jnp.expm1(away))


def factors(V: Float[Array, "..."], k: CalciumConstants) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The two voltage factors of the channel flux ρ_V G (inflow − c outflow).

    ``ghk_sign="as_printed"`` is [S1] eq. 20 to the letter, with 1 − exp(+ξ) in the denominator
    where 1 − exp(−ξ) belongs: −p ξ (c − c_o e^{−ξ})/(1 − e^{ξ}). It drains the cell at rest.

    Args:
        V: Membrane voltage, mV.
        k: Constants; permeability in µm³/s.

    Returns:
        ``inflow`` in µM·µm³/s and ``outflow`` in µm³/s, both of the shape of V.

    Raises:
        InputError: `k.ghk_sign` is none of the two readings.
    """
    xi = k.z_ca * per_millivolt(k) * jnp.asarray(V)
    p = k.vdcc_permeability
    if k.ghk_sign == "influx":
        return p * k.c_o * bernoulli(xi), p * bernoulli(-xi)
    if k.ghk_sign == "as_printed":
        drain = -p * bernoulli(xi)
        return k.c_o * jnp.exp(-xi) * drain, drain
    raise InputError(f"physics.constants.ghk_sign: {k.ghk_sign!r}; use 'influx' or 'as_printed'")


def channel(
    V: Float[Array, "..."], opening: Float[Array, "..."], k: CalciumConstants
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The channel as (source, sink): j_VDCC = source − c · sink.

    Args:
        V: Membrane voltage, mV.
        opening: Open fraction G of the channels (`gates.opening`), same shape as V.
        k: Constants.

    Returns:
        source in µM·µm/s and sink in µm/s.
    """
    inflow, outflow = factors(V, k)
    density = k.vdcc_density * opening
    return density * inflow, density * outflow
