"""Runs on a square, as a user starts them: right, the same on two ranks, validated, drawn; inferences."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError, NothingToDoError
from hpcpinn.io import read
from hpcpinn.io.inference import read_inference
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.sidecar import read_reference
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.progress import NO_PROGRESS, NoProgress, ProgressDisplay
from hpcpinn.systems.jobs import load_order
from hpcpinn.systems.square.run import work
from tests.cli.in_process import hpcpinn
from tests.mpi import runner

JOB = """
[domain]
kind = "square"
subdomains = [3, 4]

[run]
duration = 1.5
output_interval = 0.25
cells = 6

[network]
features_space = 9
features_time = 6

[window]
tolerance = 1e-2
"""
INVERSE = """
[domain]
kind = "square"

[[parameter]]
name = "D"
start = 0.6
prior = 0.3

[[parameter]]
name = "k"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and copies of what it had written when two of its windows were in a checkpoint."""
    here = tmp_path_factory.mktemp("square")
    (here / "job.toml").write_text(JOB)

    class Keeper(NoProgress):
        windows = 0

        def done(self, amount: float, detail: str = "") -> None:
            self.windows += 1
            if self.windows == 2:
                for begun in ("again", "more"):
                    shutil.copy(here / "alone.h5", here / f"{begun}.h5")
                    shutil.copy(here / "alone.checkpoint.h5", here / f"{begun}.checkpoint.h5")

    worked(here, "alone", Keeper())
    return here


def worked(folder: Path, name: str, progress: ProgressDisplay, resume: Path | None = None) -> None:
    order = load_order(folder / "job.toml", [f"run.output={folder / name}.h5", "run.checkpoint_every=1"])
    work(replace(order, resume=resume), SerialCommunicator(), progress)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All that a run has found; not what it took."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: values for name, values in found.items() if name not in ("config", "windows/seconds")}


def test_it_goes_on_to_the_same_bits(folder: Path):
    assert 0 < len(read(folder / "again.h5").time) < len(read(folder / "alone.h5").time)
    worked(folder, "again", NO_PROGRESS, folder / "again.checkpoint.h5")
    whole, again = arrays(folder / "alone.h5"), arrays(folder / "again.h5")
    assert whole.keys() == again.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    told, retold = (read_metrics(folder / f"{name}.h5") for name in ("alone", "again"))
    for name in ("exact_error", "exact_error_max", "error_estimate", "windows", "sweeps", "verdict"):
        assert told[name] == retold[name], name
    with pytest.raises(NothingToDoError, match=r"again.h5: already at 1.5 ms; nothing to do"):
        worked(folder, "again", NO_PROGRESS, folder / "again.checkpoint.h5")
    (folder / "job.toml").write_text(JOB.replace("features_space = 9", "features_space = 10"))
    with pytest.raises(InputError, match=r"network.features_space was 9 and is now 10; set it back"):
        worked(folder, "again", NO_PROGRESS, folder / "again.checkpoint.h5")
    (folder / "job.toml").write_text(JOB)


def test_it_is_near_the_closed_form_by_its_own_account_and_by_others(folder: Path, capsys):
    told = read_metrics(folder / "alone.h5")
    assert told["exact_error"] < 2e-4
    assert told["exact_error"] < told["error_estimate"] < 1e-2  # the estimate is on the safe side
    (accuracy,) = told["verdict"]["accuracy"]
    assert (accuracy["error"], accuracy["tolerance"]) == (told["exact_error"], told["tolerance"])
    hpcpinn("validate", folder / "alone.h5", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["error_exact"] < 2e-4
    assert len(found["finite_differences"]) == 3


def test_two_ranks_give_the_same_and_go_on_where_one_was(folder: Path):
    outputs = [folder / f"{name}.h5" for name in ("pair", "more")]
    command = ["-m", "tests.mpi.runs_in_turn", str(folder / "job.toml"), "auto", *map(str, outputs)]
    job = runner.mpirun(command, 2, limit=400.0, directory=folder)
    assert job.code == 0, job.output
    alone = read(folder / "alone.h5")
    for pair in map(read, outputs):
        assert pair.complete and set(pair.box.subdomains.owner) == {0, 1}
        np.testing.assert_array_equal(alone.time, pair.time)
        np.testing.assert_allclose(pair.dopamine, alone.dopamine, atol=1e-11)
        for column in ("length", "newton_steps", "sweeps", "rejected"):
            np.testing.assert_allclose(alone.windows[column], pair.windows[column], rtol=1e-9, err_msg=column)


def test_the_file_says_what_it_holds(folder: Path):
    result = read(folder / "alone.h5")
    np.testing.assert_allclose(result.time, np.arange(7) * 0.25)
    assert result.dopamine.shape == (7, 24, 18)
    np.testing.assert_allclose(np.diff(result.box.x), 5.0 / 18)
    # The release is in the middle and even: a turned or mirrored frame would not be.
    np.testing.assert_allclose(result.dopamine[0], result.dopamine[0][::-1], atol=1e-12)


def test_pictures_are_drawn(tmp_path: Path, folder: Path):
    hpcpinn("validate", folder / "alone.h5")
    assert read_reference(read(folder / "alone.h5")) is not None
    hpcpinn("plot", folder / "alone.h5", "--out", tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"snapshots.png", "heat_map.png", "errors.png"}
    with pytest.raises(InputError, match=r"--times 7: the run is from 0 to 1.5 ms"):
        hpcpinn("plot", folder / "alone.h5", "--out", tmp_path, "--times", "7")


def test_an_inference_from_a_file(tmp_path: Path, capsys):
    from hpcpinn.physics.dopamine import PRESETS
    from hpcpinn.systems.square.inverse import synthesised

    seen = synthesised(PRESETS["dopamine"].replace(D=0.4, k=0.06), count=300, noise=0.005, first=0.5, last=15.0, seed=3)
    rows = zip(*(seen[name] for name in ("value", "x", "y", "t", "noise")), strict=True)
    lines = ["value_uM,x_um,y_um,t_ms,noise_uM", *(",".join(f"{cell!r}" for cell in map(float, row)) for row in rows)]
    (tmp_path / "seen.csv").write_text("\n".join(lines))
    (tmp_path / "job.toml").write_text(INVERSE + "[data]\nfile = 'seen.csv'\n")
    hpcpinn("infer", tmp_path / "job.toml", "--output", tmp_path / "out.h5")
    result = read_inference(tmp_path / "out.h5")
    for truth, estimate, sd in zip((0.4, 0.06), result.estimate, result.sd_log, strict=True):
        assert sd < 0.03 and abs(np.log(estimate / truth)) < 3.0 * sd
    assert result.path[0].tolist() == pytest.approx([0.6, 0.05])
    told = read_metrics(tmp_path / "out.h5")["parameters"]["D"]
    assert told["determined_by_data"] and told["interval_95"][0] < told["estimate"] < told["interval_95"][1]
    assert "truth" not in capsys.readouterr().out
    hpcpinn("plot", tmp_path / "out.h5", "--out", tmp_path / "pictures")
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"path.png", "posterior.png", "residuals.png"}


def test_an_undetermined_constant_has_no_number(tmp_path: Path, capsys):
    (tmp_path / "job.toml").write_text(INVERSE.replace("prior = 0.3", "") + "[data]\nfirst = 17.0\ncount = 100\n")
    hpcpinn("infer", tmp_path / "job.toml", "--output", tmp_path / "out.h5")
    said = capsys.readouterr().out
    assert "D           not determined by the data" in said
    assert "unsolved    not determined by the data: D" in said
    verdict = read_metrics(tmp_path / "out.h5")["verdict"]
    assert (verdict["determined"], verdict["undetermined"]) == (["k"], ["D"])
    told = read_metrics(tmp_path / "out.h5")["parameters"]
    assert told["D"]["estimate"] is None and told["D"]["interval_95"] is None
    assert told["k"]["determined_by_data"]


def test_mistakes_are_told_before_work_starts(tmp_path: Path):
    job = tmp_path / "job.toml"
    job.write_text(INVERSE + f"[data]\nfile = 'seen.csv'\n[run]\noutput = '{tmp_path / 'out.h5'}'\n")
    with pytest.raises(InputError, match=r"seen.csv: no such data file"):
        hpcpinn("infer", job)
    (tmp_path / "seen.csv").write_text("value,x,y,t,noise\n0.1,0,0,1,0.02\n0.1,3.5,0,1,0.02\n")
    with pytest.raises(InputError, match=r"seen.csv, line 3: x = 3.5 um lies outside the square"):
        hpcpinn("infer", job)
    with pytest.raises(InputError, match=r"\[\[parameter\]\]: none is given, .* such as D_c"):
        hpcpinn("infer", Path("jobs/default.toml").resolve())
    job.write_text('[domain]\nkind = "square"\n')
    with pytest.raises(InputError, match=r"\[\[parameter\]\]: none is given"):
        hpcpinn("infer", job, "--output", tmp_path / "out.h5")
    with pytest.raises(InputError, match=r"--resume: no checkpoint \S*out.checkpoint.h5"):
        hpcpinn("run", job, "--resume", "--output", tmp_path / "out.h5")
