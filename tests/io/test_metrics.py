import json
import math
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io.checkpoint import checkpoint_path
from hpcpinn.io.draws import netcdf_path
from hpcpinn.io.metrics import metrics_path, read_metrics, write_metrics
from hpcpinn.io.sidecar import reference_path


@pytest.mark.mpi_ranks(2)
def test_numbers_of_every_kind_become_json(communicator, common_path):
    metrics = {
        "balance": np.float64(1e-9),
        "windows": np.int64(12),
        "jumps": np.array([1.0, np.nan]),
        "speed": {"ours": math.inf, "cores": (1, 2)},
        "converged": np.True_,
    }
    path = write_metrics(common_path / "run.h5", communicator, metrics if communicator.rank == 0 else {})
    assert path == common_path / "run.metrics.json"
    found = json.loads(path.read_text(), parse_constant=pytest.fail)  # no bare NaN, which is not JSON
    assert found == {
        "result": "run.h5",
        "balance": 1e-9,
        "windows": 12,
        "jumps": [1.0, None],
        "speed": {"ours": None, "cores": [1, 2]},
        "converged": True,
    }
    assert read_metrics(common_path / "run.h5") == found


@pytest.mark.mpi_ranks(2)
def test_no_place_is_one_line_on_every_rank(communicator, common_path):
    with pytest.raises(OutputError, match="run.metrics.json: cannot write: No such file or directory"):
        write_metrics(common_path / "gone" / "run.h5", communicator, {})


def test_missing_or_damaged_metrics_are_named(tmp_path):
    with pytest.raises(InputError, match="run.metrics.json: cannot be read"):
        read_metrics(tmp_path / "run.h5")
    (tmp_path / "run.metrics.json").write_text("{")
    with pytest.raises(InputError, match="run.metrics.json: is not JSON"):
        read_metrics(tmp_path / "run.h5")


def test_results_of_one_folder_have_side_files_of_their_own():
    results = ("a.h5", "b.h5", "rate0.5", "rate0.7", "rate0.7.h5x", "b")
    for path_of in (metrics_path, checkpoint_path, reference_path, netcdf_path):
        beside = {path_of(f"results/{name}") for name in results}
        assert len(beside) == len(results) - 1  # b and b.h5 alone are one
        assert beside.isdisjoint(Path("results") / name for name in results)
    assert metrics_path("results/rate0.5.h5") == Path("results/rate0.5.metrics.json")


def test_metrics_of_one_run_leave_those_of_another(tmp_path):
    from hpcpinn.parallel.communicator import SerialCommunicator

    for name in ("one", "two"):
        write_metrics(tmp_path / f"{name}.h5", SerialCommunicator(), {"windows": len(name), "name": name})
    assert [read_metrics(tmp_path / f"{name}.h5")["name"] for name in ("one", "two")] == ["one", "two"]
