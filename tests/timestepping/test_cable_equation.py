"""The cable equation against closed forms, matrix exponentials, an independent integrator."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from exact import axial_matrix
from hpcpinn.errors import InputError
from hpcpinn.morphology import cable_from_swc, read_swc
from hpcpinn.morphology.compartments import compartments, d_lambda_counts
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.physics.membrane_constants import CableConstants
from hpcpinn.physics.membranes import channel_set_named
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field
from hpcpinn.physics.stimulation.protocols import PulseProtocol
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import Biphasic, Rectangular
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.pulse_steps import CurrentClamp, Steps, VoltageStepRule, steps_between
from tests.physics.test_channel_sets import squid_rates
from tests.reference.cables import branches, cylinder

R_I, C_M = 100.0, 1.0
CABLE = CableConstants(R_I, C_M)
REST, LEAK = -70.0, 0.1
PASSIVE, SQUID, CODE = (channel_set_named(name) for name in ("passive", "squid", "code"))
ONE = PulseProtocol("one", pulses=1, bursts=1, trains=1, burst_interval=100)


def length_constant(radius):
    """λ in µm of the passive set."""
    return 1e4 * np.sqrt(radius * 1e-4 / (2.0 * R_I * LEAK * 1e-3))


def passive(cable, counts):
    cells = compartments(cable, np.asarray(counts))
    return CableEquation(cells, [PASSIVE] * cells.count, CABLE)


def psi_of(equation, field):
    cells = equation.compartments
    return quasipotential(cells.cable, field)[cells.node]


def polarised(count, length=1000.0, radius=1.0, magnitude=80.0):
    """Steady polarisation of a straight cable in a field along it: compartment centres and V − rest."""
    equation = passive(cylinder(length, radius), [count])
    source = equation.field_source(psi_of(equation, uniform_field(magnitude, [1, 0, 0])))
    for_ever = Steps(np.full(3, 1e9), np.ones(3), np.ones((3, 1)))
    _, V = equation.march(equation.uniform_state(REST), for_ever, source[None])
    return equation.compartments.xyz[:count, 0] - 0.5 * length, V[-1] - REST


def closed_form(x, length=1000.0, radius=1.0, magnitude=80.0):
    """E λ sinh(x/λ)/cosh(L/2λ) about the middle, mV."""
    scale = length_constant(radius)
    return 1e-3 * magnitude * scale * np.sinh(x / scale) / np.cosh(0.5 * length / scale)


def test_a_straight_cable_in_a_uniform_field_in_closed_form():
    x, V = polarised(801)
    np.testing.assert_allclose(V, closed_form(x), atol=1e-6 * np.abs(closed_form(x)).max())


def test_the_end_that_the_field_points_to_depolarises_and_the_other_one_hyperpolarises():
    for magnitude in (80.0, -80.0):
        _, V = polarised(21, magnitude=magnitude)
        assert np.sign(V[-1]) == np.sign(magnitude) and np.sign(V[0]) == -np.sign(magnitude)
        np.testing.assert_allclose(V[0], -V[-1], rtol=1e-10)


def test_second_order_in_space():
    errors = []
    for count in (20, 40, 80, 160):
        x, V = polarised(count)
        errors.append(np.abs(V - closed_form(x)).max())
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders.min() > 1.9, orders


def test_an_equivalent_cylinder():
    """Daughters with Σ d^{3/2} = d_parent^{3/2} and equal electrotonic lengths are more parent (Rall)."""
    ratio = 0.7
    radii = np.array([2.0, 2.0 * ratio, 2.0 * (1.0 - ratio**1.5) ** (2.0 / 3.0)])
    lengths = 300.0 * np.sqrt(radii / radii[0])
    tree = passive(branches(lengths.tolist(), [(a, a) for a in radii], [-1, 0, 0]), [10, 10, 10])
    single = passive(cylinder(600.0, 2.0), [20])
    steps = steps_between(0.0, 15.0, VoltageStepRule(0.05), clamps=[CurrentClamp(1.0, 5.0)])
    V = [e.march(e.uniform_state(REST), steps, e.clamp_source(0, 0.5)[None])[1] for e in (tree, single)]
    assert V[1].max() - REST > 5.0
    np.testing.assert_allclose(V[0][:, :10], V[1][:, :10], atol=1e-10)
    for daughter in (slice(10, 20), slice(20, 30)):
        np.testing.assert_allclose(V[0][:, daughter], V[1][:, 10:], atol=1e-10)


def semidiscrete(equation):
    """V' = A (V − rest) + B source of a passive chain, from its geometry alone (ms)."""
    cells = equation.compartments
    matrix = axial_matrix(cells, R_I)
    capacitance = 1e-5 * C_M * cells.area
    return matrix / capacitance[:, None] - LEAK / C_M * np.eye(cells.count), np.diag(1.0 / capacitance)


def test_second_order_in_time_with_a_field_that_jumps():
    """A rectangular pulse against matrix exponentials of the same compartments."""
    equation = passive(branches([400.0], [(1.5, 0.5)], [-1]), [15])
    source = equation.field_source(psi_of(equation, uniform_field(300.0, [1, 0, 0])))
    waveform = Rectangular(0.1, 0.2)
    A, B = semidiscrete(equation)
    push = (B @ source[equation.rows])[:, None]
    exact = np.zeros(15)
    for height, duration in ((1.0, 0.1), (-0.2, 0.5), (0.0, 0.4)):
        block = np.block([[A, height * push], [np.zeros((1, 16))]])
        exact = (expm(duration * block) @ np.r_[exact, 1.0])[:15]
    errors = []
    for step in (0.02, 0.01, 0.005, 0.0025):
        steps = steps_between(0.0, 1.5, VoltageStepRule(step, step), Stimulus(ONE, waveform), onset=0.5)
        _, V = equation.march(equation.uniform_state(REST), steps, source[None])
        errors.append(np.abs(V[-1] - REST - exact).max())
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders.min() > 1.8 and errors[-1] < 1e-3 * np.abs(exact).max(), (errors, orders)


