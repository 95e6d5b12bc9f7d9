"""Averages and probes: exact for polynomials on frusta."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial

from hpcpinn.domain.sampling import Sampler
from tests.training.systems import Decay, three_pieces

DEGREE = 6


class Powers:
    """Features ξ^i and ξ^i τ, so that heads are the coefficients of polynomials."""

    def features(self, xi, tau):
        powers = jnp.asarray(xi)[:, None] ** jnp.arange(DEGREE)
        return SimpleNamespace(value=jnp.concatenate([powers, powers * jnp.asarray(tau)[:, None]], axis=1))


def sampler(probe_piece=(), probe_xi=(), cells: int = 3) -> Sampler:
    return Sampler(Decay(), Powers(), three_pieces(), cells, np.array(probe_piece, int), np.array(probe_xi, float))


HEADS = np.random.default_rng(2).normal(size=(3, 2, 2 * DEGREE))


def field(piece: int, species: int, tau: float) -> Polynomial:
    """The field on a piece in powers of ξ."""
    head, equation = HEADS[piece, species], Decay()
    return equation.rest[species] + equation.scale[species] * Polynomial(head[:DEGREE] + tau * head[DEGREE:])


def area(piece: int) -> Polynomial:
    cable, share = three_pieces(), Polynomial([0.5, 0.5])
    outer, inner = (e[piece, 0] + (e[piece, 1] - e[piece, 0]) * share for e in (cable.radius, cable.er_radius))
    return outer**2 - inner**2


@pytest.mark.parametrize("tau", [-1.0, 0.3, 1.0])
def test_cell_averages_weigh_with_volume_exactly(tau: float) -> None:
    averages = sampler().cell_averages(tau, jnp.asarray(HEADS))
    assert averages.shape == (2, 3, 3) and averages.dtype == np.float64
    edges = np.linspace(-1.0, 1.0, 4)
    for species in range(2):
        for piece in range(3):
            amount, volume = (field(piece, species, tau) * area(piece)).integ(), area(piece).integ()
            wanted = np.diff(amount(edges)) / np.diff(volume(edges))
            np.testing.assert_allclose(averages[species, piece], wanted, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 8, 11])
def test_probes_read_the_field_where_they_are(count: int) -> None:
    here = sampler([2, 0, 2], [-1.0, 0.25, 0.9])
    times = np.linspace(-1.0, 1.0, count)
    values = here.probe_values(times, jnp.asarray(HEADS))
    assert values.shape == (count, 2, 3) and values.dtype == np.float64
    for row, tau in zip(values, times, strict=True):
        for species in range(2):
            wanted = [field(p, species, tau)(x) for p, x in ((2, -1.0), (0, 0.25), (2, 0.9))]
            np.testing.assert_allclose(row[species], wanted, rtol=1e-12)


def test_nothing_to_read() -> None:
    assert sampler([1], [0.0]).probe_values(np.zeros(0), jnp.asarray(HEADS)).shape == (0, 2, 1)
    assert sampler().probe_values(np.zeros(4), jnp.asarray(HEADS)).shape == (4, 2, 0)


def test_rest_is_read_to_the_last_bit() -> None:
    averages = sampler().cell_averages(0.5, jnp.zeros_like(HEADS))
    assert np.array_equal(averages, np.broadcast_to(np.array(Decay.rest)[:, None, None], (2, 3, 3)))
