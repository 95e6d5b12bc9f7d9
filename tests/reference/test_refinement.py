from dataclasses import replace

import numpy as np
import pytest

from hpcpinn.physics.constants import PRESETS
from hpcpinn.reference.forcing import EndFlux, Forcing, SynapticRelease
from hpcpinn.reference.price import price_of
from hpcpinn.reference.refinement import Norms, Task, settle
from tests.reference.cables import cylinder

K = PRESETS["seed"]


@pytest.fixture(scope="module")
def seed_task():
    """The seed cable in ten pieces of four recorded cells."""
    return Task(
        cable=cylinder().split([np.arange(1, 10) / 10.0]),
        constants=K,
        forcing=Forcing(ends=(EndFlux(0, 1.0),)),
        times=np.linspace(0.0, 1.0, 6),
        parts=4,
        points=(np.array([0, 9]), np.array([0.0, 1.0])),
        point_times=np.array([0.1, 0.5]),
    )


@pytest.fixture(scope="module")
def fine(seed_task):
    return seed_task.solve(256, 1e-9).extrapolated(seed_task.solve(128, 1e-9))


@pytest.fixture(scope="module")
def norms():
    return Norms(dict.fromkeys(K.species, np.full(40, np.pi * 0.05)), {"calcium": K.c_rest})


def judged(fine, error):
    c, b = fine.fields["calcium"], fine.fields["calbindin"]
    return {"calcium": c + error * (c - K.c_rest), "calbindin": b * (1.0 + error)}


def test_extrapolation_is_of_fourth_order(seed_task, fine, norms):
    errors = []
    for cells in (8, 16):
        pair = seed_task.solve(cells, 1e-9).extrapolated(seed_task.solve(cells // 2, 1e-9))
        errors.append(norms.error(pair.fields, fine)["calcium"])
    assert np.log2(errors[0] / errors[1]) > 3.5


@pytest.mark.parametrize("error", [1e-2, 1e-6])
def test_a_known_error_is_measured_by_a_reference_that_stands_still(seed_task, fine, norms, error):
    settled = settle(seed_task, judged(fine, error), norms)
    assert settled.still
    assert settled.error == pytest.approx({"calcium": error, "calbindin": error}, rel=0.1)
    assert max(settled.movement.values()) <= 0.1 * error


def test_better_results_ask_for_more_refinement(seed_task, fine, norms):
    cells = [settle(seed_task, judged(fine, error), norms).finest.cells.sum() for error in (1e-2, 1e-6)]
    assert cells[0] < cells[1]


def test_cells_are_cut_where_the_solution_bends(seed_task, norms):
    """A short release in the sixth piece: the far ends need no more cells."""
    patch = SynapticRelease(((5, 0.4, 0.6),), 0.0, 0.02, 50.0)
    slow = K.replace(D_c=1e-3, D_b=1e-3)
    task = replace(seed_task, constants=slow, forcing=Forcing(synapses=(patch,)), times=np.linspace(0.0, 0.1, 6))
    answer = task.solve(128, 1e-8)
    cells = settle(task, judged(answer, 1e-5), norms).finest.cells
    assert cells[5] == cells.max() >= 16
    assert cells[0] == cells[9] == task.parts


def test_small_errors_cost_least_by_extrapolation(seed_task, fine, norms):
    settled = settle(seed_task, judged(fine, 1e-6), norms)
    price = price_of(seed_task, settled, norms)
    assert price.method in ("extrapolated", "adapted")
    assert max(price.error.values()) <= max(settled.error.values())


def test_large_errors_cost_no_more_cells_than_are_recorded(seed_task, fine, norms, monkeypatch):
    solve = Task.solve

    def clocked(task, cells, tolerance):
        """Solves whose time is what is done in them: a clock would judge the machine."""
        answer = solve(task, cells, tolerance)
        steps = answer.solution.work.steps
        seconds = steps * np.sum(np.broadcast_to(cells, task.cable.n_frusta))
        return replace(answer, solution=replace(answer.solution, seconds=float(seconds)))

    monkeypatch.setattr(Task, "solve", clocked)
    settled = settle(seed_task, judged(fine, 3e-2), norms)
    price = price_of(seed_task, settled, norms)
    assert price.method == "uniform"
    assert price.cells <= seed_task.parts * 10
    assert price.tolerance >= 1e-4
    assert max(price.error.values()) <= 3.1e-2


def test_coarse_solves_report_the_recorded_cells(seed_task, fine, norms):
    errors = [norms.error(a.fields, fine)["calcium"] for a in (seed_task.solve(1, 1e-7), seed_task.solve(2, 1e-7))]
    assert seed_task.solve(1, 1e-3).fields["calcium"].shape == fine.fields["calcium"].shape
    assert 2.5 < errors[0] / errors[1] < 8.0


def test_points_are_followed_at_their_own_times(seed_task, fine):
    assert fine.points["calcium"].shape == (2, 2)
    assert fine.points["calcium"][1, 0] > fine.fields["calcium"][-1, 0] * 0.9
    assert fine.points["calcium"][0, 0] > fine.points["calcium"][0, 1]


def test_errors_frame_by_frame_leave_out_frames_at_rest(fine, norms):
    found = norms.per_frame(judged(fine, 1e-3), fine)
    c, b = found["calcium"], found["calbindin"]
    assert c[0] == 0.0
    np.testing.assert_allclose(c[1:], 1e-3, rtol=1e-6)
    np.testing.assert_allclose(b, 1e-3, rtol=1e-6)
