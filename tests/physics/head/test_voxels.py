"""A field in an image: between voxels, where it is not known, and what is no image of vectors."""

import gzip

import nibabel
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.head.placed import PlacedField
from hpcpinn.physics.stimulation.head.placement import HeadPlacement, turn
from hpcpinn.physics.stimulation.head.voxels import read_voxel_field

SHAPE = (6, 7, 8)
AFFINE = np.array(
    [[0.0, -0.75, 0.125, 12.0], [0.875, 0.0, 0.0, -30.0], [0.0, 0.0625, 1.125, 44.0], [0.0, 0.0, 0.0, 1.0]]
)
"""Numbers of 32 bit, as which affines are stored."""


def centres(affine=AFFINE):
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def linear(places):
    return (places - AFFINE[:3, 3]) @ np.array([[3.0, -1.0, 4.0], [7.0, 2.0, -9.0], [2.0, 5.0, -4.0]]) + [
        80.0,
        -50.0,
        40.0,
    ]


def write(path, vectors=None, affine=AFFINE, kind=np.float64, unit="mm"):
    image = nibabel.Nifti1Image(
        (linear(centres()) if vectors is None else vectors).reshape(*SHAPE, 3).astype(kind), affine
    )
    image.header.set_xyzt_units(xyz=unit)
    nibabel.save(image, str(path))
    return path


INSIDE = AFFINE[:3, 3] + np.random.default_rng(0).uniform(0.0, 1.0, (200, 3)) * 5.0 @ AFFINE[:3, :3].T


@pytest.mark.parametrize(("name", "kind", "accuracy"), [("e.nii", "f8", 1e-11), ("e.nii.gz", "f4", 1e-4)])
def test_a_linear_field_is_exact_to_the_round_off_of_the_numbers(name, kind, accuracy, tmp_path):
    field = read_voxel_field(write(tmp_path / name, kind=kind))
    np.testing.assert_allclose(field.at(INSIDE), linear(INSIDE), rtol=0.0, atol=accuracy)
    np.testing.assert_allclose(field.at(centres()), linear(centres()), rtol=0.0, atol=accuracy)  # up to the last voxel
    np.testing.assert_allclose(field.bounds, [centres().min(axis=0), centres().max(axis=0)], atol=1e-12)


def test_vectors_may_have_an_axis_of_their_own(tmp_path):
    image = nibabel.Nifti1Image(linear(centres()).reshape(*SHAPE, 1, 3), AFFINE)
    nibabel.save(image, str(tmp_path / "e.nii"))
    np.testing.assert_allclose(read_voxel_field(tmp_path / "e.nii").at(INSIDE), linear(INSIDE), atol=1e-11)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3)])
def test_the_unit_of_the_header_counts(unit, factor, tmp_path):
    path = write(tmp_path / "e.nii", affine=np.diag([factor] * 3 + [1.0]) @ AFFINE, unit=unit)
    np.testing.assert_allclose(read_voxel_field(path).at(INSIDE), linear(INSIDE), atol=1e-4)  # affines are 32 bit


def test_a_curved_field_converges_with_the_voxels(tmp_path):
    def curved(places):
        return 100.0 * np.sin(0.5 * places[:, [1, 2, 0]])

    errors = []
    for refined in (1.0, 0.5, 0.25):
        affine = AFFINE.copy()
        affine[:3, :3] *= refined
        path = write(tmp_path / "e.nii", curved(centres(affine)), affine)
        places = AFFINE[:3, 3] + np.random.default_rng(0).uniform(0.0, 1.0, (200, 3)) @ AFFINE[:3, :3].T
        errors.append(np.sqrt(np.mean((read_voxel_field(path).at(places) - curved(places)) ** 2)))
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 1.8), errors


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_outside_of_the_mesh_nothing_is_known(nothing, tmp_path):
    vectors = linear(centres()).reshape(*SHAPE, 3)
    vectors[:3] = nothing
    field = read_voxel_field(write(tmp_path / "e.nii", vectors))
    places = np.array([[2.5, 3.2, 4.0], [3.0, 3.2, 4.0], [3.1, 3.0, 3.0], [5.01, 3.0, 3.0]]) @ AFFINE[:3, :3].T
    found = field.at(places + AFFINE[:3, 3])
    assert np.isnan(found[[0, 3]]).all()
    np.testing.assert_allclose(found[1:3], linear(places + AFFINE[:3, 3])[1:3], atol=1e-11)
    vectors_there, away = field.nearest(places[:1] + AFFINE[:3, 3])
    row = np.abs(centres() - (np.array([3, 3, 4]) @ AFFINE[:3, :3].T + AFFINE[:3, 3])).sum(axis=1).argmin()
    np.testing.assert_allclose(vectors_there[0], linear(centres())[row], rtol=1e-12)
    assert away[0] == pytest.approx(np.linalg.norm([0.5, -0.2, 0.0] @ AFFINE[:3, :3].T))
    placed = PlacedField(field, HeadPlacement(np.zeros(3), np.zeros(3), turn((0, 1, 0), (0, 1, 0), 0)))
    with pytest.raises(InputError, match=r"e\.nii: is not known on the whole cell: 1 of 1 places lie outside"):
        placed(1e3 * (places[:1] + AFFINE[:3, 3]))


def image_of(path, data, affine=AFFINE, place=True):
    image = nibabel.Nifti1Image(data, affine)
    if not place:
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    nibabel.save(image, str(path))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: image_of(p, np.ones(SHAPE)),
            "one number per voxel (6 × 7 × 8): a magnitude, and a direction is needed",
        ),
        (lambda p: image_of(p, np.ones((*SHAPE, 2))), "6 × 7 × 8 × 2, and vectors are x × y × z × 3"),
        (lambda p: image_of(p, np.zeros((*SHAPE, 3))), "no voxel holds a vector: all are 0 or not finite"),
        (lambda p: image_of(p, np.ones((*SHAPE, 3)), place=False), "does not say where it lies (no sform, no qform)"),
        (lambda p: p.write_text("x,y,z\n"), "cannot be read as NIfTI ("),
        (lambda p: p.write_bytes(b""), "cannot be read as NIfTI ("),
        (lambda p: None, "no such field file; give an image of vectors"),
        (lambda p: p.mkdir(), "is a directory; give an image of vectors"),
    ],
    ids=["magnitude", "two", "zeros", "nowhere", "text", "empty", "gone", "folder"],
)
def test_what_is_no_image_of_vectors_is_one_line(make, message, tmp_path):
    path = tmp_path / "bad.nii"
    make(path)
    with pytest.raises(InputError) as no:
        read_voxel_field(path)
    assert str(no.value).startswith(f"{path}: ") and message in str(no.value) and "\n" not in str(no.value)


def test_images_that_are_cut_short_are_one_line(tmp_path):
    for path in (write(tmp_path / "e.nii"), write(tmp_path / "e.nii.gz")):
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(InputError, match="cannot be read as NIfTI .*; it is damaged or cut short"):
            read_voxel_field(path)
    (tmp_path / "e.nii.gz").write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(InputError, match="cannot be read as NIfTI"):
        read_voxel_field(tmp_path / "e.nii.gz")
