"""Courses in time of releases and end fluxes, their integrals and breakpoints."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.physics import sources
from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell.config.schema import FluxConfig, SynapseConfig

N_TYPE = PRESETS["physical-N"]


def two_releases():
    return sources.releases(
        [
            SynapseConfig(site="apic[1](0.5)", start=2.0),
            SynapseConfig(site="dend[0](1)", start=4.0, flux=100.0, duration=8.0),
        ],
        N_TYPE,
    )


def test_release_falls_linearly_from_its_peak_to_zero():
    t = jnp.array([0.0, 1.999e-3, 2e-3, 2.25e-3, 3e-3, 4e-3, 6e-3, 12e-3])
    flux = sources.release_flux(two_releases(), t)
    np.testing.assert_allclose(flux[:, 0], [0, 0, 2500, 1875, 0, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(flux[:, 1], [0, 0, 0, 0, 0, 100, 75, 0], atol=1e-9)


def test_released_is_the_integral_of_the_flux():
    releases = two_releases()
    edges = jnp.array([0.0, 2e-3, 2.4e-3, 3e-3, 4e-3, 9e-3, 12e-3, 20e-3])
    nodes, weights = np.polynomial.legendre.leggauss(3)
    for since, until in pairwise(edges):
        t = since + 0.5 * (nodes + 1.0) * (until - since)
        integral = 0.5 * (until - since) * weights @ sources.release_flux(releases, t)
        np.testing.assert_allclose(sources.released(releases, since, until), integral, rtol=1e-12, atol=1e-15)
    total = sources.released(releases, 0.0, 1.0)
    np.testing.assert_allclose(total, [2500 * 1e-3 / 2, 100 * 8e-3 / 2], rtol=1e-12)


def test_a_release_without_end_is_a_constant_flux():
    releases = sources.releases([SynapseConfig(site="soma", start=0.25)], PRESETS["seed"])
    np.testing.assert_array_equal(sources.release_flux(releases, jnp.array([0.0, 0.25, 1e6]))[:, 0], [0.0, 1.0, 1.0])
    assert sources.released(releases, 0.0, 10.0) == pytest.approx(9.75, rel=1e-15)


def test_end_flux_is_on_for_its_duration():
    ends = sources.end_fluxes(
        [
            FluxConfig(site="soma", value=3.0, start=1.0, duration=2.0),
            FluxConfig(site="tip:apic", value=-1.0),
        ],
        N_TYPE,
    )
    t = jnp.array([0.0, 0.9e-3, 1e-3, 2.9e-3, 3.1e-3, 1e3])
    np.testing.assert_array_equal(
        sources.end_flux(ends, t), np.transpose([[0, 0, 3, 3, 0, 0], [-1, -1, -1, -1, -1, -1]])
    )
    np.testing.assert_allclose(sources.passed(ends, 2e-3, 5e-3), [3e-3, -3e-3], rtol=1e-12)


def test_breakpoints_are_sorted_inside_the_run_and_given_once():
    releases = two_releases()
    ends = sources.end_fluxes(
        [
            FluxConfig(site="soma", value=1.0, start=0.0, duration=3.0),
            FluxConfig(site="soma", value=1.0, start=11.0, duration=math.inf),
        ],
        N_TYPE,
    )
    expected = np.array([2.0, 3.0, 4.0, 11.0, 12.0]) * 1e-3
    np.testing.assert_allclose(sources.breakpoints([releases, ends], 50e-3), expected, rtol=1e-12)
    np.testing.assert_allclose(sources.breakpoints([releases, ends], 11e-3), expected[:3])


def test_moments_that_only_rounding_separates_are_one():
    early = SynapseConfig(site="soma", start=0.1, duration=0.2)  # ends at 0.30000000000000004
    late = SynapseConfig(site="soma", start=0.3, duration=1.0)
    moments = sources.breakpoints([sources.releases([early, late], N_TYPE)], 1e-2)
    np.testing.assert_allclose(moments, [1e-4, 3e-4, 1.3e-3], rtol=1e-12)


def test_no_sources():
    none = sources.releases([], N_TYPE)
    assert sources.breakpoints([none, sources.end_fluxes([], N_TYPE)], 1.0).shape == (0,)
    assert sources.release_flux(none, jnp.zeros(5)).shape == (5, 0)


def test_sources_pass_through_jit_as_arguments():
    flux = jax.jit(sources.release_flux)(two_releases(), jnp.array([2.5e-3]))
    np.testing.assert_allclose(flux, [[1250.0, 0.0]])
    assert flux.dtype == jnp.float64
