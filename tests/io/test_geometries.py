"""Results on what is no tree: written, read, cut short, resumed, described, whatever system they are of."""

import dataclasses

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import extremes, read
from hpcpinn.io.below_zero import below_zero
from hpcpinn.io.geometry import Box, Line, Points, ProbePoint, Subdomains
from hpcpinn.io.layout import MemberEntry, ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.schema import WINDOWS, Variable, column
from hpcpinn.io.sidecar import Solution, read_reference, write_reference
from hpcpinn.io.size import result_bytes

PAIR = (Variable("v", "mV", "activator"), Variable("w", "", "recovery"))
X, Y, Z = np.linspace(0.0, 4.0, 5), np.linspace(1.0, 3.0, 3), np.array([0.5, 1.5])
MASK = np.add.outer(Y, X) < 6.5
GEOMETRIES = {
    "points": Points(("one", "two", "three")),
    "line": Line(X),
    "box": Box(X, Y, subdomains=Subdomains(np.zeros((2, 2)), np.array([0, 1]))),
    "masked box": Box(X, Y, mask=MASK),
    "box of three axes": Box(X, Y, Z),
    "owned line": Line(X, owner=np.zeros(5, int)),
}
ON_ALL = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


def header_on(geometry, **changes) -> ResultHeader:
    header = ResultHeader(
        system="pair", geometry=geometry, fields=PAIR, config='{"run": {"duration": 4.0}}',
        windows=(*WINDOWS, column("steps", "Newton steps", kind=int)),
    )  # fmt: skip
    return dataclasses.replace(header, **changes)


def frame(geometry, time):
    """Whole frames whose every value is another."""
    values = time + np.arange(float(np.prod(geometry.shape))).reshape(geometry.shape)
    return {"v": values, "w": -2.0 * values}


def write_window(writer, geometry, index):
    for time in (index + 0.5, index + 1.0):
        writer.frame(time, frame(geometry, time))
    writer.windows([{"start": float(index), "length": 1.0, "error_estimate": 1e-3, "rejected": index, "steps": 3}])
    writer.flush()


def check(path, geometry, count):
    """The file holds so many windows, to the last bit."""
    run = read(path)
    np.testing.assert_array_equal(run.time, np.arange(1, 2 * count + 1) / 2)
    for name in ("v", "w"):
        expected = np.array([frame(geometry, time)[name] for time in run.time])
        np.testing.assert_array_equal(run.fields[name], expected.reshape(len(run.time), *geometry.shape))
    assert run.windows["rejected"].tolist() == list(range(count)) and run.windows["steps"].dtype == np.int64
    return run


@ON_ALL
def test_frames_windows_and_places_come_back(communicator, tmp_path, geometry):
    path = tmp_path / "run.h5"
    with ResultWriter(path, communicator, header_on(geometry)) as writer:
        for index in range(10):  # 20 frames: more than one chunk
            write_window(writer, geometry, index)
    run = check(path, geometry, 10)
    assert run.complete and run.declared == PAIR and run.attributes["system"] == "pair"
    for name, value in vars(geometry).items():
        found = getattr(run.geometry, name)
        if dataclasses.is_dataclass(value):
            value, found = (np.concatenate([*vars(one).values()], axis=None) for one in (value, found))
        if name != "owner":
            np.testing.assert_array_equal(found, value)
    np.testing.assert_array_equal(run.v, run.fields["v"])
    with pytest.raises(AttributeError, match="no 'calcium'; its fields are v and w"):
        _ = run.calcium
    with pytest.raises(InputError, match="not on a cell"):
        _ = run.cable


@ON_ALL
def test_a_run_that_was_cut_short_goes_on_bit_by_bit(communicator, tmp_path, geometry):
    path, header = tmp_path / "run.h5", header_on(geometry)
    writer = ResultWriter(path, communicator, header)
    for index in range(4):
        write_window(writer, geometry, index)
    del writer  # died after window 3; the checkpoint is of time 2
    with ResultWriter.resume(path, communicator, header, 2.0) as writer:
        assert not check(path, geometry, 2).complete
        for index in range(2, 6):
            write_window(writer, geometry, index)
    assert check(path, geometry, 6).complete


