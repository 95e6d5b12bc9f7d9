"""Bundled jobs as the start of one's own."""

import tomllib
from pathlib import Path

import pytest

from hpcpinn.config.jobs import bundled_names
from hpcpinn.errors import InputError, OutputError
from hpcpinn.systems.jobs import describe, load_order
from hpcpinn.systems.own_job import copy_job


@pytest.mark.parametrize("name", bundled_names())
def test_the_copy_is_complete_and_says_the_same(name, tmp_path, monkeypatch):
    job = describe(name)
    written = copy_job(job, tmp_path / "mine")
    assert written == [tmp_path / "mine" / file for file in (f"{name}.toml", *job.inputs)]
    assert tomllib.loads(written[0].read_text()) == tomllib.loads(job.file.read_text())
    for file in written[1:]:
        assert file.read_bytes() == (job.file.parent / file.name).read_bytes()
    monkeypatch.chdir(tmp_path / "mine")
    config = load_order(written[0].name).described
    original = load_order(job.file).described
    own = config.model_dump_json()
    for file in job.inputs:
        own = own.replace(f'"{file}"', f'"{job.file.parent / file}"')
    assert own == original.model_dump_json()


def test_commands_in_the_comments_name_the_copy(tmp_path):
    text = copy_job(describe("dopamine"), tmp_path)[0].read_text()
    assert "#   hpcpinn run dopamine.toml\n" in text
    assert "hpcpinn run dopamine.toml --set physics.preset=dopamine-slow" in text
    assert "hpcpinn plot results/dopamine.h5" in text


@pytest.mark.parametrize("existing", ["neuron_inverse.toml", "neuron_pair.csv"])
def test_nothing_is_replaced_and_nothing_half_written(existing, tmp_path):
    (tmp_path / existing).write_text("mine")
    with pytest.raises(InputError, match=rf"{existing}: there already, and nothing is replaced; .* --to"):
        copy_job(describe("neuron_inverse"), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"


def test_a_dangling_link_is_not_written_through(tmp_path):
    (tmp_path / "y_branch.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="there already"):
        copy_job(describe("y_branch"), tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no folder"):
        copy_job(describe("y_branch"), tmp_path / "file")
    with pytest.raises((InputError, OutputError), match="file"):
        copy_job(describe("y_branch"), tmp_path / "file" / "below")


def test_folders_that_cannot_be_made():
    with pytest.raises(OutputError, match="cannot be written"):
        copy_job(describe("y_branch"), Path("/proc/nothing/here"))
