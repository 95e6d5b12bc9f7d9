"""What is done to results in this process, or in forks of it: kills at system calls, bits, files, disks, owners."""

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import checkpoint, read
from hpcpinn.io.draws import read_draws, write_draws
from hpcpinn.io.flow_map_file import read_flow_map
from hpcpinn.io.inference import write_inference
from hpcpinn.io.inputs import Destination
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.io import runs
from tests.io.test_inference_file import bare, chains
from tests.io.test_kills import killed_at
from tests.io.test_results import check_windows
from tests.mpi.runner import REPOSITORY
from tests.torture.rows import CaseError, must

ALONE = SerialCommunicator()
EVERYTHING = np.arange(runs.N_PIECES)
SETTINGS = {"of": "1"}
FLOW_MAP = REPOSITORY / "hpcpinn" / "timestepping" / "flow_map_physical.h5"

TAKE = """
import sys, time
from hpcpinn.errors import HpcpinnError
from hpcpinn.io.owner import Lock
while time.time() < float(sys.argv[2]):
    pass
try:
    lock = Lock(sys.argv[1])
except HpcpinnError as error:
    sys.exit(error.exit_code)
time.sleep(1.0)
"""


def keep(path: Path, window: int) -> None:
    """A checkpoint after a window."""
    arrays = {"heads": np.full((runs.N_PIECES, 64), float(window))}
    checkpoint.save(path, ALONE, EVERYTHING, runs.N_PIECES, arrays, {"window": window}, SETTINGS)


def kept(path: Path) -> int:
    """The window of a checkpoint."""
    arrays, scalars = checkpoint.load(path, ALONE, EVERYTHING, SETTINGS)
    must(bool((arrays["heads"] == scalars["window"]).all()), f"{path} holds other numbers")
    return int(scalars["window"])


def begun(folder: Path, windows: int) -> ResultWriter:
    """A run with so many windows, and its checkpoint."""
    writer = ResultWriter(folder / "run.h5", ALONE, runs.header(1))
    for index in range(windows):
        runs.write_window(writer, index)
        keep(folder / "run.checkpoint.h5", index + 1)
    return writer


def kills(folder: Path, chance: random.Random, number: int) -> None:
    """A writer that is killed in a creation, an append, a checkpoint or a rewind."""
    path, saved, windows = folder / "run.h5", folder / "run.checkpoint.h5", chance.randint(1, 3)
    writer = begun(folder, windows)
    work = chance.choice(["creation", "append", "checkpoint", "rewind"])
    back = chance.randint(0, windows)
    killed_at(
        chance.randint(0, 60),
        {
            "creation": lambda: ResultWriter(path, ALONE, runs.header(1)),
            "append": lambda: runs.write_window(writer, windows),
            "checkpoint": lambda: keep(saved, windows + 1),
            "rewind": lambda: ResultWriter.resume(path, ALONE, runs.header(1), float(back)),
        }[work],
    )
    found = len(read(path).windows["start"])
    allowed = {"creation": (0, windows), "append": (windows, windows + 1), "rewind": (windows, back)}
    must(found in allowed.get(work, (windows,)), f"{found} of {windows} windows after a kill in a {work}")
    if saved.exists():
        must(kept(saved) in (windows, windows + 1), f"another checkpoint after a kill in a {work}")
    if found:
        check_windows(path, found)
    with ResultWriter.resume(path, ALONE, runs.header(1), float(found)) as again:
        runs.write_window(again, found)
    check_windows(path, found + 1)


def looks(folder: Path) -> dict[str, Callable[[], object]]:
    """Readers of files that are laid beside a run, by name; each ends a case where it finds other data."""
    write_inference(Destination(folder / "i.h5"), ALONE, bare())
    write_draws(folder / "i.h5", ALONE, chains(), None)
    shutil.copy(FLOW_MAP, folder / "map.h5")
    drawn, mapped = read_draws(folder / "i.h5").value.tobytes(), repr(read_flow_map(folder / "map.h5"))
    return {
        "run.h5": lambda: check_windows(folder / "run.h5", 2),
        "run.checkpoint.h5": lambda: must(kept(folder / "run.checkpoint.h5") == 2, "other data"),
        "i.h5": lambda: must(read_draws(folder / "i.h5").value.tobytes() == drawn, "other data"),
        "map.h5": lambda: must(repr(read_flow_map(folder / "map.h5")) == mapped, "other data"),
    }


