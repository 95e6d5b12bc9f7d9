"""Thresholds in many directions: directions, conduction, tables that go on, and the same on any number of ranks."""

from pathlib import Path

import numpy as np
import pytest

import hpcpinn as hp
from hpcpinn.errors import InputError
from hpcpinn.morphology.compartments import compartments
from hpcpinn.morphology.directions import angles_of, directions_of, evenly_spread
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.physics.stimulation.directions import read_directions
from hpcpinn.systems.cell.build.threshold import series_of
from hpcpinn.systems.cell.build.threshold_maps import Wanted, thresholds_of
from hpcpinn.systems.cell.conduction import conduction
from hpcpinn.systems.cell.threshold import Search
from hpcpinn.systems.cell.threshold_map import Row, map_thresholds, table
from hpcpinn.systems.jobs import load_order
from tests.reference.cables import branches

CELL = ['morphology.file="builtin:ball_and_stick"', "field.magnitude=1", "stimulation.waveform=monophasic"]
SEARCH = Search("any", 8000.0, 0.02, 2.0)


def found(rows: list[Row]) -> list[str]:
    """What was found, without how many strengths were tried for it."""
    return [line.rpartition(",")[0] for line in table(rows).splitlines()]


def described(*settings: str):
    return load_order(None, [*CELL, *settings]).described


