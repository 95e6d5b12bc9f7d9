"""Inputs that change between a run and its rest: refused by name; the same contents elsewhere are not."""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hpcpinn.io.flow_map_file import read_flow_map, write_flow_map
from tests.mpi import runner
from tests.torture.jobs import LIMIT, work_folder
from tests.torture.rows import must

_CELL = "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 45 0 0 1 2\n"
_BUNDLED_MAP = runner.REPOSITORY / "hpcpinn" / "timestepping" / "flow_map_physical.h5"
_FIELD = "x,y,z,Ex,Ey,Ez\n" + "".join(
    f"{x},{y},{z},900,900,90\n" for x in (-500, 500) for y in (-500, 500) for z in (-500, 500)
)

TABLE = """
[morphology]
file = "cell.swc"
[voltage]
file = "voltage.csv"
[network]
features = 16
[window]
tolerance = 0.1
[run]
duration = 0.5
output = "run.h5"
"""
FIELD = """
[morphology]
file = "cell.swc"
[field]
file = "field.csv"
[stimulation]
waveform = "wave.csv"
start = 1.0
[pieces]
max_length = 20.0
[cable]
step = 0.05
d_lambda = 0.05
[window]
kind = "split"
[split]
flow_map = "map.h5"
checkpoint_every = 0.0
[run]
duration = 2.0
output_interval = 1.0
output = "run.h5"
"""
MEMBERS = FIELD.replace("[run]", '[population]\ncells = ["first.swc", "second.swc"]\n[run]')
_FILES = {
    "cell.swc": _CELL,
    "first.swc": _CELL,
    "second.swc": _CELL.replace("45", "50"),
    "voltage.csv": "time_ms,soma\n0,-65\n0.05,-60\n5,-65\n",
    "field.csv": _FIELD,
    "wave.csv": "time_ms,value\n0,0\n0.05,1\n0.2,1\n0.25,0\n",
}


@dataclass(frozen=True)
class Change:
    """A file that another takes the place of.

    Attributes:
        job: The job file.
        file: Name of the file.
        key: Dotted key that names it.
        before: What stands in it.
        after: What stands there then; of the flow map nothing.
    """

    job: str
    file: str
    key: str
    before: str = ""
    after: str = ""


CHANGES = (
    Change("table.toml", "cell.swc", "morphology.file", "45 0 0", "46 0 0"),
    Change("table.toml", "voltage.csv", "voltage.file", "-60", "-61"),
    Change("field.toml", "cell.swc", "morphology.file", "3 3 45 0 0 1 2", "3 3 45 0 0 1 2\n4 3 60 0 0 1 3"),
    Change("field.toml", "field.csv", "field.file", "-500,-500,-500,900", "-500,-500,-500,901"),
    Change("field.toml", "wave.csv", "stimulation.waveform", "0.2,1", "0.21,1"),
    Change("field.toml", "map.h5", "split.flow_map"),
    Change("members.toml", "first.swc", "population.cells.0", "45 0 0", "46 0 0"),
    Change("members.toml", "second.swc", "population.cells.1", "50 0 0", "51 0 0"),
    Change("members.toml", "field.csv", "field.file", "900,90\n", "900,91\n"),
)
"""Every key of a run that names a file."""


def changed(folder: Path, chance: random.Random, number: int) -> None:
    """One input has changed: refused by name, on whichever time; what has only been touched or moved is not."""
    change = CHANGES[number % len(CHANGES)]
    place = folder / "here"
    shutil.copytree(_finished(change.job), place)
    file, until = place / change.file, f"run.duration={chance.choice([0.7, 0.9]) * (1 if 'table' in change.job else 4)}"
    before = file.read_bytes()
    if change.before:
        must(change.before in file.read_text(), f"{change} changes nothing")
        file.write_text(file.read_text().replace(change.before, change.after))
    else:
        record = read_flow_map(file)
        write_flow_map(file, replace(record, training={**record.training, "seed": 99}))
    code, said = _command(place, "run", change.job, "--resume", "--set", until)
    must(code == 2, f"{change.file} has changed: exit code {code}: {said}")
    must("\n" not in said and f"{change.file} ({change.key}) has changed" in said, f"{change.file}: {said}")
    file.write_bytes(before)
    os.utime(file, (1, 1))
    if chance.random() < 0.3:
        code, said = _command(place, "run", change.job, "--resume", "--set", until)
        must(code == 0, f"{change.file} is as it was: exit code {code}: {said}")


@cache
def _finished(job: str) -> Path:
    """Folder of a run that has come to its end."""
    place = work_folder() / job.removesuffix(".toml")
    place.mkdir()
    for name, text in {**_FILES, "table.toml": TABLE, "field.toml": FIELD, "members.toml": MEMBERS}.items():
        (place / name).write_text(text)
    shutil.copy(_BUNDLED_MAP, place / "map.h5")
    code, said = _command(place, "run", job)
    must(code == 0, f"{job}: exit code {code}: {said}")
    return place


def _command(place: Path, *words: str) -> tuple[int, str]:
    """Exit code of a command, and its lines on stderr, warnings left out."""
    done = subprocess.run(
        [sys.executable, "-m", "hpcpinn", *words],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=runner.surroundings({"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}),
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("hpcpinn: warning: ")]
    return done.returncode, "\n".join(lines)
