"""Draws have the moments of what is drawn from; chains that have not converged are refused, with the figure."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError, SolveError
from hpcpinn.inference import nuts
from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.inference.mixing import Mixing, check_mixing, mixing_of
from hpcpinn.inference.nuts import Effort, log_posterior, sample, whitened

NEEDED = "the extra uq is not installed: pip install 'hpcpinn[uq]'"
GOOD = Mixing(np.array([1.001, 1.002]), np.array([900.0, 800.0]), np.array([700.0, 600.0]))
NONE = np.zeros((4, 1000), bool)


def chains(log_density, starts, effort, seed=0):
    pytest.importorskip("blackjax", reason=NEEDED)
    keys = jax.random.split(jax.random.key(seed), len(starts))
    return jax.jit(jax.vmap(lambda start, key: sample(log_density, start, key, effort)))(jnp.asarray(starts), keys)


def test_a_gaussian_posterior_gives_its_mean_and_covariance():
    """A linear model with a prior, whose posterior is known; the chain's units are twice too large."""
    pytest.importorskip("arviz", reason=NEEDED)
    rng = np.random.default_rng(3)
    design, data = rng.standard_normal((8, 2)) * [3.0, 0.5], rng.standard_normal(8)
    prior = Prior(jnp.array([0.5, -0.5]), jnp.array([0.0, 2.0]))
    covariance = np.linalg.inv(design.T @ design + np.diag(prior.precision))
    mean = covariance @ (design.T @ data + prior.precision * prior.centre)
    root = 2.0 * np.linalg.cholesky(covariance)
    density = log_posterior(lambda z: jnp.asarray(design) @ z - data, prior)
    drawn = chains(whitened(density, mean + 1.0, root), np.zeros((4, 2)), Effort(300, 1500))
    z = mean + 1.0 + np.asarray(drawn.z) @ root.T
    figures = mixing_of(z)
    check_mixing(("a", "b"), figures, np.asarray(drawn.diverging), rhat_most=1.01, ess_least=100.0)
    together, sd = z.reshape(-1, 2), np.sqrt(np.diag(covariance))
    assert np.all(np.abs(together.mean(axis=0) - mean) < 4.0 * sd / np.sqrt(figures.ess_bulk))
    # A variance from n effective draws is known to sqrt(2/n).
    near = 4.0 * np.sqrt(2.0 / figures.ess_tail.min()) * np.outer(sd, sd)
    assert np.all(np.abs(np.cov(together.T) - covariance) < near)
    assert near[0, 0] < 0.15 * covariance[0, 0]
    # What blackjax calls the log density is that of the posterior.
    np.testing.assert_allclose(drawn.log_density[2, 7], density(z[2, 7]), rtol=1e-12)


def test_two_modes_are_not_summarised():
    pytest.importorskip("arviz", reason=NEEDED)

    def log_density(z):
        return jnp.logaddexp(-0.5 * jnp.sum((z - 8.0) ** 2), -0.5 * jnp.sum((z + 8.0) ** 2))

    drawn = chains(log_density, [[8.0], [8.5], [-8.0], [-7.0]], Effort(200, 300))
    with pytest.raises(SolveError, match=r"uq: the chains have not converged: R-hat of a \d.* \(at most 1.01"):
        check_mixing(
            ("a",), mixing_of(np.asarray(drawn.z)), np.asarray(drawn.diverging), rhat_most=1.01, ess_least=100.0
        )


def test_a_wall_makes_chains_diverge():
    """The density ends at 1, where most of it is: the integrator falls off."""
    drawn = chains(lambda z: jnp.where(z[0] < 1.0, 3.0 * z[0], -1e6), [[0.0]] * 2, Effort(100, 200))
    good = Mixing(np.array([1.0]), np.array([1e3]), np.array([1e3]))
    with pytest.raises(SolveError, match=r"\d+ of 400 draws diverged \(raise uq.acceptance\)"):
        check_mixing(("a",), good, np.asarray(drawn.diverging), rhat_most=1.01, ess_least=100.0)


BAD = {
    "R-hat": (replace(GOOD, rhat=np.array([1.001, 1.0101])), NONE, r"R-hat of k 1.01 \(at most 1.01, uq.rhat_most\)"),
    "stuck": (replace(GOOD, rhat=np.array([np.nan, 1.0])), NONE, r"R-hat of D nan"),
    "few": (replace(GOOD, ess_bulk=np.array([399.0, 401.0])), NONE, r"effective draws of D 399 \(at least 400"),
    "few in tails": (replace(GOOD, ess_tail=np.array([1e3, 5.0])), NONE, r"effective draws in the tails of k 5 "),
    "diverging": (GOOD, NONE | (np.arange(1000) == 7), r"4 of 4000 draws diverged"),
}


@pytest.mark.parametrize("bad", BAD)
def test_every_bad_figure_is_refused_by_name(bad):
    figures, diverging, wanted = BAD[bad]
    with pytest.raises(SolveError, match=wanted):
        check_mixing(("D", "k"), figures, diverging, rhat_most=1.01, ess_least=100.0)
    check_mixing(("D", "k"), GOOD, NONE, rhat_most=1.01, ess_least=100.0)


def test_a_missing_library_is_said_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(nuts, "LIBRARIES", ("numpy", "no_such_sampler"))
    with pytest.raises(InputError, match=r"uq needs no_such_sampler, .* pip install 'hpcpinn\[uq\]'"):
        nuts.require_libraries()
