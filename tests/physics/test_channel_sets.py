"""Channel sets against the printed formulas, their limits and an independent integrator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from hpcpinn.errors import InputError
from hpcpinn.physics import channel_sets
from hpcpinn.physics.membranes import bundled_membranes, channel_set_named

PASSIVE, SQUID, CODE = (channel_set_named(name) for name in ("passive", "squid", "code"))
CHANNEL_SETS = {channels.name: channels for channels in (PASSIVE, SQUID, CODE)}
AWAY = np.array([-91.3, -72.7, -61.1, -38.9, -21.7, 3.3, 41.9])
"""Voltages, mV, none of them at a removable singularity."""


def squid_rates(V):
    """As printed, with V as in NEURON's sign and zero."""
    alpha = [
        0.1 * (V + 40) / (1 - np.exp(-(V + 40) / 10)),
        0.07 * np.exp(-(V + 65) / 20),
        0.01 * (V + 55) / (1 - np.exp(-(V + 55) / 10)),
    ]
    beta = [4 * np.exp(-(V + 65) / 18), 1 / (1 + np.exp(-(V + 35) / 10)), 0.125 * np.exp(-(V + 65) / 80)]
    return np.array(alpha), np.array(beta)


def code_rates(V):
    """As printed by Pospischil et al., V_T = −60 mV."""
    v = V + 60.0
    alpha = [
        -0.32 * (v - 13) / (np.exp(-(v - 13) / 4) - 1),
        0.128 * np.exp(-(v - 17) / 18),
        -0.032 * (v - 15) / (np.exp(-(v - 15) / 5) - 1),
    ]
    beta = [
        0.28 * (v - 40) / (np.exp((v - 40) / 5) - 1),
        4 / (1 + np.exp(-(v - 40) / 5)),
        0.5 * np.exp(-(v - 10) / 40),
    ]
    return np.array(alpha), np.array(beta)


PRINTED = {"squid": squid_rates, "code": code_rates}


@pytest.mark.parametrize("name", PRINTED)
def test_rates_are_the_printed_ones(name):
    ours, printed = channel_sets.rates(CHANNEL_SETS[name], AWAY), PRINTED[name](AWAY)
    for got, wanted in zip(ours, printed, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize(("name", "V"), [("squid", -40.0), ("squid", -55.0), ("code", -47.0), ("code", -45.0),
                                         ("code", -20.0)])  # fmt: skip
def test_rates_and_their_slopes_are_smooth_through_removable_singularities(name, V):
    values, slopes = jax.jvp(lambda v: channel_sets.rates(CHANNEL_SETS[name], v), (V,), (1.0,))
    step = 1e-3
    for kind in (0, 1):
        left, right = (PRINTED[name](V + sign * step)[kind] for sign in (-1, 1))
        np.testing.assert_allclose(values[kind], (left + right) / 2, rtol=1e-6)
        np.testing.assert_allclose(slopes[kind], (right - left) / (2 * step), rtol=1e-5)


def test_rest_of_the_squid_axon():
    """The textbook values at −65 mV."""
    np.testing.assert_allclose(channel_sets.steady(SQUID, -65.0), [0.0529325, 0.5961208, 0.3176769], atol=1e-6)


@pytest.mark.parametrize("channels", CHANNEL_SETS.values(), ids=lambda c: c.name)
def test_rest_is_where_no_current_flows(channels):
    def current(V):
        return float(channel_sets.current_density(channels, V, channel_sets.steady(channels, V)))

    assert abs(brentq(current, channels.rest - 5.0, channels.rest + 5.0) - channels.rest) < 0.2


@pytest.mark.parametrize("channels", [SQUID, CODE], ids=lambda c: c.name)
@pytest.mark.parametrize("dt", [0.0, 1e-6, 0.025, 3.0, 1e4])
def test_a_step_is_exact_at_constant_voltage(channels, dt):
    alpha, beta = PRINTED[channels.name](AWAY)
    start = np.full((3, len(AWAY)), 0.3)
    exact = alpha / (alpha + beta) + (start - alpha / (alpha + beta)) * np.exp(-(alpha + beta) * dt)
    np.testing.assert_allclose(channel_sets.advance(channels, start, AWAY, dt), exact, rtol=1e-12)


def test_currents_are_products_of_powers():
    gates = np.array([[0.2], [0.6], [0.5]])
    expected = 120 * 0.2**3 * 0.6 * (-30 - 50) + 36 * 0.5**4 * (-30 + 77) + 0.3 * (-30 + 54.3)
    np.testing.assert_allclose(channel_sets.current_density(SQUID, np.array([-30.0]), gates), expected, rtol=1e-13)


def test_passive_is_a_leak():
    no_gates = channel_sets.steady(PASSIVE, AWAY)
    assert no_gates.shape == (0, len(AWAY))
    np.testing.assert_allclose(channel_sets.current_density(PASSIVE, AWAY, no_gates), 0.1 * (AWAY + 70.0))


def test_ten_degrees_are_a_factor_of_three():
    own, warm = (channel_sets.rates(SQUID, AWAY, celsius) for celsius in (6.3, 16.3))
    np.testing.assert_allclose(warm, 3.0 * np.array(own), rtol=1e-14)
    np.testing.assert_array_equal(own, channel_sets.rates(SQUID, AWAY))


def test_a_clamped_patch_follows_an_independent_integrator():
    """Two steps of the exact update against LSODA on the printed rates."""

    def slope(t, x):
        alpha, beta = code_rates(np.array(-41.0 if t < 0.7 else -75.0))
        return alpha * (1 - x) - beta * x

    start = np.array([0.05, 0.6, 0.3])
    first = solve_ivp(slope, (0, 0.7), start, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    last = solve_ivp(slope, (0.7, 2.0), first, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    ours = channel_sets.advance(CODE, start, jnp.asarray(-41.0), 0.7)
    np.testing.assert_allclose(channel_sets.advance(CODE, ours, jnp.asarray(-75.0), 1.3), last, atol=1e-8)


def test_an_unknown_set_is_refused_with_the_nearest():
    assert channel_set_named("Squid") == SQUID
    assert channel_set_named("code").gates == channel_set_named("pospischil").gates
    with pytest.raises(InputError, match="channels 'squit': no such channel set; did you mean 'squid'"):
        channel_set_named("squit")
    with pytest.raises(
        InputError,
        match=f"channels 'x': .*; known are {', '.join(bundled_membranes())}, code",
    ):
        channel_set_named("x")
