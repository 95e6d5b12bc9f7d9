"""Constants of a cell inferred on two ranks are those of one."""

import numpy as np

from hpcpinn.io.neuron_inference import read_neuron_inference
from tests.inference.test_neuron_inference import SMALL
from tests.mpi import runner

LIMIT = 500.0


def test_two_ranks_infer_what_one_does(tmp_path):
    job = tmp_path / "job.toml"
    job.write_text("")
    found = []
    for ranks in (1, 2):
        output = tmp_path / str(ranks) / "inference.h5"
        keys = [*SMALL, "data.noise=0.01", "inference.tolerance=1e-6", f"run.output={output}"]
        settings = [word for text in keys for word in ("--set", text)]
        done = runner.mpirun(["-m", "hpcpinn", "infer", str(job), *settings], ranks, limit=LIMIT)
        assert done.code == 0, done.output
        found.append(read_neuron_inference(output))
    one, two = found
    known = one.determined
    assert known.sum() >= 3 and np.array_equal(two.determined, known)
    np.testing.assert_array_equal(two.data.value.round(9), one.data.value.round(9))
    away = np.abs(np.log(two.estimate / one.estimate))[known] / one.sd_log[known]
    assert away.max() < 1e-3
    np.testing.assert_allclose(two.sd_log[known], one.sd_log[known], rtol=1e-4)
    np.testing.assert_allclose(two.band_mean, one.band_mean, rtol=1e-5)
    np.testing.assert_allclose(two.cell_mean, one.cell_mean, rtol=1e-5)
    assert two.check_probability == one.check_probability
