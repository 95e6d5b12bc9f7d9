"""What `hpcpinn check` says, and that nothing damaged is taken for something else."""

import dataclasses
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from hpcpinn.cli.main import application
from hpcpinn.config.inputs import digest_of
from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, read, seal
from hpcpinn.io.change import journal_path
from hpcpinn.io.checking import parts_of
from hpcpinn.io.draws import write_draws
from hpcpinn.io.inference import write_inference
from hpcpinn.io.inputs import Destination, InputFiles
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.seal import SIZE, seal_file
from tests.io import runs
from tests.io.test_checkpoint import SETTINGS, own, save
from tests.io.test_inference_file import bare, chains
from tests.io.test_results import check_windows


@pytest.fixture
def path(communicator, tmp_path):
    path = tmp_path / "run.h5"
    writer = ResultWriter(path, communicator, runs.header(1))
    for index in range(3):
        runs.write_window(writer, index)
        save(checkpoint.checkpoint_path(path), communicator, march_windows=index + 1)
    return path


def said(path, *options, code=0):
    done = CliRunner().invoke(application(), ["check", str(path), *options])
    assert (done.exception is None) == (code == 0), done.output
    assert code == 0 or isinstance(done.exception, InputError)
    return done.output


def test_every_part_has_its_line(path):
    lines = said(path).splitlines()
    assert "run.h5: whole, partial: 0 to 3 of 6 ms, 6 frames of a cell on tree, version 2 by hpcpinn" in lines[0]
    assert lines[1].startswith("inputs    none are kept")
    assert "run.checkpoint.h5: whole, after 3 windows" in lines[2]
    assert "run.checkpoint.previous.h5: whole, after 2 windows" in lines[3]
    assert lines[4].split() == ["writer", "none"]
    assert "hpcpinn run with its job and --resume" in lines[-1]
    flip(checkpoint.checkpoint_path(path), 3000)
    lines = said(path, code=2).splitlines()
    assert "run.checkpoint.h5: cannot be read, it is truncated or damaged" in lines[2]
    assert "--resume" in lines[-1]  # there is the one before it
    flip(path, 3000)
    assert "run.h5 from a copy, or run the job again" in said(path, code=2).splitlines()[-1]


def test_inputs_are_named_with_what_is_kept_and_what_is_there(communicator, tmp_path):
    names = {name: tmp_path / f"{name}.csv" for name in ("whole", "taken", "large", "moved")}
    for name, file in names.items():
        file.write_text(f"{name}\n" * (1 if name in ("whole", "moved") else 400))
    taken = {"x.taken": b"a part\n"}
    files = InputFiles({f"x.{name}": str(file) for name, file in names.items()}, taken.get, 1000, 1000)
    path = tmp_path / "run.h5"
    ResultWriter(path, communicator, dataclasses.replace(runs.header(1), inputs=files)).close()
    digests = [digest_of(file)[:12] for file in names.values()]
    names["moved"].unlink()
    names["taken"].write_text("another")
    how = [
        "kept whole; where it was it is the same now",
        "what was taken of it is kept; where it was it is another one now",
        "too large to be kept; where it was it is the same now",
        "kept whole; where it was it is gone now",
    ]
    lines = [line.partition(str(tmp_path))[2] for line in said(path).splitlines() if "digest" in line]
    sizes = zip(names, (1, 2, 2, 1), digests, how, strict=True)
    assert lines == [f"/{name}.csv (x.{name}), {size} KiB, digest {of}: {text}" for name, size, of, text in sizes]
    names["large"].unlink()
    lines = said(path).splitlines()
    assert "too large to be kept, and needed as it was: restore it; where it was it is gone now" in lines[3]
    assert lines[-1].startswith("next      restore the inputs that are needed; then hpcpinn validate")


def test_an_inference_and_its_draws_have_their_lines(communicator, tmp_path):
    path = tmp_path / "i.h5"
    (tmp_path / "data.csv").write_text("value\n1\n")
    to = Destination(path, InputFiles({"data.file": str(tmp_path / "data.csv")}).read())
    write_inference(to, communicator, bare())
    write_draws(path, communicator, chains(), None)
    lines = said(path).splitlines()
    assert "i.h5: whole, with draws, version 3 by hpcpinn" in lines[0]
    assert "data.csv (data.file), 1 KiB, digest" in lines[1] and "kept whole; where it was it is the same" in lines[1]
    assert lines[-1].startswith(f"next      hpcpinn plot {path}; hpcpinn infer or uq with its job")
    flip(path, 3000)
    assert "restore" in said(path, code=2).splitlines()[-1]


