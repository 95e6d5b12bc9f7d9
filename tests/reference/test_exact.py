"""The exact solutions satisfy their equations, so that they may judge others."""

import numpy as np
import pytest

import exact
from hpcpinn.physics.constants import PRESETS


def slope(f, s, h=1e-3):
    return (8.0 * (f(s + h) - f(s - h)) - (f(s + 2 * h) - f(s - 2 * h))) / (12.0 * h)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_cone_mode(order):
    profile, kappa = exact.cone_mode((2.0, 0.7), 5.0, order)

    def flux(s):
        return (2.0 - 0.26 * s) ** 2 * slope(profile, s)

    s = np.linspace(0.1, 4.9, 9)
    residual = slope(flux, s) / (2.0 - 0.26 * s) ** 2 + kappa**2 * profile(s)
    assert np.abs(residual).max() < 1e-7 * kappa**2 * np.abs(profile(s)).max()
    assert abs(flux(0.0)) < 1e-8
    assert abs(flux(5.0)) < 1e-8
    zeros = np.count_nonzero(np.diff(np.sign(profile(np.linspace(0.0, 5.0, 400)))))
    assert zeros == order


@pytest.mark.parametrize("order", [1, 2])
def test_star_mode(order):
    lengths, radii = [3.0, 4.0, 2.5], np.array([1.0, 0.63, 0.5])
    profiles, _ = exact.star_mode(lengths, radii, order)
    outward = sum(r * r * slope(p, 0.0) for r, p in zip(radii, profiles, strict=True))
    assert abs(outward) < 1e-9
    for profile, length in zip(profiles, lengths, strict=True):
        assert profile(0.0) == pytest.approx(1.0)
        assert abs(slope(profile, length)) < 1e-9


def test_fed_cable():
    profile = exact.fed_cable(length=3.0, radius=0.5, diffusion=2.0, loss=0.4, flux=1.3)
    assert -2.0 * slope(profile, 0.0) == pytest.approx(1.3, rel=1e-9)
    assert abs(slope(profile, 3.0)) < 1e-9
    curvature = slope(lambda s: slope(profile, s), 1.0)
    assert 2.0 * curvature == pytest.approx(2.0 * 0.4 / 0.5 * profile(1.0), rel=1e-7)


def test_binding():
    k = PRESETS["physical-N"]
    t = np.linspace(0.0, 2e-3, 7)
    c, b = exact.binding(t, 5.0, 140.0, k)
    np.testing.assert_allclose(c - b, -135.0, rtol=1e-14)
    assert c[0] == pytest.approx(5.0)

    def rate(s):
        value, free = exact.binding(np.array([s]), 5.0, 140.0, k)
        return (k.k_minus * (k.b_tot - free) - k.k_plus * free * value)[0]

    for s in t[1:-1]:
        measured = slope(lambda x: exact.binding(np.array([x]), 5.0, 140.0, k)[0][0], s, 1e-6)
        assert measured == pytest.approx(rate(s), rel=1e-6)
