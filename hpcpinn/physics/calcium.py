"""Binding and membrane fluxes of calcium and its buffers: pure functions of the local state.

    c_t = (1/A) ∂s(A D_c ∂s c) + Σ f(b,c) + (P/A) j_PM,      b_t = (1/A) ∂s(A D_b ∂s b) + f(b,c) for every buffer
    f = k⁻(b_tot − b) − k⁺ b c,     j_PM = j_VDCC + j_SYN + j_leak − j_PMCA − j_NCX

(EQUATIONS §1). With calcium e in an organelle, c_t gains (P_e/A)(J_leak − J_SERCA) and e_t loses P_e/A_e times that.
Fluxes are positive into the cytosol, in µM·µm/s. Every function broadcasts over any batch shape and can be traced by
`jax.jit`; the slopes are the exact derivatives that Newton steps need.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Scalar
from hpcpinn.errors import InputError
from hpcpinn.physics import gates, ghk
from hpcpinn.physics.constants import BufferConstants, CalciumConstants, Organelle


def unbinding(c: Float[Array, "..."], b: Float[Array, "..."], buffer: BufferConstants) -> Float[Array, "..."]:
    """What both c_t and b_t gain by unbinding from a buffer, f = k⁻(b_tot − b) − k⁺ b c, µM/s."""
    return buffer.k_minus * (buffer.total - b) - buffer.k_plus * b * c


def pump_flux(c: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "..."]:
    """j_leak − j_PMCA − j_NCX: the membrane flux that depends on calcium alone, µM·µm/s."""
    return balanced_leak(k) * (k.c_o - c) - _extrusion(c, k)


def pump_slope(c: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "..."]:
    """∂(pump_flux)/∂c, µm/s; never positive for c ≥ 0."""
    square, half = c * c, k.pmca_K**2
    pmca = 2.0 * k.pmca_max * half * c / (half + square) ** 2
    ncx = k.ncx_max * k.ncx_K / (k.ncx_K + c) ** 2
    return -balanced_leak(k) - pmca - ncx


def membrane_flux(
    c: Float[Array, "..."],
    channel: tuple[Float[Array, "..."], Float[Array, "..."]],
    synapse: Float[Array, "..."] | float,
    k: CalciumConstants,
) -> Float[Array, "..."]:
    """The whole j_PM, µM·µm/s.

    Args:
        c: Calcium, µM.
        channel: (source, sink) of `ghk.channel`.
        synapse: Synaptic release flux (`sources.release_flux`).
        k: Constants.
    """
    source, sink = channel
    return source - c * sink + synapse + pump_flux(c, k)


def serca_flux(c: Float[Array, "..."], e: Float[Array, "..."], er: Organelle) -> Float[Array, "..."]:
    """J_SERCA from the cytosol into an organelle that holds e, µM·µm/s of its membrane."""
    return er.serca_max * c / (er.serca_K + c) * (er.rest / e)


def organelle_leak(er: Organelle, c_rest: Scalar) -> Scalar:
    """v_e, µm/s: as it is given, or the one that makes rest exactly steady. Traceable."""
    if er.leak is not None:
        return er.leak
    return er.serca_max * c_rest / (er.serca_K + c_rest) / (er.rest - c_rest)


def organelle_release(
    c: Float[Array, "..."], e: Float[Array, "..."], er: Organelle, c_rest: Scalar
) -> Float[Array, "..."]:
    """J_leak − J_SERCA from an organelle into the cytosol, µM·µm/s of its membrane."""
    return organelle_leak(er, c_rest) * (e - c) - serca_flux(c, e, er)


def balanced_leak(k: CalciumConstants) -> Scalar:
    """The leak v_l, µm/s: `k.leak`, or the one that makes rest exactly steady. Traceable.

    At c_rest and rest_voltage, with the gates at their steady state, pumps, channel and leak then sum to zero. Whether
    there can be such a leak is the affair of whoever reads a description (`checked_leak`).
    """
    if k.leak is not None:
        return k.leak
    leak: Scalar = _balanced(k)
    return leak


def checked_leak(k: CalciumConstants) -> float:
    """The leak as a number, where a description is read.

    Raises:
        InputError: A balancing leak would have to be negative, or c_o is not above c_rest.
    """
    if k.leak is None and k.c_o <= k.c_rest:
        raise InputError(
            f"physics.constants.c_o: {k.c_o:g} µM is not above c_rest = {k.c_rest:g} µM, so no "
            "leak can balance the pumps; raise c_o or set leak"
        )
    leak = float(balanced_leak(k))
    if k.leak is None and leak < 0.0:
        raise InputError(
            f"physics.constants.leak: balancing rest at {k.rest_voltage:g} mV needs a leak of "
            f"{leak:.3g} µm/s, which is negative (the channel lets in {float(_at_rest(k)[0]):.3g} µM·µm/s, more "
            "than the pumps remove); set leak, or lower vdcc_permeability or rest_voltage"
        )
    return leak


@jax.jit
def _balanced(k: CalciumConstants) -> Float[Array, "..."]:
    """The leak that balances rest, as one program, µm/s."""
    influx, extruded = _at_rest(k)
    leak: Float[Array, "..."] = (extruded - influx) / (k.c_o - k.c_rest)
    return leak


@jax.jit
def _at_rest(k: CalciumConstants) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """What channels let in and pumps remove at rest, µM·µm/s."""
    V, c = jnp.asarray(k.rest_voltage), jnp.asarray(k.c_rest)
    source, sink = ghk.channel(V, gates.opening(gates.steady(V, k), k), k)
    return source - c * sink, _extrusion(c, k)


def _extrusion(c: Float[Array, "..."], k: CalciumConstants) -> Float[Array, "..."]:
    """j_PMCA + j_NCX, second- and first-order Hill."""
    square = c * c
    return k.pmca_max * square / (k.pmca_K**2 + square) + k.ncx_max * c / (k.ncx_K + c)
