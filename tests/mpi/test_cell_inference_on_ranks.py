"""Constants of a cell inferred on two ranks (and, where there is time, on four) are those of one."""

import numpy as np
import pytest

from hpcpinn.io.inference import read_inference
from tests.inference.fork import SMALL, inferred, small
from tests.mpi import runner

LIMIT = 500.0
LEARNED = ("D_c', start=150.0", "vdcc_density.dend', start=4.0", "gates[0].tau', start=2e-3")
MORE = (
    "data.noise=0.01",
    "inference.tolerance=1e-5",
    "run.duration=2.5",
    "parameter=[" + ", ".join(f"{{name='{learned}}}" for learned in LEARNED) + "]",
)
"""The last one changes the course of the channels, and not only their strength."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory):
    """In this process."""
    output = tmp_path_factory.mktemp("alone") / "inference.h5"
    inferred(small(*MORE, f"run.output={output}"))
    return read_inference(output)


@pytest.mark.parametrize(
    ("ranks", "transport"),
    [(2, "mpi4jax"), pytest.param(4, "mpi4py", marks=pytest.mark.slow)],
)
def test_ranks_infer_what_one_does(tmp_path, alone, ranks, transport):
    output, job = tmp_path / "inference.h5", tmp_path / "job.toml"
    job.write_text("")
    keys = [*SMALL, *MORE, f"run.output={output}", f"run.transport={transport}"]
    settings = [word for text in keys for word in ("--set", text)]
    done = runner.mpirun(["-m", "hpcpinn", "infer", str(job), *settings], ranks, limit=LIMIT)
    assert done.code == 0, done.output
    many = read_inference(output)
    known = alone.determined
    assert known.sum() >= 2 and np.array_equal(many.determined, known)
    np.testing.assert_array_equal(many.observations.value.round(9), alone.observations.value.round(9))
    away = np.abs(np.log(many.estimate / alone.estimate))[known] / alone.sd_log[known]
    assert away.max() < 1e-3
    np.testing.assert_allclose(many.sd_log[known], alone.sd_log[known], rtol=1e-4)
    np.testing.assert_allclose(many.bands.mean, alone.bands.mean, rtol=1e-5)
    np.testing.assert_allclose(many.field_bands.mean, alone.field_bands.mean, rtol=1e-5)
    assert many.check.probability == alone.check.probability
