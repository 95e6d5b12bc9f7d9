"""The page of a long protocol: its pulses, its moments, and the numbers in its curves."""

import dataclasses
import json

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.results import ResultWriter
from hpcpinn.systems.cell.build.stimulus import stimulus_of
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.pictures.change import change_of
from hpcpinn.systems.cell.pictures.gallery import draw_all
from hpcpinn.systems.cell.pictures.protocol import (
    _draw_against_time,
    curves_of,
    draw_protocol,
    means_by_kind,
    telling_moments,
)
from hpcpinn.systems.cell.pictures.stimulation import protocol_of, pulses_within
from tests.io import runs
from tests.systems.cell.pictures.synthetic import with_fields

TRAINS = {"pulses": 2, "bursts": 2, "trains": 4, "pulse_interval": 0.1, "burst_interval": 0.5, "train_interval": 2.0}
"""Pulses at 0, 0.1, 0.5, 0.6 and the same 2, 4 and 6 later."""


def split_config(**stimulation) -> dict:
    tables = {"field": {"magnitude": 100.0}, "window": {"kind": "split"}, "stimulation": stimulation}
    return json.loads(RunConfig.model_validate(tables).to_json())


@pytest.fixture
def result(communicator, tmp_path):
    """Sixteen frames every 0.5 ms, up to 8 ms; four trains from 0.5 ms on."""
    header = dataclasses.replace(runs.header(1), config=json.dumps(split_config(**TRAINS, start=0.5)))
    with ResultWriter(tmp_path / "run.h5", communicator, header) as writer:
        for index in range(8):
            runs.write_window(writer, index)
    return read(tmp_path / "run.h5")


@pytest.mark.parametrize(
    "stimulation",
    [
        {"protocol": "iTBS600"},
        {"protocol": "cTBS600"},
        {},
        {"pulses": 3, "pulse_interval": 20.0},
        {"trains": 3, "train_interval": 500.0},
        {"bursts": 5, "burst_interval": 100.0},
        {key: 20 * value if key.endswith("interval") else value for key, value in TRAINS.items()},
    ],
)
def test_the_pulses_are_those_that_the_run_was_driven_by(stimulation):
    config = split_config(**stimulation)
    solved = stimulus_of(RunConfig.model_validate_json(json.dumps(config)))
    np.testing.assert_array_equal(protocol_of(config).pulse_times(), solved.pulse_times)


def test_without_a_field_there_are_no_pulses():
    config = split_config() | {"field": {"magnitude": None, "file": None}}
    assert protocol_of(config) is None
    assert protocol_of({}) is None


def test_pulses_up_to_where_the_run_breaks_off(result):
    onsets = pulses_within(result, protocol_of(result.config), 4.65)
    np.testing.assert_allclose(onsets, [0.5, 0.6, 1.0, 1.1, 2.5, 2.6, 3.0, 3.1, 4.5, 4.6])


def moments(result, mean, protocol):
    """Times and names of the trees of a run whose calcium above rest is the same all over the tree."""
    calcium = 0.05 + np.asarray(mean)[:, None] * np.ones(result.calcium.shape[1])
    changed = with_fields(result, calcium=calcium)
    shown = telling_moments(changed, change_of(changed), protocol)
    return [(float(result.time[frame]), said) for frame, said in shown]


def test_the_trees_stand_at_the_peaks_of_the_first_the_middle_and_the_last_train(result):
    mean = np.zeros(16)
    mean[[2, 5, 8, 14]] = 0.2, 0.3, 0.9, 0.4  # at 1.5, 3, 4.5 and 7.5 ms; trains begin at 0.5, 2.5, 4.5 and 6.5
    assert moments(result, mean, protocol_of(result.config)) == [
        (1.5, "train 1"), (3.0, "train 2"), (7.5, "train 4")
    ]  # fmt: skip
    one_train = protocol_of(split_config(pulses=1, bursts=7, burst_interval=1.0, start=0.5))
    assert moments(result, mean, one_train) == [(1.5, ""), (4.5, "highest frame"), (7.5, "")]
    assert moments(result, 1e-6 * mean, protocol_of(result.config)) == [(8.0, "")], "nothing moves: the last frame"


