"""A process that is killed at any of its system calls leaves files that can be gone on from."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, read
from hpcpinn.io.change import PAGE, Transaction, journal_path, look, recover
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.seal import SIZE, DamagedError, seal_file, verified
from tests.io import runs
from tests.io.test_checkpoint import save
from tests.io.test_results import check_windows

CALLS = ("pwrite", "write", "ftruncate", "fsync", "posix_fallocate", "replace", "link", "unlink", "open")
"""Of the operating system, by which files are changed."""


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Does the work in another process that is no more at its call of this number; False where it came to its end.

    Half of what such a call was to write is written.
    """
    process = os.fork()
    if process == 0:
        left = iter(range(number, -1, -1))

        def mortal(name: str) -> Callable[..., object]:
            call = getattr(os, name)

            def called(*arguments, **named):
                if next(left) == 0:
                    if name in ("pwrite", "write"):
                        half = memoryview(arguments[1])[: len(arguments[1]) // 2]
                        call(arguments[0], half, *arguments[2:])
                    os._exit(9)
                return call(*arguments, **named)

            return called

        for name in CALLS:
            setattr(os, name, mortal(name))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def every_kill(folder: Path, prepare: Callable[[Path], Callable[[], object]]):
    """Folders as a process leaves them that is killed at the first call of its work, the second and so on."""
    for number in range(1000):
        place = folder.with_name(f"{folder.name}-{number}")
        shutil.copytree(folder, place)
        if not killed_at(number, prepare(place)):
            assert number > 5  # it was killed at all
            return
        yield place
        shutil.rmtree(place)
    raise AssertionError


def start(place, communicator, windows):
    writer = ResultWriter(place / "run.h5", communicator, runs.header(1))
    for index in range(windows):
        runs.write_window(writer, index)
    return writer


def goes_on(place, communicator, windows):
    """What counts is there, and the run goes on from it."""
    path = place / "run.h5"
    check_windows(path, windows)  # who only looks sees it, whatever was begun
    with ResultWriter.resume(path, communicator, runs.header(1), float(windows)) as writer:
        runs.write_window(writer, windows)
    assert check_windows(path, windows + 1).complete
    assert not journal_path(path).exists()


@pytest.mark.parametrize("gathered", [True, False])
def test_in_an_append(communicator, tmp_path, gathered):
    folder = tmp_path / "run"
    start(folder, communicator, 8)  # the next window begins a chunk of frames

    def append(place):
        writer = ResultWriter.resume(place / "run.h5", communicator, runs.header(1), 8.0)
        writer._choose_store(writer._store.sealed, gathered)
        return lambda: runs.write_window(writer, 8)

    for place in every_kill(folder, append):
        appended = len(read(place / "run.h5").windows["start"])
        goes_on(place, communicator, appended)
        assert appended in (8, 9)


def test_in_a_rewind(communicator, tmp_path):
    start(tmp_path / "run", communicator, 3)

    def rewind(place):
        return lambda: ResultWriter.resume(place / "run.h5", communicator, runs.header(1), 2.0)

    for place in every_kill(tmp_path / "run", rewind):
        assert len(read(place / "run.h5").windows["start"]) in (3, 2)
        goes_on(place, communicator, len(read(place / "run.h5").windows["start"]))


def test_in_a_change_that_makes_the_file_shorter(tmp_path):
    """As a rewind does that drops many frames: what is cut off is in the journal, too."""
    path = tmp_path / "run" / "run.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["kept"] = np.arange(1000.0)
        file["dropped"] = np.random.default_rng(0).random(30_000)
    seal_file(path)

    def drop(place):
        def work() -> None:
            change = Transaction(place / "run.h5", verified(place / "run.h5"))
            with change.edit() as file:
                del file["dropped"]
            change.commit()

        return work

    assert not killed_at(1000, drop(shutil.copytree(path.parent, tmp_path / "whole")))
    either = path.read_bytes(), (tmp_path / "whole" / "run.h5").read_bytes()
    assert len(either[1]) < len(either[0]) - 10 * PAGE
    for place in every_kill(path.parent, drop):
        there = [whole[:-SIZE] for whole in either]
        assert look(place / "run.h5") in there
        recover(place / "run.h5")
        assert (place / "run.h5").read_bytes() in either


def test_a_journal_that_cannot_be_read_is_kept(communicator, tmp_path, monkeypatch):
    """Without it the file would be lost; who only looks tries again."""
    path = tmp_path / "run.h5"
    start(tmp_path, communicator, 1)
    journal_path(path).write_bytes(b"begun")

    def fail(_: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match="Stale"):
            recover(path)
        with pytest.raises(DamagedError):
            look(path)
    assert journal_path(path).exists()
    goes_on(tmp_path, communicator, 1)


def test_in_a_creation(communicator, tmp_path):
    """The older result is there until the new one is; a checkpoint is never beside a result that it does not fit."""
    start(tmp_path / "run", communicator, 3)
    save(checkpoint.checkpoint_path(tmp_path / "run" / "run.h5"), communicator)

    def create(place):
        return lambda: ResultWriter(place / "run.h5", communicator, runs.header(1))

    for place in every_kill(tmp_path / "run", create):
        windows = len(read(place / "run.h5").windows["start"])
        assert windows in (3, 0)
        assert windows == 3 or not checkpoint.checkpoint_path(place / "run.h5").exists()


def test_in_a_checkpoint(communicator, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    wanted = save(folder / "run.checkpoint.h5", communicator, window=1)
    save(folder / "run.checkpoint.h5", communicator, window=2)
    everything = np.arange(runs.N_PIECES)

    def window(path):
        return checkpoint.load(path, communicator, everything, wanted)[1]["window"]

    def saving(place):
        return lambda: save(place / "run.checkpoint.h5", communicator, window=3)

    for place in every_kill(folder, saving):
        last, previous = checkpoint.paths_of(place / "run.h5")
        assert (window(last), window(previous)) in ((2, 1), (2, 2), (3, 2))


def test_a_journal_of_another_file_is_left_aside(communicator, tmp_path):
    start(tmp_path / "a", communicator, 2)
    start(tmp_path / "b", communicator, 2)
    killed = next(
        place
        for place in every_kill(tmp_path / "a", lambda place: lambda: start_again(place, communicator))
        if journal_path(place / "run.h5").exists() and journal_path(place / "run.h5").stat().st_size > 1000
    )
    shutil.copy(journal_path(killed / "run.h5"), journal_path(tmp_path / "b" / "run.h5"))
    goes_on(tmp_path / "b", communicator, 2)


def start_again(place, communicator):
    ResultWriter.resume(place / "run.h5", communicator, runs.header(1), 2.0).close()


def test_a_result_that_ends_before_its_checkpoint_is_refused(communicator, tmp_path):
    start(tmp_path, communicator, 2)
    with pytest.raises(InputError, match=r"run.h5: ends at 2, before its checkpoint at 3; restore the two together"):
        ResultWriter.resume(tmp_path / "run.h5", communicator, runs.header(1), 3.0)
