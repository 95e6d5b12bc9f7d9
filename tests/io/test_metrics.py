import json
import math

import numpy as np
import pytest

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io.metrics import read_metrics, write_metrics


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
    assert path == common_path / "metrics.json"
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
    with pytest.raises(OutputError, match="metrics.json: cannot write: No such file or directory"):
        write_metrics(common_path / "gone" / "run.h5", communicator, {})


def test_missing_or_damaged_metrics_are_named(tmp_path):
    with pytest.raises(InputError, match="metrics.json: cannot be read"):
        read_metrics(tmp_path / "run.h5")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="metrics.json: is not JSON"):
        read_metrics(tmp_path / "run.h5")
