"""What readers' results are for people and for xarray: a few lines, and a Dataset that netCDF takes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.io import read
from hpcpinn.io.inference import InferenceResult
from hpcpinn.io.layout import MemberEntry
from hpcpinn.io.observations import Observations
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.study import StudyResult
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io import runs

xarray = pytest.importorskip("xarray", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")
pytest.importorskip("h5netcdf", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")


def written(path: Path, *, members: tuple[MemberEntry, ...] = (), complete: bool = True):
    """A run of two windows."""
    header = dataclasses.replace(runs.header(1), members=members)
    writer = ResultWriter(path, SerialCommunicator(), header)
    for number in range(2):
        runs.write_window(writer, number)
    writer.close(complete=complete)
    return read(path)


MEMBERS = (MemberEntry("weak", 3, "{}"), MemberEntry("strong", 8, "{}"))


def inference() -> InferenceResult:
    two = {name: np.array([1.0, 2.0]) for name in ("start", "estimate", "low", "high", "sd_log", "data_sd_log")}
    return InferenceResult(
        names=("D", "k"), units=("um2/ms", "1/ms"), **two, determined=np.array([True, False]), measure=np.zeros(2),
        covariance=np.eye(2), path=np.ones((4, 2)), config="{}", truth=np.full(2, np.nan),
        observations=Observations(np.zeros(7), np.ones(7), {"t": np.arange(7.0)}), predicted=np.zeros(7), unit="uM",
    )  # fmt: skip


def study() -> StudyResult:
    draws = {"estimate": np.ones((2, 1, 5, 2)), "converged": np.ones((2, 1, 5), bool)}
    return StudyResult(
        names=("D", "k"), units=("um2/ms", "1/ms"), truth=np.ones(2), start=np.ones(2), noise=np.array([0.0, 0.05]),
        observations=np.array([100]), draws=draws, cells={"ratio": np.ones((2, 1, 2)), "converged": np.ones((2, 1))},
        config="{}",
    )  # fmt: skip


def test_a_run_becomes_netcdf_and_comes_back(tmp_path: Path) -> None:
    run = written(tmp_path / "run.h5")
    run.to_xarray().to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        for name in ("time", "calcium", "calbindin", "voltage"):
            np.testing.assert_array_equal(back[name], getattr(run, name))
            assert back[name].attrs["units"] == run.units[name]
        assert back.attrs["complete"] == 1 and back.attrs["ranks"] == 1
        assert back["section"].values.tolist()[:2] == ["soma[0]", "soma[0]"]


def test_cells_of_a_population_say_whose_they_are(tmp_path: Path) -> None:
    run = written(tmp_path / "run.h5", members=MEMBERS)
    run.to_xarray().to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        strong = back.calcium.where(back.member == "strong", drop=True)
        np.testing.assert_array_equal(strong, run.member("strong").calcium)


@pytest.mark.parametrize("make", [inference, study])
def test_the_others_become_netcdf_and_come_back(tmp_path: Path, make) -> None:
    made = make().to_xarray()
    made.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        xarray.testing.assert_equal(back, made)


def test_a_run_is_a_few_lines(tmp_path: Path) -> None:
    run = written(tmp_path / "run.h5")
    lines = repr(run).splitlines()
    assert lines[0] == f"run {run.path}: complete, 0 to {run.time[-1]:g} ms"
    assert len(lines) < 10 and all(len(line) < 120 for line in lines[1:])
    assert f"calcium    ({len(run.time)}, 33) uM" in repr(run)
    assert "2 sections in 11 pieces and 33 cells" in repr(run)
    assert "soma, tip and fork" in repr(run)


def test_a_run_that_was_cut_short_says_so(tmp_path: Path) -> None:
    run = written(tmp_path / "run.h5", members=MEMBERS, complete=False)
    assert repr(run).splitlines()[0] == f"run {run.path}: partial: 0 to {run.time[-1]:g} of 6 ms"
    without = dataclasses.replace(run, config={})
    assert repr(without).splitlines()[0] == f"run {run.path}: partial: 0 to {run.time[-1]:g} ms"
    assert "2: 'weak' and 'strong'" in repr(run)
    assert len(repr(run).splitlines()) < 11


@pytest.mark.parametrize(
    ("made", "parts"),
    [
        (inference(), ["inference of 2 constants", "1 um2/ms, 95 % 1 to 1", "not determined by the data", "(7,) uM"]),
        (study(), ["study of D and k", "0 %, 5 %", "5 for each of them", "(2, 1, 5, 2)"]),
    ],
)  # fmt: skip
def test_the_others_are_a_few_lines(made: object, parts: list[str]) -> None:
    for part in parts:
        assert part in repr(made)
    assert len(repr(made).splitlines()) < 10
