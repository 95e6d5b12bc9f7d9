import numpy as np
import pytest

import exact
from hpcpinn.errors import InputError, SolveError
from hpcpinn.physics.constants import PRESETS, BufferConstants, Organelle
from hpcpinn.reference.finite_volume import solve
from hpcpinn.reference.forcing import EndFlux, Forcing, SynapticRelease, VoltageTable
from tests.reference.cables import branches, cylinder, small_tree

N = PRESETS["physical-N"]
INERT = N.replace(D_c=2.0, k_plus=0.0, k_minus=0.0, pmca_max=0.0, ncx_max=0.0, vdcc_permeability=0.0, leak=0.0)
"""Diffusion alone."""


def averages(cable, profiles, cells):
    """Volume averages of one profile per frustum over its cells."""
    x, w = np.polynomial.legendre.leggauss(12)
    values = []
    for f, profile in enumerate(profiles):
        edges = np.arange(cells + 1) / cells
        s = 0.5 * (edges[:-1, None] + edges[1:, None] + x * np.diff(edges)[:, None])
        area = (cable.radius[f, 0] + s * np.diff(cable.radius[f])) ** 2
        values.append((profile(s * cable.length[f]) * area) @ w / (area @ w))
    return np.concatenate(values)


def spatial_orders(cable, profiles, kappa, meshes=(10, 20, 40)):
    """Observed orders for an excess that decays as one mode."""
    t = 0.5 / (INERT.D_c * kappa**2)
    errors = []
    for cells in meshes:
        mode = averages(cable, profiles, cells)
        s = solve(
            cable,
            INERT,
            Forcing(),
            np.array([t]),
            cells=cells,
            initial={"calcium": 5.0 + mode, "calbindin": 0.0},
            tolerance=1e-9,
        )
        error = s.fields["calcium"][0] - 5.0 - mode * np.exp(-0.5)
        errors.append(np.sqrt(error**2 @ s.volume / (mode**2 @ s.volume)))
    return np.log2(np.array(errors[:-1]) / errors[1:]), errors[-1]


class TestSpace:
    def test_order_two_on_a_cylinder(self):
        profile, kappa = exact.cylinder_mode(3.0, 2)
        orders, error = spatial_orders(cylinder(3.0, 0.5), [profile], kappa)
        assert orders.min() > 1.97
        assert error < 1e-3

    def test_order_two_on_a_cone(self):
        profile, kappa = exact.cone_mode((2.0, 0.4), 3.0)
        orders, error = spatial_orders(branches([3.0], [(2.0, 0.4)], [-1]), [profile], kappa)
        assert orders.min() > 1.95
        assert error < 1e-3

    def test_order_two_through_a_branch_point_with_different_radii(self):
        lengths, radii = [3.0, 4.0, 2.5], [1.0, 0.63, 0.5]
        profiles, kappa = exact.star_mode(lengths, radii)
        cable = branches(lengths, [(r, r) for r in radii], [-1, 0, 0])
        parent = profiles[0]
        orders, error = spatial_orders(cable, [lambda s: parent(3.0 - s), *profiles[1:]], kappa)
        assert orders.min() > 1.95
        assert error < 1e-3

    def test_order_two_for_a_fed_leaking_cable(self):
        k = INERT.replace(leak=0.4, c_o=2.0)
        profile = exact.fed_cable(3.0, 0.5, k.D_c, 0.4, 1.3)
        cable = cylinder(3.0, 0.5)
        errors = []
        for cells in (40, 80, 160):
            s = solve(cable, k, Forcing(ends=(EndFlux(0, 1.3),)), np.array([40.0]), cells=cells,
                      initial={"calcium": k.c_o, "calbindin": 0.0}, tolerance=1e-9)  # fmt: skip
            errors.append(np.abs(s.fields["calcium"][0] - k.c_o - averages(cable, [profile], cells)).max())
        assert np.log2(errors[0] / errors[1]) > 1.9
        assert np.log2(errors[1] / errors[2]) > 1.9


