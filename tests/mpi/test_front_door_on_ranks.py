"""``import hpcpinn as hp`` under mpirun: every call is collective, and every rank has the result."""

import gc

import numpy as np
import pytest

import hpcpinn as hp
from hpcpinn.parallel.communicator import Communicator


@pytest.mark.mpi_ranks(2)
def test_a_script_on_two_ranks(communicator: Communicator, common_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(common_path)
    graph = hp.Cell("builtin:y_branch").to_networkx()
    run = hp.solve(hp.Cell(graph), synapses=[hp.Synapse("tip", start=0.2)], duration=1.0, output_interval=0.5)
    assert run.path.is_relative_to(common_path) and run.attributes["ranks"] == 2
    seen = run.probe("tip").calcium
    assert seen.max() > 0.5 and all(np.array_equal(seen, other) for other in communicator.share(seen))
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


@pytest.mark.mpi_ranks(2)
def test_all_ranks_hear_of_a_mistake(communicator: Communicator):
    with pytest.raises(hp.InputError, match=r"\[\[synapse\]\] number 1, site: site 'dend\[7\]'"):
        hp.solve("builtin:y_branch", synapses=[hp.Synapse("dend[7]", start=0.2)], duration=1.0)
    communicator.barrier()
