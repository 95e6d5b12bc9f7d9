"""Geometry of pieces and the Robin parameter."""

import numpy as np

from hpcpinn.training.collocation import gauss_grid
from hpcpinn.training.local import piece_geometry, robin_parameter
from tests.training.systems import Decay, three_pieces


def test_geometry_of_frusta_with_a_reticulum() -> None:
    cable, xi = three_pieces(), gauss_grid(5, 2).space
    geometry = piece_geometry(cable, xi)
    share = (xi + 1.0) / 2.0
    h = 1e-6

    def area(piece, x):
        radius = cable.radius[piece, 0] + x * (cable.radius[piece, 1] - cable.radius[piece, 0])
        er = cable.er_radius[piece, 0] + x * (cable.er_radius[piece, 1] - cable.er_radius[piece, 0])
        return np.pi * (radius**2 - er**2), 2.0 * np.pi * radius

    for piece in range(3):
        cross, around = area(piece, share)
        slope = (area(piece, share + h)[0] - area(piece, share - h)[0]) / (2 * h) / cable.length[piece]
        np.testing.assert_allclose(geometry.area[piece, 0], cross, rtol=1e-14)
        np.testing.assert_allclose(geometry.taper[piece, 0], slope / cross, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(geometry.membrane_ratio[piece], around / cross, rtol=1e-14)
        np.testing.assert_allclose(geometry.end_area[piece, :, 0], area(piece, np.array([0.0, 1.0]))[0], rtol=1e-14)


def test_geometry_integrates_to_volume_and_membrane() -> None:
    cable, grid = three_pieces(), gauss_grid(3, 2)
    geometry = piece_geometry(cable, grid.space)
    area = geometry.cross_section(0)
    volume = geometry.length * (area @ grid.space_weight)
    membrane = geometry.length * ((geometry.membrane_ratio * area) @ grid.space_weight)
    np.testing.assert_allclose(volume, cable.volume, rtol=1e-14)
    np.testing.assert_allclose(membrane, cable.membrane, rtol=1e-14)


def test_robin_parameter_is_the_decay_of_a_disturbed_end() -> None:
    np.testing.assert_allclose(robin_parameter(Decay(), 0.25), np.sqrt([(4.0 + 1.0) / 2.0, 4.0 / 0.5]), rtol=1e-15)