class TestTime:
    def test_binding_follows_its_closed_form(self):
        k = N.replace(pmca_max=0.0, ncx_max=0.0, vdcc_permeability=0.0, leak=0.0)
        times = np.linspace(1e-4, 5e-3, 20)
        s = solve(
            cylinder(), k, Forcing(), times, cells=3, initial={"calcium": 30.0, "calbindin": 140.0}, tolerance=1e-9
        )
        c, b = exact.binding(times, 30.0, 140.0, k)
        np.testing.assert_allclose(s.fields["calcium"], np.tile(c, (3, 1)).T, rtol=1e-6)
        np.testing.assert_allclose(s.fields["calbindin"], np.tile(b, (3, 1)).T, rtol=1e-8)

    def test_high_order_with_binding_pumps_and_diffusion(self):
        forcing = Forcing(ends=(EndFlux(0, lambda t: 5e3 * np.sin(2e3 * t) ** 2, area=1.0),))
        times = np.array([2e-3])

        def calcium(steps):
            return solve(small_tree(), N, forcing, times, cells=4, step=2e-3 / steps).fields["calcium"]

        fine = calcium(256)
        errors = [np.abs(calcium(n) - fine).max() for n in (16, 32, 64)]
        assert np.log2(errors[0] / errors[1]) > 4.7
        assert np.log2(errors[1] / errors[2]) > 4.7

    def test_rest_stays_at_rest(self):
        s = solve(small_tree(), N, Forcing(voltage=-70.0), np.array([1.0]), cells=5)
        np.testing.assert_allclose(s.fields["calcium"], N.c_rest, rtol=1e-12)
        np.testing.assert_allclose(s.fields["calbindin"], N.b_rest, rtol=1e-12)

    def test_voltage_as_a_table_that_does_not_change_is_the_constant(self):
        times = np.linspace(0.0, 5e-3, 6)
        table = VoltageTable(np.array([0.0, 2e-3, 5e-3]), np.full((3, 1), -40.0), lambda m: np.ones((m.n_cells, 1)))
        a = solve(small_tree(), N, Forcing(voltage=-40.0), times, cells=2)
        b = solve(small_tree(), N, Forcing(voltage=table), times, cells=2)
        np.testing.assert_allclose(a.fields["calcium"], b.fields["calcium"], rtol=1e-7)
        assert a.fields["calcium"].max() > 1.05 * N.c_rest

    def test_a_spike_between_two_long_steps_is_seen(self):
        rest, spike = 0.5, np.array([0.0, 1e-3, 2e-3])
        times = np.r_[0.0, rest + spike, 1.0]
        values = np.array([-70.0, -70.0, 20.0, -70.0, -70.0])[:, None]
        table = VoltageTable(times, values, lambda m: np.ones((m.n_cells, 1)))
        s = solve(cylinder(), N, Forcing(voltage=table), np.array([0.4, 0.503, 1.0]), cells=1)
        assert s.fields["calcium"][0] == pytest.approx(N.c_rest, rel=1e-9)
        assert s.fields["calcium"][1] > 1.5 * N.c_rest

    def test_tolerance_controls_the_error_with_spikes_and_a_release(self):
        t = np.arange(0.0, 10.01, 0.1) * 1e-3
        v = -65.0 + 90.0 * np.exp(-(((t - 4e-3) / 0.6e-3) ** 2))
        forcing = Forcing(
            voltage=VoltageTable(t, v[:, None], lambda m: np.ones((m.n_cells, 1))),
            synapses=(SynapticRelease(((1, 0.4, 0.5),), 2e-3, 1e-3, 2500.0),),
        )
        out = np.linspace(1e-3, 10e-3, 10)

        def calcium(tolerance):
            return solve(small_tree(), N, forcing, out, cells=6, tolerance=tolerance).fields["calcium"] - N.c_rest

        fine = calcium(1e-8)
        for tolerance in (1e-4, 1e-6):
            error = np.linalg.norm(calcium(tolerance) - fine) / np.linalg.norm(fine)
            assert error < 2.0 * tolerance


