"""Commands that are killed, or gone on with by other ranks: the same to the last bit, and nothing is left."""

import contextlib
import os
import random
import shutil
import signal
import time
from pathlib import Path

from hpcpinn.io.checkpoint import paths_of
from tests.mpi import runner
from tests.torture.jobs import KINDS, Started, again, differing, must_be_whole, start, straight, work_folder
from tests.torture.rows import must

_TRIES = 6
_SAME_FIGURES = 1e-12
MOST_RANKS = 4


def moment(chance: random.Random, kind: str, ranks: int, job: Started, share: float = 1.0) -> bool:
    """Waits for a random moment of a job, three of four times while it writes; whether it still goes on then."""
    known = straight(kind, ranks)
    if chance.random() < 0.25 or not known.alone:
        wait = chance.uniform(0.3, known.seconds) * share
    else:
        while not job.is_over and not job.out.exists():
            time.sleep(0.01)
        wait = chance.uniform(0.0, known.seconds - known.alone) * share
    until = time.monotonic() + wait
    while not job.is_over and time.monotonic() < until:
        time.sleep(0.005)
    return not job.is_over


def kill(job: Started, way: str) -> None:
    """Kills a job: ``all`` of it as a node that dies, ``one`` rank of it, or who has ``started`` the ranks."""
    if way == "all":
        victims = job.session
    elif way == "one":
        victims = job.ranks[-1:] or [job.process.pid]
    else:
        victims = [job.process.pid]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    job.process.wait(60)
    job.gone()


def killed_at_random(folder: Path, chance: random.Random, number: int) -> None:
    """A job is killed at random moments, once or twice, and started again."""
    kind, ranks = KINDS[number % len(KINDS)], 1 + number // len(KINDS) % 2
    out, kills = folder / "run.h5", 0
    wanted = 1 if chance.random() < 0.7 else 2
    for attempt in range(_TRIES):
        job = again(kind, ranks, out)
        if moment(chance, kind, ranks, job, share=0.7**attempt):
            kill(job, chance.choice(["all", "one", "started"] if ranks > 1 else ["all"]))
            kills += 1
            if kills == wanted:
                break
        else:  # it was quicker
            must(job.code() == 0, f"{kind} on {ranks} ranks: {job.said()}")
            shutil.rmtree(folder)
            folder.mkdir()
            kills = 0
    must(kills > 0, f"{kind} on {ranks} ranks was over before any kill")
    job = again(kind, ranks, out)
    must(job.code() == 0, f"{kind} on {ranks} ranks does not go on: {job.said()}")
    must_be_whole(kind, ranks, out)


def other_ranks(folder: Path, chance: random.Random, number: int) -> None:
    """A run that some ranks have begun, and others end: every pair of 1 to 4, whichever kind of windows."""
    pair, kind = number % MOST_RANKS**2, ("coupled", "split")[number // MOST_RANKS**2 % 2]
    before, after = 1 + pair // MOST_RANKS, 1 + pair % MOST_RANKS
    shutil.copytree(_begun(kind, before), folder / "run")
    out = folder / "run" / "run.h5"
    job = start(kind, after, out, "--resume")
    must(job.code() == 0, f"{kind}, {before} to {after} ranks: {job.said()}")
    if before == after:
        must_be_whole(kind, after, out)
    for ranks in {1, before, after}:
        found = differing(straight(kind, ranks).out, out, _SAME_FIGURES)
        must(not found, f"{kind}, {before} to {after} ranks: {', '.join(found)} further than 1e-12 from {ranks} ranks")


_HALVES: dict[tuple[str, int], Path] = {}


def _begun(kind: str, ranks: int) -> Path:
    """Folder of a run that some ranks have begun and left at the half of its time."""
    if (kind, ranks) in _HALVES:
        return _HALVES[kind, ranks]
    out = work_folder() / f"{kind}-{ranks}-half" / "run.h5"
    known = straight(kind, ranks)
    for attempt in range(_TRIES):
        shutil.rmtree(out.parent, ignore_errors=True)
        job = start(kind, ranks, out)
        while not job.is_over and not all(path.exists() for path in paths_of(out)):
            time.sleep(0.005)
        time.sleep(0.3 * 0.5**attempt * (known.seconds - known.alone))
        if not job.is_over:
            job.process.send_signal(signal.SIGUSR1)
        if job.code() == 128 + signal.SIGUSR1:
            _HALVES[kind, ranks] = out.parent
            return out.parent
    must(False, f"{kind} on {ranks} ranks was over before it could be stopped")
    raise AssertionError


def why_no_ranks() -> str:
    """Why no ranks can be started here."""
    try:
        runner.python_under_mpi([], 1)
    except FileNotFoundError as error:
        return str(error)
    return ""
