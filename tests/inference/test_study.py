"""Studies of estimates: bounds against the closed form, figures against known errors, draws against single fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.inference.fits import make_fit
from hpcpinn.inference.forward_model import data_of, is_traced
from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.inference.study import BATCH, Fitter, Outcomes, joined, summarised
from hpcpinn.io.observations import Observations
from hpcpinn.physics.dopamine import PRESETS, exact
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.systems.square.inverse import studied, synthesised

CONSTANTS = PRESETS["dopamine"]
TRUTH = np.log([CONSTANTS.D, CONSTANTS.k])
FLAT = Prior(jnp.zeros(2), jnp.zeros(2))
OBSERVATIONS, FIRST, NOISES, SEED = 60, 5, (0.0, 0.02, 0.05), 3


@pytest.fixture(scope="module")
def fitter() -> Fitter:
    given = {
        "parameter": [{"name": "D", "start": 0.3}, {"name": "k", "start": 0.04}],
        "data": {"seed": SEED},
        "inference": {"features": 20, "max_steps": 60},
    }
    problem, experiment, _ = studied(SquareConfig.model_validate(given))
    return Fitter(problem, experiment)


@pytest.fixture(scope="module")
def outcomes(fitter: Fitter) -> list[Outcomes]:
    return fitter.batch(OBSERVATIONS, FIRST, NOISES)


def table(number: int, noise: float) -> Observations:
    return synthesised(CONSTANTS, count=OBSERVATIONS, noise=noise, first=0.5, last=18.0, seed=SEED + FIRST + number)


def test_bounds_are_those_of_the_closed_form(outcomes: list[Outcomes]):
    """By automatic differentiation of the closed form at the truth, which knows no networks."""
    seen = table(7, 0.02)

    def predicted(z):
        return exact(seen["x"], seen["y"], seen["t"], CONSTANTS.replace(D=jnp.exp(z[0]), k=jnp.exp(z[1])))

    rows = np.asarray(jax.jacfwd(predicted)(jnp.asarray(TRUTH))) / seen.noise[:, None]
    bound = np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    np.testing.assert_allclose(outcomes[1].bound_log[7], bound, rtol=1e-5)
    # Errors of a linear problem scale with the noise; the bound is linear by definition.
    np.testing.assert_allclose(outcomes[2].bound_log, 2.5 * outcomes[1].bound_log, rtol=1e-9)


def test_a_draw_is_the_fit_of_its_data_by_themselves(fitter: Fitter, outcomes: list[Outcomes]):
    model, start = fitter.problem.model, jnp.asarray(fitter.problem.start)
    assert is_traced(model)
    fit = make_fit(model, FLAT)
    for n, noise in ((1, 0.02), (2, 0.05)):
        alone = fit(data_of(model, table(BATCH - 1, noise)), start)
        np.testing.assert_allclose(outcomes[n].z[BATCH - 1], alone.z, atol=1e-7)


def test_without_noise_the_truth_is_found(outcomes: list[Outcomes]):
    cell = summarised(outcomes[0], TRUTH, 0.0)
    assert cell.error_largest.max() < 1e-5
    assert np.isnan(cell.ratio).all() and cell.converged == 1.0


def known(errors: np.ndarray, bound: float, sd: float) -> Outcomes:
    """Estimates that miss the truth by given shares."""
    flat = np.ones_like(errors)
    return Outcomes(TRUTH + np.log1p(errors), sd * flat, sd * flat, bound * flat, np.ones(len(errors), bool))


def test_figures_of_known_errors():
    """Errors of ±3 % in a pattern: every figure is known by hand."""
    errors = np.tile(0.03 * np.array([[1.0, -1.0], [-1.0, 1.0]]), (50, 1))
    cell = summarised(known(errors, bound=0.02, sd=0.016), TRUTH, 0.05)
    np.testing.assert_allclose(cell.ratio, 1.5, rtol=1e-12)
    np.testing.assert_allclose([cell.ratio_low, cell.ratio_high], 1.5, rtol=1e-12)  # every draw errs as much
    np.testing.assert_allclose(cell.bound, 0.02)
    np.testing.assert_allclose(cell.error_largest, 0.03, rtol=1e-12)
    np.testing.assert_allclose([-cell.error_low, cell.error_high], 0.03, rtol=1e-9)
    # log(1.03) = 0.0296 lies within 1.96 × 0.016 = 0.0314; −log(0.97) = 0.0305 does, too.
    np.testing.assert_array_equal(cell.coverage, 1.0)
    np.testing.assert_array_equal(summarised(known(errors, 0.02, 0.0153), TRUTH, 0.05).coverage, 0.5)


def test_data_sets_that_leave_a_constant_open_are_counted():
    errors = np.zeros((40, 2))
    outcomes = known(errors, 0.1, 0.1)
    outcomes.data_sd_log[:10, 0] = np.inf
    cell = summarised(outcomes, TRUTH, 0.1)
    np.testing.assert_allclose(cell.open, [0.25, 0.0])


def test_the_interval_of_a_ratio_is_that_of_a_chi_distribution():
    """Normal errors as large as the bound: √(χ²_n / n), within what 400 draws and resampling allow."""
    errors = 1e-3 * np.random.default_rng(1).standard_normal((400, 2))
    cell = summarised(known(errors, 1e-3, 1e-3), TRUTH, 0.05)
    width = cell.ratio_high - cell.ratio_low
    np.testing.assert_allclose(width, 2 * 1.96 / np.sqrt(2 * 400), rtol=0.15)
    assert (cell.ratio_low < 1.0).all() and (cell.ratio_high > 1.0).all()


def test_batches_are_joined_in_order_and_cut(outcomes: list[Outcomes]):
    both = joined([outcomes[1], outcomes[2]])
    assert both.first(BATCH + 1).z.shape == (BATCH + 1, 2)
    np.testing.assert_array_equal(both.z[BATCH:], outcomes[2].z)