class TestBalance:
    def test_total_calcium_balances_to_round_off_with_everything_on(self):
        t = np.array([0.0, 1e-3, 2e-3, 3e-3, 20e-3])
        v = np.array([[-70.0, -70.0], [-70.0, -60.0], [20.0, 0.0], [-70.0, -70.0], [-70.0, -70.0]])
        forcing = Forcing(
            voltage=VoltageTable(t, v, lambda m: np.linspace([1.0, 0.0], [0.0, 1.0], m.n_cells)),
            synapses=(SynapticRelease(((1, 0.4, 0.5), (2, 0.0, 0.1)), 5e-3, 1e-3, 2500.0),),
            ends=(EndFlux(2, 300.0, start=1e-3, end=4e-3),),
        )
        s = solve(small_tree(), N, forcing, np.linspace(1e-3, 20e-3, 39), cells=7, tolerance=1e-5)
        assert np.abs(s.balance).max() < 1e-11
        assert s.entered[-1] > 0.0

    def test_a_release_brings_in_half_its_peak_times_duration_times_membrane(self):
        synapse = SynapticRelease(((0, 0.25, 0.5),), 2e-3, 1e-3, 2500.0)
        s = solve(cylinder(8.0, 0.5), INERT, Forcing(synapses=(synapse,)), np.array([1e-3, 5e-3]), cells=8,
                  initial={"calcium": 0.0, "calbindin": 0.0})  # fmt: skip
        assert s.net[0] == 0.0
        assert s.net[1] == pytest.approx(0.5 * 2500.0 * 1e-3 * 2.0 * np.pi * 0.5 * 2.0, rel=1e-12)
        assert s.fields["calcium"][1] @ s.volume == pytest.approx(s.net[1], rel=1e-12)

    def test_an_end_flux_brings_in_flux_times_area_times_time(self):
        s = solve(small_tree(), INERT, Forcing(ends=(EndFlux(2, 10.0, 1e-3, 3e-3),)), np.array([5e-3]),
                  initial={"calcium": 0.0, "calbindin": 0.0})  # fmt: skip
        assert s.fields["calcium"][0] @ s.volume == pytest.approx(10.0 * np.pi * 0.8**2 * 2e-3, rel=1e-11)

    def test_channels_may_be_absent_on_a_frustum(self):
        forcing = Forcing(voltage=-20.0, channel=np.array([1.0, 0.0]))
        k = N.replace(D_c=0.0, D_b=0.0, leak=4.497e-3)
        cable = branches([3.0, 3.0], [(1.0, 1.0), (1.0, 1.0)], [-1, -1])
        s = solve(cable, k, forcing, np.array([0.01]))
        assert s.fields["calcium"][0, 0] > 1.3 * N.c_rest
        assert s.fields["calcium"][0, 1] == pytest.approx(N.c_rest, rel=1e-4)


class TestSeedCable:
    def test_relative_error_below_1e_6_against_four_times_as_many_cells(self):
        k = PRESETS["seed"]
        forcing = Forcing(ends=(EndFlux(0, k.j_release),))
        times = np.linspace(0.05, 1.0, 20)
        coarse = solve(cylinder(), k, forcing, times, cells=1000, tolerance=1e-7)
        fine = solve(cylinder(), k, forcing, times, cells=4000, tolerance=1e-8)
        for a, b in (
            (coarse.fields["calcium"], fine.fields["calcium"]),
            (coarse.fields["calbindin"], fine.fields["calbindin"]),
        ):
            averaged = b.reshape(20, 1000, 4).mean(axis=2)
            assert np.linalg.norm(a - averaged) < 1e-6 * np.linalg.norm(averaged)


class TestBadInput:
    def test_times_that_do_not_increase(self):
        with pytest.raises(InputError, match="times must increase"):
            solve(cylinder(), N, Forcing(), np.array([1.0, 1.0]))

    def test_a_voltage_table_of_the_wrong_length(self):
        table = VoltageTable(np.array([0.0, 1.0]), np.zeros((3, 1)))
        with pytest.raises(InputError, match="2 times, 3 rows"):
            solve(cylinder(), N, Forcing(voltage=table), np.array([1.0]))

    def test_cancel(self):
        with pytest.raises(SolveError, match="cancelled"):
            solve(cylinder(), N, Forcing(), np.array([1.0]), cancel=lambda: True)


