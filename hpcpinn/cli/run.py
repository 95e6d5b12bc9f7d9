"""``hpcpinn run``: one forward run of one cell."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hpcpinn.cli.progress import duration, make_progress
from hpcpinn.config import bundled_job, load_config
from hpcpinn.errors import InputError

DEFAULT_JOB = "default"


def run(
    job: Annotated[
        Path | None, typer.Argument(help="Run description (TOML); a bundled one if left out.")
    ] = None,
    morphology: Annotated[
        str | None, typer.Option(help="SWC file to use instead of the job's.", metavar="FILE")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on from a checkpoint: its file, nothing for the one of the result file, or "
            "'auto' for that one if it is there.",
            metavar="[FILE|auto]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as run.duration=20.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Solves calcium and calbindin on a cell over time; start it under mpirun for many ranks."""
    overrides = list(settings or [])
    for key, value in (("morphology.file", morphology), ("run.output", output)):
        if value is not None:
            overrides.append(f"{key}={json.dumps(value)}")
    config = load_config(job or bundled_job(DEFAULT_JOB), overrides)
    checkpoint = checkpoint_to_resume(resume, Path(config.run.output))

    from hpcpinn.parallel.device import prepare  # the device must be chosen before JAX is loaded

    prepare()
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import forward

    communicator = make_communicator(config.run.transport)
    with make_progress(communicator.rank) as progress:
        summary = forward.run(config, communicator, progress, resume=checkpoint)
    if communicator.rank == 0:
        _print_summary(summary)


def checkpoint_to_resume(wish: str | None, output: Path) -> Path | None:
    """The checkpoint that ``--resume`` means.

    Args:
        wish: None (start afresh), ``here`` (the checkpoint of `output`), ``auto`` (the same where
            there is one), or a file.
        output: The result file.

    Raises:
        InputError: The checkpoint is not there.
    """
    if wish is None:
        return None
    own = output.with_suffix(".checkpoint.h5")
    checkpoint = own if wish in ("here", "auto") else Path(wish)
    if checkpoint.is_file():
        return checkpoint
    if wish == "auto":
        return None
    raise InputError(f"--resume: no checkpoint {checkpoint}; use --resume auto to start afresh then")


def _print_summary(summary: Any) -> None:
    """One line per figure of the summary, as the workflow names them."""
    table = Table.grid(padding=(0, 2))
    for name, value in asdict(summary).items():
        table.add_row(name.replace("_", " "), _figure(name, value))
    Console().print(table)


def _figure(name: str, value: object) -> str:
    if isinstance(value, float):
        return duration(value) if name.startswith("seconds") else f"{value:.3g}"
    return str(value)