def flips(folder: Path, chance: random.Random, number: int) -> None:
    """A flipped bit in a result, a checkpoint or draws."""
    begun(folder, 2)
    name, look = chance.choice(list(looks(folder).items()))
    data = bytearray((folder / name).read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(data)
    refused_or_right(look)


def refused_or_right(look: Callable[[], object]) -> None:
    """Reads something: the right data, or one line."""
    try:
        look()
    except InputError as error:
        must("\n" not in str(error), f"more than a line: {error}")


def files(folder: Path, chance: random.Random, number: int) -> None:
    """A truncated, empty or foreign file, a folder, or a link in the place of one of ours."""
    begun(folder, 2)
    name, look = chance.choice(list(looks(folder).items()))
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    kind = chance.choice(["truncated", "empty", "foreign", "folder", "link", "pipe", "text"])
    if kind == "truncated":
        path.write_bytes(data[: chance.randrange(len(data))])
    elif kind == "empty":
        path.touch()
    elif kind == "foreign":
        with h5py.File(path, "w") as file:
            file["calcium"] = np.zeros(3)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(folder / "nowhere.h5")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("soma 1 2 3")
    try:
        look()
    except InputError as error:
        must("\n" not in str(error) and error.exit_code == 2, f"{kind}: {error}")
        must(str(path) in str(error), f"{kind}: the file is not named: {error}")
    else:
        raise CaseError(f"a {kind} file was read")


def full(folder: Path, chance: random.Random, number: int) -> None:
    """A disk that fills up in an append or a checkpoint, and a run that goes on afterwards."""
    path, saved, windows = folder / "run.h5", folder / "run.checkpoint.h5", chance.randint(1, 3)
    writer = begun(folder, windows)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + chance.randint(-20_000, 15_000), hard))
    reached = windows
    try:
        while reached < windows + 400:
            runs.write_window(writer, reached)
            reached += 1
            keep(saved, reached)
    except OutputError as error:
        must("cannot write" in str(error) and "\n" not in str(error), str(error))
        must("nothing of it is kept" not in str(error), str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_windows(path, len(read(path).windows["start"]))
    must(kept(saved) in (reached, reached - 1), "the checkpoint is another one")
    at = kept(saved)
    with ResultWriter.resume(path, ALONE, runs.header(1), float(at)) as again:
        runs.write_window(again, at)
    check_windows(path, at + 1)


def gone(folder: Path, chance: random.Random, number: int) -> None:
    """The folder, or the result, is removed in the middle of a run."""
    place = folder / "results"
    writer = begun(place, chance.randint(1, 3))
    if chance.random() < 0.5:
        shutil.rmtree(place)
    else:
        (place / "run.h5").unlink()
    try:
        runs.write_window(writer, 3)
    except OutputError as error:
        must("is gone, and nothing of it is kept" in str(error), str(error))
    else:
        raise CaseError("nobody noticed")


def writers(folder: Path, chance: random.Random, number: int) -> None:
    """Two processes that come to one result at nearly the same time."""
    start, apart = time.time() + 1.5, chance.choice([0.0, 0.0, 0.001, 0.01, 0.1, 0.5]) * chance.random()
    if chance.random() < 0.5:
        (folder / "run.lock").write_text("{")  # left by nobody knows whom
    both = [
        subprocess.Popen([sys.executable, "-c", TAKE, str(folder / "run.h5"), str(moment)], cwd=REPOSITORY)
        for moment in (start, start + apart)
    ]
    codes = sorted(process.wait(timeout=120) for process in both)
    must(codes == [0, 2], f"exit codes {codes}")
