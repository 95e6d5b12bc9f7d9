"""Pictures of runs on a square: units beside colours, axes that end with the run, what errors are."""

from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

from hpcpinn.io.square import SquareReference, SquareResult
from hpcpinn.report.square import draw_errors, draw_heat_map, draw_snapshots


@pytest.fixture
def result(tmp_path: Path) -> SquareResult:
    time, side = np.linspace(0.0, 2.0, 5), np.array([-1.0, 0.0, 1.0])
    dopamine = np.exp(-time)[:, None, None] * np.ones((1, 3, 3))
    windows = {
        "start": np.array([0.0, 0.5]), "length": np.array([0.5, 1.5]), "sweeps": np.array([4, 5]),
        "error_estimate": np.array([1e-4, 2e-4]),
    }  # fmt: skip
    owner = np.zeros(1, int)
    return SquareResult(
        tmp_path / "s.h5", side, side, time, dopamine, np.zeros((1, 2)), owner, windows, "{}", {"complete": True}
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    figures: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    return figures


def test_every_colour_bar_of_the_snapshots_has_its_unit(result, drawn, tmp_path):
    draw_snapshots(tmp_path / "a.png", result, None, np.array([0, 4]))
    assert [axes.get_ylabel() for axes in drawn[0].axes] == ["hpcpinn\ny (µm)", "", "dopamine (µM)", "dopamine (µM)"]


def test_the_heat_map_begins_and_ends_with_the_run(result, drawn, tmp_path):
    draw_heat_map(tmp_path / "a.png", result, None)
    assert drawn[0].axes[0].get_xlim() == (0.0, 2.0)


def test_the_axis_says_whether_it_is_an_error_or_its_estimate(result, drawn, tmp_path):
    draw_errors(tmp_path / "a.png", result, None)
    draw_errors(tmp_path / "b.png", result, SquareReference(1.1 * result.dopamine, None))
    said = [figure.axes[0].get_ylabel() for figure in drawn]
    assert said == ["estimated error, relative, L2", "error of a frame; its estimate (dotted), relative, L2"]
    _, lengths, sweeps = drawn[0].axes
    assert all(float(tick).is_integer() for tick in sweeps.get_yticks())
    assert len(lengths.get_yticks()) >= 2
