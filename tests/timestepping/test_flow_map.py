"""The flow map that ships, its file, and what happens outside its box."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.flow_map_file import read_flow_map
from hpcpinn.networks.perceptron import n_parameters
from hpcpinn.physics import pumped_binding
from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.stiff_step import stiff_flow
from hpcpinn.timestepping.flow_map_store import SHIPPED, load_flow_map, save_flow_map, shipped_flow_map
from hpcpinn.timestepping.reaction import FlowMapReaction, StiffReaction
from hpcpinn.training.flow_map import FlowMap, FlowMapRange, ReactionState, sample_box
from hpcpinn.training.flow_map_training import FlowMapTraining

PHYSICAL = PRESETS["physical-N"]


@pytest.fixture(scope="module")
def shipped():
    return shipped_flow_map(PHYSICAL)


def fresh(flow_map, n, seed, near_rest=0.0):
    """Random states of the box and their exact ends by sub-steps of the stiff integrator."""
    k = flow_map.constants
    c, b, h, ratio = map(jnp.asarray, sample_box(flow_map.box, k, n, seed, near_rest))
    start = pumped_binding.deviation(c, b, k)
    end = start
    for _ in range(4):
        end = stiff_flow(end, h / 4, ratio, k)
    return ReactionState(c, b), start, end, h, ratio


def test_error_over_the_box(shipped):
    k = shipped.constants
    state, start, end, h, ratio = fresh(shipped, 2000, seed=31)
    got = shipped(state, h, ratio)
    c, b = pumped_binding.state(end, k)
    error = np.abs(got.c - c) / c
    assert np.median(error) < 1e-4 and error.max() < 1e-3
    assert np.max(np.abs(got.b - b) / b) < 1e-3
    # pumped amount, over what it would be at the larger of the fluxes
    pumped = np.abs((got.c - got.b) - (c - b)) / np.maximum(np.abs(start.w - end.w), 1e-3)
    assert np.median(pumped) < 1e-4


def test_relaxation_to_rest_has_the_right_rate(shipped):
    """5 s in 1000 windows from a loaded state: errors of the amount pumped would add up."""
    k, ratio = shipped.constants, jnp.array([0.5, 2.0, 8.0])
    loaded = ReactionState(jnp.full(3, 0.3), jnp.full(3, 160.0 * 19.0 / (19.0 + 27.0 * 0.3)))

    def run(flow):
        start = pumped_binding.deviation(loaded.c, loaded.b, k)
        return jax.jit(lambda d: jax.lax.fori_loop(0, 1000, lambda _, x: flow(x, 5e-3, ratio), d))(start)

    got, wanted = run(shipped.flow), run(lambda d, h, s: stiff_flow(d, h, s, k))
    np.testing.assert_allclose(got.w, wanted.w, rtol=1e-3)
    np.testing.assert_allclose(got.u, wanted.u, rtol=1e-3)


def test_rest_stays_to_the_last_bit_and_no_time_changes_nothing(shipped):
    k, ratio = shipped.constants, jnp.array([0.1, 3.0, 20.0])
    rest = ReactionState(jnp.full(3, k.c_rest), jnp.full(3, k.b_rest))
    np.testing.assert_array_equal(shipped(rest, 0.01, ratio).species, rest.species)
    state = ReactionState(jnp.array([0.1, 1.0, 5.0]), jnp.array([140.0, 120.0, 80.0]))
    np.testing.assert_allclose(shipped(state, 0.0, ratio).species, state.species, rtol=1e-9)


@pytest.mark.parametrize("name", ["physical-L", "physical-T"])
def test_one_map_serves_every_channel_type(name):
    """Gates, permeability, leak and diffusion are no business of the reaction."""
    assert load_flow_map(SHIPPED, PRESETS[name].replace(D_c=1.0)).constants == shipped_flow_map(PHYSICAL).constants


def test_other_constants_are_refused_by_name():
    other = PHYSICAL.replace(k_plus=30.0, pmca_K=0.1)
    with pytest.raises(InputError, match=r"k_plus \(27 in the map, 30 in the run\), pmca_K \(0.06 in") as caught:
        load_flow_map(SHIPPED, other)
    assert "b_tot" not in str(caught.value)


def test_file_round_trip_keeps_every_bit(tmp_path, shipped):
    error = {"calcium": (1e-6, 1e-5, 1e-4)}
    path = save_flow_map(tmp_path / "map.h5", shipped, error=error, training={"seed": 3, "preset": "x"})
    again = load_flow_map(path, PHYSICAL)
    assert again.box == shipped.box and again.constants == shipped.constants
    for one, other in zip(again.network, shipped.network, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)
    record = read_flow_map(path)
    assert record.error == error and record.training == {"seed": 3, "preset": "x"}


def test_shipped_file_tells_what_it_is():
    record = read_flow_map(SHIPPED)
    median, _, worst = record.error["calcium"]
    assert median < 1e-4 and worst < 1e-3
    assert record.training["seconds"] > 0.0 and "seed" in record.training


def test_damaged_files_are_refused(tmp_path):
    whole = SHIPPED.read_bytes()
    cut = tmp_path / "cut.h5"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut.h5"):
        load_flow_map(cut, PHYSICAL)
    with pytest.raises(InputError, match="no such file"):
        load_flow_map(tmp_path / "none.h5", PHYSICAL)


def test_states_outside_the_box_take_the_stiff_step_and_are_counted(shipped):
    reaction = FlowMapReaction(shipped)
    ratio = jnp.array([2.0, 2.0, 50.0, 2.0])
    state = ReactionState(jnp.array([0.1, 60.0, 0.1, 0.1]), jnp.array([140.0, 149.0, 140.0, 15.0]))
    got, outside = jax.jit(reaction)(state, 1e-3, ratio)
    assert outside == 3  # calcium, ratio, calbindin
    exact, none = StiffReaction(shipped.constants)(state, 1e-3, ratio)
    assert none == 0
    # compiled, and not: the same to round-off; the map itself is off by 1e-5 and more out there
    np.testing.assert_allclose(got.c[1:], exact.c[1:], rtol=1e-13)
    np.testing.assert_allclose(got.c[0], exact.c[0], rtol=1e-4)
    _, outside = reaction(state, 1.0, ratio)  # a window longer than the box
    assert outside == 4


def test_training_from_the_equation_reduces_the_error():
    """A small network, a few steps, a narrow box: no solver takes part, and the closed form is beaten."""
    k = pumped_binding.reaction_constants(PHYSICAL)
    box = FlowMapRange((0.1, 5.0), (0.1, 0.5), (0.8, 10.0), (1e-4, 5e-3), (4.0, 12.0))
    training = FlowMapTraining((8,), points=400, near_rest=0.0, wide=box, steps=(60,), seed=1, chunk=400)
    trained = training.train(k, box)
    assert n_parameters(trained.network) == 5 * 8 + 8 + 8 * 4 + 4
    state, _, end, h, ratio = fresh(trained, 500, seed=5)
    c, _ = pumped_binding.state(end, k)
    closed = FlowMap(jax.tree.map(jnp.zeros_like, trained.network), k, box)
    error, before = (np.abs(m(state, h, ratio).c - c) / c for m in (trained, closed))
    assert np.sqrt(np.mean(error**2)) < 0.4 * np.sqrt(np.mean(before**2))
