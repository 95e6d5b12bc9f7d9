import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.sidecar import ReferenceTrace, read_reference, reference_path, write_reference
from tests.io import runs


@pytest.fixture
def result(communicator, tmp_path):
    with ResultWriter(tmp_path / "run.h5", communicator, runs.header(1)) as writer:
        runs.write_window(writer, 0)
    return read(tmp_path / "run.h5")


def trace(result):
    probes = result.probes
    return ReferenceTrace(
        time=result.time,
        calcium=result.calcium + 1.0,
        calbindin=result.calbindin + 2.0,
        probe_time=probes.time,
        probe_calcium=probes.calcium + 3.0,
        probe_calbindin=probes.calbindin + 4.0,
    )


def test_a_reference_stands_beside_its_result(result):
    assert read_reference(result) is None
    path = write_reference(result, trace(result))
    assert path == reference_path(result.path) == result.path.parent / "run.reference.h5"
    found = read_reference(result)
    for name, values in vars(trace(result)).items():
        np.testing.assert_array_equal(getattr(found, name), values)


def test_the_reference_of_an_earlier_run_is_not_taken_for_that_of_a_new_one(communicator, result):
    write_reference(result, trace(result))
    ResultWriter(result.path, communicator, runs.header(1)).close()
    assert read_reference(read(result.path)) is None


def test_a_damaged_reference_is_named(result):
    path = write_reference(result, trace(result))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="run.reference.h5: cannot be read"):
        read_reference(result)