@pytest.mark.mpi_ranks(2)
@pytest.mark.parametrize("gathered", [False, True], ids=["together", "by-rank-0"])
def test_a_line_is_handed_in_by_its_owners_and_a_box_by_one_rank(communicator, common_path, gathered):
    line = Line(X, owner=np.array([0, 1, 0, 1, 1]))
    with ResultWriter(common_path / "line.h5", communicator, header_on(line), gathered=gathered) as writer:
        for time in (0.5, 1.0):
            writer.frame(time, {name: values[writer.local_pieces] for name, values in frame(line, time).items()})
        writer.windows([{"start": 0.0, "length": 1.0, "error_estimate": 1e-3, "rejected": 0, "steps": 3}])
    check(common_path / "line.h5", line, 1)
    box = GEOMETRIES["box"]
    writer = ResultWriter(common_path / "box.h5", communicator, header_on(box), gathered=gathered)
    if communicator.rank == 0:  # the others have nothing to say
        for time in (0.5, 1.0):
            writer.frame(time, frame(box, time))
        writer.windows([{"start": 0.0, "length": 1.0, "error_estimate": 1e-3, "rejected": 0, "steps": 3}])
    writer.close()
    assert len(list(common_path.glob("box*"))) == 1
    check(common_path / "box.h5", box, 1)
    communicator.barrier()
    with ResultWriter.resume(common_path / "box.h5", communicator, header_on(box), 1.0) as writer:
        write_window(writer, box, 1)
    check(common_path / "box.h5", box, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"geometry": Line(X)}, "geometry is box in the file and line in this run"),
        ({"geometry": Box(X[:4], Y)}, r"shape is \(3, 5\) in the file and \(3, 4\) in this run"),
        ({"geometry": Box(X + 0.1, Y)}, "the box has its cells in other places"),
        ({"geometry": Box(X, Y, mask=MASK)}, "the mask of the box is another"),
        ({"windows": WINDOWS}, "columns of windows is .*, steps in the file and "),
    ],
)
def test_resuming_another_run_is_refused(communicator, tmp_path, change, said):
    ResultWriter(tmp_path / "run.h5", communicator, header_on(Box(X, Y))).close()
    with pytest.raises(InputError, match=said):
        ResultWriter.resume(tmp_path / "run.h5", communicator, dataclasses.replace(header_on(Box(X, Y)), **change), 1.0)


