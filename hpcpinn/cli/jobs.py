"""``hpcpinn jobs``: the jobs that come with hpcpinn."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from hpcpinn.config.jobs import bundled_names
from hpcpinn.systems.jobs import describe


def jobs(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list only.")] = False,
) -> None:
    """Lists the bundled jobs: name, the commands they are for, and what they are about.

    hpcpinn run NAME runs one, hpcpinn init NAME copies it as the start of your own.
    """
    found = [describe(name) for name in bundled_names()]
    if as_json:
        print(json.dumps([asdict(job) | {"file": str(job.file)} for job in found]))
        return
    names = max(len(job.name) for job in found)
    commands = max(len(", ".join(job.commands)) for job in found)
    for job in found:
        print(f"{job.name:<{names}}  {', '.join(job.commands):<{commands}}  {job.about}")
    print("run one: hpcpinn run NAME;  copy one as the start of your own: hpcpinn init NAME")
