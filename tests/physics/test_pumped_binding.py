"""The pointwise reaction: rest, balances, limits with known solutions, and the stiff sub-step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hpcpinn.errors import InputError
from hpcpinn.physics import calcium
from hpcpinn.physics import pumped_binding as reaction
from hpcpinn.physics.calcium_system import CalciumForcing, CalciumSystem
from hpcpinn.physics.constants import LUMEN, PRESETS, BufferConstants, Organelle
from hpcpinn.physics.pumped_binding import Deviation
from hpcpinn.physics.stiff_step import stiff_flow

PHYSICAL = PRESETS["physical-N"]
K = reaction.reaction_constants(PHYSICAL)
C = np.array([0.03, 0.05, 0.2, 1.5, 8.0])
B = np.array([150.0, 140.0, 149.0, 100.0, 60.0])
RATIO = np.array([0.2, 1.0, 4.0, 10.0, 20.0])


DYED = PHYSICAL.replace(
    buffers=(BufferConstants("fluo4", 50.0, 236.0, 82.6, 60.0), BufferConstants("slow", 20.0, 1.5, 0.4, 0.0))
)
"""A fast dye and a slow buffer besides calbindin."""
OTHERS = (np.array([48.0, 40.0, 30.0, 10.0, 3.0]), np.array([19.0, 17.0, 15.0, 10.0, 2.0]))


def radau(c, b, h, ratio, *others, k=PHYSICAL):
    """Every species after h from the equations as EQUATIONS §1 prints them."""
    k = k.replace(vdcc_density=0.0)  # the leak then balances the pumps alone

    def rates(_, y):
        f = [float(calcium.unbinding(y[0], free, buffer)) for free, buffer in zip(y[1:], k.all_buffers, strict=True)]
        r = k.c_rest
        leak = (k.pmca_max * r**2 / (k.pmca_K**2 + r**2) + k.ncx_max * r / (k.ncx_K + r)) / (k.c_o - r)
        pmca = k.pmca_max * y[0] ** 2 / (k.pmca_K**2 + y[0] ** 2)
        j = leak * (k.c_o - y[0]) - pmca - k.ncx_max * y[0] / (k.ncx_K + y[0])
        return [sum(f) + ratio * j, *f]

    return solve_ivp(rates, (0.0, h), [c, b, *others], method="Radau", rtol=1e-10, atol=1e-12).y[:, -1]


def test_rates_are_those_of_the_calcium_module():
    k = PHYSICAL.replace(vdcc_density=0.0)
    moved = reaction.rates(reaction.deviation(C, B, K), RATIO, K)
    f, j = calcium.unbinding(C, B, k.all_buffers[0]), RATIO * calcium.pump_flux(C, k)
    np.testing.assert_allclose(moved.u, f + j, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(moved.w, j, rtol=1e-11, atol=1e-11)


def test_state_and_deviation_are_inverse():
    c, b = reaction.state(reaction.deviation(C, B, K), K)
    np.testing.assert_allclose(c, C, rtol=1e-14)
    np.testing.assert_allclose(b, B, rtol=1e-14)


def test_rest_is_a_fixed_point_to_the_last_bit():
    rest = reaction.deviation(jnp.asarray(K.c_rest), jnp.asarray(K.b_rest), K)
    assert rest == Deviation(0.0, 0.0)
    assert reaction.rates(rest, 7.0, K) == Deviation(0.0, 0.0)
    parts = reaction.closed_flow(rest, 5e-3, 7.0, K)
    assert (parts.slow, parts.fast, parts.excess) == (0.0, 0.0, 0.0)


def test_clearance_slope_is_the_derivative_of_the_extrusion():
    slope = jax.vmap(jax.grad(lambda u: reaction.clearance(u, K) * u))(jnp.asarray(C - K.c_rest))
    np.testing.assert_allclose(reaction.clearance_slope(C - K.c_rest, K), slope, rtol=1e-12)


def test_without_membrane_the_closed_form_is_exact():
    """σ = 0: c − b stands still and c follows a Riccati equation."""
    for c, b in zip(C, B, strict=True):
        start = reaction.deviation(jnp.asarray(c), jnp.asarray(b), K)
        parts = reaction.closed_flow(start, 3e-4, 0.0, K)
        assert parts.slow == 0.0 and parts.fast == 0.0
        end = Deviation(reaction.quasi_steady(start.w, 0.0, K) + parts.excess, start.w)
        np.testing.assert_allclose(reaction.state(end, K), radau(c, b, 3e-4, 0.0), rtol=1e-8)


def test_closed_form_is_consistent():
    """Its derivative at h = 0 is the right-hand side, for w exactly and for u up to the drift of q."""
    start = reaction.deviation(jnp.asarray(C), jnp.asarray(B), K)

    def flow(h):
        parts = reaction.closed_flow(start, h, jnp.asarray(RATIO), K)
        w = start.w - parts.slow - parts.fast
        return reaction.quasi_steady(w, jnp.asarray(RATIO), K) + parts.excess, w

    _, (du, dw) = jax.jvp(flow, (jnp.asarray(0.0),), (jnp.asarray(1.0),))
    wanted = reaction.rates(start, RATIO, K)
    np.testing.assert_allclose(dw, wanted.w, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(du, wanted.u, rtol=1e-3)


@pytest.mark.parametrize("h", [1e-5, 1e-3, 2e-2])
def test_stiff_sub_step_against_radau(h):
    end = stiff_flow(reaction.deviation(jnp.asarray(C), jnp.asarray(B), K), h, jnp.asarray(RATIO), K)
    got = np.array(reaction.state(end, K)).T
    wanted = [radau(*row) for row in zip(C, B, np.full(5, h), RATIO, strict=True)]
    np.testing.assert_allclose(got, wanted, rtol=3e-5)


@pytest.mark.parametrize("h", [1e-5, 1e-3, 2e-2])
def test_stiff_sub_step_of_several_buffers_against_radau(h):
    k = reaction.reaction_constants(DYED)
    start = reaction.deviation(jnp.asarray(C), jnp.asarray(B), k, [jnp.asarray(free) for free in OTHERS])
    end = stiff_flow(start, h, jnp.asarray(RATIO), k)
    wanted = [radau(*row, k=DYED) for row in zip(C, B, np.full(5, h), RATIO, *OTHERS, strict=True)]
    np.testing.assert_allclose(np.array(reaction.state(end, k)).T, wanted, rtol=3e-5)
    # What the membrane lets through alone changes the content.
    sealed = stiff_flow(start, h, jnp.zeros(5), k)
    np.testing.assert_array_equal(sealed.w, start.w)


def test_rest_of_several_buffers_is_a_fixed_point_to_the_last_bit():
    k, (c, b, *others) = reaction.reaction_constants(DYED), DYED.rest
    rest = reaction.deviation(jnp.asarray(c), jnp.asarray(b), k, others)
    end = stiff_flow(rest, 5e-3, jnp.asarray(7.0), k)
    assert all(float(x) == 0.0 for x in jax.tree.leaves((rest, end)))


def test_a_buffer_in_two_parts_reacts_as_the_whole_one():
    """A quarter of it by another name, which takes another way through the elimination."""
    part = PHYSICAL.replace(
        b_tot=120.0, buffers=(BufferConstants("part", 40.0, PHYSICAL.k_plus, PHYSICAL.k_minus, 20.0),)
    )
    k, ratio = reaction.reaction_constants(part), jnp.asarray(RATIO)
    whole = reaction.deviation(jnp.asarray(C), jnp.asarray(B), K)
    parts = reaction.deviation(jnp.asarray(C), jnp.asarray(0.75 * B), k, [jnp.asarray(0.25 * B)])
    np.testing.assert_allclose(
        reaction.relaxation_rate(parts, ratio, k), reaction.relaxation_rate(whole, ratio, K), rtol=1e-12
    )
    np.testing.assert_allclose(reaction.other_shares(parts, k), np.full((1, 5), 0.25), rtol=1e-12)
    c, b, other = reaction.state(stiff_flow(parts, 1e-3, ratio, k), k)
    expected = reaction.state(stiff_flow(whole, 1e-3, ratio, K), K)
    np.testing.assert_allclose([c, b, other], [expected[0], 0.75 * expected[1], 0.25 * expected[1]], rtol=1e-11)


def test_no_leak_can_balance_pumps_without_a_gradient():
    with pytest.raises(InputError, match=r"c_o: 0.01 µM is not above c_rest"):
        reaction.check_rest(PHYSICAL.replace(c_o=0.01))


HELD = DYED.replace(
    vdcc_density=0.0,
    buffers=(*DYED.buffers, BufferConstants("calreticulin", 3000.0, 1.0, 1000.0, 20.0, LUMEN)),
    organelles=(Organelle(rest=200.0, serca_max=60.0),),
)
INSIDE = (np.array([150.0, 260.0, 200.0, 40.0, 230.0]), np.array([2500.0, 2300.0, 2500.0, 2900.0, 2450.0]))
"""Calcium of an organelle and what is free of its buffer, not in balance."""
OF_ER = reaction.ErRatio(jnp.array([0.5, 2.0, 1.0, 3.0, 0.2]), jnp.array([4.0, 20.0, 10.0, 8.0, 2.0]))


@pytest.mark.parametrize("h", [1e-5, 1e-3, 2e-2])
def test_stiff_sub_step_with_an_organelle_against_the_equations(h):
    """The sum of both kinds of calcium, each in its own volume, is kept where nothing passes the plasma membrane."""
    k, own = reaction.reaction_constants(HELD), [*OTHERS, *INSIDE]
    start = reaction.deviation(jnp.asarray(C), jnp.asarray(B), k, [jnp.asarray(x) for x in own])
    end = stiff_flow(start, h, jnp.asarray(RATIO), k, OF_ER)
    source = jax.jit(CalciumSystem(HELD).source)
    for i, y in enumerate(np.array([C, B, *own]).T):
        forcing = CalciumForcing(RATIO[i], 0.0, 0.0, 0.0, OF_ER.cytosol[i], OF_ER.lumen[i])
        wanted = solve_ivp(
            lambda t, u, at=forcing: np.asarray(source(u, at)), (0.0, h), y, "LSODA", rtol=1e-10, atol=1e-9
        )
        np.testing.assert_allclose(np.array(reaction.state(end, k))[:, i], wanted.y[:, -1], rtol=5e-5)
    sealed = stiff_flow(start, h, jnp.zeros(5), k, OF_ER)
    before, after = (d.w / OF_ER.cytosol + (d.lumen[0] - d.lumen[1]) / OF_ER.lumen for d in (start, sealed))
    assert np.abs(sealed.w - start.w).max() > 1e-3
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_rest_with_an_organelle_is_a_fixed_point_to_the_last_bit_and_a_leak_of_its_own_is_told():
    k, (c, b, *others) = reaction.reaction_constants(HELD), HELD.rest
    rest = reaction.deviation(jnp.asarray(c), jnp.asarray(b), k, others)
    ratio = reaction.ErRatio(jnp.asarray(2.0), jnp.asarray(20.0))
    end = stiff_flow(rest, 5e-3, jnp.asarray(7.0), k, ratio)
    assert all(float(x) == 0.0 for x in jax.tree.leaves((rest, end)))
    (er,) = HELD.organelles
    balanced = calcium.organelle_leak(er, HELD.c_rest)
    told = reaction.organelle_release(rest, er.replace(leak=2.0 * balanced), k).flux
    np.testing.assert_allclose(told, balanced * (er.rest - HELD.c_rest), rtol=1e-12)
