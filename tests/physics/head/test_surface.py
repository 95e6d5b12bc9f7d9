"""The surface of a cortex: the nearest place of it, and which way is out."""

import meshio
import nibabel
import numpy as np
import pytest

from hpcpinn.config.inputs import as_taken
from hpcpinn.errors import InputError, InputWarning
from hpcpinn.physics.stimulation.head.surface import Surface, nearest_in_triangles, read_surface
from tests.physics.head.heads import cube, write_head

CENTRE, RADIUS = np.array([-20.0, 30.0, 50.0]), 40.0


def sphere(refined=3):
    """A ball's surface: an octahedron, refined; ordered outwards."""
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    triangles = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    for _ in range(refined):
        a, b, c = np.moveaxis(points[triangles], 1, 0)
        corners = np.stack([a, b, c, a + b, b + c, c + a], axis=1)
        pieces = corners[:, [[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]]].reshape(-1, 3)
        points, back = np.unique(
            np.round(pieces / np.linalg.norm(pieces, axis=1)[:, None], 12), axis=0, return_inverse=True
        )
        triangles = back.reshape(-1, 3)
    return CENTRE + RADIUS * points, triangles


def gifti(path, points, triangles):
    arrays = [
        nibabel.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET"),
        nibabel.gifti.GiftiDataArray(triangles.astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
    ]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), str(path))


def freesurfer(path, points, triangles, middle=(4.0, -7.0, 11.0)):
    told = {"head": np.array([2, 0, 20], np.int32), "valid": "1  # volume info valid", "filename": "orig.mgz",
            "volume": [256, 256, 256], "voxelsize": [1.0, 1.0, 1.0], "xras": [-1.0, 0.0, 0.0], "yras": [0.0, 0.0, -1.0],
            "zras": [0.0, 1.0, 0.0], "cras": list(middle)}  # fmt: skip
    nibabel.freesurfer.write_geometry(str(path), points - middle, triangles, volume_info=told)


def head(path, points, triangles):
    tags = [np.full(len(triangles), 1002), np.full(1, 1001)]
    cells = [("triangle", triangles), ("triangle", triangles[:1])]
    mesh = meshio.Mesh(points, cells, cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags})
    meshio.write(str(path), mesh, file_format="gmsh22")


WRITERS = {
    "s.gii": gifti,
    "lh.pial": freesurfer,
    "s.stl": lambda path, points, triangles: meshio.write(str(path), meshio.Mesh(points, [("triangle", triangles)])),
    "s.msh": head,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("order", [1, -1], ids=["outwards", "inwards"])
def test_the_normal_of_a_ball_points_out_whichever_way_its_triangles_are_ordered(name, order, tmp_path):
    points, triangles = sphere()
    WRITERS[name](tmp_path / name, points, triangles[:, ::order])
    surface = read_surface(tmp_path / name, 1002)
    for direction in np.random.default_rng(0).normal(size=(5, 3)):
        out = direction / np.linalg.norm(direction)
        place, normal = surface.foot(CENTRE + (RADIUS + 2.0) * out)
        assert normal @ out > 0.99 and np.linalg.norm(normal) == pytest.approx(1.0)
        np.testing.assert_allclose(np.linalg.norm(place - CENTRE), RADIUS, rtol=0.02)


def test_the_nearest_place_of_a_triangle_is_inside_on_an_edge_or_at_a_corner():
    a, b, c = np.array([[0.0, 0.0, 0.0]]), np.array([[4.0, 0.0, 0.0]]), np.array([[0.0, 4.0, 0.0]])
    for place, nearest in (
        ([1.0, 1.0, 7.0], [1.0, 1.0, 0.0]), ([2.0, -3.0, 1.0], [2.0, 0.0, 0.0]), ([5.0, 5.0, -2.0], [2.0, 2.0, 0.0]),
        ([-1.0, -1.0, 1.0], [0.0, 0.0, 0.0]), ([9.0, -1.0, 0.0], [4.0, 0.0, 0.0]), ([-2.0, 3.0, 0.0], [0.0, 3.0, 0.0]),
    ):  # fmt: skip
        np.testing.assert_allclose(nearest_in_triangles(np.array(place), a, b, c), [nearest], atol=1e-15)


def test_what_is_taken_of_a_large_surface_is_its_triangle_above_the_cell(tmp_path):
    points, triangles = sphere()
    surface = Surface("s", points, triangles[:, ::-1])
    place = CENTRE + [10.0, 35.0, 20.0]
    (tmp_path / "s.gii").write_bytes(as_taken(surface.taken_at(place).encode(), "digest"))
    for found, whole in zip(read_surface(tmp_path / "s.gii", 0).foot(place), surface.foot(place), strict=True):
        np.testing.assert_array_equal(found, whole)


def test_a_place_far_from_the_surface_is_said_with_the_unit_that_it_looks_like():
    surface = Surface("s.gii", *sphere())
    with pytest.warns(InputWarning, match=r"s\.gii: placement.position lies 10 mm from it; the nearest place of it"):
        surface.foot(CENTRE + [0.0, 0.0, RADIUS + 10.0])
    with pytest.raises(InputError, match="looks like µm; mm are meant: multiply it by 0.001"):
        surface.foot(1e3 * (CENTRE + [0.0, 0.0, RADIUS]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.gii", b"<GIFTI", "cannot be read as GIFTI ("),
        ("s.stl", b"solid\nfacet\n", "cannot be read as a surface ("),
        ("lh.pial", b"\xff\xff\xfe made", "cannot be read as a surface of FreeSurfer ("),
        ("lh.pial", b"", "cannot be read as a surface of FreeSurfer ("),
        ("s.msh", b"", "is no gmsh file"),
    ],
)
def test_damaged_surfaces_are_one_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as no:
        read_surface(tmp_path / name, 1002)
    assert str(no.value).startswith(str(tmp_path / name)) and message in str(no.value) and "\n" not in str(no.value)


def test_missing_surfaces_and_labels_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"gone\.gii: no such surface file"):
        read_surface(tmp_path / "gone.gii", 1002)
    points, tets = cube((0, 0, 0), (1, 1, 1), 1)
    write_head(tmp_path / "h.msh", points, tets, np.full(len(tets), 2), {})
    with pytest.raises(InputError, match=r"no triangle of label 7; there are 1002 \(placement.surface_tag\)"):
        read_surface(tmp_path / "h.msh", 7)
    points, triangles = sphere(1)
    nibabel.freesurfer.write_geometry(str(tmp_path / "lh.white"), points, triangles)
    with pytest.raises(InputError, match="does not say where the middle of its volume lies, cras"):
        read_surface(tmp_path / "lh.white", 0)
