"""``hpcpinn init``: a bundled job, with its inputs, as the start of one's own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.config.jobs import DEFAULT
from hpcpinn.systems.jobs import describe


def init(
    name: Annotated[str, typer.Argument(help="Name of a bundled job (hpcpinn jobs).")] = DEFAULT,
    to: Annotated[Path, typer.Option(help="Folder to copy it into; made if it is not there.", metavar="DIR")] = Path(),
) -> None:
    """Copies a bundled job and the files that it reads, as the start of your own.

    Nothing that is there already is replaced.
    """
    from hpcpinn.systems.own_job import copy_job

    job = describe(name)
    for file in copy_job(job, to):
        print(f"wrote  {file}")
    command, *options = job.commands[0].split()
    print(f"next   {shlex.join(['hpcpinn', command, str(to / job.file.name), *options])}")
