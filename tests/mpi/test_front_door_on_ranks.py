"""``import hpcpinn as hp`` under mpirun: every call is collective, and every rank has the result."""

import gc
from typing import Any

import numpy as np
import pytest

import hpcpinn as hp
from hpcpinn.parallel.communicator import Communicator

EXPERIMENT: dict[str, Any] = {
    "synapses": [hp.Synapse("dend[1](0.5)", start=0.2)],
    "probes": [hp.Probe("dend[1](0.5)", "release"), hp.Probe("dend[2](0.9)", "far")],
    "network": {"features": 36},
    "window": {"longest": 0.1, "tolerance": 1e-2},
}
"""That of `tests.mpi.test_run_on_ranks`, whose compiled programs serve here, too."""


@pytest.mark.mpi_ranks(2, limit=600)
def test_a_script_on_two_ranks(communicator: Communicator, common_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(common_path)
    graph = hp.Cell("builtin:y_branch").to_networkx()
    picture = hp.Cell(graph).plot()  # one file, which the first rank wrote
    assert set(communicator.share(picture.path)) == {picture.path} and picture.path.is_file()
    run = hp.solve(hp.Cell(graph), **EXPERIMENT, duration=0.5, output_interval=0.25)
    assert run.path.is_relative_to(common_path) and run.attributes["ranks"] == 2
    seen = run.probe("release").calcium
    assert seen.max() > 0.1 and all(np.array_equal(seen, other) for other in communicator.share(seen))
    assert set(np.unique(run.owner)) == {0, 1}
    pictures = run.plot("pictures")
    assert "partition" in pictures and pictures["partition"].path.is_file()
    errors = communicator.share(run.validate(refinement=1).figures()["rel_l2"]["calcium"])
    assert errors[0] == errors[1] < 0.1
    folder = run.path.parent
    del run
    gc.collect()
    communicator.barrier()
    assert not folder.exists()


@pytest.mark.mpi_ranks(2, limit=300)
def test_all_ranks_hear_of_a_mistake(communicator: Communicator):
    with pytest.raises(hp.InputError, match=r"\[\[synapse\]\] number 1, site: site 'dend\[7\]'"):
        hp.solve("builtin:y_branch", synapses=[hp.Synapse("dend[7]", start=0.2)], duration=1.0)
    communicator.barrier()
