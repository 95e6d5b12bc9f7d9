"""How large a result will be."""

import numpy as np
import pytest

from hpcpinn.errors import InputWarning
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.size import free_bytes, result_bytes, warn_of_space
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io import runs
from tests.io.runs import FIELDS


@pytest.mark.parametrize(("frames", "samples", "windows"), [(3, 10, 2), (200, 3000, 500), (1500, 20_000, 40)])
def test_the_size_is_that_of_the_file(tmp_path, frames, samples, windows):
    header = runs.header(1)
    with ResultWriter(tmp_path / "run.h5", SerialCommunicator(), header) as writer:
        for number in range(frames):
            writer.frame(float(number), dict.fromkeys(FIELDS, np.zeros(header.n_values)))
        writer.probes(np.arange(float(samples)), dict.fromkeys(FIELDS, np.zeros((samples, len(header.probes)))))
        writer.windows([runs.window(number) for number in range(windows)])
    expected = result_bytes(header, frames=frames, samples=samples, windows=windows)
    assert expected == pytest.approx((tmp_path / "run.h5").stat().st_size, rel=0.03, abs=80_000)


def test_a_disk_that_is_too_small_is_warned_of(recwarn):
    with pytest.warns(InputWarning, match=r"run.h5 will take 2.0 GiB, and 1.0 GiB are free there; .*--output"):
        warn_of_space("run.h5", 2**31, 2**30)
    recwarn.clear()
    warn_of_space("run.h5", 2**30, 2**31)
    assert not recwarn.list


def test_what_is_replaced_makes_room(tmp_path):
    (tmp_path / "run.h5").write_bytes(bytes(10_000_000))
    other = free_bytes(tmp_path / "not" / "there" / "yet.h5")
    assert free_bytes(tmp_path / "run.h5") - other == pytest.approx(10_000_000, abs=9_000_000)
