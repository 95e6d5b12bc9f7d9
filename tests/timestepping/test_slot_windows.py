"""Windows of slots from the local error: within the tolerance, found twice, kept, and found anew when worse."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.flow_map_store import shipped_flow_map
from hpcpinn.timestepping.influx import InfluxTable
from hpcpinn.timestepping.motifs import DriveState, MotifCache, SlotSolver
from hpcpinn.timestepping.pulse_windows import Excursion
from hpcpinn.timestepping.reaction import FlowMapReaction
from hpcpinn.timestepping.slot_windows import WORSE, WindowCache, WindowSearch, packed_windows, restore_windows
from hpcpinn.timestepping.slots import Slot, slots
from hpcpinn.timestepping.splitting import Splitting, plan_windows
from hpcpinn.timestepping.window_lengths import WindowLengths
from hpcpinn.training.flow_map import ReactionState
from synthetic import y_cable
from tests.timestepping.test_motifs import K, at_rest, solver

GRID = cell_grid(y_cable(radii=(1.0, 0.63, 0.5), lengths=(200.0, 150.0, 100.0)).split([np.arange(1, 5) / 5] * 3))
REST = ReactionState(np.full(GRID.n, K.c_rest), np.full(GRID.n, K.b_rest))


@pytest.fixture(scope="module")
def one() -> SlotSolver:
    return replace(solver(), lengths=WindowLengths(multiple=4))


@pytest.fixture(scope="module")
def splitting(one: SlotSolver) -> Splitting:
    reaction, k = FlowMapReaction(shipped_flow_map(K)), reaction_constants(K)
    return Splitting(reaction, one.diffusion, jnp.asarray(GRID.ratio), binding=k)


def search(splitting: Splitting, tolerance: float) -> WindowSearch:
    excursion = Excursion.of_cytosol(GRID.volume, ReactionState.of(K.rest))
    return WindowSearch(splitting, excursion, tolerance=tolerance, longest=5.0, quiet=10.0)


def pulse_slot(one: SlotSolver) -> Slot:
    return next(slot for slot in slots(one.stimulus, one.onset, 56.0, longest=50.0) if slot.pulses)


def driven(one: SlotSolver, slot: Slot, begin: DriveState) -> tuple[InfluxTable, list[float]]:
    """The influx of a slot, at every tick, and when it fires."""
    course = one.course(slot, begin)
    return one.influx(course), course.firing


def test_windows_that_are_found_keep_their_tolerance_and_are_fewer_than_fixed_ones(
    one: SlotSolver, splitting: Splitting
) -> None:
    """Against windows of 0.05 ms all through: local errors can add up to no more than their number."""
    slot, begin = pulse_slot(one), at_rest(one)
    influx, firing = driven(one, slot, begin)
    sharp, _ = driven(replace(one, lengths=WindowLengths(first=0.05)), slot, begin)
    every = np.arange(2, sharp.ticks + 1, 2)
    truth, _ = splitting.advance(REST, plan_windows(every, sharp, one.diffusion))
    excursion = search(splitting, 1.0).excursion
    errors, counts = {}, {}
    for tolerance in (3e-3, 3e-4):
        ends = search(splitting, tolerance).ends(slot, influx, REST, firing)
        lengths = np.diff(ends, prepend=0)
        assert np.array_equal(lengths[::2], lengths[1::2])  # pairs: those twice as long end there, too
        assert ends[-1] == influx.ticks
        end, _ = splitting.advance(REST, plan_windows(ends, influx, one.diffusion))
        errors[tolerance] = excursion.error(ReactionState(*end), truth)
        counts[tolerance] = len(ends)
        assert errors[tolerance] < tolerance * len(ends) / 2
    assert errors[3e-3] < 2e-3
    fixed = one.lengths.ends(slot)
    end, _ = splitting.advance(REST, plan_windows(fixed, influx, one.diffusion))
    assert counts[3e-3] < counts[3e-4]
    assert counts[3e-3] < len(fixed)
    assert errors[3e-3] < 2.0 * excursion.error(ReactionState(*end), truth)


def test_windows_are_sought_twice_then_kept_until_they_are_worse(one: SlotSolver, splitting: Splitting) -> None:
    cache = MotifCache(one, 1.0, windows=WindowCache(search(splitting, 3e-3)))
    assert cache.windows is not None
    slot, begin = pulse_slot(one), at_rest(one)
    excited = ReactionState(REST.c * 4.0, REST.b * 0.97)
    first = cache.motif(slot, begin, REST)
    cache.judge(slot, 1e-3)
    second = cache.motif(slot, begin, excited)
    cache.judge(slot, 2e-3)
    assert not np.array_equal(first.ticks, second.ticks)
    third = cache.motif(slot, begin, REST)
    cache.judge(slot, 0.9 * WORSE * 3e-3)
    assert third is second and (cache.solved, cache.reused) == (2, 1)
    again = WindowCache(cache.windows.search)
    restore_windows(again, packed_windows(cache.windows))
    assert [*again.known] == [*cache.windows.known]
    assert np.array_equal(again.known[slot.kind].ends, second.ticks)
    assert not again.must_seek(slot)
    cache.judge(slot, 1.1 * WORSE * 3e-3)
    assert cache.windows.must_seek(slot)
    fourth = cache.motif(slot, begin, REST)
    assert fourth is not second and np.array_equal(fourth.ticks, first.ticks)


def test_windows_that_were_never_better_are_not_sought_again(one: SlotSolver, splitting: Splitting) -> None:
    """Where the shortest windows do not meet the tolerance, seeking them once more would not help."""
    cache = WindowCache(search(splitting, 3e-3))
    slot, begin = pulse_slot(one), at_rest(one)
    influx, firing = driven(one, slot, begin)
    for _ in range(2):
        cache.seek(slot, influx, REST, firing)
        cache.judge(slot, 10.0 * WORSE * 3e-3)
    cache.judge(slot, 11.0 * WORSE * 3e-3)
    assert not cache.must_seek(slot)
