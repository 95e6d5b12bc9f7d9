"""``hpcpinn infer``: constants from noisy measurements."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.cli.run import overrides_of
from hpcpinn.config import SquareConfig, load_any
from hpcpinn.errors import InputError

if TYPE_CHECKING:
    from hpcpinn.workflows.infer import Inference


def infer(
    job: Annotated[Path, typer.Argument(help="Run description (TOML) with [[parameter]] and [data].")],
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as data.noise=0.05.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Infers constants of the equation, with intervals, from measurements.

    For now on a square (domain.kind = "square"). What the data cannot determine is said, not guessed.
    """
    config, origin = load_any(job, [*(settings or []), *overrides_of({"run.output": output})])
    if not isinstance(config, SquareConfig):
        raise InputError(f"{job}: domain.kind = 'cell': constants of cells cannot be inferred yet; use a square")

    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    prepare()
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import infer as workflow

    communicator = make_communicator(config.run.transport)
    with origin.naming_places():
        communicator.on_root(workflow.refuse_unusable_places, config, job)
        outcome = workflow.infer(config, communicator)
    if communicator.rank == 0:
        _print_outcome(outcome, config.run.output)


def _print_outcome(outcome: "Inference", output: str) -> None:
    result, posterior = outcome.result, outcome.posterior
    print(f"data        {outcome.source}, mean square misfit over noise {outcome.misfit:.2f}")
    for i, name in enumerate(result.names):
        if not result.determined[i]:
            print(
                f"{name:<12}not determined by the data: other values of it fit them as well (standard deviation of its "
                f"logarithm {result.data_sd_log[i]:.2g}, linearised); fix it, or give more data"
            )
            continue
        truth = f", truth {outcome.truth[name]:.4g}" if name in outcome.truth else ""
        print(
            f"{name:<12}{result.estimate[i]:.4g} {result.units[i]}, 95 % {result.low[i]:.4g} to {result.high[i]:.4g} "
            f"(sd {100 * result.sd_log[i]:.1f} %, by the data alone {100 * result.data_sd_log[i]:.1f} %{truth})"
        )
    for i in range(len(result.names)):
        for j in range(i):
            value = posterior.correlation[i, j]
            if value == value:
                print(f"correlation {result.names[j]}, {result.names[i]}: {value:.2f}")
    print(f"cost        {outcome.steps} steps in {outcome.seconds_fit:.3f} s, with compilation {outcome.seconds:.1f} s")
    print(f"result      {output}")
    print(f"next        hpcpinn plot {output}")
    warn_of_misfit(outcome)


def warn_of_misfit(outcome: "Inference") -> None:
    """Says that the model misses the data by more than their noise."""
    if outcome.misfit > 1.5:
        print(
            f"hpcpinn: warning: the model misses the data by {outcome.misfit**0.5:.1f} times their noise; the model "
            "or the noise is wrong, and the intervals are too narrow",
            file=sys.stderr,
        )
