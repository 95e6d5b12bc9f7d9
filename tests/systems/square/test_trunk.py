"""Runs on a square that train their trunks: better than frozen ones of the same size, the same on two ranks."""

import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hpcpinn.core.system import Attempt
from hpcpinn.io import read
from hpcpinn.io.metrics import read_metrics
from hpcpinn.parallel import stopping
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.physics.dopamine import PRESETS
from hpcpinn.progress import NoProgress
from hpcpinn.systems.common.trunk_rule import PAUSE, TrunkRule, heeding
from hpcpinn.systems.jobs import load_order
from hpcpinn.systems.square.build import build_square, square_run
from hpcpinn.systems.square.comparison import closed_form
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.systems.square.run import work
from hpcpinn.systems.square.trunk import SquareTrunkTraining
from hpcpinn.systems.square.windows import SquareRun
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from tests.cli.in_process import hpcpinn
from tests.systems.square.test_run import arrays

JOB = """
[domain]
kind = "square"
subdomains = [3, 2]

[run]
duration = 0.6
output_interval = 0.3
cells = 4

[network]
features_space = 6
features_time = 4

[window]
tolerance = 1e-1
"""
TRAINED = "training.trainer=levenberg-marquardt"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path / "job.toml"


@pytest.mark.slow
def test_a_run_that_trains_its_trunks_is_closer_to_the_closed_form(job: Path) -> None:
    frozen_file, file = job.with_name("frozen.h5"), job.with_name("trained.h5")
    hpcpinn("run", job, "--output", frozen_file)
    frozen = read_metrics(frozen_file)
    hpcpinn("run", job, "--output", file, "--set", TRAINED)
    trained = read_metrics(file)  # in the place of the first
    assert trained["exact_error"] < 0.5 * frozen["exact_error"]
    assert trained["exact_error"] < trained["error_estimate"] < 0.5 * frozen["error_estimate"]
    # Frames are read out of the trunks that solved their window.
    result = read(file)
    wanted = closed_form(PRESETS["dopamine"], result.box.x, result.box.y, result.time)
    assert np.abs(result.dopamine - wanted).max() < 2.0 * trained["exact_error_max"]


@pytest.mark.slow
def test_a_run_that_trains_its_trunks_goes_on_to_the_same_bits(job: Path) -> None:
    """The trunks of its first window are in the checkpoint."""

    class Keeper(NoProgress):
        windows = 0

        def done(self, amount: float, detail: str = "") -> None:
            self.windows += 1
            if self.windows == 1:
                for name in ("h5", "checkpoint.h5"):
                    shutil.copy(job.with_name(f"whole.{name}"), job.with_name(f"again.{name}"))

    def worked(name: str, progress: NoProgress, resume: Path | None = None) -> dict[str, np.ndarray]:
        order = load_order(job, [TRAINED, f"run.output={job.with_name(name)}.h5", "run.checkpoint_every=1"])
        work(replace(order, resume=resume), SerialCommunicator(), progress)
        return arrays(job.with_name(f"{name}.h5"))

    whole = worked("whole", Keeper())
    again = worked("again", NoProgress(), job.with_name("again.checkpoint.h5"))
    assert len(whole["windows/start"]) > 1
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_trunks_of_a_checkpoint_are_those_that_were_kept() -> None:
    """To the last bit, and others than a run begins with."""
    settings = ["domain.kind=square", "domain.subdomains=[2, 2]", "network.features_space=5", TRAINED]
    config = load_order(None, settings).described
    assert isinstance(config, SquareConfig)
    run = square_run(config, SerialCommunicator())
    training = run.improvement
    assert isinstance(training, SquareTrunkTraining)
    shaken = training.weights(run) * (1.0 + 1e-3 * np.random.default_rng(1).normal(size=len(training.weights(run))))
    training.last = 7
    trained = training.with_weights(run, shaken)
    kept = training.scalars(trained)
    other = SquareTrunkTraining(training.optimiser)
    back = other.restored(run, kept)
    assert other.last == 7
    for mine, theirs, first in zip(*(jax.tree.leaves(_tables(one)) for one in (back, trained, run)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert not np.array_equal(mine, first)


def _tables(run: SquareRun) -> list[object]:
    table = run.setup.solver.table
    return [table.line, table.ends, table.time, table.start, table.final]


def test_trunks_are_trained_at_first_and_where_the_estimate_asks_after_a_pause() -> None:
    optimiser = LevenbergMarquardt()
    assert not TrunkRule.of_trainer("least-squares", optimiser).asks(0.1, True, 1e-3, 0)
    rule = TrunkRule.of_trainer("levenberg-marquardt", optimiser)
    assert rule.asks(1e-5, True, 1e-3, 0)
    assert not rule.asks(1e-5, False, 1e-3, 0)  # nothing moves yet
    assert not rule.asks(float("inf"), True, 1e-3, 0)  # sides disagree: traces mean nothing
    rule.last = 3
    assert not rule.asks(1e-5, True, 1e-3, 3 + PAUSE)
    assert rule.asks(1e-2, True, 1e-3, 3 + PAUSE)
    assert not rule.asks(1e-2, True, 1e-3, 2 + PAUSE)


@pytest.mark.slow
@pytest.mark.mpi_ranks(2, limit=300)
def test_two_ranks_train_the_trunks_of_one(communicator: Communicator, tmp_path: Path) -> None:
    """Quick tests do the step itself on two ranks (`test_rectangle_projection`)."""
    (tmp_path / "job.toml").write_text(JOB)
    config = load_order(tmp_path / "job.toml", [TRAINED]).described
    assert isinstance(config, SquareConfig)

    def found(ranks: Communicator) -> tuple[float, float, dict[int, np.ndarray]]:
        run = SquareRun(build_square(config, ranks), ranks)
        training, start = SquareTrunkTraining(LevenbergMarquardt(steps=4)), run.start()
        first = run.attempt(start, 0.3, None)
        run, attempt = training.improved(run, start, first, 0)
        field = np.asarray(attempt.after.field)
        return first.error, attempt.error, dict(zip(run.setup.local.tolist(), field, strict=True))

    before, after, ours = found(communicator)
    _, wanted, alone = communicator.on_root(lambda: found(SerialCommunicator()))
    assert after < 0.7 * before
    assert after == pytest.approx(wanted, rel=1e-4)
    assert 0 < len(ours) < len(alone)
    for piece, field in ours.items():
        np.testing.assert_allclose(field, alone[piece], rtol=0, atol=1e-7)


def test_a_training_that_a_signal_stops_is_begun_again() -> None:
    """Else the checkpoint would say that the trunk was trained, and the run would go on with other bits."""

    class Stopped(SquareTrunkTraining):
        def trained(self, *_: object) -> SquareRun:
            raise stopping.StopAsked(signal.SIGTERM)

    rule = Stopped(LevenbergMarquardt())
    config = load_order(None, ["domain.kind=square", TRAINED]).described
    assert isinstance(config, SquareConfig)
    run = square_run(config, SerialCommunicator())
    attempt: Attempt[Any, Any] = Attempt(0.1, 1e-3, None)
    with pytest.raises(stopping.StopAsked):
        rule.improved(run, None, attempt, 5)
    assert rule.last < 0 and rule.asks(1e-3, True, 1e-2, 5)


def test_a_signal_is_looked_for_after_every_step_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """`SharedAxes.trained` and `SharedTrunk.trained` call what watches them."""
    heeded: list[object] = []
    monkeypatch.setattr(stopping, "heed", heeded.append)
    ranks = SerialCommunicator()
    assert not heeding(ranks)(None, 1.0) and heeded == [ranks]
