"""Constants of a forked dendrite from traces at its sites: exact derivatives, truth recovered, silence kept."""

from dataclasses import replace

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.inference.infer import fit_once, posterior_of
from hpcpinn.inference.problem import InverseProblem
from hpcpinn.io.inference import read_inference
from hpcpinn.io.observations import Observations
from hpcpinn.systems.cell.build.inverse import truth_of
from tests.inference.fork import NAMES, SITES, check_slopes, exactly, inferred, inverse, small

EXACT = "data.noise=1e-14"


@pytest.fixture(scope="module")
def problem() -> InverseProblem:
    return inverse(small())


@pytest.fixture(scope="module")
def exact(problem: InverseProblem) -> Observations:
    """Traces without noise, said to be good to a part in 10⁴."""
    return exactly(small(EXACT), problem)


def test_sensitivities_are_those_of_differences(problem: InverseProblem, exact: Observations):
    check_slopes(problem, exact)


def test_exact_data_give_the_truth(problem: InverseProblem, exact: Observations):
    fit, _ = fit_once(problem, exact)
    truth = truth_of(small(EXACT), problem)
    assert fit.converged
    np.testing.assert_allclose(np.exp(fit.z), [truth[name] for name in NAMES], rtol=1e-3)
    assert posterior_of(problem, fit).determined.all()


def test_what_the_data_do_not_see_is_said_to_be_undetermined(problem: InverseProblem, exact: Observations):
    """A few ms at the far end of one branch say nothing about the channels of the other."""
    far = np.array([site in SITES[1:4] for site in exact["site"]])
    at = {"site": tuple(np.array(exact["site"])[far]), "t": exact["t"][far]}
    fit, _ = fit_once(problem, replace(exact, value=exact.value[far], noise=100.0 * exact.noise[far], at=at))
    assert posterior_of(problem, fit).determined.tolist() == [True, False, True, False]


def test_a_run_on_a_cell_is_written_and_read(tmp_path):
    """By way of a file of traces through an indicator; what is read is what was put in."""
    output = tmp_path / "inference.h5"
    outcome = inferred(
        small(f"run.output={output}", "data.indicator=0.5", "parameter=[{name='vdcc_density.dend', start=5.0}]",
              "data.truth={vdcc_density={dend=6.0}}", "data.noise=0.02"),
    )  # fmt: skip
    result = read_inference(output)
    bands, cell, seen = result.bands, result.field_bands, result.observations
    assert bands is not None and cell is not None and outcome.check is not None and result.check == outcome.check
    assert result.unit == "1" and bands.names == SITES
    assert result.low[0] < 6.0 < result.high[0] and not outcome.check.model_is_wrong
    at = np.searchsorted(bands.time, seen["t"])
    row = np.array([SITES.index(site) for site in seen["site"]])
    np.testing.assert_allclose(bands.mean[row, at], result.predicted, atol=1e-12)
    assert 0.6 < outcome.misfit < 1.6
    assert cell.mean.shape == (len(cell.time), *cell.geometry.shape) and np.all(cell.sd >= 0.0)


@pytest.mark.slow
def test_the_flux_of_releases_is_found_where_all_share_it():
    """A release of 700 µM·µm/s, half of what the fit begins with, seen beside the channels."""
    shared = "synapse=[{site='dend[1](0.8)', start=0.5, duration=5.0}]"
    short = ("run.duration=2.0", "data.noise=1e-14")
    learned = ("parameter=[{name='j_release', start=1400.0}]", "data.truth={j_release=700.0}")
    config = small(shared, *short, *learned)
    problem = inverse(config)
    table = exactly(config, problem)
    fit, _ = fit_once(problem, table)
    assert fit.converged
    np.testing.assert_allclose(np.exp(fit.z), 700.0, rtol=1e-3)
    # A run whose release has that flux of its own makes the same traces, but for its windows.
    own = small(
        shared.replace("duration=5.0", "duration=5.0, flux=700.0"), *short, "data.truth={}", "parameter=[{name='D_c'}]"
    )
    other = exactly(own, inverse(own))
    excursion = np.ptp(table.value)
    assert excursion > 0.5
    assert np.abs(other.value - table.value).max() < 1e-2 * excursion


def test_places_and_types_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match=r"data.*sites.*no section dend\[9\]"):
        inverse(small(), ("dend[9](0.5)",))
    with pytest.raises(InputError, match="no neurite of type 'axon'; there are apic, dend"):
        inverse(small("parameter=[{name='vdcc_density.axon'}]"))