def test_directions_are_spread_evenly_and_have_the_published_angles():
    spread = evenly_spread(500)
    np.testing.assert_allclose(np.linalg.norm(spread, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(spread.mean(axis=0), 0.0, atol=5e-3)
    np.testing.assert_allclose(spread.T @ spread / 500, np.eye(3) / 3.0, atol=5e-3)
    np.testing.assert_allclose(directions_of(*angles_of(spread)), spread, atol=1e-14)
    np.testing.assert_allclose(directions_of(np.array([0.0, 90.0, 90.0]), np.array([0.0, 0.0, 90.0])),
                               [[0, 1, 0], [1, 0, 0], [0, 0, -1]], atol=1e-15)  # fmt: skip


DIRECTIONS = {
    "Ex,Ey,Ez\n1,0,0\n": None,
    "theta,Ex,Ey,Ez,threshold\n0,1,0,0,5\n": None,
    "x;y;z\n1,0;0,0;0,0\n": None,
    "a,b,c\n1,0,0\n": "no columns Ex, Ey, Ez",
    "Ex,Ey,Ez\n": "no rows of numbers",
    "Ex,Ey,Ez\n1,0\n": r":2: '1, 0' holds no three numbers",
    "Ex,Ey,Ez\n1,0,0\n0,0,0\n": r":3: a direction is three finite numbers",
    "Ex,Ey,Ez\nnan,0,0\n": r":2: a direction is three finite numbers",
}


@pytest.mark.parametrize("text", DIRECTIONS)
def test_directions_of_a_file(tmp_path: Path, text):
    file = tmp_path / "directions.csv"
    file.write_text(text)
    if DIRECTIONS[text] is None:
        assert read_directions(file).tolist() == [[1.0, 0.0, 0.0]]
        return
    with pytest.raises(InputError, match=DIRECTIONS[text]) as caught:
        read_directions(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def fork(kinds=(2, 2, 2)):
    cable = branches([400.0, 300.0, 300.0], [(0.5, 0.5)] * 3, [-1, 0, 0])
    cells = compartments(cable, np.array([41, 31, 31]))
    return cells.__class__(**{**vars(cells), "kind": np.asarray(kinds)[cells.section]})


def test_the_velocity_of_a_spike_that_runs_at_one_is_that():
    """From the tip of one branch through the fork to the root, and up the other branch, which is shorter."""
    cells = fork()
    section, x = cells.section, np.zeros(cells.count)
    for number in range(3):
        own = section == number
        x[own] = (np.arange(own.sum()) + 0.5) * cells.length[own]
    distance = np.select([section == 1, section == 0], [300.0 - x, 300.0 + 400.0 - x], 300.0 + x)
    found = conduction(cells, 0.2 + distance / 2500.0)  # µm/ms
    assert cells.site_name(found.start).startswith("axon[1](0.98") or section[found.start] == 1
    assert abs(found.velocity - 2.5) < 1e-9 and abs(found.time - 0.2 - distance.min() / 2500.0) < 1e-12


def test_no_velocity_is_told_of_a_cell_without_axon_or_of_a_spike_that_goes_nowhere():
    cells = fork((3, 3, 3))
    assert np.isnan(conduction(cells, np.linspace(0.1, 1.0, cells.count)).velocity)
    rises = np.full(cells.count, np.inf)
    rises[5:8] = [0.3, 0.2, 0.3]
    found = conduction(fork(), rises)
    assert found.start == 6 and np.isnan(found.velocity)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    config = described()
    return thresholds_of(config, SEARCH, Wanted(evenly_spread(6).tolist()), make_communicator("serial"))


def test_every_bracket_holds_its_threshold(rows):
    """Against the strengths themselves: a spike at the upper end, none at the lower, whatever the search began with."""
    config = described()
    trial = series_of(config, SEARCH, (), ())[0].trial()
    from hpcpinn.systems.cell.threshold_map import _turned

    for row in rows:
        if np.isnan(row.threshold_V_per_m):
            continue
        turned = _turned(trial, np.array([row.Ex, row.Ey, row.Ez]))
        assert turned.spike(row.silent_V_per_m) is None
        spike = turned.spike(row.firing_V_per_m)
        assert spike is not None and np.sum(np.isfinite(spike.rises)) >= 3
        assert row.firing_V_per_m - row.silent_V_per_m <= 0.02 * row.firing_V_per_m
    assert sum(np.isfinite(row.threshold_V_per_m) for row in rows) >= 4


def test_a_search_from_a_guess_finds_what_one_from_nothing_finds(rows):
    config = described()
    for row in [row for row in rows if np.isfinite(row.threshold_V_per_m)][:3]:
        single = hp.threshold("builtin:ball_and_stick", field=hp.Field(direction=(row.Ex, row.Ey, row.Ez)),
                              stimulation=hp.Stimulation(waveform="monophasic"), site="any", up_to=8000.0,
                              tolerance=0.02, wait=2.0)  # fmt: skip
        assert single.silent <= row.firing_V_per_m and row.silent_V_per_m <= single.firing
    assert config.field.magnitude == 1


@pytest.mark.mpi_ranks(2)
def test_ranks_find_what_one_finds():
    communicator = make_communicator()
    config = described()
    directions = evenly_spread(3)
    series = series_of(config, SEARCH, (), ())
    shared = map_thresholds(series, directions, SEARCH, communicator)
    alone = map_thresholds(series, directions, SEARCH, SerialCommunicator())
    assert [row.direction for row in shared] == [0, 1, 2] and found(shared) == found(alone)


def test_a_table_that_was_cut_short_is_gone_on_with(tmp_path: Path):
    config, output = described(), tmp_path / "map.csv"
    wanted = Wanted(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)), output=output)
    serial = make_communicator("serial")
    whole = thresholds_of(config, SEARCH, wanted, serial)
    text = output.read_text()
    assert text.splitlines()[2:] == table(whole).splitlines()
    lines = text.splitlines(keepends=True)
    output.write_text("".join(lines[:3]) + lines[3][:20])  # one row, and a part of the next
    again = thresholds_of(config, SEARCH, wanted, serial)
    assert found(again) == found(whole) and output.read_text().splitlines()[2] == lines[2].strip()
    for other in (described("cable.R_i=150.0"), described("channels.soma=code")):
        with pytest.raises(InputError, match="holds thresholds of other settings"):
            thresholds_of(other, SEARCH, wanted, serial)
    with pytest.raises(InputError, match="holds thresholds of other settings"):
        thresholds_of(config, Search("any", 8000.0, 0.01, 2.0), wanted, serial)
    output.write_text("something else\n")
    with pytest.raises(InputError, match="is no table of thresholds"):
        thresholds_of(config, SEARCH, wanted, serial)


def test_what_cannot_be_is_one_line(tmp_path: Path):
    serial = make_communicator("serial")
    with pytest.raises(InputError, match=r"output .*map\.txt: a table of thresholds is a CSV file"):
        Wanted(output=tmp_path / "map.txt")
    with pytest.raises(InputError, match="directions = 0; give 1 or more"):
        Wanted(0).vectors(described())
    for wrong in (((0.0, 0.0, 0.0),), ((1.0, 0.0),), ((np.nan, 0.0, 0.0),)):
        with pytest.raises(InputError, match="directions: give a number of them"):
            Wanted(wrong).vectors(described())
    clamped = described("clamp=[{site='soma', start=0, duration=2, current=5.0}]")
    with pytest.raises(InputError, match="fires without any field"):
        thresholds_of(clamped, SEARCH, Wanted(1), serial)


def test_euler_steps_are_of_first_order_and_none_is_halved():
    """Backward Euler as NEURON takes it: the passive fork at 1 ms against steps a hundred times as short."""
    from hpcpinn.systems.cell.build.membrane import driven_cable
    from hpcpinn.systems.cell.build.morphology import load_cable

    found = []
    for step in (0.02, 0.01, 0.005, 0.00025):
        lengths = [f"cable.step={step}", f"cable.pulse_step={step}", "cable.scheme=euler"]
        passive = ["channels.soma=passive", "channels.basal=passive"]
        passive += ["clamp=[{site='soma', start=0.0, duration=5.0, current=0.2}]"]
        config = described(*lengths, *passive)
        driven = driven_cable(config, load_cable(config.morphology))
        steps = driven.steps_until(1.0)
        assert np.all(steps.implicit == 1.0) and steps.length.max() <= step * (1 + 1e-9)
        found.append(driven.march(driven.equation.resting_state(), 0.0, 1.0, np.zeros(0), 0.0)[2][-1])
    errors = [np.abs(one - found[-1]).max() for one in found[:-1]]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 1.0) < 0.12), orders


@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
def test_the_front_door_and_the_command_make_a_map_with_its_picture(tmp_path: Path, capsys):
    from tests.cli.in_process import hpcpinn

    found = hp.threshold_map("builtin:ball_and_stick", stimulation=hp.Stimulation(waveform="monophasic"),
                             directions=((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)), up_to=8000.0, tolerance=0.05)  # fmt: skip
    assert found.values.shape == (2,) and list(found.columns()) == Row.columns()
    picture = found.plot(tmp_path / "map.png")
    assert Path(picture).stat().st_size > 10_000
    (tmp_path / "along.csv").write_text("Ex,Ey,Ez\n1,0,0\n-1,0,0\n")
    hpcpinn("threshold", "--morphology", "builtin:ball_and_stick", "--set", "stimulation.waveform=monophasic",
            "--site", "any", "--directions", str(tmp_path / "along.csv"), "--up-to", "8000", "--tolerance", "0.05",
            "--output", str(tmp_path / "command.csv"))  # fmt: skip
    said = capsys.readouterr().out
    assert "V/m, median" in said and (tmp_path / "command.png").exists()
    lines = (tmp_path / "command.csv").read_text().splitlines()
    assert lines[2:] == table(found.rows).splitlines()
