"""Constants of a cell inferred on two ranks are those of one."""

import json

import numpy as np

from tests.inference.test_neuron_inference import SMALL
from tests.mpi import runner

LIMIT = 500.0


def test_two_ranks_infer_what_one_does(tmp_path):
    found = {}
    for ranks in (1, 2):
        keys = [*SMALL, f"run.output={tmp_path / str(ranks) / 'out.h5'}"]
        settings = [word for text in keys for word in ("--set", text)]
        job = tmp_path / "job.toml"
        job.write_text("")
        done = runner.mpirun(["-m", "hpcpinn", "infer", str(job), *settings], ranks, limit=LIMIT)
        assert done.code == 0, done.output
        found[ranks] = json.loads((tmp_path / str(ranks) / "metrics.json").read_text())
    one, two = (
        np.array([[p["estimate"] or np.nan, p["sd_log"]] for p in found[n]["parameters"].values()]) for n in (1, 2)
    )
    np.testing.assert_allclose(two, one, rtol=1e-6)
    np.testing.assert_allclose(found[2]["misfit"], found[1]["misfit"], rtol=1e-6)