def test_a_file_without_a_seal_is_accepted_where_a_person_says_so(path):
    shutil.copy(path, path.with_name("copy.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "mine"  # HDF5 cuts the seal off
    with pytest.raises(InputError, match="run.h5: has no seal: .* `hpcpinn check --accept .*run.h5` takes it as it is"):
        read(path)
    said(path, "--accept")
    assert read(path).attributes["note"] == "mine"
    with pytest.raises(InputError, match="is whole; there is nothing to accept"):
        said_error(path.with_name("copy.h5"))
    flip(path, 100)
    with pytest.raises(InputError, match="is not what it was when it was sealed"):
        said_error(path)


def said_error(path):
    done = CliRunner().invoke(application(), ["check", str(path), "--accept"])
    assert done.exception is not None
    raise done.exception


def flip(path, byte, bit=0):
    with open(path, "r+b") as file:
        file.seek(byte)
        old = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([old ^ (1 << bit)]))


def test_no_flipped_bit_is_read_as_other_data(path, communicator):
    """Of result and checkpoint, at random places and in the seal: never other data, always one line."""
    saved, random = checkpoint.checkpoint_path(path), np.random.default_rng(3)
    wanted = checkpoint.fingerprint(SETTINGS, runs.y_cable())
    for file, look in (
        (path, lambda: read(path)),
        (saved, lambda: checkpoint.load(saved, communicator, own(communicator), wanted)),
    ):
        look()
        size, before = file.stat().st_size, file.read_bytes()
        for byte in [*random.integers(0, size - SIZE, 60), size - SIZE, size - SIZE + 20, size - 40, size - 1]:
            flip(file, int(byte), int(random.integers(8)))
            with pytest.raises(InputError, match=file.name):
                look()
            file.write_bytes(before)


def test_links_to_other_files_are_not_followed(path, communicator, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["name"] = "theirs"
    for name, put in {
        "probes/name": lambda file: h5py.ExternalLink("other.h5", "name"),
        "windows/start": lambda file: h5py.SoftLink("/time"),
    }.items():
        copy = shutil.copy(path, tmp_path / "copy.h5")
        with h5py.File(copy, "r+") as file:
            del file[name]
            file[name] = put(file)
        seal_file(copy)
        with pytest.raises(InputError, match=f"/{name} is a link to"):
            read(copy)
    with h5py.File(path, "r+") as file:
        del file["time"]
        file.create_dataset("time", 6, float, external=[(str(tmp_path / "other.h5"), 0, 48)])
    seal_file(path)
    with pytest.raises(InputError, match="/time lies in another file"):
        read(path)


def test_what_a_dataset_claims_is_looked_at_before_memory_is_taken(path):
    with h5py.File(path, "r+") as file:
        del file["calcium"]
        file.create_dataset("calcium", (10**9, 33), float, chunks=(16, 33))  # of which nothing is there
        file["committed"][0] = 10**9
    seal_file(path)
    with pytest.raises(InputError, match=r"/calcium claims 264000000000 bytes and holds 0"):
        read(path)


def test_what_is_compressed_may_hold_less_than_it_says_but_not_any_amount_less(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("more", data=np.zeros(10**5), compression="gzip")
        assert file["more"].nbytes > 100 * file["more"].id.get_storage_size()
    seal_file(path)
    read(path)
    with h5py.File(path, "r+") as file:
        file.create_dataset("most", (10**9,), float, chunks=(10**5,), compression="gzip")[:1] = 1.0
    seal_file(path)
    with pytest.raises(InputError, match=r"/most claims 8000000000 bytes and holds "):
        read(path)


def test_a_result_is_read_while_it_is_written(path, communicator, monkeypatch):
    """Whoever looks in the middle of a change sees what was before it."""
    writer, seen, write_seal = ResultWriter.resume(path, communicator, runs.header(1), 3.0), [], seal.write_seal

    def looking(*arguments):
        assert journal_path(path).exists()
        seen.append(len(check_windows(path, 3).time))
        write_seal(*arguments)

    monkeypatch.setattr(seal, "write_seal", looking)
    runs.write_window(writer, 3)
    assert seen == [6]
    check_windows(path, 4)


def test_what_is_no_file_of_ours_is_said(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="is no file of hpcpinn that can be opened"):
        said_error(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe.h5")
    assert "is not a regular file but a pipe" in said(tmp_path / "pipe.h5", code=2)


@pytest.mark.parametrize(
    ("name", "content", "label", "following"),
    [
        ("run.h5", b"", "result", "what the first line says"),
        ("notes.h5", b"hello", "result", "what the first line says"),
        ("gone.h5", None, "result", "what the first line says"),
        ("run.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "result", "run the job again without --resume"),
        ("run.checkpoint.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "saved", "go on from the one before it"),
        ("i.nc", b"\x89HDF\r\n\x1a\n" + bytes(99), "draws", "make it anew"),
    ],
)
def test_what_is_torn_empty_or_foreign_is_called_by_its_name(tmp_path, name, content, label, following):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    lines = said(tmp_path / name, code=2).splitlines()
    assert lines[0].split()[0] == label and following in lines[-1]


def test_a_result_that_is_gone_can_be_restored_beside_its_checkpoint(path):
    path.unlink()
    assert f"restore {path} from a copy, or run the job again without" in said(path, code=2).splitlines()[-1]


def test_a_folder_is_no_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^\.: is a directory; give the path"):
        parts_of(Path())
