"""Disks that are full or read-only, and files that are gone: one line that is true, and the rest is exact."""

import contextlib
import ctypes
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcpinn.io import checkpoint, read
from hpcpinn.io.storage import format_of
from tests.torture.jobs import JOBS, Started, again, must_be_whole, start, straight
from tests.torture.rows import must

WAYS = ("quota", "disk", "read-only", "removed")
_KINDS = ("coupled", "split", "square", "infer", "members")
_ROOM = "size=256m"
_OWN_MOUNTS = 0x00020000
"""CLONE_NEWNS of unshare(2)."""
_KEPT_TO = re.compile(r"everything up to time ([\d.e+-]+) is kept")


def spoiled(folder: Path, chance: random.Random, number: int) -> None:
    """A job that cannot write, from its start or from a random moment on, and that goes on when it can again."""
    way, kind = WAYS[number % len(WAYS)], _KINDS[number // len(WAYS) % len(_KINDS)]
    ranks, is_early = chance.choice([1, 1, 2]), number // 2 % 3 == 0
    out = folder / "disk" / "run.h5"
    out.parent.mkdir()
    what = f"{way} {'at the start' if is_early else 'in mid-run'}, {kind} on {ranks} ranks"
    with _surroundings(way, out, chance, is_early, straight(kind, ranks).out) as largest:
        job = start(kind, ranks, out, largest=largest)
        if not is_early and way in ("read-only", "removed") and not _spoil(way, job, chance, straight(kind, ranks)):
            return  # it was over
        code = job.code()
        _look(job, code, what, out)
        if out.parent.is_file():
            out.parent.unlink()
        if way == "disk":
            subprocess.run(["mount", "-o", f"remount,{_ROOM}", str(out.parent)], check=True)
        if way != "read-only":
            _goes_on(kind, ranks, out, what)
    if way == "read-only":
        _goes_on(kind, ranks, out, what)


def _goes_on(kind: str, ranks: int, out: Path, what: str) -> None:
    job = again(kind, ranks, out)
    must(job.code() == 0, f"{what}: does not go on: {job.said()}")
    must_be_whole(kind, ranks, out)


@contextmanager
def _surroundings(way: str, out: Path, chance: random.Random, is_early: bool, whole: Path) -> Iterator[int | None]:
    """Where a job is to write, and the bytes that its files may have."""
    place, size = out.parent, whole.stat().st_size
    if way == "quota":  # of which the complaint is a file, too
        yield 6000 if is_early else int(chance.uniform(0.3, 1.0) * size)
    elif way == "disk":
        room = (
            8192 if is_early else int(chance.uniform(0.5, 1.2) * sum(f.stat().st_size for f in whole.parent.iterdir()))
        )
        with _mounted(place, "-t", "tmpfs", "-o", f"size={room}", "tmpfs"):
            yield None
            shutil.copytree(place, place.with_name("looked at"))
    elif way == "read-only":
        with _mounted(place, "--bind", str(place)):
            if is_early:
                _make_read_only(place)
            yield None
    else:
        if is_early:
            place.rmdir()
            place.touch()  # a file where a folder should be
        yield None


@contextmanager
def _mounted(place: Path, *words: str) -> Iterator[None]:
    subprocess.run(["mount", *words, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _make_read_only(place: Path) -> None:
    """As soon as nobody has a file open there for writing."""
    for _ in range(2000):
        if subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], capture_output=True).returncode == 0:
            return
        time.sleep(0.003)
    must(False, f"{place} cannot be made read-only")


def _spoil(way: str, job: Started, chance: random.Random, known: object) -> bool:
    """Makes a disk unusable at a random moment after the result is there; whether the job still went on then."""
    while not job.is_over and not job.out.exists():
        time.sleep(0.005)
    time.sleep(chance.uniform(0.0, 0.7))
    if job.is_over:
        must(job.code() in (0, 1, 2), f"{job.said()}")
        return False
    if way == "read-only":
        _make_read_only(job.out.parent)
    elif chance.random() < 0.5:
        with contextlib.suppress(OSError):
            os.rename(job.out.parent, job.out.parent.with_name("moved away"))
    else:
        job.out.unlink(missing_ok=True)
    return True


def _look(job: Started, code: int, what: str, out: Path) -> None:
    """One line, and what it says is so."""
    said = job.said()
    if code == 0:
        return  # it had room enough, or had written all
    must(code in (1, 2), f"{what}: exit code {code}: {said}")
    must(len(said) == 1, f"{what}: {len(said)} lines: {said}")
    line = said[0]
    must("internal error" not in line and "Traceback" not in job.errors.read_text(), f"{what}: {line}")
    must(str(out.parent) in line or "output cannot be written" in line, f"{what}: no file is named: {line}")
    kept = _KEPT_TO.search(line)
    if kept:
        must(abs(float(read(out).time[-1]) - float(kept[1])) < 1e-4, f"{what}: {line}; it ends at {read(out).time[-1]}")
    if "nothing of it is kept" in line:
        must(not Path(line.split(": ")[1]).exists(), f"{what}: {line}; but it is there")
    if "stays as it was" in line:
        checkpoint.check(checkpoint.checkpoint_path(out))
    if "there is no checkpoint yet" in line:
        must(not checkpoint.checkpoint_path(out).exists(), f"{what}: {line}")
    if out.is_file():
        must(format_of(out) is not None, f"{what}: the result does not open")


def why_no_mounts() -> str:
    """Why no disks of a few kilobytes can be had here; where they can, mounts are seen by this process alone after."""
    if os.geteuid() != 0:
        return "only root mounts disks"
    if ctypes.CDLL(None).unshare(_OWN_MOUNTS) != 0:
        return "nothing can be mounted here"
    tried = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"nothing can be mounted here: {tried.stderr.strip()}"


assert set(_KINDS) <= set(JOBS)
