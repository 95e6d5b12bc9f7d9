"""Places to write to: nothing is lost, and what cannot be written is found early."""

import os
from pathlib import Path

import h5py
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import draws, schema
from hpcpinn.io.places import check_folder, check_usable

FIX = "name another"


def refused(path: Path, inputs: dict[str, Path] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        check_usable(path, inputs or {}, FIX, schema.FORMAT)
    assert FIX in str(caught.value)
    return str(caught.value)


def test_a_place_that_can_be_written_stays_untouched(tmp_path):
    check_usable(tmp_path / "new" / "deeper" / "run.h5", {}, FIX, schema.FORMAT)
    check_folder(tmp_path / "new" / "pictures", FIX)
    assert list(tmp_path.iterdir()) == []


def test_an_input_is_known_by_any_name(tmp_path):
    cell = tmp_path / "cell.swc"
    cell.touch()  # even an empty one, which could otherwise be replaced
    os.link(cell, tmp_path / "hard.swc")
    (tmp_path / "soft.swc").symlink_to(cell)
    (tmp_path / "folder").mkdir()
    for name in ("cell.swc", "hard.swc", "soft.swc", "folder/../cell.swc"):
        assert f"{name} is the cell, which would be lost" in refused(tmp_path / name, {"the cell": cell})


def test_only_results_and_empty_files_are_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("of a year")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name, kind in (("foreign.h5", None), ("saved.h5", "hpcpinn-checkpoint"), ("run.h5", schema.FORMAT)):
        with h5py.File(tmp_path / name, "w") as file:
            if kind is not None:
                file.attrs["format"] = kind
    for name in ("notes.txt", "cut.h5", "foreign.h5", "saved.h5"):
        assert f"{name} is there already and is no hpcpinn result" in refused(tmp_path / name)
    check_usable(tmp_path / "run.h5", {}, FIX, schema.FORMAT)
    (tmp_path / "empty.h5").touch()
    check_usable(tmp_path / "empty.h5", {}, FIX, schema.FORMAT)


def test_places_that_cannot_be_written(tmp_path):
    assert "is a directory" in refused(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere")
    assert f"cannot be written in {tmp_path / 'file'} (Not a directory)" in refused(tmp_path / "file" / "run.h5")
    assert "cannot be written in /proc" in refused(Path("/proc/none/run.h5"))
    assert "is no hpcpinn result" in refused(Path("/dev/null"))
    assert "cannot be written" in refused(tmp_path / "astray" / "run.h5")
    with pytest.raises(InputError, match="is a file, not a directory"):
        check_folder(tmp_path / "file", FIX)


@pytest.mark.parametrize("name", ["notes.txt", "run.v2", "cell.swc"])
def test_a_result_that_is_named_as_something_else_is_refused_with_a_name_that_would_do(tmp_path, name):
    with pytest.raises(InputError) as caught:
        check_usable(tmp_path / name, {}, FIX, schema.FORMAT)
    wanted = (tmp_path / name).with_suffix(".h5")
    assert str(caught.value).endswith(f"an hpcpinn result is HDF5, which programs tell by .h5; write {wanted}")
    for fine in ("run", "run.H5", "run.hdf5"):
        check_usable(tmp_path / fine, {}, FIX, schema.FORMAT)


def test_draws_end_as_netcdf_does(tmp_path):
    check_usable(tmp_path / "run.nc", {}, FIX, draws.FORMAT)
    (tmp_path / "run.nc").write_text("somebody else's")
    with pytest.raises(InputError, match="is no hpcpinn file of draws"):
        check_usable(tmp_path / "run.nc", {}, FIX, draws.FORMAT)
