"""Split windows: exact parts, observed orders, steady rest, balances, windows that follow a pulse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from halving import halving_error
from scipy.sparse.linalg import expm_multiply

from hpcpinn.domain.network_diffusion import network_diffusion
from hpcpinn.errors import InputError, SolveError
from hpcpinn.morphology.cable import Cable
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.physics import voltage
from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.reference.finite_volume import solve
from hpcpinn.reference.forcing import Forcing, VoltageTable
from hpcpinn.reference.mesh import make_mesh
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.diffusion import cable_diffusion
from hpcpinn.timestepping.flow_map_store import shipped_flow_map
from hpcpinn.timestepping.influx import Influx, InfluxTable, add_influx
from hpcpinn.timestepping.pulse_windows import Excursion, pulse_windows
from hpcpinn.timestepping.reaction import FlowMapReaction, StiffReaction
from hpcpinn.timestepping.splitting import Splitting, plan_windows
from hpcpinn.training.flow_map import ReactionState
from synthetic import y_cable

K = PRESETS["physical-N"]
TICK = 2e-5
STEP, LENGTH = 2e-5, 8e-3
TIMES = STEP * np.arange(round(LENGTH / STEP) + 1)


def spike(t):
    """mV: a depolarisation of a millisecond at 2 ms."""
    return -70.0 + 90.0 * np.exp(-(((t - 2e-3) / 4e-4) ** 2))


def small_tree() -> Cable:
    """A Y of 24 frusta, thin ones among them."""
    return y_cable().split([np.arange(1, n) / n for n in (10, 8, 6)])


def volume_norm(x, volume):
    return np.sqrt((volume * x * x).sum())


@pytest.fixture(scope="module")
def tree():
    return cell_grid(small_tree())


@pytest.fixture(scope="module")
def influx() -> InfluxTable:
    source = voltage.VoltageSource(jnp.asarray(TIMES), jnp.asarray(spike(TIMES)[:, None]), ("x",), "", 1e-3)
    weights = voltage.uniform_weights(1)
    return Influx(lambda t: voltage.voltage_at(source, t, weights), K, 400, TICK, STEP).table(0.0)


@pytest.fixture(scope="module")
def diffusion(tree):
    return cable_diffusion(tree, (K.D_c, K.D_b))


@pytest.fixture(scope="module")
def start(tree) -> ReactionState:
    """A bump of calcium in balance with its buffer, in one branch."""
    place = small_tree().path.mean(axis=1)
    c = K.c_rest + 0.5 * np.exp(-(((place - 190.0) / 40.0) ** 2))
    return ReactionState(c, K.k_minus * K.b_tot / (K.k_minus + K.k_plus * c))


@pytest.fixture(scope="module")
def truth(start):
    """c at the end by the independent reference on the same compartments."""
    table = VoltageTable(TIMES, spike(TIMES)[:, None], lambda mesh: np.ones((mesh.n_cells, 1)))
    found = solve(
        small_tree(),
        K,
        Forcing(table),
        np.array([LENGTH]),
        tolerance=1e-7,
        initial=dict(zip(K.species, start.species, strict=True)),
    )
    return ReactionState(*(values[0] for values in found.fields.values()))


def test_compartments_are_those_of_the_reference():
    """Two independent codes, with tapering and a reticulum."""
    cable = small_tree()
    taper = Cable(**{**vars(cable), "radius": cable.radius * np.array([1.0, 0.8]), "er_radius": 0.3 * cable.radius})
    ours, theirs = cell_grid(taper), make_mesh(taper, 1)
    np.testing.assert_allclose(ours.volume, theirs.volume, rtol=1e-13)
    np.testing.assert_allclose(ours.coupling.toarray(), theirs.coupling.toarray(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("h", [1e-5, 1e-3, 1e-1, 10.0])
def test_diffusion_is_the_matrix_exponential(tree, diffusion, h):
    fields = np.random.default_rng(3).random((2, tree.n))
    row = diffusion.series(np.array([h]))
    got = np.asarray(diffusion(jnp.asarray(fields), row.coefficients[0], row.terms[0]))
    wanted = [expm_multiply(h * d * tree.laplacian, u) for d, u in zip((K.D_c, K.D_b), fields, strict=True)]
    np.testing.assert_allclose(got, wanted, atol=1e-9)
    np.testing.assert_allclose(got @ tree.volume, fields @ tree.volume, rtol=1e-14)


def test_diffusion_leaves_a_uniform_field(diffusion, tree):
    row = diffusion.series(np.array([0.05]))
    got = diffusion(jnp.full((2, tree.n), 7.0), row.coefficients[0], row.terms[0])
    np.testing.assert_allclose(got, 7.0, rtol=1e-14)


def test_influx_is_exact_for_constant_source_and_sink():
    """c' = σ(a − s c): exponential, also for windows in which σS is not small."""
    a, s, ticks = 3.0, 40.0, np.arange(101)[:, None]
    t = TICK * ticks
    powers = np.stack([a * s**n * t ** (n + 1) / np.prod(range(1, n + 2)) for n in range(4)], axis=1)
    table = InfluxTable(TICK, s * t, powers, np.zeros((1, 0)))
    ratio, c = jnp.array([0.5, 4.0]), jnp.array([0.1, 2.0])
    window = jax.tree.map(lambda x: x[0], table.over(np.array([20]), np.array([60])))
    h = 40 * TICK
    wanted = a / s + (c - a / s) * np.exp(-ratio * s * h)
    np.testing.assert_allclose(add_influx(c, window, ratio), wanted, rtol=1e-5)