@ON_ALL
def test_a_result_is_a_few_lines_and_a_dataset(communicator, tmp_path, geometry):
    xarray = pytest.importorskip("xarray", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")
    pytest.importorskip("h5netcdf", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")
    with ResultWriter(tmp_path / "run.h5", communicator, header_on(geometry)) as writer:
        write_window(writer, geometry, 0)
    run = read(tmp_path / "run.h5")
    assert repr(run).splitlines()[0] == f"run {run.path}: complete, 0 to 1 ms"
    assert f"{run.v.shape} mV" in repr(run)
    assert ("2 subdomains on 1 rank" in repr(run)) == (geometry is GEOMETRIES["box"])
    run.to_xarray().to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        assert back.v.dims == ("time", *geometry.axes) and back.v.attrs["units"] == "mV"
        np.testing.assert_array_equal(back.v, run.v)


def test_netcdf_readers_see_a_grid_in_the_file_itself(communicator, tmp_path):
    xarray = pytest.importorskip("xarray", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")
    pytest.importorskip("h5netcdf", reason="the extra xarray is not installed: pip install 'hpcpinn[xarray]'")
    geometry = GEOMETRIES["masked box"]
    with ResultWriter(tmp_path / "run.h5", communicator, header_on(geometry)) as writer:
        write_window(writer, geometry, 0)
    with xarray.open_dataset(tmp_path / "run.h5", engine="h5netcdf") as seen:
        assert seen.v.dims == ("time", "y", "x") and seen.mask.dims == ("y", "x")
        np.testing.assert_array_equal(seen.v.sel(x=2.0, y=1.0), frame(geometry, 0.0)["v"][0, 2] + np.array([0.5, 1.0]))


def test_a_dataset_says_what_it_is_and_a_dimensionless_run_names_no_unit(communicator, tmp_path):
    ResultWriter(tmp_path / "a.h5", communicator, header_on(Box(X, Y))).close()
    ResultWriter(tmp_path / "b.h5", communicator, header_on(Box(X, Y), dimensionless=True)).close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["v"].attrs["description"] == "activator" and file["windows/length"].attrs["units"] == "ms"
        assert file["x"].attrs["units"] == "um"
    assert read(tmp_path / "a.h5").units == {"time": "ms", "v": "mV", "x": "um", "y": "um", "z": "um"}
    assert read(tmp_path / "b.h5").units == {} and read(tmp_path / "b.h5").declared[0].unit == ""


def test_a_stationary_field_is_one_frame_and_nothing_outside_the_mask(communicator, tmp_path):
    geometry = GEOMETRIES["masked box"]
    with ResultWriter(tmp_path / "run.h5", communicator, header_on(geometry)) as writer:
        values = np.where(MASK, -1.0, np.nan)
        values[1, 2] = 5.0
        writer.frame(0.0, {"v": values, "w": values})
        writer.windows([{"start": 0.0, "length": 0.0, "error_estimate": 0.0, "rejected": 0, "steps": 1}])
    run = read(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.v, values[None])
    assert f"{MASK.sum()} of them inside" in repr(run)
    (peak,) = extremes.peaks(run.path, "v")
    assert (peak.rise, peak.rest) == (0.0, -1.0)


def test_peaks_and_what_is_below_its_least_say_where_on_a_box(communicator, tmp_path):
    fields = (Variable("u", "uM", "concentration", least=0.0), Variable("v", "mV", "voltage"))
    header = header_on(Box(X, Y), fields=fields, probes=(ProbePoint("edge", (0.25, 1.5)),))
    with ResultWriter(tmp_path / "run.h5", communicator, header) as writer:
        for time in range(3):
            values = np.full((3, 5), 1.0)
            values[2, 1] += 3.0 * (time == 1)
            values[0, 4] -= 2.0 * (time == 2)
            writer.frame(float(time), {"u": values, "v": values})
        writer.probes(np.arange(3.0), {"u": np.array([[1.0], [6.0], [-3.0]]), "v": np.zeros((3, 1))})
    (peak,) = extremes.peaks(tmp_path / "run.h5", "u")
    assert (peak.rise, peak.time, peak.site, peak.by_probe) == (5.0, 1.0, "x = 0.25, y = 1.5", True)
    (peak,) = extremes.peaks(tmp_path / "run.h5", "v")
    assert (peak.rise, peak.site) == (3.0, "x = 1, y = 3")
    (found,) = below_zero(tmp_path / "run.h5")
    assert (found.field, found.value, found.time, found.site) == ("u", -3.0, 2.0, "x = 0.25, y = 1.5")
    assert read(tmp_path / "run.h5").probes.x.tolist() == [0.25]


def test_a_member_of_points_is_a_result_of_its_own(communicator, tmp_path):
    geometry = GEOMETRIES["points"]
    members = (MemberEntry("lone", 1, '{"run": {}}'), MemberEntry("both", 2, "{}"))
    with ResultWriter(tmp_path / "run.h5", communicator, header_on(geometry, members=members)) as writer:
        write_window(writer, geometry, 0)
    both = read(tmp_path / "run.h5").member("both")
    assert both.geometry.name == ("two", "three")
    np.testing.assert_array_equal(both.v, [[1.5, 2.5], [2.0, 3.0]])
    with pytest.raises(InputError, match="holds one cell"):
        both.member(0)


def test_other_solutions_lie_beside_a_box_too(communicator, tmp_path):
    geometry = GEOMETRIES["box"]
    with ResultWriter(tmp_path / "run.h5", communicator, header_on(geometry)) as writer:
        write_window(writer, geometry, 0)
    run = read(tmp_path / "run.h5")
    write_reference(run, {"exact": Solution({"v": run.v + 1.0}), "peer": Solution({"v": run.v}, figures={"loss": 0.5})})
    found = read_reference(run)
    assert set(found.solutions) == {"exact", "peer"} and found["peer"].figures == {"loss": 0.5}
    np.testing.assert_array_equal(found["exact"].fields["v"], run.v + 1.0)


def test_the_size_is_that_of_the_file(communicator, tmp_path):
    geometry = Box(np.arange(60.0), np.arange(70.0))
    header = header_on(geometry)
    with ResultWriter(tmp_path / "run.h5", communicator, header) as writer:
        for index in range(20):
            write_window(writer, geometry, index)
    expected = result_bytes(header, frames=40, samples=0, windows=20)
    assert expected == pytest.approx((tmp_path / "run.h5").stat().st_size, rel=0.03, abs=80_000)


@pytest.mark.parametrize("name", ["Calcium", "time", "cells", "2nd", "windows"])
def test_a_name_that_files_or_results_have_is_no_field(name):
    with pytest.raises(InputError, match="use small letters"):
        Variable(name)


@pytest.mark.parametrize(
    ("geometry", "place", "column"),
    [("points", "two", 1), ("line", "2.9", 3), ("box", "1,3", 11), ("box of three axes", "4,2,1.2", 15 + 9)],
)
def test_a_place_is_found_by_what_people_call_it(geometry, place, column):
    of = GEOMETRIES[geometry]
    assert of.locate(place) == column
    found = of.site(column).replace("x = ", "").replace("y = ", "").replace("z = ", "").replace(" ", "")
    assert of.locate(found) == column


@pytest.mark.parametrize(
    ("geometry", "place", "said"),
    [
        ("points", "four", "place 'four': no such point; there are 'one', 'two' and 'three'"),
        ("line", "4.6", "x = 4.6 is outside -0.5 to 4.5"),
        ("box", "1", "is not x,y; give 2 numbers with commas between"),
        ("box", "soma,2", "is not x,y"),
        ("box", "1,nan", "y = nan is outside 0.5 to 3.5"),
    ],
)
def test_a_place_that_is_none_is_refused(geometry, place, said):
    with pytest.raises(InputError, match=said):
        GEOMETRIES[geometry].locate(place)
