"""``hpcpinn uq --study`` as a user starts it: right, the same on two ranks, readable, refused in one line."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.inference import read_inference
from hpcpinn.io.study import read_study
from hpcpinn.report.study import _ratios_into
from tests.cli.in_process import hpcpinn
from tests.mpi import runner

xarray = pytest.importorskip("xarray", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")
pytest.importorskip("h5netcdf", reason="the extra uq is not installed: pip install 'hpcpinn[uq]'")

JOB = """
[domain]
kind = "square"

[[parameter]]
name = "D"
start = 0.30

[[parameter]]
name = "k"
start = 0.04

[data]
seed = 2

[inference]
features = 20

[study]
noise = [0.0, 0.03]
observations = [90]
draws = 23
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the same study on one rank and on two, compiled alike."""
    here = tmp_path_factory.mktemp("study")
    (here / "job.toml").write_text(JOB)
    flags = {"XLA_FLAGS": runner.surroundings()["XLA_FLAGS"]}
    for ranks in (1, 2):
        command = ["-m", "hpcpinn", "uq", "job.toml", "--study", "--output", f"on{ranks}.h5"]
        job = runner.mpirun(command, ranks, limit=300.0, directory=here, environment=flags)
        assert job.code == 0, job.output
        assert job.stdout.count("noise  observations  D") == 1
    return here


def test_two_ranks_find_the_same_to_the_last_bit(folder: Path):
    one, two = (read_study(folder / f"on{ranks}.h5") for ranks in (1, 2))
    assert one.draws["estimate"].shape == (2, 1, 23, 2)
    for kind in ("draws", "cells"):
        for name, values in getattr(one, kind).items():
            np.testing.assert_array_equal(values, getattr(two, kind)[name], err_msg=f"{kind}/{name}")


def test_a_draw_is_what_infer_finds_with_its_seed(folder: Path):
    settings = ["data.seed=23", "data.count=90", "data.noise=0.03"]
    single = folder / "single.h5"
    hpcpinn("infer", folder / "job.toml", "--output", single, *(f"--set={one}" for one in settings))
    study = read_study(folder / "on1.h5")
    np.testing.assert_allclose(study.draws["estimate"][1, 0, 21], read_inference(single).estimate, rtol=1e-6)


def test_the_file_says_what_its_axes_are_and_metrics_repeat_it(folder: Path):
    with h5py.File(folder / "on2.h5") as file:
        for name in ("cells/ratio", "draws/estimate"):
            dims = file[name].dims
            np.testing.assert_array_equal(dims[0][0][:], [0.0, 0.03])
            np.testing.assert_array_equal(dims[1][0][:], [90])
        np.testing.assert_allclose(file["parameters/truth"][:], [0.32, 0.05])
        ratio = file["cells/ratio"][1]
    for group, sizes in (("cells", {"noise": 2, "observations": 1, "constant": 2}), ("draws", {"draw": 23})):
        with xarray.open_dataset(folder / "on2.h5", group=group, engine="h5netcdf") as opened:
            assert sizes.items() <= dict(opened.sizes).items()
    with xarray.open_dataset(folder / "on2.h5", engine="h5netcdf") as opened:
        np.testing.assert_array_equal(opened["noise"], [0.0, 0.03])
    told = json.loads((folder / "on2.metrics.json").read_text())
    np.testing.assert_allclose(told["cells"]["ratio"][1], ratio)
    assert told["cells"]["ratio"][0] == [[None, None]]  # there is no bound without noise


def test_ratios_beyond_the_picture_are_marked_at_its_edge(folder: Path):
    from matplotlib.figure import Figure

    hpcpinn("plot", folder / "on1.h5")
    assert (folder / "on1-pictures" / "study.png").stat().st_size > 10_000
    study = read_study(folder / "on1.h5")
    study.cells["ratio"][1, 0, 0] = 40.0
    axes = Figure().subplots()
    _ratios_into(axes, study, 0)
    marked = [line for line in axes.lines if line.get_marker() == "^"]
    assert [len(line.get_xdata()) for line in marked] == [1]
    assert marked[0].get_ydata()[0] < axes.get_ylim()[1]


@pytest.mark.parametrize(
    "change, told",
    [
        ("data.file='seen.csv'", r"data\.file = 'seen\.csv': a study makes its own data"),
        ("study.observations=[1, 50]", "1 observations for 2 parameters"),
        ("study.noise=[0.1, 0.1]", "0.1 is listed twice"),
        ("study.noise=[-0.1]", r"study\.noise"),
        ("study.draws=5", r"study\.draws"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(tmp_path: Path, change: str, told: str):
    job = JOB.replace("seed = 2", "") if change.startswith("data") else JOB
    (tmp_path / "job.toml").write_text(job)
    with pytest.raises(InputError, match=told):
        hpcpinn("uq", tmp_path / "job.toml", "--study", "--output", tmp_path / "s.h5", "--set", change)
    assert not (tmp_path / "s.h5").exists()


def test_nothing_to_learn_is_refused(tmp_path: Path):
    (tmp_path / "job.toml").write_text('[domain]\nkind = "square"\n')
    with pytest.raises(InputError, match=r"\[\[parameter\]\]: none is given, so there is nothing to study"):
        hpcpinn("uq", tmp_path / "job.toml", "--study", "--output", tmp_path / "s.h5")


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path):
    (tmp_path / "job.toml").write_text(JOB)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.attrs["format"] = "hpcpinn-inference"
    with pytest.raises(InputError, match=r"s.h5 is there already and is no hpcpinn study, so it stays as it is"):
        hpcpinn("uq", tmp_path / "job.toml", "--study", "--output", tmp_path / "s.h5")
