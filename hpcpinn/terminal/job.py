"""JOB, as every command takes it: a job file, the name of a bundled job, or a cell."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from hpcpinn.config.jobs import NamedJob, find_job, is_cell
from hpcpinn.errors import InputError
from hpcpinn.parallel import launch

JOB_HELP = "Job file (TOML), or the name of a bundled one (hpcpinn jobs)"
"""Begins the help of JOB."""


def chosen_job(given: Path | None, default: str | None = None, morphology: str | None = None) -> NamedJob:
    """What JOB means (`find_job`), with a line on what was taken where that is not plain."""
    job = find_job(given, default, morphology)
    if job.notice and launch.promised_rank() == 0:
        print(f"hpcpinn: {job.notice}", file=sys.stderr)
    return job


def chosen_file(given: Path, command: str, wanted: str, example: str) -> Path:
    """The job file of a command to which a cell alone says too little.

    Args:
        given: What was typed.
        command: Name of the command.
        wanted: What it needs besides a cell.
        example: A bundled job that has it.

    Raises:
        InputError: As `find_job`, or a cell was named.
    """
    if is_cell(given):
        raise InputError(
            f"{given}: is a cell, and hpcpinn {command} needs a job with {wanted}; hpcpinn init {example} writes "
            f"one to start from, and its [morphology] file names the cell"
        )
    file = chosen_job(given).file
    assert file is not None
    return file


def overrides_of(flags: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Flags that stand for keys of the run description, as overrides that remember the flag.

    Args:
        flags: Values by key; ``run.output`` is typed ``--output``, ``morphology.file`` ``--morphology``.
    """
    typed = {"morphology.file": "morphology"}
    return [
        (f"--{typed.get(key, key.rpartition('.')[2])} {value}", f"{key}={json.dumps(value, ensure_ascii=False)}")
        for key, value in flags.items()
        if value is not None
    ]
