"""Values carried along the tree: linear, constant, harmonic, and never out of range."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.sites import Site
from synthetic import y_cable
from tests.morphology.test_simplify import chain

Y = y_cable(lengths=(10.0, 20.0, 40.0))


def weights(cable: Cable, sites: list[tuple[int, float]], points: list[tuple[int, float]]) -> np.ndarray:
    named = [Site(f, x, f"site {k}") for k, (f, x) in enumerate(sites)]
    frustum, fraction = zip(*points, strict=True)
    return tree_weights(cable, named, (np.array(frustum), np.array(fraction))).toarray()


def test_linear_between_two_sites_and_constant_beyond() -> None:
    line = chain([4.0, 6.0], [(1, 1), (1, 1)])
    points = [(0, 0.0), (0, 0.5), (0, 0.75), (0, 1.0), (1, 0.0), (1, 0.5), (1, 1.0)]
    w = weights(line, [(0, 0.5), (1, 0.5)], points)  # at 2 and 7 µm; points at 0, 2, 3, 4, 4, 7, 10
    np.testing.assert_allclose(w[:, 1], [0, 0, 0.2, 0.4, 0.4, 1, 1], atol=1e-14)
    np.testing.assert_allclose(w.sum(axis=1), 1.0, rtol=1e-14)


def test_a_junction_without_a_site_takes_the_harmonic_value() -> None:
    w = weights(Y, [(0, 0.0), (1, 1.0), (2, 1.0)], [(0, 1.0), (2, 0.0), (2, 0.25)])
    conductance = np.array([1 / 10, 1 / 20, 1 / 40])
    junction = conductance / conductance.sum()
    np.testing.assert_allclose(w[:2], [junction, junction], rtol=1e-13)
    np.testing.assert_allclose(w[2], 0.75 * junction + 0.25 * np.array([0, 0, 1]), rtol=1e-13)


def test_a_branch_without_a_site_takes_the_value_of_its_junction() -> None:
    w = weights(Y, [(0, 0.0), (1, 1.0)], [(0, 1.0), (2, 0.0), (2, 0.6), (2, 1.0)])
    np.testing.assert_allclose(w, np.tile([2 / 3, 1 / 3], (4, 1)), rtol=1e-13)


def test_one_site_is_everywhere() -> None:
    np.testing.assert_array_equal(weights(Y, [(1, 0.3)], [(0, 0.0), (1, 0.9), (2, 1.0)]), 1.0)


def test_a_site_gives_its_own_value_at_its_place() -> None:
    sites = [(0, 0.0), (0, 0.4), (0, 0.7), (1, 0.0), (2, 1.0)]
    np.testing.assert_allclose(weights(Y, sites, sites), np.eye(5), atol=1e-14)


places = st.tuples(st.integers(0, 2), st.floats(0.0, 1.0))


@settings(deadline=None)
@given(
    sites=st.lists(places, min_size=1, max_size=6, unique_by=lambda p: round(p[0] + 0.99 * p[1], 3)),
    points=st.lists(places, min_size=1, max_size=10),
)
def test_weights_share_out_exactly_one(sites: list[tuple[int, float]], points: list[tuple[int, float]]) -> None:
    at_junction = [(f, x) for f, x in sites if abs(x - (f == 0)) < 1e-9]
    assume(len(at_junction) <= 1)
    w = weights(Y, sites, points)
    assert w.min() >= 0.0
    np.testing.assert_allclose(w.sum(axis=1), 1.0, rtol=1e-12)


@settings(deadline=None)
@given(shift=st.floats(-50, 50), slope=st.floats(-2, 2))
def test_a_field_linear_in_path_distance_is_carried_exactly(shift: float, slope: float) -> None:
    sites = [(0, 0.0), (0, 1.0), (1, 1.0), (2, 1.0)]
    points = [(0, 0.3), (1, 0.2), (1, 0.9), (2, 0.5)]

    def field(places: list[tuple[int, float]]) -> np.ndarray:
        return np.array([shift + slope * (Y.path[f, 0] + x * Y.length[f]) for f, x in places])

    np.testing.assert_allclose(weights(Y, sites, points) @ field(sites), field(points), atol=1e-10)


def test_sites_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(InputError, match="at least one site"):
        weights(Y, [], [(0, 0.0)])
    with pytest.raises(InputError, match="'site 0' and 'site 1' are one place"):
        weights(Y, [(0, 1.0), (2, 0.0)], [(0, 0.0)])
    with pytest.raises(InputError, match="are one place"):
        weights(Y, [(0, 0.25), (0, 0.25)], [(0, 0.0)])
