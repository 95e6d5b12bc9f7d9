"""The map between a cell and a head: rigid, reversible, and turned as it says."""

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.morphology.directions import direction_of
from hpcpinn.physics.stimulation.head.placement import HeadPlacement, turn

UP = (0.0, 1.0, 0.0)
AXES = ((0.0, 1.0, 0.0), (0.0, -2.0, 0.0), (3.0, 0.0, 0.0), (1.0, -2.0, 0.5), (1e-8, 1.0, 0.0), (1e-9, -1.0, 1e-9))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("azimuth", [0.0, 90.0, -123.4])
def test_there_and_back_to_a_billionth_of_a_micrometre(axis, azimuth):
    placed = HeadPlacement(np.array([12.0, -7.0, 3.0]), np.array([-43.2, 17.9, 81.3]), turn(UP, axis, azimuth))
    xyz = np.random.default_rng(0).uniform(-2000.0, 2000.0, (500, 3))
    np.testing.assert_allclose(placed.to_cell(placed.to_head(xyz)), xyz, rtol=0.0, atol=1e-9)
    vectors = np.random.default_rng(1).normal(size=(500, 3))
    back = placed.turned_into_cell(placed.turned_into_head(vectors))
    np.testing.assert_allclose(back, vectors, rtol=0.0, atol=1e-14)
    assert np.linalg.det(placed.rotation) == pytest.approx(1.0, abs=1e-14)  # no mirror image
    np.testing.assert_allclose(placed.rotation @ placed.rotation.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(placed.rotation @ UP, np.array(axis) / np.linalg.norm(axis), atol=1e-14)
    np.testing.assert_array_equal(placed.to_head(placed.origin[None]), placed.position[None])


def test_a_millimetre_of_the_head_is_a_thousand_micrometres_of_the_cell():
    placed = HeadPlacement(np.zeros(3), np.array([10.0, 20.0, 30.0]), turn(UP, (1.0, 0.0, 0.0), 0.0))
    np.testing.assert_allclose(placed.to_head(np.array([[0.0, 1000.0, 0.0]])), [[11.0, 20.0, 30.0]], atol=1e-14)


def test_the_azimuth_turns_about_the_axis_by_the_right_hand():
    """Thumb along +z of the head: x goes to y."""
    before, after = (turn((0.0, 0.0, 1.0), (0.0, 0.0, 5.0), azimuth) for azimuth in (0.0, 90.0))
    np.testing.assert_array_equal(before, np.eye(3))
    np.testing.assert_allclose(after @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-15)


def test_at_azimuth_0_the_turn_is_the_smallest():
    """What is at right angles to both axes stays."""
    rotation = turn(UP, (1.0, 1.0, 0.0), 0.0)
    np.testing.assert_allclose(rotation @ [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], atol=1e-15)
    assert np.trace(rotation) == pytest.approx(1.0 + 2.0 * np.cos(np.pi / 4.0))


def test_axes_without_length_are_refused():
    with pytest.raises(InputError, match=r"axis \[0, 0, 0\]: give three numbers that are not all zero"):
        turn(UP, (0.0, 0.0, 0.0), 0.0)


def test_directions_by_angles_are_those_of_published_thresholds():
    """Rows of shared/reference/aberra_l23/thresholds.csv, whose convention this is."""
    for polar, azimuth, expected in (
        (0, 0, (0.0, 1.0, 0.0)), (90, 0, (1.0, 0.0, 0.0)), (90, 90, (0.0, 0.0, -1.0)), (180, 0, (0.0, -1.0, 0.0)),
        (15, 90, (0.0, 0.965925826, -0.258819045)), (15, 190, (-0.254887002, 0.965925826, 0.044943456)),
    ):  # fmt: skip
        np.testing.assert_allclose(direction_of(polar, azimuth), expected, atol=1e-9)
    assert direction_of(90.0, -90.0) == (0.0, 0.0, 1.0)
