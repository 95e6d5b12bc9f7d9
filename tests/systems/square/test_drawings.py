"""Pictures of runs on a square: units beside colours, axes that end with the run, what errors are."""

from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

from hpcpinn.io import Box, Result, read
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.sidecar import EXACT, Reference, Solution
from hpcpinn.systems.square.drawings import _frames, draw_errors, draw_heat_map, draw_snapshots
from hpcpinn.systems.square.recorded import DOPAMINE, WINDOWS


@pytest.fixture
def result(communicator, tmp_path: Path) -> Result:
    side = np.array([-1.0, 0.0, 1.0])
    header = ResultHeader(system="square", geometry=Box(side, side), fields=(DOPAMINE,), windows=WINDOWS)
    with ResultWriter(tmp_path / "s.h5", communicator, header) as writer:
        for time in np.linspace(0.0, 2.0, 5):
            writer.frame(time, {"dopamine": np.exp(-time) * np.ones((3, 3))})
        row = {entry.name: 0 for entry in WINDOWS} | {"length": 0.5, "sweeps": 4, "error_estimate": 1e-4}
        writer.windows([row, row | {"start": 0.5, "length": 1.5, "sweeps": 5, "error_estimate": 2e-4}])
    return read(tmp_path / "s.h5")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    figures: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    return figures


def test_every_colour_bar_of_the_snapshots_has_its_unit(result, drawn, tmp_path):
    draw_snapshots(tmp_path / "a.png", result, None, np.array([0, 4]))
    assert [axes.get_ylabel() for axes in drawn[0].axes] == ["hpcpinn\ny (µm)", "", "dopamine (µM)", "dopamine (µM)"]


@pytest.mark.parametrize(
    ("count", "shown"), [(1, [0]), (3, [0, 1, 2]), (5, [0, 1, 2, 4]), (11, [0, 1, 2, 10]), (201, [0, 5, 20, 200])]
)
def test_no_frame_is_shown_twice(result, count: int, shown: list[int]):
    """Early, middle and late; of few frames all."""
    frames = np.zeros((count, 3, 3))
    run = replace(result, time=np.linspace(0.0, 2.0, count), fields={"dopamine": frames})
    assert _frames(run, None).tolist() == shown
    assert _frames(run, [0.0, 0.0]).tolist() == [0, 0]  # what is asked for is what is shown


def test_the_heat_map_begins_and_ends_with_the_run(result, drawn, tmp_path):
    draw_heat_map(tmp_path / "a.png", result, None)
    assert drawn[0].axes[0].get_xlim() == (0.0, 2.0)


def test_the_axis_says_whether_it_is_an_error_or_its_estimate(result, drawn, tmp_path):
    draw_errors(tmp_path / "a.png", result, None)
    found = Reference(result.time, np.zeros(0), {EXACT: Solution({"dopamine": 1.1 * result.dopamine})})
    draw_errors(tmp_path / "b.png", result, found)
    said = [figure.axes[0].get_ylabel() for figure in drawn]
    assert said == ["error estimate, relative L2", "error, relative L2"]
    _, lengths, sweeps = drawn[0].axes
    assert sweeps.get_ylim()[1] > 5.0  # the highest point is whole
    assert all(float(tick).is_integer() for tick in sweeps.get_yticks())
    assert len(lengths.get_yticks()) >= 2
