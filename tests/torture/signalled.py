"""Signals at random moments: heard, a checkpoint, the right exit code, and the rest as if there were none."""

import contextlib
import os
import random
import re
import shutil
import signal
from pathlib import Path

from hpcpinn.io import checkpoint
from hpcpinn.io.checking import parts_of
from tests.torture.jobs import JOBS, KINDS, Started, again, digest, must_be_whole
from tests.torture.killed import moment
from tests.torture.rows import must

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_TRIES = 6
_STOPPED = re.compile(r"hpcpinn: stopped at [\d.]+ (of [\d.]+ )?\S*; go on with --resume")
_BY_MPIRUN = "mpirun detected that one or more processes exited with non-zero status"
_AT_ONCE = re.compile(r"hpcpinn: stopped(; .+)?")


def signalled(folder: Path, chance: random.Random, number: int) -> None:
    """A job hears one signal, sometimes a second one, ends as it should, and is started again."""
    kind, ranks = KINDS[number % len(KINDS)], 1 + number // len(KINDS) % 2
    asked, is_twice = NUMBERS[number % 3], chance.random() < 0.2
    out, what = folder / "run.h5", f"{asked.name} to {kind} on {ranks} ranks"
    for attempt in range(_TRIES):
        job = again(kind, ranks, out, listens=True)
        if moment(chance, kind, ranks, job, share=0.7**attempt):
            before = digest(out)
            _send(job, asked, chance)
            if is_twice:
                job.process.send_signal(signal.SIGUSR1)
            code = job.code()
            if code != 0:
                break
            must_be_whole(kind, ranks, out)  # it was in its last window
        must(job.code() == 0, f"{kind} on {ranks} ranks: {job.said()}")
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        must(False, f"{kind} on {ranks} ranks was over before it heard any signal")
    codes = {128 + asked, 128 + signal.SIGUSR1} if is_twice else {128 + asked}
    must(code in codes, f"{what}: exit code {code}, and not one of {sorted(codes)}; {job.said()}")
    _look(job, what, out, before, JOBS[kind].can_go_on and not is_twice)
    job = again(kind, ranks, out)
    must(job.code() == 0, f"{what}: does not go on: {job.said()}")
    must_be_whole(kind, ranks, out)


def _send(job: Started, asked: signal.Signals, chance: random.Random) -> None:
    """Sends a signal to who has started the ranks, as a person, a queue or a batch script does, or to one of them."""
    ranks = job.ranks
    if len(ranks) < 2 or chance.random() < 0.5:
        job.process.send_signal(asked)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(ranks), asked)


def _look(job: Started, what: str, out: Path, before: str, can_stop: bool) -> None:
    """What is said is so, and what is there is whole."""
    said = job.said()
    is_stopped = any(_STOPPED.fullmatch(line) for line in said)
    # A rank that is asked alone, and ends at once, leaves the word to the first, whom mpirun ends: it names the rank.
    is_named = _BY_MPIRUN in job.errors.read_text(errors="replace")
    must(is_stopped or is_named or any(_AT_ONCE.fullmatch(line) for line in said), f"{what}: {said}")
    if is_stopped:
        must(can_stop or checkpoint.checkpoint_path(out).exists(), f"{what}: {said}, without a checkpoint")
        checkpoint.check(checkpoint.checkpoint_path(out))
    elif said and "as it was" in said[-1] and not can_stop:
        must(digest(out) == before, f"{what}: {said[-1]}, but the file is another one")
    if out.exists():
        bad = [part.text for part in parts_of(out) if part.is_bad]
        must(not bad, f"{what}: {'; '.join(bad)}")