def test_influx_of_windows_composes(influx):
    """One window over a pulse is its parts one after another, for thin and thick cable."""
    ratio = jnp.array([0.3, 3.0, 13.0])
    parts = influx.over(np.array([60, 100]), np.array([100, 160]))
    c = jnp.array([0.05, 0.2, 1.0])
    whole = add_influx(c, jax.tree.map(lambda x: x[0], influx.over(np.array([60]), np.array([160]))), ratio)
    for i in range(2):
        c = add_influx(c, jax.tree.map(lambda x, i=i: x[i], parts), ratio)
    np.testing.assert_allclose(whole, c, rtol=1e-9)


def test_rest_is_steady_at_the_resting_voltage(diffusion, tree):
    """Leak and channel balance in the influx by themselves: nothing moves in any window."""
    table = Influx(lambda t: jnp.full(1, K.rest_voltage) + 0.0 * t, K, 400, 1e-4).table(0.0)
    splitting = Splitting(FlowMapReaction(shipped_flow_map(K)), diffusion, jnp.asarray(tree.ratio))
    rest = ReactionState(np.full(tree.n, K.c_rest), np.full(tree.n, K.b_rest))
    end, outside = splitting.advance(rest, plan_windows(np.arange(20, 401, 20), table, diffusion))
    np.testing.assert_allclose(end.c, K.c_rest, rtol=1e-12)
    np.testing.assert_allclose(end.b, K.b_rest, rtol=1e-12)
    assert outside == 0


@pytest.mark.parametrize("order, spread", [(1, False), (2, False), (2, True)])
def test_observed_order_against_the_independent_reference(order, spread, tree, diffusion, influx, start, truth):
    k = reaction_constants(K)
    binding = k if spread else None
    splitting = Splitting(StiffReaction(k), diffusion, jnp.asarray(tree.ratio), order, binding)
    errors = []
    for length in (20, 10, 4):
        ends = np.arange(length, 401, length)
        end, _ = splitting.advance(start, plan_windows(ends, influx, diffusion))
        size = volume_norm(truth.c - K.c_rest, tree.volume)
        errors.append(volume_norm(np.asarray(end.c) - truth.c, tree.volume) / size)
    observed = np.log(np.array(errors[:-1]) / errors[1:]) / np.log([2.0, 2.5])
    assert np.all(np.abs(observed - order) < 0.25), (errors, observed)
    assert errors[-1] < (1e-3 if order == 1 else 1e-5)


@pytest.mark.slow
def test_observed_order_with_networks_for_diffusion(influx):
    """Strang's order in the windows' length, at the nodes of the pieces.

    Where flows balance at the fork: a layer that starts there is resolved in time to first order only.
    """
    cable = y_cable((100.0, 50.0, 50.0), (1.0, 1.0, 1.0)).split([np.arange(1, n) / n for n in (5, 3, 3)])
    networks = network_diffusion(cable, np.zeros(cable.n_frusta, int), SerialCommunicator(), (K.D_c, K.D_b))
    geometry = networks.geometry
    ratio = geometry.membrane_ratio.ravel()
    volume = np.asarray(geometry.length[:, None] * geometry.cross_section(0) * networks.table.grid.space_weight).ravel()
    share = (networks.table.grid.space + 1.0) / 2.0
    place = (cable.path[:, :1] + share * np.diff(cable.path, axis=1)).ravel()
    c = K.c_rest + 0.25 * (1.0 - np.cos(2.0 * np.pi * place / 100.0))
    start = ReactionState(c, K.k_minus * K.b_tot / (K.k_minus + K.k_plus * c))
    k = reaction_constants(K)
    splitting = Splitting(StiffReaction(k), networks, ratio, binding=k)
    plans = {n: plan_windows(np.arange(n, 401, n), influx, networks) for n in (20, 10, 4)}
    ends = {n: np.asarray(splitting.advance(start, plan)[0].c) for n, plan in plans.items()}
    size = volume_norm(ends[4] - K.c_rest, volume)
    coarse, fine = (volume_norm(ends[n] - ends[4], volume) / size for n in (20, 10))
    # The finest is not the limit: an error in n² shows as n² − 4².
    observed = 2.0 * np.log(coarse / fine) / np.log((20**2 - 4**2) / (10**2 - 4**2))
    assert abs(observed - 2.0) < 0.25, (coarse, fine, observed)
    assert fine < 1e-4
    assert networks.factorisations == 3