def test_trees_are_compared_as_long_after_a_pulse_as_the_highest(result):
    slow = dataclasses.replace(result, time=100.0 * result.time)  # frames every 50 ms
    onsets = dataclasses.replace(slow, config=split_config(bursts=5, burst_interval=150.0, start=40.0))
    mean = np.linspace(0.0, 0.3, 16)
    mean[12] = 0.9  # at 650 ms, 10 ms after a pulse
    bursts = protocol_of(onsets.config)
    assert moments(onsets, mean, bursts) == [(200.0, ""), (500.0, ""), (650.0, "highest frame")]


def test_a_place_off_the_soma_is_taken_from_the_frames_where_no_probe_is(result):
    assert [curve.name for curve in curves_of(result)] == ["probe soma", "probe tip", "probe fork"]
    calcium = np.full_like(result.calcium, 0.05)
    calcium[:, 0], calcium[4:, 14] = 3.0, 0.4  # a hot soma, and a cell of the basal dendrite
    only_soma = result.probes.take(np.array([0]))
    soma, hottest = curves_of(dataclasses.replace(with_fields(result, calcium=calcium), probes=only_soma))
    assert soma.name == "probe soma" and (hottest.kind, hottest.name[:7]) == (3, "dend[0]")
    np.testing.assert_array_equal(hottest.calcium, calcium[:, 14])
    np.testing.assert_allclose(hottest.place, result.cells.xyz[14, :2])


def test_means_are_weighted_by_volume(result):
    kind = result.cable.kind[result.cells.piece]
    for k, mean in means_by_kind(result).items():
        weights = result.cells.volume[kind == k]
        np.testing.assert_allclose(mean, np.average(result.calcium[:, kind == k], axis=1, weights=weights))
    assert means_by_kind(result).keys() == {1, 3, 4}


def test_the_panels_show_pulses_calcium_and_error_on_one_axis_of_time(result):
    figure = Figure().subfigures(1, 1)
    _draw_against_time(figure, result, protocol_of(result.config), curves_of(result), [2])
    pulses, places, means, errors = figure.axes
    assert pulses.get_title(loc="left") == "a  pulses: 16 of 16 pulses, biphasic, 100 V/m"
    (bars,) = (drawn for drawn in pulses.collections if isinstance(drawn, PolyCollection))
    starts = sorted(path.vertices[:, 0].min() for path in bars.get_paths())
    np.testing.assert_allclose(starts, pulses_within(result, protocol_of(result.config), 8.0), atol=1e-12)
    np.testing.assert_array_equal(places.lines[1].get_ydata(), result.probes.calcium[:, 1])
    np.testing.assert_array_equal(means.lines[2].get_ydata(), means_by_kind(result)[4])
    estimate, tolerance = errors.lines
    assert set(tolerance.get_ydata()) == {result.config["window"]["tolerance"]}
    np.testing.assert_array_equal(estimate.get_xdata(), np.arange(1.0, 9.0))
    np.testing.assert_array_equal(estimate.get_ydata(), result.windows["error_estimate"])
    assert errors.get_xlim() == (0.0, 8.0) and errors.get_xlabel() == "time (ms)"


def test_the_page_is_the_first_picture_of_a_split_run(result, tmp_path):
    drawn, left_out = draw_all(result, tmp_path / "pictures", suffix="pdf")
    assert drawn[0].name == "protocol.pdf" and drawn[0].read_bytes().startswith(b"%PDF")
    assert left_out == ["no partition: one rank computed the whole cell"]


def test_a_run_with_nothing_in_it_yet_is_refused(result, tmp_path):
    first = {name: values[:1] for name, values in result.fields.items()}
    empty = dataclasses.replace(result, time=result.time[:1], fields=first)
    with pytest.raises(InputError, match="run.h5: has 1 frames, a protocol needs two"):
        draw_protocol(tmp_path / "protocol.png", empty)
