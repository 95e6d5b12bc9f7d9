"""What the pictures show, read back from what is drawn."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import read
from hpcpinn.io.geometry import Tree
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.sidecar import FINITE_VOLUMES, Reference, Solution, write_reference
from hpcpinn.report.canvas import frame_spacing, moment, time_label
from hpcpinn.systems.cell.pictures.cell import cells_into, draw_cell, frames_at, telling_frames
from hpcpinn.systems.cell.pictures.cell_outline import outlines
from hpcpinn.systems.cell.pictures.change import change_of, shading_of
from hpcpinn.systems.cell.pictures.convergence import draw_convergence, jumps_by_window
from hpcpinn.systems.cell.pictures.gallery import draw_all
from hpcpinn.systems.cell.pictures.kymograph import (
    coarser,
    fill_between,
    hot_place,
    kymograph_into,
    liveliest_tip,
    path_to_tip,
    strip_along,
)
from hpcpinn.systems.cell.pictures.summary import summary_lines
from hpcpinn.systems.cell.pictures.traces import traces_into
from hpcpinn.systems.cell.pictures.tree import cell_ends
from tests.io import runs
from tests.io.runs import FIELDS
from tests.systems.cell.pictures.synthetic import with_fields

APICAL_TIP, BASAL_TIP = 10, 6


@pytest.fixture
def result(communicator, tmp_path):
    """Four windows, eight frames; calcium at rest but for a release at the basal tip at time 2."""
    with ResultWriter(tmp_path / "run.h5", communicator, runs.header(1)) as writer:
        for index in range(4):
            runs.write_window(writer, index)
    run = read(tmp_path / "run.h5")
    calcium = np.full_like(run.calcium, 0.05)
    calcium[run.time == 2.0, runs.CELLS_PER_PIECE * BASAL_TIP + 1] = 3.0
    return with_fields(run, calcium=calcium)


def test_the_path_runs_from_the_root_to_the_tip(result):
    assert path_to_tip(result.cable, APICAL_TIP).tolist() == [0, 1, 2, 7, 8, 9, 10]
    assert path_to_tip(result.cable, 0).tolist() == [0]


def test_the_kymograph_follows_the_calcium(result):
    assert liveliest_tip(result) == BASAL_TIP
    quiet = with_fields(result, calcium=np.full_like(result.calcium, 0.05))
    assert liveliest_tip(quiet) == APICAL_TIP  # all ways alike: the longest
    trunk = quiet.calcium.copy()
    trunk[3, 2] = 1.0
    assert liveliest_tip(with_fields(quiet, calcium=trunk)) == APICAL_TIP


def test_a_strip_holds_the_cells_of_its_pieces_in_order(result):
    pieces = path_to_tip(result.cable, BASAL_TIP)
    strip = strip_along(result, pieces)
    assert strip.tip == "dend[0]"
    assert strip.origin == "soma"
    expected = np.concatenate([result.calcium[:, 3 * piece : 3 * piece + 3] for piece in pieces], axis=1)
    np.testing.assert_array_equal(strip.change, expected - expected[0])
    np.testing.assert_allclose(np.diff(strip.edges), np.repeat(result.cable.length[pieces] / 3, 3), rtol=1e-12)


def test_a_small_hot_place_is_shown_close_up(result):
    strip = strip_along(result, path_to_tip(result.cable, BASAL_TIP))
    long_path = dataclasses.replace(strip, edges=np.r_[0.0, strip.edges[1:] + 1000.0])
    hot = int(strip.change.max(axis=0).argmax())
    first, last = long_path.edges[hot : hot + 2]
    low, high = hot_place(long_path)
    assert low < first < last <= high <= long_path.edges[-1]
    assert first - low == pytest.approx(5.0 * (last - first))
    everywhere = dataclasses.replace(strip, change=np.outer(np.arange(8.0), np.ones(len(strip.edges) - 1)))
    assert hot_place(everywhere) is None
    rest = dataclasses.replace(strip, change=np.zeros_like(strip.change))
    assert hot_place(rest) is None


def test_a_rise_begins_at_the_last_frame_before_it(result):
    figure = Figure()
    kymograph_into(figure, result)
    strip = strip_along(result, path_to_tip(result.cable, BASAL_TIP))
    (mesh,) = (m for m in figure.axes[1].collections if hasattr(m, "get_coordinates"))
    borders = mesh.get_coordinates()[0, :, 0]
    middles = 0.5 * (borders[1:] + borders[:-1])
    hot = int(strip.change.max(axis=0).argmax())
    drawn = mesh.get_array()[hot]
    assert (borders[0], borders[-1]) == (result.time[0], result.time[-1])
    assert np.ptp(drawn[middles < 1.5]) < 1e-12  # at rest up to the frame before
    assert np.all(np.diff(drawn[(middles > 1.5) & (middles < 2.0)]) > 0.0)
    np.testing.assert_allclose(drawn, np.interp(middles, result.time, strip.change[:, hot]), rtol=1e-12)


def test_long_ways_are_drawn_coarser_and_keep_their_largest_changes(result):
    strip = strip_along(result, path_to_tip(result.cable, BASAL_TIP))
    few = coarser(strip, 5)
    assert few.change.shape[1] == len(few.edges) - 1 == 5
    assert few.edges[[0, -1]].tolist() == strip.edges[[0, -1]].tolist()
    assert few.change.max() == strip.change.max()
    below = coarser(dataclasses.replace(strip, change=-strip.change), 5)
    np.testing.assert_array_equal(below.change, -few.change)
    assert coarser(strip, 100) is strip


def test_frames_of_unlike_distance_keep_their_times():
    time = np.array([0.0, 1.0, 11.0])
    borders, values = fill_between(time, np.array([[0.0], [2.0], [3.0]]))
    assert np.isin(time, borders).all()
    middles = 0.5 * (borders[1:] + borders[:-1])
    np.testing.assert_allclose(values[:, 0], np.interp(middles, time, [0.0, 2.0, 3.0]), atol=1e-12)


def test_the_voltage_says_where_it_is_measured(result):
    figure = Figure()
    kymograph_into(figure, result)
    assert figure.axes[0].get_title(loc="left") == "voltage at the soma"
    (line,) = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), result.probes.voltage[:, 0])


def test_the_cell_is_drawn_to_scale_in_its_place(result):
    xy = cell_ends(result, result.cable.xyz[..., :2])
    np.testing.assert_allclose(xy.mean(axis=1), result.cells.xyz[:, :2], atol=1e-12)
    radius = cell_ends(result, result.cable.radius[..., None])[..., 0]
    corners = outlines(xy, radius)
    # Area of a trapezium: the projection of the frustum.
    x, y = corners[..., 0], corners[..., 1]
    area = 0.5 * np.abs(np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1), axis=1))
    length = np.linalg.norm(xy[:, 1] - xy[:, 0], axis=1)
    np.testing.assert_allclose(area, length * radius.sum(axis=1), rtol=1e-12)


def test_panels_share_one_scale_and_show_the_values_of_their_frame(result):
    figure = Figure()
    frames = np.array([0, 3])
    change = change_of(result)
    shading = shading_of(result, change, frames)
    cells_into(figure, result, change, frames, shading)
    for axes, frame in zip(figure.axes, frames, strict=False):
        lines, _, polygons = axes.collections
        for drawn in (lines, polygons):
            assert drawn.norm is shading.scale
            np.testing.assert_array_equal(drawn.get_array(), np.sort(result.calcium[frame] - result.calcium[0]))


def test_telling_frames_hold_the_peak_and_keep_apart(result):
    calcium = result.calcium.copy()
    calcium[0], calcium[6:, :9] = 0.05, 0.09
    frames = telling_frames(result, change_of(with_fields(result, calcium=calcium)), 3)
    assert result.time[3] == 2.0
    assert len(frames) == 2 and 3 in frames
    assert np.diff(result.time[frames]).min() > np.ptp(result.time) / 6
    none = {name: values[:0] for name, values in result.fields.items()}
    empty = dataclasses.replace(result, time=result.time[:0], fields=none)
    with pytest.raises(InputError, match="run.h5: has no frames"):
        change_of(empty)


def test_frames_that_look_alike_or_show_nothing_but_rest_are_left_out(result):
    assert telling_frames(result, change_of(result)).tolist() == [3], "the release; all else is at rest"
    twice = result.calcium.copy()
    twice[6:8, 5] = 2.0
    frames = telling_frames(result, change_of(with_fields(result, calcium=twice)))
    assert len(frames) == 2 and 3 in frames, "two releases, once each"
    quiet = with_fields(result, calcium=np.full_like(result.calcium, 0.05))
    assert telling_frames(quiet, change_of(quiet)).tolist() == [7]


def test_times_outside_the_run_are_refused(result):
    assert frames_at(result, [0.6, 4.0]).tolist() == [0, 7]
    with pytest.raises(InputError, match="--times 9: .*run.h5 holds 0.5 to 4; choose"):
        frames_at(result, [9.0])


def test_traces_are_those_of_the_probes_with_the_reference_on_top(result):
    probes = result.probes
    at_probes = {"calcium": probes.calcium + 1, "calbindin": probes.calbindin + 2}
    shifted = Reference(result.time, probes.time, {FINITE_VOLUMES: Solution(result.fields, at_probes)})
    figure = Figure()
    traces_into(figure, result, shifted)
    shown = {axes.get_ylabel(): [line.get_ydata() for line in axes.lines] for axes in figure.axes}
    for name, more in (("calcium", 1), ("calbindin", 2)):
        lines = shown[f"{name} (µM)"]
        np.testing.assert_array_equal(lines[:3], getattr(probes, name).T)
        np.testing.assert_array_equal(lines[3:], getattr(probes, name).T + more)
    np.testing.assert_array_equal(shown["voltage (mV)"], probes.voltage.T)


def test_sweeps_are_counted_through_the_newton_steps_of_a_window(result):
    shuffled = {
        "window": np.array([1, 0, 0, 1, 0]),
        "newton": np.array([0, 1, 0, 0, 0]),
        "sweep": np.array([1, 0, 1, 0, 0]),
        "jump": np.array([5.0, 3.0, 2.0, 4.0, 1.0]),
    }
    jumps = jumps_by_window(dataclasses.replace(result, sweeps=shuffled))
    assert {window: values.tolist() for window, values in jumps.items()} == {0: [1, 2, 3], 1: [4, 5]}


def convergence_axes(result, monkeypatch, tmp_path):
    """The axes of the convergence picture by their label of y."""
    figure = Figure(layout="constrained")
    monkeypatch.setattr("hpcpinn.systems.cell.pictures.convergence.canvas", lambda *_: nullcontext(figure))
    draw_convergence(tmp_path / "convergence.png", result)
    return {axes.get_ylabel(): axes for axes in figure.axes}


def test_a_long_run_is_told_in_seconds_or_minutes(result):
    def lasting(milliseconds):
        times = result.time / result.time[-1] * milliseconds
        return dataclasses.replace(result, time=times, windows={name: x[:0] for name, x in result.windows.items()})

    assert moment(lasting(50.0), 12.5) == "12.5 ms"
    assert (moment(lasting(12e3), 15.7), moment(lasting(6e5), 1500.0)) == ("15.7 ms", "1.5 s")
    assert (moment(lasting(12e3), 1860.6), frame_spacing(lasting(12e3))) == ("1.861 s", "1.5 s")
    assert (moment(lasting(6e5), 9e4), time_label(lasting(6e5))) == ("1.5 min", "time (min)")
    assert (time_label(lasting(999.0)), time_label(lasting(1500.0))) == ("time (ms)", "time (s)")
    without = dataclasses.replace(lasting(12e3), units={})
    assert (moment(without, 3000.0), time_label(without)) == ("t = 3000", "time")


def test_what_is_too_small_to_matter_is_left_out_and_said(result, monkeypatch, tmp_path):
    windows = result.windows | {"balance": np.array([0.0, 1e-9, 1e-30, -1e-8])}
    sweeps = result.sweeps | {"jump": np.where(result.sweeps["sweep"] == 2, 0.0, 1e-3)}
    config = result.config | {"window": {"tolerance": 2e-3}, "schwarz": {"jump_tolerance": 3e-5}}
    changed = dataclasses.replace(result, windows=windows, sweeps=sweeps, config=config)
    axes = convergence_axes(changed, monkeypatch, tmp_path)
    errors, jumps = axes["relative, per window"], axes["interface jump, relative"]
    (balance,) = (line for line in errors.lines if line.get_label() == "calcium balance")
    np.testing.assert_array_equal(balance.get_ydata(), [np.nan, 1e-9, np.nan, 1e-8])
    assert [text.get_text() for text in errors.texts] == ["tolerance 0.002", "2 values below 1e-10 left out"]
    assert [text.get_text() for text in jumps.texts] == ["tolerance 3e-05", "4 values below 1e-09 left out"]
    legend = [text.get_text() for text in axes["wall time (s)"].get_legend().get_texts()]
    assert "exchange 0.4 s, 16.4 %" in legend


def test_a_single_window_can_be_seen(result, monkeypatch, tmp_path):
    one = {name: column[:1] for name, column in result.windows.items()}
    only = dataclasses.replace(result, windows=one, config={"window": {"kind": "split", "tolerance": 2e-5}})
    axes = convergence_axes(only, monkeypatch, tmp_path)
    estimate, tolerance = axes["error estimate"].lines
    assert (estimate.get_marker(), set(tolerance.get_ydata())) == ("o", {2e-5})
    assert axes["error estimate"].get_ylim()[1] > 2e-5
    edges = axes["wall time (s)"].collections[0].get_paths()[0].vertices[:, 0]
    assert np.ptp(edges) == pytest.approx(one["length"][0]), "an area, no stroke"
    sweeps = {name: column[result.sweeps["window"] == 0] for name, column in result.sweeps.items()}
    coupled = dataclasses.replace(only, sweeps=sweeps, config={})
    lengths = convergence_axes(coupled, monkeypatch, tmp_path)["window length (ms)"]
    shown = [tick for tick in lengths.get_yticks() if lengths.get_ylim()[0] <= tick <= lengths.get_ylim()[1]]
    assert len(shown) >= 2 and lengths.yaxis.get_major_formatter()(0.5) == "0.5"


def test_split_windows_show_no_sweeps(result, monkeypatch, tmp_path):
    split = dataclasses.replace(result, config={"window": {"kind": "split"}})
    axes = convergence_axes(split, monkeypatch, tmp_path)
    assert list(axes) == ["error estimate", "wall time (s)"]
    (estimate,) = axes["error estimate"].lines
    np.testing.assert_array_equal(estimate.get_ydata(), result.windows["error_estimate"])
    text = "\n".join(summary_lines(split))
    assert "split windows in 4 stretches of the protocol, of 1 to 1 ms, error estimate at most 1.0e-05" in text
    assert "sweeps" not in text


def test_everything_is_drawn_from_the_file(result, tmp_path):
    write_reference(
        result,
        {FINITE_VOLUMES: Solution(result.fields, result.probes.fields)},
    )
    drawn, left_out = draw_all(read(result.path), tmp_path / "pictures", suffix="pdf")
    assert [path.name for path in drawn] == [
        f"{name}.pdf" for name in ("overview", "cell", "voltage", "kymograph", "traces", "convergence")
    ]
    assert all(path.read_bytes().startswith(b"%PDF") for path in drawn)
    assert left_out == ["no partition: one rank computed the whole cell"]
    shared = dataclasses.replace(
        result,
        attributes=result.attributes | {"ranks": 2},
        geometry=dataclasses.replace(result.tree, owner=np.arange(11) % 2),
    )
    assert "partition.pdf" in [path.name for path in draw_all(shared, tmp_path / "shared", suffix="pdf")[0]]


def test_what_cannot_be_drawn_yet_is_said(communicator, tmp_path):
    ResultWriter(tmp_path / "run.h5", communicator, runs.header(1)).close(complete=False)
    drawn, left_out = draw_all(read(tmp_path / "run.h5"), tmp_path)
    assert drawn == []
    (said,) = left_out
    assert said.startswith("no frame yet: the run has not come to its first output") and "--resume auto" in said
    empty = dataclasses.replace(read(tmp_path / "run.h5"), config={"run": {"output_interval": 1.0}})
    assert "its first output at 1 ms; let it go on" in draw_all(empty, tmp_path)[1][0]
    with pytest.raises(InputError, match="has no probe samples; let the run go on, then plot"):
        traces_into(Figure(), empty, None)


def test_a_dimensionless_straight_cable_without_probes_can_be_drawn(communicator, tmp_path):
    header = dataclasses.replace(runs.header(1), probes=(), dimensionless=True)
    cable = header.cable.take(np.arange(3))
    header = dataclasses.replace(header, geometry=Tree(cable, np.zeros(3, int), runs.CELLS_PER_PIECE))
    with ResultWriter(tmp_path / "run.h5", communicator, header) as writer:
        for time in (0.0, 0.5, 1.0):
            writer.frame(time, {name: runs.frame(name, time)[:3] + 2.0 for name in FIELDS})
        writer.windows([runs.window(0)])
    drawn, left_out = draw_all(read(tmp_path / "run.h5"), tmp_path, times=[1.0])
    assert [path.stem for path in drawn] == ["overview", "cell", "voltage", "kymograph", "convergence"]
    assert [reason.split(":")[0] for reason in left_out] == ["no partition", "no traces"]


def test_a_picture_that_cannot_be_written_is_one_line(result, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/cell.png: the picture cannot be written"):
        draw_cell(tmp_path / "file" / "cell.png", result)
    with pytest.raises(OutputError, match="convergence.xyz: the picture cannot be written"):
        draw_convergence(tmp_path / "convergence.xyz", result)


def test_the_summary_counts_what_the_file_holds(result):
    text = "\n".join(summary_lines(result))
    for fact in (
        "complete, 8 frames up to 4 ms",
        "2 sections, 11 pieces, 33 cells, 1 rank,",
        "4 windows of 1 to 1 ms, 2 rejected, 8 Newton steps, 26 sweeps (at most 8 in a window)",
        "error estimate 1.0e-05, interface jump 1.0e-06, calcium balance 1.0e-09",
    ):
        assert fact in text
