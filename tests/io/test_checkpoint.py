import resource

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import checkpoint
from hpcpinn.io.seal import seal_file
from tests.io import runs

SETTINGS = {"network": {"features": 64, "activation": "sine"}, "run": {"seed": 3}}
N = runs.N_PIECES


def state():
    """Arrays of several shapes and types, with values that text would not carry."""
    random = np.random.default_rng(5)
    arrays = {
        "heads": random.normal(size=(N, 2, 4)),
        "accepted": random.integers(0, 2, N).astype(bool),
        "count": random.integers(-9, 9, (N, 3)),
    }
    arrays["heads"][0, 0] = [np.nan, np.inf, -0.0, 5e-324]
    scalars = {"time": 0.1 + 0.2, "window": 12, "solver": "größer", "steady": True, "history": np.arange(4.0)}
    return arrays, scalars


def own(communicator):
    return np.flatnonzero(runs.header(communicator.size).geometry.owner == communicator.rank)[::-1]


def save(path, communicator, settings=None, **changes):
    arrays, scalars = state()
    pieces = own(communicator)
    wanted = checkpoint.fingerprint(settings or SETTINGS, runs.y_cable())
    shares = {name: array[pieces] for name, array in arrays.items()}
    checkpoint.save(path, communicator, pieces, N, shares, scalars | changes, wanted)
    return wanted


@pytest.mark.mpi_ranks(2, 3)
def test_a_state_comes_back_bit_by_bit_in_any_distribution(communicator, common_path):
    path = common_path / "deep" / "run.checkpoint.h5"
    wanted = save(path, communicator)
    arrays, scalars = state()
    for pieces in (own(communicator), np.arange(communicator.rank, N, communicator.size), np.arange(N)):
        found, found_scalars = checkpoint.load(path, communicator, pieces, wanted)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].tobytes() == array[pieces].tobytes()
        history = found_scalars.pop("history")
        np.testing.assert_array_equal(history, scalars["history"])
        assert found_scalars == {name: value for name, value in scalars.items() if name != "history"}
        assert [type(found_scalars[name]) for name in ("time", "window", "steady")] == [float, int, bool]


@pytest.mark.mpi_ranks(2)
def test_without_parallel_hdf5_rank_0_writes_the_same(communicator, common_path, monkeypatch):
    path = common_path / "run.checkpoint.h5"
    monkeypatch.setattr("hpcpinn.io.storage.mpi_hdf5", lambda: False)
    wanted = save(path, communicator)
    found, _ = checkpoint.load(path, communicator, np.arange(N), wanted)
    for name, array in state()[0].items():
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.mpi_ranks(2)
def test_a_full_disk_leaves_the_old_checkpoint(communicator, common_path):
    path = common_path / "run.checkpoint.h5"
    wanted = save(path, communicator)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    with pytest.raises(OutputError, match="cannot write: .*stays as it was"):
        save(path, communicator, history=np.zeros(10_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _, scalars = checkpoint.load(path, communicator, own(communicator), wanted)
    assert len(scalars["history"]) == 4
    communicator.barrier()
    assert [file.name for file in common_path.iterdir()] == [path.name]


@pytest.mark.mpi_ranks(2)
def test_the_setting_that_changed_is_named(communicator, common_path):
    path = common_path / "run.checkpoint.h5"
    save(path, communicator)
    other = {"network": {"features": 80, "activation": "sine"}, "run": {"seed": 3}}
    wanted = checkpoint.fingerprint(other, runs.y_cable())
    with pytest.raises(InputError, match="network.features was 64 and is now 80"):
        checkpoint.load(path, communicator, own(communicator), wanted)


def test_another_geometry_is_noticed(communicator, tmp_path):
    path = tmp_path / "run.checkpoint.h5"
    save(path, communicator)
    cable = runs.y_cable()
    cable.radius[4, 1] += 1e-12
    with pytest.raises(InputError, match="the file of `morphology` has changed, or how `pieces` are cut; restore"):
        checkpoint.load(path, communicator, own(communicator), checkpoint.fingerprint(SETTINGS, cable))


def test_a_setting_of_one_side_only_is_named(communicator, tmp_path):
    path = tmp_path / "run.checkpoint.h5"
    wanted = save(path, communicator)
    with pytest.raises(InputError, match="physics.er was not set and is now 1"):
        checkpoint.load(path, communicator, own(communicator), wanted | {"physics.er": "1"})


@pytest.mark.mpi_ranks(2)
def test_missing_foreign_and_damaged_checkpoints_are_named(communicator, common_path):
    path = common_path / "run.checkpoint.h5"
    pieces = own(communicator)
    with pytest.raises(InputError, match="run.checkpoint.h5: no such file"):
        checkpoint.load(path, communicator, pieces, {})
    wanted = save(path, communicator)
    if communicator.rank == 0:
        with h5py.File(path, "r+") as file:
            file.attrs["format_version"] = 99
        seal_file(path)
    communicator.barrier()
    with pytest.raises(InputError, match="is of version 99"):
        checkpoint.load(path, communicator, pieces, wanted)
    if communicator.rank == 0:
        path.write_bytes(path.read_bytes()[:300])
    communicator.barrier()
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.load(path, communicator, pieces, wanted)


def test_another_cell_is_named_by_its_key_and_not_by_its_hash(communicator, tmp_path):
    path = tmp_path / "run.checkpoint.h5"
    settings = {"cable": {"step": 1.0}, "morphology": {"file": "a.swc"}}
    save(path, communicator, settings)
    cable = runs.y_cable()
    cable.radius[4, 1] *= 2.0
    now = checkpoint.fingerprint({"cable": {"step": 2.0}, "morphology": {"file": "b.swc"}}, cable)
    with pytest.raises(InputError, match=r'morphology\.file was "a\.swc" and is now "b\.swc"; set it back'):
        checkpoint.load(path, communicator, own(communicator), now)
