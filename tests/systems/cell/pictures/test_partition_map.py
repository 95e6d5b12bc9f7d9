"""The map of a partition."""

import numpy as np
import pytest
from matplotlib.image import imread

from hpcpinn.errors import OutputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.swc import read_swc
from hpcpinn.systems.cell.pictures.cell_outline import round_soma
from hpcpinn.systems.cell.pictures.partition_map import draw_partition, rank_colours


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


def test_a_soma_that_stands_for_a_sphere_is_a_circle_to_scale_in_its_place(tmp_path):
    text = "1 1 0 0 0 10 -1\n2 3 10 0 0 0.5 1\n3 3 100 0 0 0.5 2\n4 3 10 60 0 0.5 1\n5 3 10 99 0 0.5 4\n"
    (tmp_path / "cell.swc").write_text(text)
    cable, _ = cable_from_swc(read_swc(tmp_path / "cell.swc"))
    soma = round_soma(cable)
    assert (soma.centre, soma.radius, soma.rows.sum()) == ((0.0, 0.0), 10.0, 2)
    path = tmp_path / "map.png"
    owner = np.where(cable.kind == 1, 1, 0)
    draw_partition(path, xyz=cable.xyz, radius=cable.radius, owner=owner, soma=soma, cuts=np.zeros((0, 3)), title="")
    pixels = imread(path)[..., :3]
    painted = np.isclose(pixels, rank_colours(2)[1], atol=0.01).all(axis=-1)
    painted[:, -400:] = False  # the legend
    rows, columns = np.nonzero(painted)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert width == pytest.approx(height, rel=0.05)
    assert painted.sum() == pytest.approx(np.pi / 4.0 * width * height, rel=0.1), "a disc, neither bar nor square"


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