def test_averages_and_points_see_the_same_solution():
    forcing = Forcing(ends=(EndFlux(2, 500.0),))
    times = np.linspace(0.0, 2e-3, 5)
    frustum, fraction = np.arange(7), np.full(7, 0.5)
    whole = solve(small_tree(), N, forcing, times, cells=6)
    seen = solve(small_tree(), N, forcing, times, cells=6, parts=2, points=(frustum, fraction))
    volume = whole.volume.reshape(-1, 3)
    averaged = (whole.fields["calcium"].reshape(5, -1, 3) * volume).sum(axis=2) / volume.sum(axis=1)
    np.testing.assert_allclose(seen.fields["calcium"], averaged, rtol=1e-12)
    np.testing.assert_allclose(seen.balance, 0.0, atol=1e-11)
    neighbours = whole.fields["calbindin"].reshape(5, 7, 6)[:, :, 2:4]
    assert np.all(seen.points["calbindin"] <= neighbours.max(axis=2) + 1e-12)
    assert np.all(seen.points["calbindin"] >= neighbours.min(axis=2) - 1e-12)


def test_a_buffer_in_two_halves_is_the_whole_one():
    """Everything on; by another name half of it goes through other rows of the elimination."""
    cable = small_tree()
    forcing = Forcing(-20.0, synapses=(SynapticRelease(((2, 0.2, 0.8),), 1e-3, 2e-3, 800.0),))
    halves = N.replace(b_tot=80.0, buffers=(BufferConstants("half", 80.0, N.k_plus, N.k_minus, N.D_b),))
    whole, parts = (solve(cable, k, forcing, np.array([2e-3, 6e-3]), cells=4, step=2.5e-4).fields for k in (N, halves))
    moved = np.ptp(whole["calcium"])
    assert moved > 0.1
    np.testing.assert_allclose(parts["calcium"], whole["calcium"], rtol=0.0, atol=1e-10 * moved)
    np.testing.assert_allclose(2.0 * parts["calbindin"], whole["calbindin"], rtol=1e-11)
    np.testing.assert_allclose(parts["half"], parts["calbindin"], rtol=1e-12)


def test_an_organelle_is_a_volume_of_its_own():
    """Sealed and without pumps its calcium is one mode of its cone; with pumps the two volumes exchange amounts."""
    profile, kappa = exact.cone_mode((0.5, 1.5), 3.0)
    cable = branches([3.0], [(2.0, 1.8)], [-1], [(0.5, 1.5)])
    inert = INERT.replace(organelles=(Organelle(D=2.0, rest=50.0, serca_max=0.0),))
    mode = averages(cable.within("er"), [profile], 40)
    t = 0.5 / (2.0 * kappa**2)
    begun = {"calcium": 0.4, "calbindin": 0.0, "er_calcium": 50.0 + mode}
    alone = solve(cable, inert, Forcing(), np.array([t]), cells=40, initial=begun, tolerance=1e-9)
    np.testing.assert_allclose(
        alone.fields["er_calcium"][0] - 50.0, np.exp(-0.5) * mode, atol=2e-3 * np.abs(mode).max()
    )
    np.testing.assert_allclose(alone.fields["calcium"][0], 0.4, rtol=1e-12)
    pumped = inert.replace(organelles=(Organelle(D=2.0, rest=50.0, serca_max=60.0),))
    both = solve(cable, pumped, Forcing(), np.array([0.02]), cells=40, initial=begun)
    cytosol, lumen = (
        cable.split([np.arange(1, 40) / 40]).volume,
        cable.within("er").split([np.arange(1, 40) / 40]).volume,
    )
    gained = lumen @ (both.fields["er_calcium"][0] - begun["er_calcium"])
    assert gained > 0.1
    np.testing.assert_allclose(cytosol @ (0.4 - both.fields["calcium"][0]), gained, rtol=1e-9)
    assert np.abs(both.balance).max() < 1e-9 or both.entered[-1] == 0.0
