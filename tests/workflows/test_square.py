"""Runs on a square, as a user starts them: right, the same on two ranks, validated, drawn; inferences."""

import json
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.inference import read_inference
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.sidecar import read_reference
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
    here = tmp_path_factory.mktemp("square")
    (here / "job.toml").write_text(JOB)
    hpcpinn("run", here / "job.toml", "--output", here / "alone.h5")
    return here


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


def test_two_ranks_give_the_same(folder: Path):
    command = ["-m", "hpcpinn", "run", str(folder / "job.toml"), "--output", str(folder / "pair.h5")]
    job = runner.mpirun(command, 2, limit=400.0, directory=folder)
    assert job.code == 0, job.output
    alone, pair = read(folder / "alone.h5"), read(folder / "pair.h5")
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
    with pytest.raises(InputError, match=r"--resume: runs on a square"):
        hpcpinn("run", job, "--resume", "auto")
