"""``hpcpinn infer``: constants from noisy measurements."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.config import RunConfig
from hpcpinn.config.load import Origin
from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import InputError
from hpcpinn.systems.jobs import load_order
from hpcpinn.terminal.job import JOB_HELP, chosen_file, overrides_of
from hpcpinn.terminal.progress import make_progress
from hpcpinn.wording import as_typed, counted, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.workflows.infer import Inference
    from hpcpinn.workflows.neuron_inference import NeuronInference


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
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import infer as workflow

    communicator = make_communicator(config.run.transport)
    if not isinstance(config, SquareConfig):
        _infer_on_cell(config, origin, job, communicator)
        return
    with origin.naming_places():
        communicator.on_root(workflow.refuse_unusable_places, config, job)
        with make_progress(communicator.rank) as progress:
            outcome = workflow.infer(config, communicator, progress)
    if communicator.rank == 0:
        _print_outcome(outcome, config.run.output)


def _infer_on_cell(config: RunConfig, origin: Origin, job: Path, communicator: "Communicator") -> None:
    from hpcpinn.workflows import neuron_inference as workflow

    with origin.naming_places():
        communicator.on_root(workflow.refuse_unusable_places, config, job)
        with make_progress(communicator.rank) as progress:
            outcome = workflow.infer_on_cell(config, communicator, progress)
    if communicator.rank != 0:
        return
    _print_outcome(outcome, config.run.output)
    warn_of_check(outcome)


def warn_of_check(outcome: "NeuronInference") -> None:
    """Says that the model could hardly have made the data."""
    check = outcome.check
    if check.model_is_wrong:
        worst = min(check.each, key=lambda name: check.each[name])
        print(
            f"hpcpinn: warning: the model could hardly have made these data (posterior predictive check, most by "
            f"{worst}: {check.each[worst]:.2g} < {check.level:g}); a part of it is missing or wrong, and the "
            "intervals are not to be trusted",
            file=sys.stderr,
        )


def _print_outcome(outcome: "Inference | NeuronInference", output: str) -> None:
    result, posterior = outcome.result, outcome.posterior
    width = max(12, *(len(name) + 2 for name in result.names))
    print(f"data        {outcome.source}, mean square misfit over noise {outcome.misfit:.2f}")
    for i, name in enumerate(result.names):
        shown = f"{name:<{width}}"
        unit = "" if result.units[i] == "1" else f" {result.units[i]}"
        sd, data_sd = (_deviation(x[i], result.measure[i], unit) for x in (result.sd_log, result.data_sd_log))
        if not result.determined[i]:
            of = "it" if result.measure[i] else "its logarithm"
            plain = data_sd if result.measure[i] else f"{result.data_sd_log[i]:.2g}"
            print(
                f"{shown}not determined by the data: other values of it fit them as well (standard deviation of "
                f"{of} {plain}, linearised); fix it, or give more data"
            )
            continue
        truth = f", truth {outcome.truth[name]:.4g}" if name in outcome.truth else ""
        print(
            f"{shown}{result.estimate[i]:.4g}{unit}, 95 % {result.low[i]:.4g} to {result.high[i]:.4g} "
            f"(sd {sd}, by the data alone {data_sd}{truth})"
        )
    for i in range(len(result.names)):
        for j in range(i):
            value = posterior.correlation[i, j]
            if value == value:
                print(f"correlation {result.names[j]}, {result.names[i]}: {value:.2f}")
    print_lines(outcome.verdict.lines)
    print(
        f"cost        {counted(outcome.steps, 'step')} in {duration(outcome.seconds_fit)}, with compilation "
        f"{duration(outcome.seconds)}"
    )
    print(f"result      {output}")
    print(f"next        hpcpinn plot {as_typed(output)}")
    warn_of_misfit(outcome)


def print_lines(lines: "Sequence[tuple[str, str]]") -> None:
    """Sentences with what they are about; a label that repeats is said once."""
    said = ""
    for label, text in lines:
        print(f"{label if label != said else '':<12}{text}")
        said = label


def _deviation(sd: float, measure: float, unit: str) -> str:
    """A standard deviation: of a positive constant in percent, of another in its unit."""
    return f"{sd * measure:.2g}{unit}" if measure else f"{100 * sd:.1f} %"


def warn_of_misfit(outcome: "Inference | NeuronInference") -> None:
    """Says that the model misses the data by more than their noise."""
    if not outcome.verdict.fits:
        print(
            f"hpcpinn: warning: the model misses the data by {outcome.misfit**0.5:.1f} times their noise; the model "
            "or the noise is wrong, and the intervals are too narrow",
            file=sys.stderr,
        )
