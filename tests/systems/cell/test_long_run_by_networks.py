"""Long runs whose diffusion is by networks with kept factors: against the exact operator, resumed, and on ranks."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.read import read
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.common.run_summary import RunSummary
from tests.systems.cell.solving import solve
from tests.systems.cell.test_long_run import Silent, arrays, described, split

TRAIN = [
    'window.kind="split"', "stimulation.start=10.0", "stimulation.bursts=2", "stimulation.burst_interval=10.0",
    "run.duration=30.0",
    "split.checkpoint_every=0.0", "split.motif_tolerance=1e-2", "run.output_interval=5.0", "pieces.max_length=10.0",
    "pieces.cells_per_piece=4", 'synapse=[{site="tip", start=10.0}]',
]  # fmt: skip
NETWORKS = 'split.diffusion="networks"'


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, RunSummary]:
    config = described(tmp_path_factory.mktemp("networks"), "whole", *TRAIN, NETWORKS)
    return config, split(config)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(whole: tuple[RunConfig, RunSummary], tmp_path: Path) -> None:
    config, summary = whole
    stopped = described(tmp_path, "stopped", *TRAIN, NETWORKS)
    with pytest.raises(KeyboardInterrupt):
        solve(stopped, SerialCommunicator(), Silent(stop_after=1))
    checkpoint = tmp_path / "stopped.checkpoint.h5"
    with pytest.raises(InputError, match=r'split\.diffusion was "networks" and is now "exact"'):
        split(described(tmp_path, "stopped", *TRAIN), resume=checkpoint)
    resumed = split(stopped, resume=checkpoint)
    for name, values in arrays(config.run.output).items():
        assert np.array_equal(values, arrays(stopped.run.output)[name]), name
    assert resumed.windows == summary.windows
    assert resumed.outside_flow_map == summary.outside_flow_map < 0.1


def test_networks_agree_with_the_exact_operator(whole: tuple[RunConfig, RunSummary], tmp_path: Path) -> None:
    """On cells four to a piece; what is left is the cells' own error."""
    split(described(tmp_path, "exact", *TRAIN))
    ours, theirs = read(whole[0].run.output), read(tmp_path / "exact.h5")
    weight = ours.cells.volume
    for name in ("calcium", "calbindin"):
        mine, exact = getattr(ours, name), getattr(theirs, name)
        away, apart = exact[-1] - exact[0], mine[-1] - exact[-1]
        assert np.sqrt(weight @ apart**2) < 2e-3 * np.sqrt(weight @ away**2), name
    np.testing.assert_allclose(ours.probes.calcium[-1], theirs.probes.calcium[-1], rtol=2e-3)
