"""Motifs: influx from traces, reuse only where the start allows it, what reuse costs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.morphology.compartments import compartments
from hpcpinn.physics import gates
from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.membrane_constants import CableConstants
from hpcpinn.physics.membranes import channel_set_named
from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field
from hpcpinn.physics.stimulation.protocols import PulseProtocol, every
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import waveform_named
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.diffusion import cable_diffusion
from hpcpinn.timestepping.influx import Influx, InfluxTable, influx_of_samples, sample_ticks, table_edges
from hpcpinn.timestepping.motifs import DriveState, MotifCache, SlotSolver, _few_sizes, distance
from hpcpinn.timestepping.pulse_steps import VoltageStepRule
from hpcpinn.timestepping.reaction import StiffReaction
from hpcpinn.timestepping.slots import slots
from hpcpinn.timestepping.splitting import Splitting, padded, plan_windows
from hpcpinn.training.flow_map import ReactionState
from synthetic import y_cable

K = PRESETS["physical-N"].replace(rest_voltage=-65.0)
UNTIL = 355.0


def solver() -> SlotSolver:
    """A Y of three cylinders, squid channels, eight pulses at 20 Hz that make it fire."""
    cable = y_cable(radii=(1.0, 0.63, 0.5), lengths=(200.0, 150.0, 100.0))
    cells = compartments(cable, np.array([5, 5, 5]))
    equation = CableEquation(cells, [channel_set_named("squid")] * cells.count, CableConstants())
    protocol = PulseProtocol("train", pulses=1, bursts=8, trains=1, burst_interval=every(20))
    psi = quasipotential(cells.cable, uniform_field(9000.0, (1.0, 1.0, 0.3)))[cells.node]
    grid = cell_grid(cable.split([np.arange(1, 5) / 5] * cable.n_frusta))
    return SlotSolver(
        cable=equation,
        sources=equation.field_source(psi)[None],
        stimulus=Stimulus(protocol, waveform_named("monophasic")),
        onset=5.0,
        steps=VoltageStepRule(0.05, 0.02),
        constants=K,
        to_cells=sparse.identity(cells.count, format="csr"),
        diffusion=cable_diffusion(grid, (K.D_c, K.D_b)),
    )


def at_rest(one: SlotSolver) -> DriveState:
    state = one.cable.resting_state()
    V = jnp.asarray(one.cable.voltage(state))
    return DriveState(state, np.asarray(gates.steady(V, K)))


def test_influx_of_samples_is_that_of_the_voltage_they_are_of() -> None:
    """At every tick and at some of them, filled up or not."""
    rng = np.random.default_rng(1)
    tick, count = 1e-4, 12
    trace = rng.uniform(-80.0, 20.0, (count + 1, 3))
    place = np.arange(count + 1) * tick

    def voltage(t):
        return jnp.stack([jnp.interp(t, jnp.asarray(place), jnp.asarray(column)) for column in trace.T])

    start = np.full((3, len(K.gates)), 0.3)
    expected = Influx(voltage, K, count, tick).table(0.0, start)
    every, filled = np.arange(count + 1), np.append(np.arange(count + 1), [count] * 5)
    for edges in (every, filled):
        V = np.stack([np.interp(tick * sample_ticks(edges), place, column) for column in trace.T], axis=1)
        found = influx_of_samples(V, K, edges=edges, tick=tick, state=start)
        scale = np.abs(expected.powers).max(axis=(0, 2), keepdims=True)
        assert np.abs((found.powers - expected.powers) / scale).max() < 1e-12
        assert np.abs(found.sink - expected.sink).max() < 1e-12 * np.abs(expected.sink).max()
        assert np.abs(found.gates - expected.gates).max() < 1e-13
        np.testing.assert_array_equal(found.at, every)


def test_rows_where_windows_end_give_the_moments_of_rows_at_every_tick() -> None:
    """Through action potentials: whatever windows are long there, their influx is not coarse."""
    one = solver()
    state = at_rest(one)
    for slot in slots(one.stimulus, one.onset, 105.0, longest=50.0):
        course = one.course(slot, state)
        few = np.array([2, 40, course.ticks // 4 * 2, course.ticks])  # long windows right after a pulse
        for ends in (one.lengths.ends(slot), few):
            motif = one.planned(course, ends)
            assert len(motif.ticks) == len(ends)
            whole = plan_windows(ends, one.influx(course), one.diffusion)
            for half in ("first", "second"):
                ours, wanted = getattr(motif.plan, half), getattr(whole, half)
                for name in ("sink", "moments"):
                    a, b = getattr(ours, name), getattr(wanted, name)
                    a, b = np.asarray(a)[: len(ends)], np.asarray(b)
                    assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()
        assert len(one.influx(course, table_edges([few], course.moved, 20)).sink) < 0.6 * course.ticks
        state = motif.end


def test_a_tick_without_a_row_is_refused() -> None:
    edges = table_edges([np.array([4, 10])], np.zeros(11), 20)
    np.testing.assert_array_equal(edges, [0, 2, 4, 7, 10])
    table = InfluxTable(1e-5, np.zeros((5, 1)), np.zeros((5, 4, 1)), np.zeros((1, 0)), edges)
    np.testing.assert_array_equal(table.after(4).at, [0, 3, 6])
    with pytest.raises(InputError, match="no row for tick 6"):
        table.over(np.array([4]), np.array([6]))


def followed(tolerance: float) -> tuple[MotifCache, list[np.ndarray], DriveState]:
    one = solver()
    cache, state, voltages = MotifCache(one, tolerance), at_rest(one), []
    for slot in slots(one.stimulus, one.onset, UNTIL, longest=50.0):
        motif = cache.motif(slot, state)
        state = motif.end
        voltages.append(motif.voltage)
    return cache, voltages, state


def test_a_train_is_reused_once_it_is_periodic_and_stays_within_what_was_asked() -> None:
    exact, fresh, end = followed(0.0)
    cache, reused, reused_end = followed(5e-3)
    assert np.concatenate(fresh).max() > 0.0  # it fires
    assert exact.reused == 0
    assert cache.solved + cache.reused == exact.solved
    assert cache.reused >= 2
    assert 0.0 < cache.mismatch <= 5e-3
    assert distance(end, reused_end) < 5e-3
    apart = max(np.abs(a - b).max() for a, b in zip(fresh, reused, strict=True))
    assert 0.0 < apart < 2.0  # mV, on the slope of a spike


def test_what_another_book_knew_is_solved_again_to_the_bit() -> None:
    one = solver()
    first, state = MotifCache(one, 1e-4), at_rest(one)
    kinds = list(slots(one.stimulus, one.onset, 105.0, longest=50.0))
    for slot in kinds:
        state = first.motif(slot, state).end
    second = MotifCache(one, 1e-4)
    second.learn(first.starts)
    begin = at_rest(one)
    for slot in kinds:
        ours, theirs = second.motif(slot, begin), first.motif(slot, begin)
        assert np.array_equal(ours.voltage, theirs.voltage)
        assert all(np.array_equal(a, b) for a, b in zip(ours.plan.first, theirs.plan.first, strict=True))
        begin = theirs.end
    assert second.solved == 0


def test_another_start_is_never_reused() -> None:
    one = solver()
    cache, state = MotifCache(one, 1e-4), at_rest(one)
    slot = next(slots(one.stimulus, one.onset, 50.0))
    cache.motif(slot, state)
    other = replace_gates(state, 0.01)
    cache.motif(slot, other)
    assert (cache.solved, cache.reused) == (2, 0)
    cache.motif(slot, replace_gates(state, 5e-5))
    assert (cache.solved, cache.reused) == (2, 1)


def replace_gates(state: DriveState, by: float) -> DriveState:
    return state._replace(gates=state.gates + by)


def test_without_pulses_rest_stays_and_its_influx_is_none() -> None:
    one = replace(solver(), stimulus=None, sources=np.zeros((0, solver().sources.shape[1])))
    state = at_rest(one)
    rest = np.asarray(one.cable.voltage(state.voltage))
    motif = one.solve(next(slots(None, 0.0, 20.0)), state)
    assert np.abs(motif.voltage - rest).max() < 1e-8
    assert np.abs(motif.end.gates - state.gates).max() < 1e-10


def test_plans_come_in_few_sizes() -> None:
    """Padded by less than half, with windows that change nothing."""
    assert sorted({_few_sizes(count) for count in range(1, 257)}) == [16, 64, 128, 256]
    assert all(count <= _few_sizes(count) for count in range(1, 1000))


def test_plans_of_small_cells_and_of_their_companions_have_one_size() -> None:
    """Some megabytes at most: 319 compartments have 128 windows, 1626 as many as they need."""
    row = 8.0 * 10 * np.array([319, 1626])
    assert {_few_sizes(count, row[0]) for count in range(1, 129)} == {128}
    assert [_few_sizes(count, row[0]) for count in (129, 300)] == [256, 512]
    assert [_few_sizes(count, row[1]) for count in (10, 40, 100)] == [16, 64, 128]


def test_windows_of_no_length_change_nothing() -> None:
    one = solver()
    motif = one.solve(next(slots(one.stimulus, one.onset, 40.0)), at_rest(one))
    real = len(motif.ends)
    bare = jax.tree.map(lambda x: x[:real], motif.plan)
    grid_size = motif.plan.first.sink.shape[-1]
    splitting = Splitting(StiffReaction(reaction_constants(K)), one.diffusion, jnp.full(grid_size, 2.0))
    start = ReactionState(np.full(grid_size, 0.1), np.full(grid_size, 148.0))
    ends = [splitting.advance(start, plan)[0] for plan in (bare, motif.plan, padded(bare, 30))]
    for end in ends[1:]:
        np.testing.assert_allclose(end.c, ends[0].c, rtol=1e-13)
        np.testing.assert_allclose(end.b, ends[0].b, rtol=1e-13)