def test_a_field_moves_charge_and_makes_none():
    """What is stored is what a clamp brought less what leaked; the field adds nothing."""
    cell = cable_from_swc(read_swc(morphology_path("builtin:pyramidal")))[0]
    equation = passive(cell, d_lambda_counts(cell, R_I, C_M))
    source = equation.field_source(psi_of(equation, uniform_field(200.0, [1, 2, -1])))
    assert abs(source.sum()) < 1e-12 * np.abs(source).sum()
    pulse, clamp = Stimulus(ONE, Biphasic()), CurrentClamp(0.5, 1.5)
    steps = steps_between(0.0, 3.0, VoltageStepRule(0.025), pulse, onset=1.0, clamps=[clamp])
    sources = np.stack([source, equation.clamp_source(3, 0.2)])
    _, V = equation.march(equation.uniform_state(REST), steps, sources)
    V = np.vstack([np.full(V.shape[1], REST), V])
    assert np.ptp(V) > 5.0
    area = 1e-5 * equation.compartments.area
    used = V[:-1] + (V[1:] - V[:-1]) * np.where(steps.implicit == 1.0, 1.0, 0.5)[:, None]
    stored = C_M * (V[-1] - V[0]) @ area
    leaked = LEAK * ((used - REST) @ area) @ steps.length
    assert leaked > 0.01 * 0.3
    np.testing.assert_allclose(stored + leaked, 0.2 * 1.5, rtol=1e-10)


def squid_patch(t, y, current):
    """One patch of squid axon; µA/cm²."""
    V, gates = y[0], y[1:]
    alpha, beta = squid_rates(V)
    m, h, n = gates
    ionic = 120 * m**3 * h * (V - 50) + 36 * n**4 * (V + 77) + 0.3 * (V + 54.3)
    return np.r_[(current(t) - ionic) / C_M, alpha * (1 - gates) - beta * gates]


def test_a_spike_against_an_independent_integrator_and_its_order():
    cells = compartments(cylinder(20.0, 10.0), np.array([1]))
    equation = CableEquation(cells, [SQUID], CABLE)
    start, density = -65.0, 20.0
    alpha, beta = squid_rates(start)
    edges = [0.0, 1.0, 2.0, 12.0]
    times, exact = [], []
    y = np.r_[start, alpha / (alpha + beta)]
    for a, b, on in zip(edges[:-1], edges[1:], (0.0, density, 0.0), strict=True):
        t = np.linspace(a, b, round((b - a) * 40) + 1)
        run = solve_ivp(squid_patch, (a, b), y, "LSODA", t, args=(lambda _, on=on: on,), rtol=1e-9, atol=1e-10)
        y = run.y[:, -1]
        times.append(t[1:])
        exact.append(run.y[0, 1:])
    times, exact = np.concatenate(times), np.concatenate(exact)
    assert exact.max() > 30.0
    source = equation.clamp_source(0, density * 1e-5 * cells.area[0])[None]
    errors = []
    for step in (0.025, 0.0125, 0.00625):
        steps = steps_between(0.0, 12.0, VoltageStepRule(step), clamps=[CurrentClamp(1.0, 1.0)])
        _, V = equation.march(equation.uniform_state(start), steps, source)
        at = np.searchsorted(steps.ends, times - 1e-6)
        errors.append(np.abs(V[at, 0] - exact).max())
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders.min() > 1.85, (errors, orders)
    assert errors[-1] < 1e-3 * np.ptp(exact), errors


def test_rest_of_a_cell_with_several_kinds_of_membrane_stays():
    """Newton's rest and the time steps assemble the channels on their own: they must agree."""
    cell = cable_from_swc(read_swc(morphology_path("builtin:pyramidal")))[0]
    cells = compartments(cell, d_lambda_counts(cell, R_I, C_M, fraction=0.3))
    of_kind = {1: SQUID, 2: CODE, 3: PASSIVE, 4: SQUID}
    equation = CableEquation(cells, [of_kind[int(kind)] for kind in cells.kind], CABLE)
    rest = equation.resting_state()
    V = equation.voltage(rest)
    assert np.ptp(V) > 0.3
    state, _ = equation.march(rest, steps_between(0.0, 5.0, VoltageStepRule(0.025)), np.zeros((0, cells.n_points)))
    np.testing.assert_allclose(equation.voltage(state), V, atol=1e-8)


def test_two_marches_are_one():
    equation = CableEquation(compartments(cylinder(200.0, 1.0), np.array([7])), [SQUID] * 7, CABLE)
    steps = steps_between(0.0, 6.0, VoltageStepRule(0.025), clamps=[CurrentClamp(0.5, 1.0)])
    source = equation.clamp_source(0, 0.5)[None]
    state = equation.uniform_state(-65.0)
    _, whole = equation.march(state, steps, source)
    state, first = equation.march(state, Steps(*(a[:100] for a in steps)), source)
    _, last = equation.march(state, Steps(*(a[100:] for a in steps)), source, record=[3])
    np.testing.assert_array_equal(np.vstack([first[:, [3]], last]), whole[:, [3]])


def test_numbers_that_are_no_cable_are_refused():
    cells = compartments(cylinder(20.0, 10.0), np.array([1]))
    for name, numbers in (("R_i", (0.0, 1.0)), ("C_m", (100.0, np.nan))):
        with pytest.raises(InputError, match=f"cable: {name} = .*; give a positive number"):
            CableEquation(cells, [SQUID], CableConstants(*numbers))