def test_steady_influx_is_in_balance_with_binding_in_windows_longer_than_it(tree, diffusion):
    """What has just come in is not yet bound: 3 % of calcium in windows of 0.2 ms, if it all came at once."""
    k = reaction_constants(K)
    t = 1e-5 * np.arange(401)[:, None]
    powers = np.zeros((401, 4, 1))
    powers[:, 0] = 300.0 * t
    steady = InfluxTable(1e-5, np.zeros((401, 1)), powers, np.zeros((1, 0)))
    rest = ReactionState(np.full(tree.n, K.c_rest), np.full(tree.n, K.b_rest))
    errors = {}
    for spread in (False, True):
        splitting = Splitting(StiffReaction(k), diffusion, jnp.asarray(tree.ratio), binding=k if spread else None)
        _, fine, _ = splitting.follow(rest, plan_windows(np.arange(2, 401, 2), steady, diffusion))
        _, coarse, _ = splitting.follow(rest, plan_windows(np.arange(20, 401, 20), steady, diffusion))
        away = np.asarray(fine.c)[9::10] - K.c_rest
        errors[spread] = np.abs(np.asarray(coarse.c) - np.asarray(fine.c)[9::10])[4:].max() / away.max()
    assert errors[False] > 2e-2
    assert errors[True] < 2e-3


def test_spreading_the_influx_moves_no_calcium(tree, diffusion, influx, start):
    """Only from free to bound or back: c − b is the same in every compartment."""
    k = reaction_constants(K)
    plan = plan_windows(np.array([20, 40]), influx, diffusion)
    row = jax.tree.map(lambda x: x[0], plan)
    splitting = Splitting(StiffReaction(k), diffusion, jnp.asarray(tree.ratio), binding=k)
    plain = splitting._influx(start, row.second)
    spread = splitting._spread(start, row.second, row.lengths)
    assert np.abs(np.asarray(spread.c - plain.c)).max() > 0.0
    np.testing.assert_allclose(spread.c - spread.b, plain.c - plain.b, rtol=0.0, atol=1e-12)


def test_flow_map_in_the_loop_against_the_independent_reference(tree, diffusion, influx, start, truth):
    splitting = Splitting(FlowMapReaction(shipped_flow_map(K)), diffusion, jnp.asarray(tree.ratio))
    end, frames, outside = splitting.follow(start, plan_windows(np.arange(10, 401, 10), influx, diffusion))
    np.testing.assert_allclose(frames.c[-1], end.c, rtol=1e-12)
    error = volume_norm(np.asarray(end.c) - truth.c, tree.volume)
    assert error < 1e-4 * volume_norm(truth.c - K.c_rest, tree.volume)
    assert outside == 0


def test_joined_half_reactions_are_the_separate_ones(tree, diffusion, influx, start):
    """Windows run one by one end where the joined scan ends, up to the flow's own group property."""
    splitting = Splitting(StiffReaction(reaction_constants(K)), diffusion, jnp.asarray(tree.ratio))
    joined, _ = splitting.advance(start, plan_windows(np.array([20, 40, 80]), influx, diffusion))
    state = start
    for first, last in ((0, 20), (20, 40), (40, 80)):
        part = InfluxTable(TICK, influx.sink[first:], influx.powers[first:], influx.gates)
        state, _ = splitting.advance(state, plan_windows(np.array([last - first]), part, diffusion))
    np.testing.assert_allclose(state.c, joined.c, rtol=1e-6)


@pytest.mark.parametrize("ends, words", [([4, 4], "increase"), ([4, 500], "within"), ([3, 8], "even number")])
def test_windows_that_cannot_be_are_refused(ends, words, influx, diffusion):
    with pytest.raises(InputError, match=words):
        plan_windows(np.array(ends), influx, diffusion)


def test_windows_follow_the_pulse_and_keep_the_tolerance(tree, diffusion, influx, start, truth):
    splitting = Splitting(StiffReaction(reaction_constants(K)), diffusion, jnp.asarray(tree.ratio))
    excursion = Excursion.of_cytosol(tree.volume, ReactionState.of(K.rest))
    settings = {"longest": 2e-3, "stops": (40,)}
    found = {
        tolerance: pulse_windows(splitting, start, influx, excursion, tolerance=tolerance, **settings)
        for tolerance in (2e-3, 4e-4)
    }
    for tolerance, windows in found.items():
        assert windows.ends[-1] == 400 and 40 in windows.ends
        assert windows.errors.max() <= tolerance
    tight = found[4e-4]
    lengths = np.diff(tight.ends, prepend=0)
    in_pulse = (tight.ends > 95) & (tight.ends <= 140)
    assert lengths[in_pulse].max() < lengths[~in_pulse].max() / 2
    assert len(tight.ends) > len(found[2e-3].ends)
    with pytest.raises(SolveError, match="finer tick"):
        pulse_windows(splitting, start, influx, excursion, tolerance=1e-5, **settings)
    end, _ = splitting.advance(start, plan_windows(tight.ends, influx, diffusion))
    error = volume_norm(np.asarray(end.c) - truth.c, tree.volume) / volume_norm(truth.c - K.c_rest, tree.volume)
    assert error < 2e-4
    estimate = halving_error(splitting, start, influx, tight.ends, excursion)
    assert 0.2 * error < estimate < 50.0 * error
