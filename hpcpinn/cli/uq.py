"""``hpcpinn uq``: the whole posterior of constants."""

from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.systems.jobs import load_with_kept_inputs
from hpcpinn.systems.named_job import JOB_HELP, OutputOption, chosen_file, overrides_of
from hpcpinn.systems.work import carry_out


def uq(
    job: Annotated[Path, typer.Argument(help=f"{JOB_HELP}, with [[parameter]] and [data].")],
    output: OutputOption = None,
    study: Annotated[
        bool, typer.Option("--study", help="Estimates over many synthetic data sets instead: [study].")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as uq.draws=2000.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Draws from the posterior of constants, beside its Laplace approximation.

    On a square, and in systems of your own that predict what is measured, chains of the no-U-turn
    sampler are shared by the ranks; on a cell draws from around the approximation are weighted, each a
    run on all ranks. Chains that do not converge, and weights that cannot be relied on, are an error,
    and nothing is reported. Needs the extra uq. With --study (squares) the errors of estimates over
    many data sets, by noise and number of observations, beside the least that any method could have;
    the ranks share the data sets.
    """
    job = chosen_file(job, "uq", "[[parameter]] and [data]", "neuron_inverse")
    order = load_with_kept_inputs(job, [*(settings or []), *overrides_of({"run.output": output})])
    carry_out(order, "study" if study else "uq")
