"""``hpcpinn run``: one forward run of what a job describes."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.config.jobs import DEFAULT
from hpcpinn.core.order import Resumption
from hpcpinn.errors import InputError, warn
from hpcpinn.files import check_regular
from hpcpinn.systems.jobs import load_order, load_with_kept_inputs, require_action
from hpcpinn.systems.named_job import JOB_HELP, MorphologyOption, OutputOption, chosen_job, overrides_of
from hpcpinn.systems.work import carry_out
from hpcpinn.wording import as_typed

MORE = (
    "Every key of a job file, which --set can change, is in docs/run-description.md.\n\n"
    "A site is soma, root, apic[12](0.5), point:123, xyz:1,2,3 or tip:apic."
)


def run(
    job: Annotated[Path | None, typer.Argument(help=f"{JOB_HELP}; an SWC file: the default protocol on it.")] = None,
    morphology: MorphologyOption = None,
    units: Annotated[
        str | None, typer.Option(help="Unit of the SWC file: auto, um, nm, mm, 8nm, ...", metavar="UNIT")
    ] = None,
    output: OutputOption = None,
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
    load = load_order if resume is None else load_with_kept_inputs
    order = load(found.file, overrides, job=job, morphology=morphology, units=units, settings=settings)
    if getattr(order.described, "parameter", ()):
        _warn_of_inference(job if job is not None else found.file)
    require_action(order, "run")
    result = Path(order.described.run.output)
    order = replace(order, wish=wish_to_resume(resume, result))
    carry_out(order, "run")


def _warn_of_inference(job: Path | None) -> None:
    """A description with constants to infer is solved with what it says of them."""
    name = DEFAULT if job is None else as_typed(job)
    warn(f"{name} describes an inference: `hpcpinn infer {name}` infers its constants; this solves it forward")


def wish_to_resume(given: str | None, output: Path) -> Resumption | None:
    """What ``--resume`` means.

    Args:
        given: None (start afresh), ``here`` (from the checkpoint of `output`), ``auto`` (the same where that can be),
            or a file.
        output: Path of the result.

    Raises:
        InputError: It can mean nothing.
    """
    if given is None:
        return None
    if not output.name:
        raise InputError(f"run.output: {output} is a directory; name a file with --output")
    from hpcpinn.io.checkpoint import checkpoint_path

    checkpoint = checkpoint_path(output) if given in ("here", "auto") else Path(given)
    check_regular(checkpoint)
    return Resumption(checkpoint, or_begins=given == "auto")
