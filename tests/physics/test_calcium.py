"""Stated constants, steady rest and exact slopes of the calcium-calbindin system."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics import calcium, gates, ghk
from hpcpinn.physics.constants import PRESETS

N_TYPE = PRESETS["physical-N"]
PHYSICAL = ["physical-N", "physical-L", "physical-T"]


def rest_channel(k):
    return ghk.channel(k.rest_voltage, gates.opening(gates.steady(k.rest_voltage, k), k), k)


def test_stated_values_of_the_physical_preset():
    c, b = N_TYPE.rest
    assert (c, round(b, 1)) == (0.05, 149.4)
    assert 1e3 / (N_TYPE.k_plus * N_TYPE.b_tot) == pytest.approx(0.23, abs=2e-3)  # ms, binding
    without_channel = N_TYPE.replace(vdcc_density=0.0)
    assert calcium.balanced_leak(without_channel) == pytest.approx(4.50e-3, abs=5e-6)


def test_leak_of_the_neuron_runs_balances_the_pumps_alone(shared):
    run = np.load(shared / "reference" / "ref_yca.npz")
    neuron = json.loads(str(run["meta"]))["params"]
    k = N_TYPE.replace(vdcc_density=0.0)
    # jleak is a flux in mM µm/ms; ours is the velocity that makes it at c_rest
    leak_flux = calcium.balanced_leak(k) * (k.c_o - k.c_rest)
    assert leak_flux == pytest.approx(neuron["jleak"] * 1e6, rel=1e-12)
    assert k.rest[1] == pytest.approx(neuron["b0"] * 1e3, rel=1e-12)


@pytest.mark.parametrize("name", PHYSICAL)
def test_rest_is_steady(name):
    k = PRESETS[name]
    c, b = k.rest
    assert abs(calcium.unbinding(c, b, k.all_buffers[0])) < 1e-12 * k.k_minus * k.b_tot
    flux = calcium.membrane_flux(c, rest_channel(k), 0.0, k)
    assert abs(float(flux)) < 1e-14 * k.pmca_max


@pytest.mark.parametrize("name", PHYSICAL)
def test_rest_is_stable(name):
    k = PRESETS[name]
    assert jax.grad(lambda c: calcium.membrane_flux(c, rest_channel(k), 0.0, k))(k.c_rest) < 0.0


def test_fluxes_term_by_term():
    k = N_TYPE.replace(leak=2e-3)
    c = 0.4
    pmca = 8.5 * c**2 / (0.060**2 + c**2)
    ncx = 37.5 * c / (1.8 + c)
    leak = 2e-3 * (1000.0 - c)
    assert calcium.pump_flux(c, k) == pytest.approx(leak - pmca - ncx, rel=1e-14)
    total = calcium.membrane_flux(c, (5.0, 0.25), 70.0, k)
    assert total == pytest.approx(5.0 - 0.25 * c + 70.0 + leak - pmca - ncx, rel=1e-14)
    assert calcium.unbinding(c, 100.0, k.all_buffers[0]) == pytest.approx(19.0 * 60.0 - 27.0 * 100.0 * c, rel=1e-14)


@pytest.mark.parametrize("name", list(PRESETS))
def test_the_slope_is_the_derivative(name):
    k, c = PRESETS[name], jnp.geomspace(1e-3, 2e2, 40)
    wanted = jax.vmap(jax.grad(lambda c: calcium.pump_flux(c, k)))(c)
    np.testing.assert_allclose(calcium.pump_slope(c, k), wanted, rtol=1e-11)


def test_everything_traces_in_float64_with_any_batch_shape():
    c, b = jnp.full((2, 3, 4), 0.3), jnp.full((2, 3, 4), 120.0)

    @jax.jit
    def rates(c, b):
        j = calcium.membrane_flux(c, rest_channel(N_TYPE), 0.0, N_TYPE)
        return calcium.unbinding(c, b, N_TYPE.all_buffers[0]), j, calcium.pump_slope(c, N_TYPE)

    for value in rates(c, b):
        assert value.shape == (2, 3, 4)
        assert value.dtype == jnp.float64


def test_a_given_leak_is_kept():
    assert calcium.balanced_leak(N_TYPE.replace(leak=1.5e-3)) == 1.5e-3
    assert calcium.checked_leak(N_TYPE.replace(leak=1.5e-3, c_o=0.01)) == 1.5e-3
    assert calcium.balanced_leak(PRESETS["seed"]) == 0.0


def test_a_channel_that_outruns_the_pumps_is_refused_with_numbers():
    with pytest.raises(InputError, match=r"leak: balancing rest at -30 mV needs a leak of -.*"):
        calcium.checked_leak(N_TYPE.replace(rest_voltage=-30.0))


def test_a_bath_without_calcium_is_refused():
    with pytest.raises(InputError, match=r"c_o: 0\.01 µM is not above c_rest = 0\.05 µM"):
        calcium.checked_leak(N_TYPE.replace(c_o=0.01))
