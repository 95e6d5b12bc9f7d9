"""``hpcpinn run``: one forward run of what a job describes."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.config.jobs import DEFAULT
from hpcpinn.errors import InputError, warn
from hpcpinn.files import check_regular
from hpcpinn.systems.jobs import load_order, require_action
from hpcpinn.systems.named_job import JOB_HELP, chosen_job, overrides_of
from hpcpinn.systems.work import carry_out
from hpcpinn.wording import as_typed

MORE = (
    "Every key of a job file, which --set can change, is in docs/run-description.md.\n\n"
    "A site is soma, root, apic[12](0.5), point:123, xyz:1,2,3 or tip:apic."
)


def run(
    job: Annotated[Path | None, typer.Argument(help=f"{JOB_HELP}; an SWC file: the default protocol on it.")] = None,
    morphology: Annotated[
        str | None, typer.Option(help="SWC file to use instead of the job's.", metavar="FILE")
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="Unit of the SWC file: auto, um, nm, mm, 8nm, ...", metavar="UNIT")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on from a checkpoint: FILE, or the one beside the result if no FILE is named; "
            "'auto' does so only if there is one.",
            metavar="[FILE|auto]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as run.duration=20.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Solves what a job describes: calcium and calbindin on a cell, or another system.

    Start it under mpirun for many ranks: mpirun -n 8 hpcpinn run --morphology cell.swc
    """
    flags = {"morphology.file": morphology, "morphology.units": units, "run.output": output}
    found = chosen_job(job, DEFAULT, morphology)
    overrides = [*found.overrides, *(settings or []), *overrides_of(flags)]
    order = load_order(found.file, overrides, job=job, morphology=morphology, units=units, settings=settings)
    if getattr(order.described, "parameter", ()):
        _warn_of_inference(job if job is not None else found.file)
    require_action(order, "run")
    result = Path(order.described.run.output)
    order = replace(order, resume=checkpoint_to_resume(resume, result))
    carry_out(order, "run")


def _warn_of_inference(job: Path | None) -> None:
    """A description with constants to infer is solved with what it says of them."""
    name = DEFAULT if job is None else as_typed(job)
    warn(f"{name} describes an inference: `hpcpinn infer {name}` infers its constants; this solves it forward")


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
    if not output.name:
        raise InputError(f"run.output: {output} is a directory; name a file with --output")
    from hpcpinn.io.checkpoint import checkpoint_path

    own = checkpoint_path(output)
    checkpoint = own if wish in ("here", "auto") else Path(wish)
    if checkpoint.is_file():
        return checkpoint
    if wish == "auto":
        return None
    check_regular(checkpoint)
    raise InputError(f"--resume: no checkpoint {checkpoint}; use --resume auto to start afresh then")
