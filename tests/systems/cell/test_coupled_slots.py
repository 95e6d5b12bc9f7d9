"""Coupled slots of mixed runs: they do what fine split windows do, at the same nodes, and leave rest alone."""

from dataclasses import replace

import numpy as np
import pytest

from hpcpinn.systems.cell.build.long import slot_setup
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.slot_setup import SlotSetup
from hpcpinn.timestepping.motifs import Motif
from hpcpinn.training.flow_map import ReactionState

LENGTH = 2.0


@pytest.fixture(scope="module")
def problem() -> SlotSetup:
    """A quiet cell with a release on a branch."""
    return slot_setup(load_config(None, [
        "morphology.file=builtin:y_branch", "pieces.max_length=15", "run.duration=12.0", 'window.kind="mixed"',
        'synapse=[{site="dend[1](0.5)", start=2.0, flux=100.0}]', f"split.coupled_for={LENGTH}",
        "split.first=0.02",
    ]))  # fmt: skip


@pytest.fixture(scope="module")
def motif(problem: SlotSetup) -> Motif:
    slot = next(slot for slot in problem.slots if slot.coupled)
    assert (slot.start, slot.duration) == (2.0, LENGTH)
    return problem.solver.solve(slot, problem.drive)


def bump(problem: SlotSetup) -> ReactionState:
    """Different at every point."""
    share = np.linspace(0.1, 0.9, len(problem.volume))
    return ReactionState(problem.rest.c * (1.0 + share), problem.rest.b * (1.0 - 0.1 * share))


@pytest.mark.slow
def test_coupled_windows_do_what_fine_split_ones_do(problem: SlotSetup, motif: Motif) -> None:
    """Calcium, calbindin, and how much came in: 1e-3 is what windows and flow map are good for."""
    assert problem.coupled is not None
    begin, last = problem.rest, len(motif.ends) - 1
    rows = np.array([last // 2, last])
    end, frames, work = problem.coupled.follow(begin, motif, rows)
    split = problem.solver.solve(replace(motif.slot, coupled=False), problem.drive)
    wanted, seen, _ = problem.splitting.follow(begin, split.plan, rows)
    assert np.array_equal(split.ends, motif.ends)
    assert work.windows > 3 and 0.0 < work.error <= 1e-3
    volume = problem.volume
    for name in ("c", "b"):
        mine, other = (np.asarray(getattr(x, name)) for x in (frames, seen))
        away, apart = other - np.asarray(getattr(problem.rest, name)), mine - other
        assert np.all(np.sqrt(apart**2 @ volume) < 2e-3 * np.sqrt(away**2 @ volume)), name
        np.testing.assert_allclose(mine[-1], getattr(end, name), rtol=1e-10)
    content = [volume @ np.asarray(state.c - state.b) for state in (begin, end, wanted)]
    assert content[1] - content[0] == pytest.approx(content[2] - content[0], rel=1e-3)


def test_the_state_is_handed_over_as_it_is(problem: SlotSetup, motif: Motif) -> None:
    """What the first window begins with, back among the points of split windows: the same bits, and content."""
    coupled = problem.coupled
    assert coupled is not None
    begin = bump(problem)
    state = coupled._begun(begin, 0.0)
    back = np.asarray(state.field)[np.argsort(coupled.order)]
    for species, values in enumerate(begin.species):
        assert np.array_equal(back[:, species].ravel(), values)
    assert not np.array_equal(coupled.order, np.arange(len(coupled.order)))  # red before black
    drive = coupled.drive.window(motif.slot, motif.channels, 0.0, 2e-5)
    assert not np.asarray(drive.end_flux).any()


def test_rest_stays_at_rest(problem: SlotSetup, motif: Motif) -> None:
    assert problem.coupled is not None
    slot = replace(motif.slot, acting=())
    end, _, _ = problem.coupled.follow(problem.rest, problem.solver.solve(slot, problem.drive), np.zeros(0, int))
    np.testing.assert_allclose(end.c, problem.rest.c, rtol=1e-10)
    np.testing.assert_allclose(end.b, problem.rest.b, rtol=1e-12)
