"""Constants of a forked dendrite from traces at its sites: exact derivatives, truth recovered, silence kept."""

from dataclasses import replace

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.neuron_inference import read_neuron_inference
from hpcpinn.io.site_observations import SiteTable
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.workflows.neuron_inference import Study, build_study, infer_on_cell, synthesiser, truth_of
from tests.inference.fork import NAMES, SITES, small


@pytest.fixture(scope="module")
def study() -> Study:
    return build_study(small(), SerialCommunicator(), SITES)


@pytest.fixture(scope="module")
def exact(study: Study) -> SiteTable:
    """Traces without noise, said to be good to a part in 10⁴."""
    table = synthesiser(replace(study, config=small("data.noise=1e-14")))(0)
    return replace(table, noise=table.noise / 1e-14 * 1e-4)


def test_sensitivities_are_those_of_differences(study: Study, exact: SiteTable):
    z, site = study.start, study.numbers(exact)
    slope = study.seen(study.at_start, site, exact.t).slope
    for i, name in enumerate(NAMES):
        step = np.where(np.arange(len(z)) == i, 1e-3, 0.0)
        ahead, behind = (study.seen(study.model.solved(z + s), site, exact.t).value for s in (step, -step))
        differences = (ahead - behind) / 2e-3
        assert np.abs(slope[:, i] - differences).max() < 1e-5 * np.abs(differences).max(), name


def test_exact_data_give_the_truth(study: Study, exact: SiteTable):
    fit, _ = study.fitted(exact)
    truth = truth_of(study)
    assert fit.converged
    np.testing.assert_allclose(np.exp(fit.z), [truth[name] for name in NAMES], rtol=1e-3)
    assert study.posterior(fit).determined.all()


def test_what_the_data_do_not_see_is_said_to_be_undetermined(study: Study, exact: SiteTable):
    """A few ms at the far end of one branch say nothing about the channels of the other."""
    far = np.array([site in SITES[1:4] for site in exact.site])
    table = SiteTable(exact.value[far], tuple(np.array(exact.site)[far]), exact.t[far], 100.0 * exact.noise[far])
    fit, _ = study.fitted(table)
    assert study.posterior(fit).determined.tolist() == [True, False, True, False]


def test_a_run_on_a_cell_is_written_and_read(tmp_path, study: Study):
    """By way of a file of traces through an indicator; what is read is what was put in."""
    output = tmp_path / "inference.h5"
    outcome = infer_on_cell(
        small(f"run.output={output}", "data.indicator=0.5", "parameter=[{name='vdcc_density.dend', start=5.0}]",
              "data.truth={vdcc_density={dend=6.0}}", "data.noise=0.02"),
        SerialCommunicator(),
    )  # fmt: skip
    result = read_neuron_inference(output)
    assert result.unit == "1" and result.band_sites == SITES
    assert result.low[0] < 6.0 < result.high[0] and not outcome.check.model_is_wrong
    at = np.searchsorted(result.band_time, result.data.t)
    row = np.array([SITES.index(site) for site in result.data.site])
    np.testing.assert_allclose(result.band_mean[row, at], result.predicted, atol=1e-12)
    assert 0.6 < outcome.misfit < 1.6
    assert result.cell_mean.shape == (len(result.cell_time), len(result.xyz)) and np.all(result.cell_sd >= 0.0)


@pytest.mark.slow
def test_the_flux_of_releases_is_found_where_all_share_it():
    """A release of 700 µM·µm/s, half of what the fit begins with, seen beside the channels."""
    shared = "synapse=[{site='dend[1](0.8)', start=0.5, duration=5.0}]"
    short = ("run.duration=2.0", "data.noise=1e-14")
    learned = ("parameter=[{name='j_release', start=1400.0}]", "data.truth={j_release=700.0}")
    study = build_study(small(shared, *short, *learned), SerialCommunicator(), SITES)
    table = synthesiser(study)(0)
    fit, _ = study.fitted(replace(table, noise=table.noise / 1e-14 * 1e-4))
    assert fit.converged
    np.testing.assert_allclose(np.exp(fit.z), 700.0, rtol=1e-3)
    # A run whose release has that flux of its own makes the same traces, but for its windows.
    own = small(
        shared.replace("duration=5.0", "duration=5.0, flux=700.0"), *short, "data.truth={}", "parameter=[{name='D_c'}]"
    )
    other = synthesiser(build_study(own, SerialCommunicator(), SITES))(0)
    excursion = np.ptp(table.value)
    assert excursion > 0.5
    assert np.abs(other.value - table.value).max() < 1e-2 * excursion


def test_places_and_types_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match=r"data.*sites.*no section dend\[9\]"):
        build_study(small(), SerialCommunicator(), ("dend[9](0.5)",))
    with pytest.raises(InputError, match="no neurite of type 'axon'; there are apic, dend"):
        build_study(small("parameter=[{name='vdcc_density.axon'}]"), SerialCommunicator(), SITES)
