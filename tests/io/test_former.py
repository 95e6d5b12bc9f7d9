"""Results of version 1: refused with the command that converts them, and by that the same data as ever."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from hpcpinn.cli.main import application
from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, read
from hpcpinn.io.layout import MemberEntry
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io import runs
from tests.io.test_results import check_windows


def said(*words: object) -> str:
    done = CliRunner().invoke(application(), [str(word) for word in words])
    if done.exception is not None:
        raise done.exception
    return done.output


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """Two members, five windows of six ms: as version 1 wrote it, on three ranks."""
    path, communicator = tmp_path / "cell.h5", SerialCommunicator()
    members = (MemberEntry("one", 4, "{}"), MemberEntry("two", runs.N_PIECES - 4, '{"a": 1}'))
    header = replace(runs.header(1), members=members)
    writer = ResultWriter(path, communicator, header)
    for index in range(5):
        runs.write_window(writer, index)
    writer.close(complete=False)
    with h5py.File(path, "r+") as file:
        for name in ("fields", "inputs"):
            file.pop(name, None)
        for name in ("system", "geometry"):
            del file.attrs[name]
        file.attrs.update({"format_version": 1, "hpcpinn": "0.1.0", "git": "abc", "ranks": 3})
        file["pieces/owner"][:] = np.arange(runs.N_PIECES) % 3
    return path


def test_a_cell_is_refused_with_its_command_and_converted(cell: Path):
    command = rf"is of version 1 .*reads version 2; `hpcpinn convert {cell} NEW` writes it anew"
    with pytest.raises(InputError, match=command):
        read(cell)
    with pytest.raises(InputError, match="cannot be used: result"):
        said("check", cell)
    new, before = cell.with_name("new.h5"), cell.read_bytes()
    assert f"hpcpinn plot {new}" in said("convert", cell, new)
    check_windows(new, 5)
    found = read(new)
    assert not found.complete and found.attributes["system"] == "cell" and found.attributes["seed"] == 7
    assert [found.attributes[name] for name in ("hpcpinn", "git", "ranks")] == ["0.1.0", "abc", 3]
    assert found.owner.tolist() == (np.arange(runs.N_PIECES) % 3).tolist()
    assert found.members == ("one", "two") and found.member_configs == ({}, {"a": 1})
    assert found.member("two").cable.n_frusta == runs.N_PIECES - 4
    assert cell.read_bytes() == before
    assert "whole, partial: 0 to 5 of 6 ms, 10 frames of 2 members in a population, each a cell" in said("check", new)
    with pytest.raises(InputError, match=r"new\.h5: is there already; give a name that is free"):
        said("convert", cell, new)
    with pytest.raises(InputError, match=r"new\.h5: is hpcpinn-result, version 2: there is nothing to convert"):
        said("convert", new, cell.with_name("newer.h5"))


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.98])
def test_a_damaged_one_is_refused(cell: Path, keep: float):
    whole = cell.read_bytes()
    cell.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=r"cell\.h5: "):
        said("convert", cell, cell.with_name("new.h5"))
    assert not cell.with_name("new.h5").exists()


def test_links_are_not_followed(cell: Path):
    shutil.copy(cell, cell.with_name("other.h5"))
    with h5py.File(cell, "r+") as file:
        del file["calcium"]
        file["calcium"] = h5py.ExternalLink("other.h5", "/calcium")
    with pytest.raises(InputError, match=r"/calcium is a link to other\.h5"):
        said("convert", cell, cell.with_name("new.h5"))


def test_a_square_is_converted(tmp_path: Path):
    path, frames = tmp_path / "square.h5", np.random.default_rng(1).random((3, 4, 5))
    kinds = (
        "start",
        "length",
        "newton_steps",
        "sweeps",
        "jump",
        "error_estimate",
        "exact_error",
        "rejected",
        "seconds",
    )
    columns = {name: [place, 2 * place + 1] for place, name in enumerate((*kinds, "seconds"))}
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "hpcpinn-square", "format_version": 1, "hpcpinn": "0.1.0", "created": "then"})
        file.attrs.update({"git": "", "seed": 3, "ranks": 2, "complete": True})
        file["config"] = json.dumps({"domain": {"kind": "square"}, "run": {"duration": 1.0}})
        file.update({"x": np.arange(5.0), "y": np.arange(4.0), "time": [0.0, 0.5, 1.0], "dopamine": frames})
        file.update({"pieces/centre": np.ones((2, 2)), "pieces/owner": [0, 1]})
        file.update({f"windows/{name}": values for name, values in columns.items()})
    with pytest.raises(InputError, match=r"is 'hpcpinn-square'\); `hpcpinn convert \S+ NEW` writes it anew"):
        read(path)
    said("convert", path, tmp_path / "new.h5")
    found = read(tmp_path / "new.h5")
    np.testing.assert_array_equal(found.dopamine, frames)
    assert found.complete and found.time.tolist() == [0.0, 0.5, 1.0] and found.attributes["created"] == "then"
    assert {name: values.tolist() for name, values in found.windows.items()} == columns
    assert found.box.subdomains is not None and found.box.subdomains.owner.tolist() == [0, 1]


def test_what_cannot_be_converted_says_what_to_do(tmp_path: Path):
    path = tmp_path / "run.checkpoint.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": checkpoint.FORMAT, "format_version": 1})
    with pytest.raises(InputError, match="is of version 1 .*; a run goes on with the version that began it alone"):
        checkpoint.check(path)
    with pytest.raises(InputError, match="is hpcpinn-checkpoint, version 1: there is nothing to convert"):
        said("convert", path, tmp_path / "new.h5")
