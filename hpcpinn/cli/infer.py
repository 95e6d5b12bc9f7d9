"""``hpcpinn infer``: constants from noisy measurements."""

from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.systems.jobs import load_with_kept_inputs
from hpcpinn.systems.named_job import JOB_HELP, OutputOption, chosen_file, overrides_of
from hpcpinn.systems.work import carry_out


def infer(
    job: Annotated[Path, typer.Argument(help=f"{JOB_HELP}, with [[parameter]] and [data].")],
    output: OutputOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as data.noise=0.05.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Infers constants of the equation, with intervals, from measurements.

    On a cell from traces at its sites; on a square, and in systems of your own that predict
    what is measured, from a table of values.
    What the data cannot determine is said, not guessed.
    """
    job = chosen_file(job, "infer", "[[parameter]] and [data]", "neuron_inverse")
    order = load_with_kept_inputs(job, [*(settings or []), *overrides_of({"run.output": output})])
    carry_out(order, "infer")
