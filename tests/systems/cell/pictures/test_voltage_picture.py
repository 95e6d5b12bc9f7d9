"""The voltage on the tree."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcpinn.errors import InputError
from hpcpinn.systems.cell.pictures.cell import cells_into
from hpcpinn.systems.cell.pictures.change import change_of
from hpcpinn.systems.cell.pictures.gallery import draw_all
from hpcpinn.systems.cell.pictures.voltage import colours_of, draw_voltage, first_action_potential, voltage_frames
from tests.systems.cell.pictures.synthetic import run_of, with_fields


def firing(result, frames, probes=None):
    """The result with the voltage at rest, −65 mV, but for some frames and samples of the second probe."""
    voltage = np.full_like(result.voltage, -65.0)
    for frame, values in frames.items():
        voltage[frame] = values
    seen = np.full_like(result.probes.voltage, -65.0)
    for sample, value in (probes or {}).items():
        seen[sample, 1] = value
    return dataclasses.replace(with_fields(result, voltage=voltage), probes=with_fields(result.probes, voltage=seen))


@pytest.fixture
def result(communicator, tmp_path):
    """Frames every 0.5 ms and samples every 0.25 ms, to 4 ms."""
    return run_of(communicator, tmp_path)


def test_the_first_action_potential_is_where_a_probe_comes_up_through_zero(result):
    fired = firing(result, {}, {4: -10.0, 5: 30.0, 9: 40.0})
    time, where = first_action_potential(fired)
    assert (time, where) == (pytest.approx(1.25 + 0.25 * 0.25), "probe tip")
    assert first_action_potential(firing(result, {3: -20.0})) is None
    time, where = first_action_potential(firing(result, {3: np.where(np.arange(33) == 20, 20.0, -65.0)}))
    assert (time, where) == (pytest.approx(1.5 + 0.5 * 65.0 / 85.0), "dend[0]")


def test_frames_are_the_first_action_potential_the_highest_and_the_one_that_moved_most(result):
    fired = firing(result, {2: -20.0, 4: 25.0, 6: -175.0}, {5: 30.0})
    frames = voltage_frames(fired, change_of(fired, "voltage"))
    assert frames.tolist() == [2, 4, 6], "at 1.5 ms (the probe fires at 1.42), at 2.5 and at 3.5"
    quiet = firing(result, {3: -65.01})
    assert voltage_frames(quiet, change_of(quiet, "voltage")).tolist() == [7]


def test_an_action_potential_is_shown_as_voltage_and_a_small_one_as_its_change(result):
    large = firing(result, {4: np.linspace(-60.0, 30.0, 33)})
    change = change_of(large, "voltage")
    shown, shading = colours_of(large, change, np.array([4]))
    figure = Figure()
    cells_into(figure, large, shown, np.array([4]), shading)
    assert shading.label == "voltage (mV)" and (shading.scale.vmin, shading.scale.vmax) == (-60.0, 30.0)
    lines, _, polygons = figure.axes[0].collections
    for drawn in (lines, polygons):
        np.testing.assert_allclose(drawn.get_array(), np.linspace(-60.0, 30.0, 33))
    small = firing(result, {4: np.linspace(-67.0, -63.0, 33)})
    shown, shading = colours_of(small, change_of(small, "voltage"), np.array([4]))
    assert shading.label == "change of voltage from rest (mV)\nrest: −65 mV"
    assert (shading.scale.vmin, shading.scale.vmax) == (-2.0, 2.0)


def test_what_frames_miss_of_the_voltage_is_said(result):
    missed = firing(result, {4: -50.0}, {5: 41.0})
    _, shading = colours_of(missed, change_of(missed, "voltage"), np.array([4]))
    assert shading.remark.splitlines() == [
        "first action potential at 1.403 ms, probe tip",
        "largest of the frames; probes saw up to 41 mV between them",
    ]


def test_a_constant_voltage_is_no_picture(result, tmp_path):
    constant = firing(result, {})
    assert "voltage.png" not in {path.name for path in draw_all(constant, tmp_path / "p")[0]}
    with pytest.raises(InputError, match="its voltage is -65 mV everywhere and always"):
        draw_voltage(tmp_path / "voltage.png", constant)
