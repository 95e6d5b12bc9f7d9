"""``hpcpinn infer``: constants from noisy measurements."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import InputError
from hpcpinn.systems.jobs import load_order
from hpcpinn.terminal.job import JOB_HELP, chosen_file, overrides_of
from hpcpinn.terminal.progress import make_progress

if TYPE_CHECKING:
    from hpcpinn.inference.infer import Inference


def infer(
    job: Annotated[Path, typer.Argument(help=f"{JOB_HELP}, with [[parameter]] and [data].")],
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as data.noise=0.05.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Infers constants of the equation, with intervals, from measurements.

    On a square (domain.kind = "square") or on a cell, from traces at its sites.
    What the data cannot determine is said, not guessed.
    """
    job = chosen_file(job, "infer", "[[parameter]] and [data]", "neuron_inverse")
    order = load_order(job, [*(settings or []), *overrides_of({"run.output": output})])
    config, origin = order.described, order.origin
    if not isinstance(config, SquareConfig) and not config.parameter:
        raise InputError(
            f"{job}: [[parameter]]: none is given, so there is nothing to infer; name at least one, such as D_c"
        )

    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    prepare()
    from hpcpinn.inference.told import lines_of_inference
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import inverse

    communicator = make_communicator(config.run.transport)
    with origin.naming_places():
        communicator.on_root(inverse.refuse_unusable_places, config, job)
        with make_progress(communicator.rank) as progress:
            outcome = inverse.infer(config, communicator, progress)
    if communicator.rank == 0:
        say(lines_of_inference(outcome, config.run.output), outcome)


def say(lines: list[str], inference: "Inference") -> None:
    """Prints what came of it, and what is wrong with the model."""
    from hpcpinn.inference.told import warnings_of

    for line in lines:
        print(line)
    for warning in warnings_of(inference):
        print(f"hpcpinn: warning: {warning}", file=sys.stderr)
