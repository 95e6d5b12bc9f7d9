"""What becomes of results when something goes wrong: seeded, bounded, and told in one table.

    python scripts/torture.py                          every row, as often as the row says
    python scripts/torture.py kills flips --times 30   some rows, so often
    python scripts/torture.py --seconds 60             the quick rows, together for about a minute
    python scripts/torture.py --seed 4                 other moments and places: batches add up

Every row says what was done, how often, and how often it ended as it must. The exit code is 1 where one did not; its
folder stays then, and is named.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hpcpinn.errors import InputError, OutputError  # noqa: E402
from hpcpinn.io import checkpoint, read  # noqa: E402
from hpcpinn.io.draws import read_draws, write_draws  # noqa: E402
from hpcpinn.io.inference import write_inference  # noqa: E402
from hpcpinn.io.inputs import Destination  # noqa: E402
from hpcpinn.io.results import ResultWriter  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from tests.io import runs  # noqa: E402
from tests.io.test_inference_file import bare, chains  # noqa: E402
from tests.io.test_kills import killed_at  # noqa: E402
from tests.io.test_results import check_windows  # noqa: E402

ALONE = SerialCommunicator()
EVERYTHING = np.arange(runs.N_PIECES)
SETTINGS = {"of": "1"}

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

JOBS = {
    "coupled": ["y_branch", "--set", "run.duration=2", "--set", "run.checkpoint_every=1"],
    "square": ["dopamine", "--set", "run.duration=1", "--set", "run.checkpoint_every=1"],
}
"""Of the row of runs: what follows ``hpcpinn run``."""


class CaseError(Exception):
    """A case did not end as it must."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: Sentence on what is done.
        times: Number of times that it is done where nobody says.
        case: Function of a folder and random numbers; raises where it does not end as it must.
        is_quick: Whether a case takes less than a second.
    """

    what: str
    times: int
    case: Callable[[Path, random.Random], None]
    is_quick: bool = True


def must(is_so: bool, otherwise: str) -> None:
    """Ends a case that did not end as it must."""
    if not is_so:
        raise CaseError(otherwise)


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


def kills(folder: Path, chance: random.Random) -> None:
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


def flips(folder: Path, chance: random.Random) -> None:
    """A flipped bit in a result, a checkpoint or draws."""
    begun(folder, 2)
    write_inference(Destination(folder / "i.h5"), ALONE, bare())
    write_draws(folder / "i.h5", ALONE, chains(), None)
    drawn = read_draws(folder / "i.h5").value.tobytes()
    name, look = chance.choice(
        [
            ("run.h5", lambda: check_windows(folder / "run.h5", 2)),
            ("run.checkpoint.h5", lambda: must(kept(folder / "run.checkpoint.h5") == 2, "other data")),
            ("i.h5", lambda: must(read_draws(folder / "i.h5").value.tobytes() == drawn, "other data")),
        ]
    )
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


def files(folder: Path, chance: random.Random) -> None:
    """A truncated, empty or foreign file, a folder, or a link in the place of a result or a checkpoint."""
    begun(folder, 2)
    path = folder / chance.choice(["run.h5", "run.checkpoint.h5"])
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
        if path.name == "run.h5":
            read(path)
        else:
            kept(path)
    except InputError as error:
        must(str(path) in str(error), f"{kind}: the file is not named: {error}")
    else:
        raise CaseError(f"a {kind} file was read")


def full(folder: Path, chance: random.Random) -> None:
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


def gone(folder: Path, chance: random.Random) -> None:
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


def writers(folder: Path, chance: random.Random) -> None:
    """Two processes that come to one result at nearly the same time."""
    start, apart = time.time() + 1.5, chance.choice([0.0, 0.0, 0.001, 0.01, 0.1, 0.5]) * chance.random()
    if chance.random() < 0.5:
        (folder / "run.lock").write_text("{")  # left by nobody knows whom
    both = [
        subprocess.Popen([sys.executable, "-c", TAKE, str(folder / "run.h5"), str(moment)], cwd=ROOT)
        for moment in (start, start + apart)
    ]
    codes = sorted(process.wait(timeout=120) for process in both)
    must(codes == [0, 2], f"exit codes {codes}")


def killed_runs(folder: Path, chance: random.Random) -> None:
    """A run by command line that is killed at a random moment, and goes on by itself: the same to the last bit."""
    kind, ranks = chance.choice(list(JOBS)), chance.choice([1, 2])
    straight = Path(tempfile.gettempdir()) / f"torture-{os.getpid()}-{kind}-{ranks}.h5"
    began = time.monotonic()
    if not straight.exists():
        must(command(kind, ranks, straight).wait(600) == 0, "the straight run failed")
    took = max(4.0, time.monotonic() - began)
    out = folder / "run.h5"
    for _ in range(chance.randint(1, 3)):
        process = command(kind, ranks, out, "--resume", "auto")
        time.sleep(chance.uniform(1.0, took))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    process = command(kind, ranks, out, "--resume", "auto")
    must(process.wait(600) == 0, f"{kind} on {ranks} ranks did not go on")
    one, other = read(straight), read(out)
    must(other.complete, "it is not complete")
    for name, values in one.fields.items():
        must(np.array_equal(values, other.fields[name], equal_nan=True), f"{kind} on {ranks} ranks: {name} differs")
    must(np.array_equal(one.time, other.time), "times differ")


def command(kind: str, ranks: int, out: Path, *more: str) -> "subprocess.Popen[bytes]":
    """A run in a session of its own."""
    launcher = [] if ranks == 1 else ["mpirun", "-n", str(ranks)]
    words = [*launcher, sys.executable, "-m", "hpcpinn", "run", *JOBS[kind], "--output", str(out), *more]
    return subprocess.Popen(words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)


ROWS = {
    "kills": Row("killed in a creation, an append, a checkpoint, a rewind", 900, kills),
    "flips": Row("a flipped bit in result, checkpoint, draws", 1000, flips),
    "files": Row("truncated, empty, foreign, folders, links, pipes", 200, files),
    "full": Row("disk full in mid-run, then resumed", 60, full),
    "gone": Row("folder or result removed in mid-run", 20, gone),
    "writers": Row("two writers at nearly one time", 20, writers, is_quick=False),
    "runs": Row("killed by command line, 1 and 2 ranks, resumed", 100, killed_runs, is_quick=False),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--times", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chosen = given.rows or [name for name, row in ROWS.items() if given.seconds is None or row.is_quick]
    failed = 0
    for name in chosen:
        seconds = float("inf") if given.seconds is None else given.seconds / len(chosen)
        failed += _row(name, ROWS[name], given.times or ROWS[name].times, seconds, given.seed)
    sys.exit(1 if failed else 0)


def _row(name: str, row: Row, times: int, seconds: float, seed: int) -> int:
    began, done, failed = time.monotonic(), 0, 0
    for number in range(times):
        if time.monotonic() - began > seconds:
            break
        folder = Path(tempfile.mkdtemp(prefix=f"torture-{name}-"))
        try:
            row.case(folder, random.Random(f"{name} {seed} {number}"))
        except Exception as error:
            failed += 1
            print(f"{name} {number} (seed {seed}): {type(error).__name__}: {error}; see {folder}", flush=True)
        else:
            shutil.rmtree(folder)
        done += 1
    took = time.monotonic() - began
    print(f"{name:<8} {row.what:<60} {done - failed:>4} of {done:<4} in {took:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    main()
