"""The map of a partition."""

import numpy as np
import pytest
from matplotlib.image import imread

from hpcpinn.errors import OutputError
from hpcpinn.report.partition_map import draw_partition, rank_colours


def test_few_ranks_all_differ():
    colours = rank_colours(10)
    assert len({tuple(colour) for colour in colours}) == 10


def test_neighbours_differ_among_many_ranks():
    rng = np.random.default_rng(3)
    pairs = [(int(rng.integers(max(0, b - 12), b)), b) for b in range(1, 64) for _ in range(3)]
    colours = rank_colours(64, pairs)
    assert all(tuple(colours[a]) != tuple(colours[b]) for a, b in pairs)


def test_pieces_are_drawn_in_the_colours_of_their_ranks(tmp_path):
    xyz = np.array([[[0, 0, 0], [50, 0, 0]], [[50, 0, 0], [100, 0, 0]], [[50, 0, 0], [50, 80, 0]]], float)
    path = tmp_path / "maps" / "map.png"
    draw_partition(
        path,
        xyz=xyz,
        radius=np.ones((3, 2)),
        owner=np.array([0, 1, 2]),
        cuts=np.array([[50.0, 0.0, 0.0]]),
        title="three ranks",
    )
    pixels = np.round(imread(path)[..., :3].reshape(-1, 3), 2)
    for colour in rank_colours(3):
        assert np.isclose(pixels, colour, atol=0.01).all(axis=1).sum() > 100


def test_a_straight_cell_gets_a_frame_of_its_own(tmp_path):
    path = tmp_path / "map.png"
    draw_partition(
        path,
        xyz=np.array([[[0, 0, 0], [100, 0, 0]]], float),
        radius=np.ones((1, 2)),
        owner=np.array([0]),
        cuts=np.zeros((0, 3)),
    )
    height, width = imread(path).shape[:2]
    assert 0.1 < height / width < 1.0


def test_a_picture_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"map\.png: the picture cannot be written"):
        draw_partition(
            tmp_path / "file" / "map.png",
            xyz=np.zeros((1, 2, 3)),
            radius=np.ones((1, 2)),
            owner=np.array([0]),
            cuts=np.zeros((0, 3)),
        )
