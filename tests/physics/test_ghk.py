"""The channel flux against the textbook form, its limits and the Nernst potential."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics import ghk
from hpcpinn.physics.constants import PRESETS

N_TYPE = PRESETS["physical-N"]


def textbook_influx(V, c, k):
    """The flux as it is usually written, singular at V = 0."""
    xi = k.z_ca * 96485.0 * V * 1e-3 / (8.314462618 * k.temperature)
    return k.vdcc_permeability * xi * (k.c_o * np.exp(-xi) - c) / (1.0 - np.exp(-xi))


@pytest.mark.parametrize("V", [-90.0, -70.0, -20.0, -1.0, 0.3, 40.0, 120.0])
def test_affine_form_is_the_textbook_flux(V):
    inflow, outflow = ghk.factors(V, N_TYPE)
    for c in (0.05, 3.0, 900.0):
        assert inflow - c * outflow == pytest.approx(textbook_influx(V, c, N_TYPE), rel=1e-12)


def test_without_voltage_the_channel_is_a_plain_membrane():
    inflow, outflow = ghk.factors(0.0, N_TYPE)
    assert inflow == N_TYPE.vdcc_permeability * N_TYPE.c_o
    assert outflow == N_TYPE.vdcc_permeability


def test_influx_at_rest_is_the_stated_multiple_of_p_times_c_o():
    inflow, outflow = ghk.factors(-70.0, N_TYPE)
    influx = inflow - N_TYPE.c_rest * outflow
    assert influx / (N_TYPE.vdcc_permeability * N_TYPE.c_o) == pytest.approx(5.27, abs=5e-3)


def test_flux_vanishes_at_the_nernst_potential():
    c = 0.05
    nernst = np.log(N_TYPE.c_o / c) / (N_TYPE.z_ca * ghk.per_millivolt(N_TYPE))
    inflow, outflow = ghk.factors(nernst, N_TYPE)
    assert inflow == pytest.approx(float(c * outflow), rel=1e-12)


def test_bernoulli_and_its_derivatives_are_smooth_through_zero():
    x = np.array([-3e-2, -1.01e-2, -0.99e-2, -1e-5, 0.0, 1e-9, 0.99e-2, 1.01e-2, 3e-2])
    value = 1 - x / 2 + x**2 / 12 - x**4 / 720 + x**6 / 30240
    slope = -1 / 2 + x / 6 - x**3 / 180 + x**5 / 5040
    np.testing.assert_allclose(ghk.bernoulli(x), value, rtol=3e-15)
    np.testing.assert_allclose(jax.vmap(jax.grad(ghk.bernoulli))(x), slope, rtol=1e-13)
    curvature = jax.vmap(jax.grad(jax.grad(ghk.bernoulli)))(x)
    np.testing.assert_allclose(curvature, 1 / 6 - x**2 / 60 + x**4 / 1008, rtol=1e-10)


def test_bernoulli_reflects():
    x = np.linspace(-20.0, 20.0, 401)
    np.testing.assert_allclose(ghk.bernoulli(-x) - ghk.bernoulli(x), x, atol=1e-14, rtol=1e-14)


def test_channel_scales_with_density_and_opening():
    k = N_TYPE.replace(vdcc_density=3.0)
    V, opening = np.array([[-70.0, 0.0], [10.0, -30.0]]), np.array([[0.1, 0.2], [0.3, 1.0]])
    source, sink = jax.jit(lambda V, G: ghk.channel(V, G, k))(V, opening)
    inflow, outflow = ghk.factors(V, k)
    np.testing.assert_allclose(source, 3.0 * opening * inflow, rtol=1e-15)
    np.testing.assert_allclose(sink, 3.0 * opening * outflow, rtol=1e-15)
    assert source.dtype == jnp.float64


def test_as_printed_drains_the_cell_at_rest():
    k = PRESETS["seed"].replace(ghk_sign="as_printed")
    xi = k.z_ca * ghk.per_millivolt(k) * -70.0
    c = 1.0
    printed = -k.vdcc_permeability * xi * (c - k.c_o * np.exp(-xi)) / (1.0 - np.exp(xi))
    inflow, outflow = ghk.factors(-70.0, k)
    assert inflow - c * outflow == pytest.approx(printed, rel=1e-13)
    assert printed < 0.0
    assert np.isfinite(ghk.factors(0.0, k)).all()


def test_unknown_sign_is_refused_by_name():
    with pytest.raises(InputError, match="ghk_sign: 'outflux'; use 'influx' or 'as_printed'"):
        ghk.factors(0.0, N_TYPE.replace(ghk_sign="outflux"))
