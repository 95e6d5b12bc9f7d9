"""A mixed run, coupled after a pulse and a release and split between: resumed to the bit, and on two ranks."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.io import read
from hpcpinn.io.read import Result
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.common.run_summary import RunSummary
from tests.mpi import runner
from tests.systems.cell.solving import solve
from tests.systems.cell.test_long_run import Silent, arrays

JOB = """
[morphology]
file = "builtin:y_branch"

[field]
magnitude = 9000.0
direction = [1.0, 1.0, 0.3]

[stimulation]
waveform = "monophasic"
start = 1.5

[[synapse]]
site = "dend[2](0.5)"
start = 4.0

[[probe]]
site = "tip"

[pieces]
max_length = 20.0

[cable]
step = 0.05
d_lambda = 0.01

[window]
kind = "mixed"
tolerance = 5e-3

[split]
coupled_for = 1.0
checkpoint_every = 0.0

[run]
duration = 6.5
output_interval = 0.5
probe_interval = 0.5
"""
"""Split slots of 1.5 ms: a solver is compiled for every length."""
LIMIT = 500.0
"""Seconds; several times what a run takes on a busy machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("mixed")
    (here / "job.toml").write_text(JOB)
    for name in ("again", "ranks"):
        (here / name).mkdir()
    return here


def described(folder: Path) -> RunConfig:
    return load_config(folder.parent / "job.toml", [f"run.output={folder / 'run.h5'}"])


@pytest.fixture(scope="module")
def alone(folder: Path) -> RunSummary:
    """On one rank, in this process; what it had after its second slot, a coupled one, is kept."""

    class Keeper(Silent):
        slots = 0

        def done(self, amount: float, detail: str = "") -> None:
            self.slots += 1
            if self.slots == 2:  # its checkpoint is written
                for name in ("run.h5", "run.checkpoint.h5"):
                    for begun in ("again", "ranks"):
                        shutil.copy(folder / "whole" / name, folder / begun / name)

    (folder / "whole").mkdir()
    return solve(described(folder / "whole"), SerialCommunicator(), Keeper())


def test_both_kinds_of_windows_follow_each_other(alone: RunSummary, folder: Path) -> None:
    result = read(folder / "whole" / "run.h5")
    assert result.complete
    assert result.windows["start"].tolist() == pytest.approx([0.0, 1.5, 2.5, 4.0, 5.0], abs=1e-9)
    coupled = result.windows["newton_steps"] > 0
    assert coupled.tolist() == [False, True, False, True, False]
    assert 0 < alone.coupled_windows < alone.windows
    assert 0.0 < alone.coupled_error <= 5e-3
    assert 0.0 < alone.error_estimate < 1e-2
    assert result.probes.calcium.max() > 2.0 * result.probes.calcium[0].max()


@pytest.mark.slow
def test_it_goes_on_to_the_same_bits(alone: RunSummary, folder: Path) -> None:
    resumed = solve(
        described(folder / "again"), SerialCommunicator(), Silent(), resume=folder / "again" / "run.checkpoint.h5"
    )
    whole, again = (arrays(str(folder / name / "run.h5")) for name in ("whole", "again"))
    for name, values in whole.items():
        assert np.array_equal(values, again[name]), name
    assert (resumed.windows, resumed.coupled_windows) == (alone.windows, alone.coupled_windows)


@pytest.mark.slow
def test_two_ranks_go_on_to_the_same_answer(alone: RunSummary, folder: Path) -> None:
    output = folder / "ranks" / "run.h5"
    command = ["-m", "hpcpinn", "run", str(folder / "job.toml"), "--output", str(output), "--resume", "here"]
    job = runner.mpirun(command, 2, limit=LIMIT, directory=folder)
    assert job.code == 0, job.output
    ours, theirs = read(folder / "whole" / "run.h5"), read(output)
    assert theirs.complete and set(theirs.owner.tolist()) == {0, 1}
    assert np.array_equal(ours.time, theirs.time)
    for get in (_calcium, _calbindin, _at_probes):
        departure = np.abs(get(ours) - get(ours)[0]).max()
        assert np.abs(get(ours) - get(theirs)).max() < 1e-8 * departure


def _calcium(result: Result) -> np.ndarray:
    return result.calcium


def _calbindin(result: Result) -> np.ndarray:
    return result.calbindin


def _at_probes(result: Result) -> np.ndarray:
    return result.probes.calcium
