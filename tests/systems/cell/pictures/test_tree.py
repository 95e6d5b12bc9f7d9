"""Widths of trees."""

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection
from matplotlib.figure import Figure

from hpcpinn.systems.cell.pictures.cell_outline import outlines
from hpcpinn.systems.cell.pictures.change import change_of, shading_of
from hpcpinn.systems.cell.pictures.tree import bent_ends, cell_ends, draw_tree, magnification, widths_in_words
from tests.io.runs import y_cable
from tests.systems.cell.pictures.synthetic import run_of, with_calcium


def test_neurites_are_drawn_wider_by_one_factor_and_the_soma_to_scale(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    axes = Figure().subplots()
    change = change_of(result)
    draw_tree(axes, result, change.values[3], shading_of(result, change), 4)
    (polygons,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    order = np.argsort(np.abs(change.values[3]), kind="stable")
    radius = cell_ends(result, result.cable.radius[..., None])[order, :, 0]
    wider = np.where(result.cable.kind[result.cells.piece[order]] == 1, 1.0, 4.0)
    expected = outlines(cell_ends(result, result.cable.xyz[..., :2])[order], radius * wider[:, None])
    drawn = np.array([path.vertices[:4] for path in polygons.get_paths()])
    np.testing.assert_allclose(drawn, expected)


def test_the_factor_makes_thin_neurites_seen_but_not_wider_than_the_soma():
    cable = y_cable()
    thin = dataclasses.replace(cable, radius=np.where(cable.kind[:, None] == 1, 10.0, 0.5 * np.ones((11, 2))))
    assert magnification(thin, 10.0) == 1, "10 points wide as it is"
    assert magnification(thin, 0.5) == 2
    assert magnification(thin, 0.1) == 10
    small_soma = dataclasses.replace(thin, radius=np.where(cable.kind[:, None] == 1, 1.0, 0.5 * np.ones((11, 2))))
    assert magnification(small_soma, 0.1) == 2
    assert widths_in_words(thin, 1) == "widths to scale"
    assert widths_in_words(thin, 4) == "width: diameter × 4 (soma to scale)"
    no_soma = dataclasses.replace(thin, kind=np.full(11, 3), radius=np.full((11, 2), 0.5))
    assert widths_in_words(no_soma, 4) == "width: diameter × 4"
    assert magnification(no_soma, 0.1) == 10


@pytest.mark.parametrize("share", [1, 33])
def test_hot_spots_alone_are_enlarged(communicator, tmp_path, share):
    result = run_of(communicator, tmp_path)
    small = dataclasses.replace(result.cable, length=np.where(np.arange(11) == 6, 0.1, result.cable.length))
    calcium = np.full_like(result.calcium, 0.05)
    calcium[3, 18 : 18 + share] = 1.0
    hot = with_calcium(dataclasses.replace(result, geometry=dataclasses.replace(result.tree, cable=small)), calcium)
    axes = Figure().subplots()
    change = change_of(hot)
    draw_tree(axes, hot, change.values[3], shading_of(hot, change), 1)
    (lines,) = (c for c in axes.collections if isinstance(c, LineCollection))
    expected = [0.6] * 32 + [2.4] if share == 1 else [0.6] * 33
    if share == 1:
        np.testing.assert_allclose(lines.get_linewidths(), expected)
    else:
        assert set(np.round(lines.get_linewidths(), 3)) == {0.6}


def test_gaps_at_bends_are_filled_and_straight_ways_left_alone(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    assert bent_ends(result.cable).tolist() == [2], "the fork; all else is straight"
    axes = Figure().subplots()
    change = change_of(result)
    draw_tree(axes, result, change.values[3], shading_of(result, change), 1)
    (discs,) = (c for c in axes.collections if isinstance(c, EllipseCollection))
    np.testing.assert_allclose(discs.get_offsets(), [result.cable.xyz[2, 1, :2]])
    np.testing.assert_allclose(discs.get_array(), [change.values[3, 8]])
