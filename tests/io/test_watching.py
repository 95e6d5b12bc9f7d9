"""A result is looked at while it is written: what is seen is whole, and the writer is not in anybody's way."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import change, read, seal
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io import runs
from tests.io.test_results import check_windows

WRITE = """
import sys, time
from pathlib import Path
from hpcpinn.io import checkpoint
from hpcpinn.io.owner import owning
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io import runs
path, alone, index = Path(sys.argv[1]), SerialCommunicator(), 0
with owning(alone, path):
    writer = ResultWriter(path, alone, runs.header(1))
    print("begun", flush=True)
    while not path.with_name("enough").exists():
        runs.write_window(writer, index)
        index += 1
        time.sleep(0.005)
    writer.close()
print(index, flush=True)
"""


@pytest.mark.parametrize("looks", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_what_is_seen_while_it_is_written_is_whole(tmp_path: Path, looks: int):
    """Every look sees whole windows, never fewer than the look before; the writer goes on to its end."""
    path = tmp_path / "run.h5"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "begun\n"
        seen = []
        for _ in range(looks):
            found = read(path)
            seen.append(len(found.windows["start"]))
            assert len(found.time) == 2 * seen[-1] and not found.complete
            if seen[-1]:
                last = float(found.time[-1])
                np.testing.assert_array_equal(found.calcium[-1], runs.frame("calcium", last).ravel())
        path.with_name("enough").touch()
        written, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert seen == sorted(seen) and len(set(seen)) > looks / 4
    check_windows(path, int(written))


def test_a_torn_look_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As over a network, where some blocks may be seen as they were and others as they are."""
    path, torn = tmp_path / "run.h5", []
    writer = ResultWriter(path, SerialCommunicator(), runs.header(1))
    runs.write_window(writer, 0)
    before = path.read_bytes()
    runs.write_window(writer, 1)
    whole = change._all_of

    def seen(descriptor: int) -> bytes:
        now = whole(descriptor)
        if len(torn) >= 5:
            return now
        torn.append(len(torn))
        start = len(before) - 4096 * (6 - len(torn))
        return before[:start] + now[start:] if len(torn) % 2 else now[: len(before) - 100 * len(torn)]

    change.journal_path(path).write_bytes(b"begun")
    monkeypatch.setattr(change, "_all_of", seen)
    check_windows(path, 2)
    assert len(torn) == 5
    torn.clear()
    monkeypatch.setattr(change, "_all_of", lambda descriptor: before[:-4096] + whole(descriptor)[len(before) - 4096 :])
    monkeypatch.setattr("hpcpinn.io.storage._PAUSE", 1e-3)
    begun = time.perf_counter()
    with pytest.raises(InputError, match="truncated or damaged"):
        read(path)
    assert time.perf_counter() - begun < 10.0


def test_blocks_of_several_moments_are_not_taken_for_one(tmp_path: Path):
    """A network file system may show blocks of a file, its length and its journal as they were at different moments."""
    path, journal = tmp_path / "run.h5", change.journal_path(tmp_path / "run.h5")
    writer = ResultWriter(path, SerialCommunicator(), runs.header(1))
    chance, moments = np.random.default_rng(5), [(path.read_bytes(), b"")]
    noted = change.Transaction._note

    def watched(transaction: change.Transaction, pages: Iterable[int]) -> None:
        noted(transaction, pages)
        moments.append((path.read_bytes(), journal.read_bytes()))  # in the middle of a change, too

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change.Transaction, "_note", watched)
        for index in range(4):
            runs.write_window(writer, index)
            moments.append((path.read_bytes(), b""))
    whole = {bytes(contents[: -seal.SIZE]) for contents, left in moments if not left}
    taken = 0
    for _ in range(300):
        picks = chance.integers(0, len(moments), 3)
        older, newer, other = (moments[pick] for pick in picks)
        size = len(moments[chance.choice(picks)][0])
        blocks = chance.integers(0, 2, -(-size // change.PAGE)) * (chance.random() < 0.8)
        both = [one[0].ljust(size, b"\0")[:size] for one in (older, newer)]
        parts = [both[which][n * change.PAGE : (n + 1) * change.PAGE] for n, which in enumerate(blocks)]
        path.write_bytes(b"".join(parts))
        journal.write_bytes(other[1]) if other[1] else journal.unlink(missing_ok=True)
        try:
            seen = change.look(path)
        except (seal.DamagedError, seal.UnsealedError):
            continue
        assert seen in whole
        taken += 1
    assert taken > 20
