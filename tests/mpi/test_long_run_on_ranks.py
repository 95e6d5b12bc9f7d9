"""A population under pulses, a clamp and releases: begun on one rank, gone on with on three."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.io import read
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.read import Result
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.config.reading import load_config
from tests.mpi import runner
from tests.systems.cell.solving import solve
from tests.systems.cell.test_long_run import Silent

JOB = """
[morphology]
file = "builtin:y_branch"

[field]
magnitude = 9000.0
direction = [1.0, 1.0, 0.3]

[stimulation]
waveform = "monophasic"
start = 5.0
bursts = 2
burst_interval = 10.0

[[clamp]]
site = "dend[1](0.9)"
start = 15.0
duration = 5.0
current = 0.2

[[synapse]]
site = "dend[2](0.5)"
start = 10.0

[[probe]]
site = "tip"

[pieces]
max_length = 10.0

[cable]
step = 0.05
d_lambda = 0.01

[window]
kind = "split"

[split]
checkpoint_every = 0.0

[run]
duration = 20.0
output_interval = 5.0
probe_interval = 1.0
transport = "mpi4py"

[population]
magnitudes = [9000.0, 5000.0]
"""
"""Slots of 5 ms: a solver is compiled for every length."""
LIMIT = 500.0
"""Seconds; several times what a run takes on a busy machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("population")
    (here / "job.toml").write_text(JOB)
    return here


@pytest.fixture(scope="module")
def alone(folder: Path) -> Result:
    """On one rank, in this process; what it had after its second slot is kept in ``begun``."""

    class Keeper(Silent):
        slots = 0

        def done(self, amount: float, detail: str = "") -> None:
            self.slots += 1
            if self.slots == 3:  # the checkpoint of the second slot is written, that of the third is not
                (folder / "begun").mkdir()
                for name in ("run.h5", "run.checkpoint.h5"):
                    shutil.copy(folder / name, folder / "begun" / name)

    config = load_config(folder / "job.toml", [f"run.output={folder / 'run.h5'}"])
    solve(config, SerialCommunicator(), Keeper())
    return read(folder / "run.h5")


@pytest.fixture(scope="module")
def on_three(alone: Result, folder: Path) -> Result:
    output = folder / "begun" / "run.h5"
    command = ["-m", "hpcpinn", "run", str(folder / "job.toml"), "--output", str(output), "--resume", "here"]
    job = runner.mpirun(command, 3, limit=LIMIT, directory=folder)
    assert job.code == 0, job.output
    return read(output)


def test_members_fire_and_differ(alone: Result) -> None:
    assert alone.complete
    assert alone.members == ("9000 V/m", "5000 V/m")
    strong, weak = alone.member(0), alone.member(1)
    assert strong.probes.voltage.max() > 0.0
    assert strong.calcium.max() > 2.0 * strong.calcium[0].max()
    assert np.abs(strong.calcium - weak.calcium).max() > 1e-2
    assert np.abs(strong.calcium[0] - weak.calcium[0]).max() < 1e-12
    fired, other = read_metrics(alone.path)["verdict"]["cells"]
    assert (fired["name"], other["name"]) == alone.members
    assert fired["firing"]["most"] >= 1
    # Probes see more than cell averages do.
    rise = max((strong.probes.calcium - strong.probes.calcium[0]).max(), (strong.calcium - strong.calcium[0]).max())
    assert fired["calcium"]["rise"] == pytest.approx(rise, rel=1e-12)


def test_other_ranks_go_on_to_the_same_answer(alone: Result, on_three: Result) -> None:
    """One cell is cut between two ranks, the other is the third's."""
    assert on_three.complete
    owners = [set(on_three.member(number).owner.tolist()) for number in (0, 1)]
    assert sorted(map(len, owners)) == [1, 2] and not owners[0] & owners[1]
    assert np.array_equal(alone.time, on_three.time)
    ours, theirs = (read_metrics(result.path)["verdict"] for result in (alone, on_three))
    for mine, cell in zip(ours["cells"], theirs["cells"], strict=True):
        assert mine["firing"] == cell["firing"]
        for name in ("rise", "moved"):
            assert mine["calcium"].pop(name) == pytest.approx(cell["calcium"].pop(name), rel=1e-6)
        assert mine["calcium"] == cell["calcium"]
    assert np.array_equal(alone.probes.time, on_three.probes.time)
    for get in (lambda r: r.calcium, lambda r: r.calbindin, lambda r: r.voltage, lambda r: r.probes.calcium):
        departure = np.abs(get(alone) - get(alone)[0]).max()
        assert np.abs(get(alone) - get(on_three)).max() < 1e-9 * departure
