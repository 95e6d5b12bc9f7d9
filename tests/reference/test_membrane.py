import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hpcpinn.errors import InputError
from hpcpinn.physics.constants import PRESETS
from hpcpinn.reference import membrane

N = PRESETS["physical-N"]


def test_ghk_at_zero_voltage_is_permeability_times_difference():
    inflow, outflow = membrane.ghk(np.array([0.0, 1e-3, -1e-3]), N)
    np.testing.assert_allclose(inflow, N.vdcc_permeability * N.c_o, rtol=5e-5)
    np.testing.assert_allclose(outflow, N.vdcc_permeability, rtol=5e-5)


def test_ghk_at_minus_seventy():
    inflow, _ = membrane.ghk(np.array(-70.0), N)
    assert inflow / (N.vdcc_permeability * N.c_o) == pytest.approx(5.27, abs=0.01)


def test_ghk_vanishes_at_the_nernst_potential():
    nernst = 8.314462618 * 310.0 / (2.0 * 96485.0) * 1e3 * np.log(1000.0 / 0.05)
    inflow, outflow = membrane.ghk(np.array(nernst), N)
    assert inflow == pytest.approx(0.05 * outflow, rel=1e-12)


def test_ghk_as_printed_drains_the_cell_at_rest():
    printed = PRESETS["seed"].replace(ghk_sign="as_printed")
    inflow, outflow = membrane.ghk(np.array(-70.0), printed)
    assert inflow - printed.c_rest * outflow < 0.0


def test_pump_slope_is_the_derivative():
    c = np.array([0.01, 0.05, 1.0, 30.0])
    step = 1e-6 * c
    numeric = (membrane.pump(c + step, N) - membrane.pump(c - step, N)) / (2.0 * step)
    np.testing.assert_allclose(membrane.pump_slope(c, N), numeric, rtol=1e-8)


GATES = [(name, i) for name, k in PRESETS.items() for i in range(len(k.gates))]


@pytest.mark.parametrize(("preset", "gate"), GATES)
def test_gates_follow_a_changing_voltage_with_order_four(preset, gate):
    k = PRESETS[preset]
    gate = k.gates[gate]
    tau = 1.0 / float(membrane.gate_rates(gate, np.array(-40.0), k)[1])
    span = 2.0 * min(tau, 0.01)

    def voltage(t):
        return -40.0 + 20.0 * np.sin(3.0 * t / span)

    def rate(t, x):
        steady, speed = membrane.gate_rates(gate, np.array(voltage(t)), k)
        return (steady - x) * speed

    exact = solve_ivp(rate, (0.0, span), [0.3], method="DOP853", rtol=1e-13, atol=1e-13).y[0, -1]
    error = []
    for steps in (10, 20):
        x, h = np.array(0.3), span / steps
        for i in range(steps):
            rates = [membrane.gate_rates(gate, np.array(voltage((i + f) * h)), k) for f in (0.0, 0.5, 1.0)]
            x = membrane.advance_gate(x, h, *rates)
        error.append(abs(x - exact))
    assert error[1] < 1e-5
    assert error[0] / error[1] > 11.0 or error[1] < 1e-12


def test_a_gate_at_constant_voltage_is_exact_in_one_step():
    gate = N.gates[0]
    rates = membrane.gate_rates(gate, np.array(-20.0), N)
    x = membrane.advance_gate(np.array(0.9), 3e-3, rates, rates, rates)
    assert x == pytest.approx(rates[0] + (0.9 - rates[0]) * np.exp(-2.0), rel=1e-13)


@pytest.mark.parametrize("preset", ["physical-N", "physical-L", "physical-T"])
def test_leak_balances_rest(preset):
    k = PRESETS[preset]
    rest = np.array(k.rest_voltage)
    inflow, outflow = membrane.ghk(rest, k)
    opening = membrane.conductance(membrane.steady_gates(rest, k), k)
    leak = membrane.leak_permeability(k)
    total = opening * (inflow - k.c_rest * outflow) + leak * (k.c_o - k.c_rest) - membrane.pump(np.array(k.c_rest), k)
    assert abs(total) < 1e-14
    # EQUATIONS §1: 4.50e-3 µm/s without the small share of the channel.
    assert 0.0 < leak < 4.50e-3


def test_a_channel_too_strong_for_any_leak_is_refused():
    with pytest.raises(InputError, match="no leak can balance rest"):
        membrane.leak_permeability(N.replace(rest_voltage=-20.0))
