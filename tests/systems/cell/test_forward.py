"""Runs on one rank: against the reference, at rest, and when a tolerance cannot be reached."""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcpinn.errors import NothingToDoError, SolveError
from hpcpinn.io import read
from hpcpinn.io.metrics import read_metrics
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.systems.cell.comparison import validate
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.common.run_summary import RunSummary
from tests.mpi import runner
from tests.systems.cell.solving import solve

CELL = ['morphology.file="builtin:y_branch"', "pieces.cells_per_piece=2"]
RELEASE = ['synapse=[{site="dend[1](0.5)", start=0.5}]', "run.duration=2.0", "run.output_interval=0.5"]


class Silent:
    """A progress display that shows nothing and remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.times: list[float] = []

    def tell(self, label: str, text: str) -> None: ...

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None:
        self.begun.append(what)
        self.total, self.unit = total, unit

    def done(self, amount: float, detail: str = "") -> None:
        self.times.append(amount)
        self.detail = detail


def solved(output: Path, *settings: str) -> tuple[RunSummary, Silent]:
    config = load_config(None, [*CELL, *settings, f'run.output="{output}"'])
    display = Silent()
    return solve(config, make_communicator("serial"), display), display


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def fine(folder: Path) -> tuple[RunSummary, Silent]:
    settings = ("network.features=64", "window.tolerance=5e-3", "window.longest=0.5")
    return solved(folder / "fine.h5", *RELEASE, *settings)


@pytest.fixture(scope="module")
def coarse(folder: Path) -> tuple[RunSummary, Silent]:
    settings = ("network.features=36", "window.tolerance=0.1", "window.longest=0.5")
    return solved(folder / "coarse.h5", *RELEASE, *settings)


def judged(summary: RunSummary) -> dict[str, Any]:
    return validate(summary.result, refinement=4, patience=30.0, timed=False).figures()


@pytest.fixture(scope="module")
def of_fine(fine) -> dict[str, Any]:
    return judged(fine[0])


@pytest.fixture(scope="module")
def of_coarse(coarse) -> dict[str, Any]:
    return judged(coarse[0])


def test_a_release_on_a_y_agrees_with_finite_volumes(fine, of_fine) -> None:
    figures = of_fine
    assert figures["reference"]["movement"]["calcium"] < 5e-6
    assert figures["rel_l2"]["calcium"] < 1e-4
    assert figures["rel_l2"]["calbindin"] < 1e-6
    assert figures["balance"] < 1e-5
    assert figures["balance"] == pytest.approx(fine[0].calcium_balance, rel=1e-6)


def test_a_smaller_tolerance_costs_windows_and_saves_error(fine, coarse, of_fine, of_coarse) -> None:
    ours, rough = of_fine, of_coarse
    assert ours["rel_l2"]["calcium"] < 0.5 * rough["rel_l2"]["calcium"]
    assert ours["rel_l2"]["calbindin"] < 0.5 * rough["rel_l2"]["calbindin"]
    assert fine[0].windows > coarse[0].windows
    assert fine[0].error_estimate < 0.5 * coarse[0].error_estimate


def test_the_error_estimate_is_not_far_below_the_error(fine, coarse, of_fine, of_coarse) -> None:
    for (summary, _), figures in ((fine, of_fine), (coarse, of_coarse)):
        assert summary.error_estimate > 0.3 * max(figures["rel_l2"]["calcium"], figures["rel_l2"]["calbindin"])


def test_the_verdict_is_what_the_file_says(fine) -> None:
    summary, _ = fine
    (cell,), (accuracy,) = summary.verdict.cells, summary.verdict.accuracy
    assert not cell.firing.known  # the voltage is constant
    result = read(summary.result)
    # The probe on the release sees more than any average over a cell.
    in_cells, at_probes = ((x - x[0]).max() for x in (result.calcium, result.probes.calcium))
    assert cell.calcium.rise == at_probes > in_cells
    assert (cell.calcium.site, cell.calcium.looked) == ("dend[1](0.5)", "frames and probes")
    assert (accuracy.error, accuracy.tolerance, accuracy.passes) == (summary.window_error, 5e-3, True)
    assert read_metrics(summary.result)["verdict"]["cells"][0]["calcium"]["rise"] == cell.calcium.rise


def test_windows_fill_the_run_and_end_where_the_release_begins_and_ends(fine) -> None:
    summary, display = fine
    result = read(summary.result)
    start, length = result.windows["start"], result.windows["length"]
    np.testing.assert_allclose(start[1:], (start + length)[:-1], rtol=1e-12)
    assert start[0] == 0.0 and (start + length)[-1] == pytest.approx(2.0, rel=1e-12)
    for moment in (0.5, 1.5):
        assert np.abs(start - moment).min() < 1e-12
    assert (result.windows["error_estimate"] <= 5e-3).all()
    assert summary.window_error == result.windows["error_estimate"].max() <= summary.tolerance == 5e-3
    assert (result.windows["jump"] <= 1e-5).all()
    assert (result.windows["balance"][-1]) == pytest.approx(summary.calcium_balance)
    assert display.begun == ["setting up", "compiling and solving the first window", "solving"]
    assert display.times == pytest.approx(list(start + length))
    assert display.detail.startswith(f"window {summary.windows}, ")
    assert summary.windows == len(start) and summary.rejected == result.windows["rejected"].sum()
    assert summary.sweeps == result.windows["sweeps"].sum() == len(result.sweeps["jump"])


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("2.0", "fine.h5: already at 2 ms; nothing to do"), ("1.5", "already at 2 ms, beyond run.duration = 1.5;")],
)
def test_resuming_what_is_there_says_so_and_touches_nothing(fine, folder: Path, duration: str, expected: str) -> None:
    keys = ("network.features=64", "window.tolerance=5e-3", "window.longest=0.5", f"run.duration={duration}")
    config = load_config(None, [*CELL, *RELEASE, *keys, f'run.output="{folder / "fine.h5"}"'])
    names = ("fine.h5", "fine.checkpoint.h5", "fine.metrics.json")
    before = {name: (folder / name).read_bytes() for name in names}
    with pytest.raises(NothingToDoError, match=expected) as caught:
        solve(config, make_communicator("serial"), Silent(), resume=folder / "fine.checkpoint.h5")
    assert caught.value.exit_code == 0
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_everything_that_is_written_is_float64(fine, folder: Path) -> None:
    narrow = []

    def look(name, item) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.dtype != np.float64:
            narrow.append(name)

    for name in ("fine.h5", "fine.checkpoint.h5"):
        with h5py.File(folder / name) as file:
            file.visititems(look)
    assert narrow == []


def test_a_cell_at_rest_stays_at_rest(folder: Path) -> None:
    """Pumps, leak and the channel's small influx at rest cancel, to round-off, window after window."""
    summary, _ = solved(folder / "rest.h5", "run.duration=20.0", "run.output_interval=5.0", "run.probe_interval=1.0")
    result = read(summary.result)
    assert len(result.time) == 5 and summary.windows > 3
    for values in (result.calcium, result.calbindin):
        np.testing.assert_allclose(values, values[0, 0], rtol=1e-12)
    assert summary.rejected == 0
    assert summary.error_estimate < 1e-9  # round-off over nothing is no error


