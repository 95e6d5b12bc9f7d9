"""The outline: drawn to scale, in the colours of the types."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from hpcpinn.morphology import cable_from_swc, read_swc
from hpcpinn.morphology.meshes import builtin_path
from hpcpinn.systems.cell.pictures.cell_outline import COLOURS, draw_cell, round_soma
from tests.morphology.swc_text import tree_of
from tests.morphology.test_simplify import chain


def area_drawn(path: Path, kind: int) -> float:
    """Share of the picture in the colour of a type."""
    pixels = imread(path)[..., :3]
    return float(np.mean(np.abs(pixels - np.array(to_rgb(COLOURS[kind]))).max(axis=-1) < 0.02))


def test_neurites_are_drawn_to_scale(tmp_path: Path) -> None:
    frame = np.array([[0.0, -40.0, 0.0], [200.0, 40.0, 0.0]])  # the same axes for all
    drawn = []
    for radius in (4.0, 8.0, 16.0):
        path = tmp_path / f"{radius}.png"
        draw_cell(path, chain([100.0, 100.0], [(radius, radius), (radius, radius)]), marks=frame)
        drawn.append(area_drawn(path, 3))  # the legend's patch included, the same in all
        assert area_drawn(path, 2) == 0.0
    np.testing.assert_allclose((drawn[2] - drawn[1]) / (drawn[1] - drawn[0]), 2.0, rtol=0.05)


def test_the_thinnest_neurite_is_still_seen(tmp_path: Path) -> None:
    draw_cell(tmp_path / "cell.png", chain([5000.0], [(0.05, 0.05)]))
    row_of_neurite = imread(tmp_path / "cell.png")[..., :3].min(axis=-1).min(axis=0)
    assert np.mean(row_of_neurite < 0.9) > 0.7, "a line across most of the page"


def test_only_the_cylinder_of_a_soma_in_several_runs_is_round(tmp_path: Path) -> None:
    text = "1 1 0 0 0 4 -1\n2 3 0 5 0 1 1\n3 3 0 9 0 1 2\n4 1 8 0 0 2 1\n5 1 16 0 0 2 4\n"
    cable, _ = cable_from_swc(tree_of(tmp_path, text))
    soma = round_soma(cable)
    assert soma is not None
    assert {cable.sections[k].name for k in cable.section[soma.rows]} == {"soma[0]", "soma[0]b"}
    frame = np.array([[-5.0, -5.0, 0.0], [17.0, 10.0, 0.0]])  # the same axes for both
    drawn = []
    for shown in (cable, cable.take(np.flatnonzero(soma.rows | (cable.kind != 1)))):
        draw_cell(tmp_path / "cell.png", shown, marks=frame)
        drawn.append(area_drawn(tmp_path / "cell.png", 1))
    assert drawn[0] > 1.5 * drawn[1], "the rest of the soma sticks out of the disc"


def test_the_whole_disc_of_a_soma_is_on_the_page(tmp_path: Path) -> None:
    """On a straight cell, too, which is not as high as its soma is wide."""
    draw_cell(tmp_path / "cell.png", cable_from_swc(read_swc(builtin_path("ball_and_stick")))[0])
    dark = np.abs(imread(tmp_path / "cell.png")[..., :3] - np.array(to_rgb(COLOURS[1]))).max(axis=-1) < 0.02
    dark = dark[:, : dark.shape[1] // 2]  # without the legend's patch
    assert dark.sum(axis=0).max() == pytest.approx(dark.sum(axis=1).max(), rel=0.05), "as high as it is wide"
