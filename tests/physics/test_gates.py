"""Gates against closed forms, an independent integrator and a NEURON run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import cumulative_simpson, solve_ivp
from scipy.interpolate import CubicSpline

from hpcpinn.physics import calcium, gates, ghk
from hpcpinn.physics.constants import PRESETS, Gate

N_TYPE = PRESETS["physical-N"]
SEED = PRESETS["seed"]


def spike(t):
    """An action potential of 2 ms, smooth, t in s."""
    return -70.0 + 100.0 * np.exp(-(((t - 3e-3) / 0.7e-3) ** 2))


def test_steady_state_follows_the_stated_sigmoids():
    V = np.array([-90.0, -65.0, -21.0, 0.0, 40.0])
    thermal = 8.314462618 * 310.0 / 96485.0 * 1e3
    x = gates.steady(V, N_TYPE)
    np.testing.assert_allclose(x[:, 0], 1 / (1 + np.exp(-3.4 * (V + 21) / thermal)), rtol=1e-13)
    np.testing.assert_allclose(x[:, 1], 1 / (1 + np.exp(2.0 * (V + 40) / thermal)), rtol=1e-13)
    np.testing.assert_array_equal(gates.time_constants(V, N_TYPE), np.tile([1.5e-3, 75e-3], (5, 1)))


@pytest.mark.parametrize(
    ("name", "powers"),
    [("physical-N", (2, 1)), ("physical-L", (2,)), ("physical-T", (2, 1)), ("seed", (1, 2))],
)
def test_opening_is_the_product_of_powers(name, powers):
    x = np.linspace(0.2, 0.9, 3 * len(powers)).reshape(3, len(powers))
    expected = np.prod([x[:, i] ** p for i, p in enumerate(powers)], axis=0)
    np.testing.assert_allclose(gates.opening(x, PRESETS[name]), expected, rtol=1e-15)


def test_a_channel_without_gates_is_open():
    k = N_TYPE.replace(gates=())
    V = jnp.full((4,), -20.0)
    state = gates.follow(gates.steady(V, k), lambda t: V, 0.0, jnp.array([1e-3]), k, jnp.inf)
    np.testing.assert_array_equal(gates.opening(state, k), np.ones((1, 4)))


def test_rates_of_the_seed_preset():
    V = np.array([-60.0, -21.0, 15.0])
    thermal = 8.314462618 * 310.0 / 96485.0 * 1e3
    beta = 1.7e-3 * np.exp(-2.0 * (V + 21.0) / thermal)  # γ = 0: α = K at every voltage
    np.testing.assert_allclose(gates.steady(V, SEED)[:, 0], 1.7e-3 / (1.7e-3 + beta), rtol=1e-13)
    tau = gates.time_constants(V, SEED)[:, 0]
    np.testing.assert_allclose(tau, 1 / (1.7e-3 + beta) + 1.7e-3, rtol=1e-13)


@pytest.mark.parametrize("k", [N_TYPE, SEED], ids=["physical-N", "seed"])
@pytest.mark.parametrize("share", [0.0, 1e-9, 1e-3, 0.4, 1.0, 2.5, 60.0])
def test_one_step_is_exact_at_constant_voltage(k, share):
    V = jnp.array([-40.0, -10.0])
    tau, target = gates.time_constants(V, k), gates.steady(V, k)
    start = jnp.full_like(target, 0.3)
    dt = share * float(tau.min())
    moved = gates.advance(start, (V, V, V), dt, k)
    np.testing.assert_allclose(moved, target + (start - target) * np.exp(-dt / tau), rtol=1e-14)


def test_follow_matches_an_independent_integrator():
    times = np.array([0.4e-3, 1e-3, 3.3e-3, 8e-3])

    def rhs(t, x):
        V = spike(t)
        steady = 1 / (1 + np.exp(-np.array([3.4 * (V + 21), -2.0 * (V + 40)]) / 26.7137))
        return (steady - x) / np.array([1.5e-3, 75e-3])

    start = np.array([0.01, 0.8])
    exact = solve_ivp(rhs, (0, 8e-3), start, t_eval=times, method="DOP853", rtol=1e-11, atol=1e-13)
    ours = gates.follow(
        start,
        lambda t: -70.0 + 100.0 * jnp.exp(-(((t - 3e-3) / 0.7e-3) ** 2)),
        0.0,
        jnp.asarray(times),
        N_TYPE,
        2e-5,
    )
    np.testing.assert_allclose(ours, exact.y.T, atol=2e-6)


@pytest.mark.parametrize(
    "k",
    [N_TYPE, SEED.replace(gates=(Gate(2, 2.0, -21.0, 1e-4, 400.0, 0.3),))],
    ids=["fixed rates", "rates of voltage"],
)
def test_fourth_order_in_the_sampling_of_the_voltage(k):
    def voltage(t):
        return -50.0 + 40.0 * jnp.sin(900.0 * t)

    def final(step):
        return gates.follow(gates.steady(voltage(0.0), k), voltage, 0.0, jnp.array([10e-3]), k, step)

    reference = final(10e-3 / 4096)
    errors = [float(jnp.abs(final(10e-3 / n) - reference).max()) for n in (64, 128, 256)]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders.min() > 3.8, (errors, orders)


def test_long_steps_keep_gates_bounded():
    V0, V1, V2 = (jnp.array([v]) for v in (-70.0, 30.0, -70.0))
    state = gates.advance(jnp.array([[0.0, 1.0]]), (V0, V1, V2), 10.0, N_TYPE)
    np.testing.assert_allclose(state, gates.steady(V2, N_TYPE), atol=5e-2)


def test_splitting_a_stretch_of_time_changes_nothing():
    V = lambda t: -70.0 + 2e4 * t * jnp.ones(3)  # noqa: E731
    start = gates.steady(V(0.0), N_TYPE)
    whole = gates.follow(start, V, 0.0, jnp.array([1e-3, 2e-3]), N_TYPE, 1e-4)
    first = gates.follow(start, V, 0.0, jnp.array([1e-3]), N_TYPE, 1e-4)
    second = gates.follow(first[-1], V, 1e-3, jnp.array([2e-3]), N_TYPE, 1e-4)
    np.testing.assert_allclose(second[-1], whole[-1], rtol=1e-13)
    np.testing.assert_array_equal(first[0], whole[0])


def test_follow_is_traced_once_for_windows_of_any_length():
    traces = []

    @jax.jit
    def window(state, start, times):
        traces.append(1)
        V = lambda t: jnp.full((2, 5), -70.0) + 1e4 * t  # noqa: E731
        return gates.follow(state, V, start, times, N_TYPE, 1e-4)

    state = jnp.asarray(np.full((2, 5, 2), 0.5))
    short = window(state, 0.0, jnp.linspace(1e-5, 1e-4, 4))
    long = window(short[-1], 1e-4, jnp.linspace(1e-3, 1e-2, 4))
    assert len(traces) == 1
    assert long.shape == (4, 2, 5, 2)
    assert long.dtype == jnp.float64


def test_channel_and_pumps_follow_a_neuron_run(shared):
    """At the middle of the parent cylinder, far from its ends, next to nothing diffuses in.

    There c − b changes by the membrane alone, so the recorded voltage and calcium give the
    recorded change of c − b if gates, channel, pumps and leak are right.
    """
    run = np.load(shared / "reference" / "ref_y_fb0.npz")
    neuron = json.loads(str(run["meta"]))["params"]
    k = N_TYPE.replace(leak=0.0)
    leak_flux = neuron["jleak"] * 1e6  # in that run a constant flux, mM µm/ms
    last = 400  # 40 ms: one action potential at 10 ms and its aftermath
    t = run["t"][:last] * 1e-3
    V = CubicSpline(t, run["v_par100"][:last])
    c, b = run["c_par100"][:last] * 1e3, run["b_par100"][:last] * 1e3

    step = t[1] - t[0]
    state = gates.steady(jnp.asarray(neuron["v_init"]), k)
    opening = [gates.opening(state, k)]
    for start in t[:-1]:
        samples = tuple(jnp.asarray(V(start + share * step)) for share in (0.0, 0.5, 1.0))
        state = gates.advance(state, samples, step, k)
        opening.append(gates.opening(state, k))
    flux = calcium.membrane_flux(c, ghk.channel(V(t), jnp.asarray(opening), k), leak_flux, k)
    surface_to_volume = 2.0 / 1.0  # radius 1 µm
    change = surface_to_volume * cumulative_simpson(flux, x=t, initial=0.0)

    recorded = (c - b) - (c - b)[0]
    assert recorded.max() > 0.1  # µM: the action potential let calcium in
    np.testing.assert_allclose(change, recorded, atol=3e-4 * recorded.max())