def test_a_tolerance_out_of_reach_ends_the_run_and_keeps_what_was_solved(folder: Path) -> None:
    output = folder / "failed.h5"
    own = ("network.features=16", "window.tolerance=1e-6", "window.shortest=0.05", "window.first=0.1",
           "run.output_interval=0.1", "run.probe_interval=0.1")  # fmt: skip
    replaced = tuple(f"{key.partition('=')[0]}=" for key in own)
    keys = [*(key for key in (*CELL, *RELEASE) if not key.startswith(replaced)), *own]
    arguments = [argument for key in keys for argument in ("--set", key)]
    command = [sys.executable, "-m", "hpcpinn", "run", "--output", str(output), *arguments]
    job = folder / "job.toml"
    job.write_text("")
    finished = runner.run([*command, str(job)], limit=200.0, directory=folder)
    lines = [line for line in finished.stderr.splitlines() if line.startswith("hpcpinn: ")]
    assert finished.code == 1, finished.output
    assert len(lines) == 1 and "Traceback" not in finished.output
    assert "window at t = 0.5" in lines[0]
    assert "window.tolerance = 1e-06" in lines[0] and "window.shortest = 0.05" in lines[0]
    left = read(output)
    assert not left.complete
    assert left.time == pytest.approx(np.arange(6) * 0.1)
    assert np.allclose(left.calcium, left.calcium[0])


def test_no_convergence_says_so(folder: Path) -> None:
    with pytest.raises(SolveError, match=r"window at t = 0\.5: no convergence .*window\.shortest = 0\.1\)"):
        solved(
            folder / "stuck.h5", *RELEASE, "network.features=16", "window.shortest=0.1", "window.first=0.1",
            "training.newton_max=1",
        )  # fmt: skip
    assert not read(folder / "stuck.h5").complete


def test_a_first_order_trainer_that_fails_names_its_own_keys(folder: Path) -> None:
    keys = ["training.trainer=adam", "training.steps=2", "network.features=9", "window.shortest=0.1"]
    named = r"window\.shortest = 0\.1\); .*more training\.steps and another training\.learning_rate"
    with pytest.raises(SolveError, match=named):
        solved(folder / "hasty.h5", *RELEASE, *keys, "schwarz.max_sweeps=1")
