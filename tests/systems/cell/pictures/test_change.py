"""What counts as change, the colours that show it, and how numbers are written."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure

from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell.pictures.cell import cells_into, telling_frames, titles_of
from hpcpinn.systems.cell.pictures.change import change_of, colour_bar, floor_of, missed, number, quiet_axis, shading_of
from hpcpinn.systems.cell.pictures.kymograph import kymograph_into
from hpcpinn.systems.cell.pictures.traces import traces_into
from hpcpinn.systems.cell.recorded import fields_of
from tests.systems.cell.pictures.synthetic import run_of, with_calcium, with_fields

CALCIUM, CALBINDIN, VOLTAGE = fields_of(PRESETS["physical-N"])


def shading_for(result):
    return shading_of(result, change_of(result))


def test_noise_is_rest_and_has_no_colour_bar(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    noise = 0.05 + 3e-7 * np.random.default_rng(0).standard_normal(result.calcium.shape)
    quiet = with_calcium(result, noise)
    shading = shading_for(quiet)
    assert shading.note == "at rest: calcium moves by less than 0.0005 µM"
    assert np.all(np.asarray(shading.scale(change_of(quiet).values)) == 0.0), "all in the colour of rest"
    figure = Figure()
    cells_into(figure, quiet, change_of(quiet), telling_frames(quiet, change_of(quiet)), shading)
    assert len(figure.axes) == 1, "one tree and no colour bar"
    assert figure.legends[0].get_title().get_text() == shading.note
    kymograph = Figure()
    kymograph_into(kymograph, quiet, voltage=False)
    assert [text.get_text() for axes in kymograph.axes for text in axes.texts] == [shading.note]
    assert len(kymograph.axes) == 1, "neither a close-up of noise nor a bar"


def test_frames_at_rest_between_which_probes_saw_something_are_said_to_be_so(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    result = with_calcium(result, np.full_like(result.calcium, 0.05), probes=False)
    seen = np.full_like(result.probes.calcium, 0.05)
    seen[3, 1] = 3.35
    result = dataclasses.replace(result, probes=with_fields(result.probes, calcium=seen))
    assert shading_for(result).note == (
        "at rest: calcium moves by less than 0.0005 µM in the frames\n"
        "(probes, recorded more often, see it move by 3.3 µM)"
    )


@pytest.mark.parametrize(
    ("changes", "kind", "ends"),
    [
        ({3: 0.2, 4: 0.3, 5: 0.25}, Normalize, (0.0, 0.3)),  # all cells alike
        ({3: 3.0}, LogNorm, (0.003, 3.0)),  # one cell far above the rest
        ({3: -3.0}, SymLogNorm, (-3.0, 3.0)),
    ],
)
def test_scales_come_from_what_happened(communicator, tmp_path, changes, kind, ends):
    result = run_of(communicator, tmp_path)
    calcium = np.full_like(result.calcium, 5.0)
    for frame, change in changes.items():
        calcium[frame, slice(None) if kind is Normalize else 7] += change
    shading = shading_for(with_calcium(result, calcium))
    assert type(shading.scale) is kind and shading.note == ""
    floor = floor_of(CALCIUM, 5.0)
    assert (shading.scale.vmin, shading.scale.vmax) == pytest.approx(
        (max(ends[0], floor) if kind is LogNorm else ends[0], ends[1])
    )
    said = "change of calcium from rest (µM)" if kind is SymLogNorm else "calcium above rest (µM)"
    assert shading.label == f"{said}\nrest: 5 µM"


def test_what_probes_saw_between_frames_is_said_below_the_trees(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    calcium = np.full_like(result.calcium, 0.05)
    calcium[3] = 0.072
    result = with_calcium(result, calcium)

    def seeing(most):
        seen = np.full_like(result.probes.calcium, 0.05)
        seen[3, 1] = most
        return dataclasses.replace(result, probes=with_fields(result.probes, calcium=seen))

    said = "largest of the frames; probes saw up to 0.62 µM between them"
    assert missed(seeing(0.6231), "calcium") == shading_for(seeing(0.6231)).remark == said
    assert missed(seeing(0.0735), "calcium") == "", "less than a tenth of the rise above it"
    page = Figure()
    draw = seeing(0.6231)
    cells_into(page, draw, change_of(draw), np.array([3]), shading_for(draw))
    assert page.legends[0].get_title().get_text() == said
    assert titles_of(draw, change_of(draw), np.array([2, 3])) == ["1.5 ms", "2 ms (highest frame)"]
    fallen = with_calcium(result, 0.1 - calcium)
    assert titles_of(fallen, change_of(fallen), np.array([3])) == ["2 ms (lowest frame)"]


def test_a_lone_tree_stands_in_the_middle_of_its_page(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    calcium = np.full_like(result.calcium, 0.05)
    calcium[3] = 0.5
    result = with_calcium(result, calcium)
    page = Figure(figsize=(4.5, 4.0), layout="constrained")
    cells_into(page, result, change_of(result), np.array([3]), shading_for(result))
    page.draw_without_rendering()
    box = page.axes[0].get_position()
    assert 0.5 * (box.x0 + box.x1) == pytest.approx(0.43, abs=0.06), "the bar is at the right"


def test_where_cells_rest_at_unlike_values_the_bar_says_since_when(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    rest = np.where(np.arange(result.calcium.shape[1]) < 9, 1.0, 3.0)
    calcium = np.tile(rest, (len(result.time), 1))
    calcium[3] += 1.0
    assert shading_for(with_calcium(result, calcium)).label == "calcium above its value at 0.5 ms (µM)"


def test_a_bar_has_plain_numbers(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    calcium = np.full_like(result.calcium, 0.05)
    calcium[3, 7] = 1.25
    figure = Figure()
    colour_bar(figure, shading_for(with_calcium(result, calcium)), figure.subplots())
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert labels == ["≤ 0.002", "0.01", "0.1", "1"]


def test_curves_that_do_not_move_are_lines(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    noise = 1e-7 * np.random.default_rng(1).standard_normal(result.probes.calcium.shape)
    probes = with_fields(result.probes, calcium=0.05 + noise, voltage=-70.0 + noise, calbindin=149.0 + noise)
    figure = Figure()
    traces_into(figure, dataclasses.replace(result, probes=probes), None)
    calcium, calbindin = figure.axes
    assert calcium.get_ylim() == pytest.approx((0.045, 0.055), rel=1e-3)
    assert calbindin.get_ylim() == pytest.approx((148.8, 149.2), rel=1e-3)
    assert [text.get_text() for text in calcium.texts] == ["at rest: moves by less than 0.0005 µM"]


def test_an_axis_of_what_moves_is_left_alone():
    axes = Figure().subplots()
    axes.plot([0.05, 0.06])
    before = axes.get_ylim()
    assert not quiet_axis(axes, CALCIUM, np.array([0.05, 0.06]), "µM")
    assert axes.get_ylim() == before


def test_floors_can_be_said():
    assert floor_of(CALCIUM, 0.05) == 0.0005
    assert floor_of(CALBINDIN, 149.38574) == 0.02
    assert floor_of(VOLTAGE, -65.0) == 0.1
    assert floor_of(CALCIUM, 0.0) > 0.0
    assert [number(x) for x in (0.0005, 0.1, 3.0, 1200.0, 0.0)] == ["0.0005", "0.1", "3", "1200", "0"]
    assert (number(1.5e-9), number(-0.25)) == ("1.5e−09", "−0.25")
