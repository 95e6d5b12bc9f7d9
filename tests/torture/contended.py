"""Two jobs that come to one result: one writes it, the other leaves it alone, whenever they come and however."""

import random
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.mpi import runner, throwaway_slurm
from tests.torture.jobs import Started, differing, job_file, start, straight
from tests.torture.rows import must

_REFUSED = re.compile(r".*run\.h5: is being written by process (\d+) on \S+.*; wait for it, or write another file.*")
_TRIES = 4


def twice(folder: Path, chance: random.Random, number: int) -> None:
    """Two different runs are started on one result, one after the other by a random time."""
    ranks, out = (1, 2)[number % 2], folder / "run.h5"
    known = straight("coupled", ranks)
    straight("other", ranks)
    for _ in range(_TRIES):
        first = start("coupled", ranks, out)
        time.sleep(chance.choice([0.0, chance.random(), chance.uniform(0.0, known.seconds)]))
        if not first.is_over:
            break
        first.code()
    second = start("other", ranks, out)
    codes = {"coupled": first.code(), "other": second.code()}
    if codes == {"coupled": 0, "other": 0}:
        must(not differing(straight("other", ranks).out, out), "one after the other, and the result is neither's")
        return
    must(sorted(codes.values()) == [0, 2], f"exit codes {codes}: {first.said()} {second.said()}")
    winner = min(codes, key=lambda kind: codes[kind])
    _must_be_refused(second if winner == "coupled" else first)
    must(not differing(straight(winner, ranks).out, out), f"the result is not that of {winner}, who won")


def _must_be_refused(job: Started) -> None:
    said = job.said()
    must(len(said) == 1 and _REFUSED.fullmatch(said[0]) is not None, f"refused otherwise: {said}")


def arrays(folder: Path, chance: random.Random, number: int) -> None:
    """Tasks of a job array of SLURM that write one result, as only a script of one's own would have them do."""
    out = folder / "run.h5"
    straight("coupled", 1)
    words = [sys.executable, "-m", "hpcpinn", "run", str(job_file("coupled")), "--output", str(out)]
    wait = chance.choice([0.0, 0.3, 1.0])
    script = f'#!/bin/bash\nsleep $(echo "$SLURM_ARRAY_TASK_ID * {wait}" | bc -l)\n'
    script += f"{shlex.join(words)} >said.$SLURM_ARRAY_TASK_ID 2>&1\necho $? >code.$SLURM_ARRAY_TASK_ID\n"
    (folder / "daemons").mkdir()
    with throwaway_slurm.running(folder / "daemons" / "slurm") as environment:
        asked = ["sbatch", "--array=0-2", "--ntasks=1", "--output=/dev/null", f"--chdir={folder}"]
        subprocess.run(asked, input=script, text=True, env=runner.surroundings(environment), check=True, timeout=30)
        until = time.monotonic() + 180.0
        while len(list(folder.glob("code.*"))) < 3 and time.monotonic() < until:
            time.sleep(0.2)
    codes = [int(path.read_text()) for path in sorted(folder.glob("code.*"))]
    said = [path.read_text().splitlines()[-1] for path in sorted(folder.glob("said.*"))]
    must(sorted(codes) == [0, 2, 2], f"exit codes {codes}: {said}")
    for code, line in zip(codes, said, strict=True):
        must(code == 0 or (_REFUSED.match(line) is not None and "SLURM_JOB_ID=" in line), f"refused otherwise: {line}")
    must(not differing(straight("coupled", 1).out, out), "the result is not that of one of them")
