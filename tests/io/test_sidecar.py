import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.sidecar import Solution, read_reference, reference_path, write_reference
from tests.io import runs


@pytest.fixture
def result(communicator, tmp_path):
    with ResultWriter(tmp_path / "run.h5", communicator, runs.header(1)) as writer:
        runs.write_window(writer, 0)
    return read(tmp_path / "run.h5")


def solutions(result):
    probes = result.probes
    shifted = {"calcium": result.calcium + 1.0, "calbindin": result.calbindin + 2.0}
    at_probes = {"calcium": probes.calcium + 3.0, "calbindin": probes.calbindin + 4.0}
    return {
        "finite_volumes": Solution(shifted, at_probes),
        "other": Solution({"voltage": result.voltage}, figures={"seconds": 2.5}),
    }


def test_a_reference_stands_beside_its_result(result):
    assert read_reference(result) is None
    path = write_reference(result, solutions(result))
    assert path == reference_path(result.path) == result.path.parent / "run.reference.h5"
    found = read_reference(result)
    np.testing.assert_array_equal(found.time, result.time)
    np.testing.assert_array_equal(found.probe_time, result.probes.time)
    assert found.solutions.keys() == solutions(result).keys()
    for name, expected in solutions(result).items():
        assert found[name].figures == expected.figures
        for part in ("fields", "probes"):
            values = getattr(expected, part)
            assert getattr(found[name], part).keys() == values.keys()
            for field in values:
                np.testing.assert_array_equal(getattr(found[name], part)[field], values[field])


def test_the_reference_of_an_earlier_run_is_not_taken_for_that_of_a_new_one(communicator, result):
    write_reference(result, solutions(result))
    ResultWriter(result.path, communicator, runs.header(1)).close()
    assert read_reference(read(result.path)) is None


def test_a_damaged_reference_is_named(result):
    path = write_reference(result, solutions(result))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="run.reference.h5: cannot be read"):
        read_reference(result)
