import dataclasses

import h5py
import numpy as np
import pytest

from hpcpinn.io import read
from hpcpinn.io.geometry import equal_cells
from hpcpinn.io.results import ResultWriter
from hpcpinn.systems.cell import recorded
from tests.io import runs
from tests.io.runs import FIELDS

KINDS = pytest.mark.parametrize("gathered", [False, True], ids=["together", "by-rank-0"])


def check_windows(path, count):
    """The file holds windows 0 to count - 1 of `runs`, to the last bit."""
    result = read(path)
    times = np.arange(1, 2 * count + 1) / 2
    np.testing.assert_array_equal(result.time, times)
    sample_times = np.arange(1, 4 * count + 1) / 4
    np.testing.assert_array_equal(result.probes.time, sample_times)
    for name in FIELDS:
        expected = np.array([runs.frame(name, time).ravel() for time in times])
        np.testing.assert_array_equal(getattr(result, name), expected)
        expected = np.concatenate([runs.samples(name, four) for four in sample_times.reshape(-1, 4)])
        np.testing.assert_array_equal(getattr(result.probes, name), expected)
    for entry in recorded.WINDOWS:
        name = entry.name
        expected = np.array([runs.window(index)[name] for index in range(count)], entry.kind)
        assert result.windows[name].dtype == expected.dtype
        np.testing.assert_array_equal(result.windows[name], expected)
    np.testing.assert_array_equal(result.sweeps["window"], np.repeat(np.arange(count), 3))
    np.testing.assert_array_equal(result.sweeps["sweep"], np.tile(np.arange(3), count))
    return result


@pytest.mark.mpi_ranks(1, 2, 3)
@KINDS
def test_values_do_not_depend_on_ranks_and_owners(communicator, common_path, gathered):
    header = runs.header(communicator.size)
    with ResultWriter(common_path / "run.h5", communicator, header, gathered=gathered) as writer:
        for index in range(20):  # 40 frames: more than one chunk
            runs.write_window(writer, index)
    result = check_windows(common_path / "run.h5", 20)
    assert result.complete
    assert result.attributes["ranks"] == communicator.size
    np.testing.assert_array_equal(result.owner, header.geometry.owner)


@pytest.mark.mpi_ranks(1, 2, 3)
@KINDS
def test_resume_drops_what_came_after_the_checkpoint(communicator, common_path, gathered):
    path = common_path / "run.h5"
    header = runs.header(communicator.size)
    writer = ResultWriter(path, communicator, header, gathered=gathered)
    for index in range(5):
        runs.write_window(writer, index)
    del writer  # died after window 4; the checkpoint is of time 3
    communicator.barrier()
    owner = np.arange(runs.N_PIECES) % communicator.size  # go on with other owners
    others = dataclasses.replace(header, geometry=dataclasses.replace(header.geometry, owner=owner))
    with ResultWriter.resume(path, communicator, others, 3.0) as writer:
        assert not read(path).complete
        check_windows(path, 3)
        communicator.barrier()
        for index in range(3, 6):
            runs.write_window(writer, index)
    assert check_windows(path, 6).complete


@pytest.mark.mpi_ranks(1, 2, 3)
def test_a_flush_without_frames_keeps_the_ranks_together(communicator, common_path):
    header = runs.header(communicator.size)
    with ResultWriter(common_path / "run.h5", communicator, header) as writer:
        writer.flush()
        writer.windows([runs.window(0)])
        writer.flush()
    result = read(common_path / "run.h5")
    assert len(result.time) == 0
    assert result.calcium.shape == (0, runs.N_PIECES * runs.CELLS_PER_PIECE)
    assert result.windows["sweeps"].tolist() == [5]


def fall_over(writer):
    with writer:
        writer.frame(1.5, {name: runs.frame(name, 1.5) for name in FIELDS})
        raise RuntimeError("the solver fell over")


def test_what_was_not_flushed_does_not_count(communicator, tmp_path):
    writer = ResultWriter(tmp_path / "run.h5", communicator, runs.header(1))
    runs.write_window(writer, 0)
    with pytest.raises(RuntimeError, match="the solver fell over"):
        fall_over(writer)
    assert not check_windows(tmp_path / "run.h5", 1).complete


def test_cells_fill_the_pieces_exactly():
    cable = runs.y_cable()
    cells = equal_cells(cable, 4)
    np.testing.assert_allclose(np.bincount(cells.piece, cells.volume), cable.volume, rtol=1e-14)
    # The cytosol of a cell of a cone, from the antiderivative of π(1 − 0.3²) a(s)².
    a, b = cable.radius[5]
    start, end = a + (b - a) * np.array([0.25, 0.5])
    exact = np.pi * 0.91 * cable.length[5] * (end**3 - start**3) / (3 * (b - a))
    assert cells.volume[4 * 5 + 1] == pytest.approx(exact, rel=1e-10)
    assert cells.fraction[4 * 5 + 1].tolist() == [0.25, 0.5]
    middle = cable.path[5, 0] + 0.375 * cable.length[5]
    assert cells.path[4 * 5 + 1] == pytest.approx(middle, rel=1e-14)


def test_geometry_provenance_and_units_come_back(communicator, tmp_path):
    header = runs.header(1)
    ResultWriter(tmp_path / "deep" / "run.h5", communicator, header).close()
    result = read(tmp_path / "deep" / "run.h5")
    for name, values in vars(header.cable).items():
        np.testing.assert_array_equal(getattr(result.cable, name), values)
    assert result.config == {"run": {"duration": 6.0}}
    assert result.attributes["seed"] == 7
    assert result.probes.name == ("soma", "tip", "fork")
    assert result.units == {
        "time": "ms",
        "calcium": "uM",
        "calbindin": "uM",
        "voltage": "mV",
        "volume": "um3",
        "path": "um",
        "xyz": "um",
    }
    with h5py.File(result.path) as file:
        assert file["windows/seconds_train"].attrs["units"] == "s"
        assert file["probes/calcium"].attrs["units"] == "uM"


def test_a_dimensionless_run_has_no_units(communicator, tmp_path):
    header = dataclasses.replace(runs.header(1), dimensionless=True)
    ResultWriter(tmp_path / "run.h5", communicator, header).close()
    assert read(tmp_path / "run.h5").units == {}


def test_a_run_description_longer_than_an_attribute_is_kept(communicator, tmp_path):
    synapses = '{"synapse": [' + ", ".join(['"dend[0](0.5)"'] * 10_000) + "]}"
    header = dataclasses.replace(runs.header(1), config=synapses)
    ResultWriter(tmp_path / "run.h5", communicator, header).close()
    assert len(read(tmp_path / "run.h5").config["synapse"]) == 10_000


def test_xarray_view_selects_by_place(communicator, tmp_path):
    pytest.importorskip("xarray")
    with ResultWriter(tmp_path / "run.h5", communicator, runs.header(1)) as writer:
        runs.write_window(writer, 0)
    data = read(tmp_path / "run.h5").to_xarray()
    assert data.calcium.dims == ("time", "cell")
    assert data.calcium.attrs["units"] == "uM"
    apical = data.where(data.section == "apic[0]", drop=True)
    np.testing.assert_array_equal(apical.calcium.sel(time=1.0), runs.frame("calcium", 1.0)[7:].ravel())


def test_rows_with_other_keys_are_refused(communicator, tmp_path):
    writer = ResultWriter(tmp_path / "run.h5", communicator, runs.header(1))
    with pytest.raises(ValueError, match="needs the keys"):
        writer.windows([{"start": 0.0}])
