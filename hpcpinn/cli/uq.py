"""``hpcpinn uq``: the whole posterior of constants."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.cli.infer import say
from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import InputError
from hpcpinn.systems.jobs import load_order
from hpcpinn.terminal.job import JOB_HELP, chosen_file, overrides_of
from hpcpinn.terminal.progress import make_progress
from hpcpinn.wording import as_typed, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy import ndarray

    from hpcpinn.inference.study import Study


def uq(
    job: Annotated[Path, typer.Argument(help=f"{JOB_HELP}, with [[parameter]] and [data].")],
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Estimates over many synthetic data sets instead: [study].")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as uq.draws=2000.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Draws from the posterior of constants, beside its Laplace approximation.

    On a square (domain.kind = "square") chains of the no-U-turn sampler are shared by the ranks; on a
    cell draws from around the approximation are weighted, each a run on all ranks. Chains that do not
    converge, and weights that cannot be relied on, are an error, and nothing is reported. Needs the
    extra uq. With --study (squares) the errors of estimates over many data sets, by noise and number
    of observations, beside the least that any method could have; the ranks share the data sets.
    """
    job = chosen_file(job, "uq", "[[parameter]] and [data]", "neuron_inverse")
    order = load_order(job, [*(settings or []), *overrides_of({"run.output": output})])
    config, origin = order.described, order.origin
    if not isinstance(config, SquareConfig):
        if study:
            raise InputError(f"{job}: --study: domain.kind = 'cell'; studies are made on squares only")
        if not config.parameter:
            raise InputError(
                f"{job}: [[parameter]]: none is given, so there is nothing to draw; name at least one, such as D_c"
            )

    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    prepare()
    from hpcpinn.inference.told import lines_of_draws
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import inverse

    communicator = make_communicator(config.run.transport)
    with origin.naming_places():
        if study:
            communicator.on_root(inverse.refuse_unusable_places_of_study, config, job)
            with make_progress(communicator.rank) as progress:
                done = inverse.study(config, communicator, progress)
        else:
            communicator.on_root(partial(inverse.refuse_unusable_places, draws=True), config, job)
            with make_progress(communicator.rank) as progress:
                outcome = inverse.sample(config, communicator, progress)
    if communicator.rank != 0:
        return
    if study:
        assert isinstance(config, SquareConfig)
        _print_study(done, config)
    else:
        say(lines_of_draws(outcome, config.run.output), outcome.inference)


def _print_study(done: "Study", config: SquareConfig) -> None:
    result, output = done.result, config.run.output
    with_prior = {parameter.name for parameter in config.parameter if parameter.prior is not None}
    print(
        f"{result.n_draws} data sets a line: root-mean-square error over the Cramer-Rao bound (95 % interval), and how "
        "many 95 % intervals hold the truth; without noise the largest error"
    )
    print("noise  observations" + "".join(f"  {name:<28}" for name in result.names).rstrip())
    for n, noise in enumerate(result.noise):
        for m, observations in enumerate(result.observations):
            cell = {name: values[n, m] for name, values in result.cells.items()}
            shown = "".join(f"  {_shown(cell, number, noise):<28}" for number in range(len(result.names)))
            print(f"{100 * noise:>4g} %  {observations:>11}{shown.rstrip()}")
    open_share = result.cells["open"].max(axis=(0, 1))
    for name, share in zip(result.names, open_share, strict=True):
        if share and name not in with_prior:
            print(
                f"hpcpinn: warning: {name}: up to {100 * share:.3g} % of the data sets of a line leave it open, and "
                "its errors then have no bound; give a prior (parameter.prior)",
                file=sys.stderr,
            )
    unfinished = 1.0 - float(result.cells["converged"].min())
    if unfinished:
        print(
            f"hpcpinn: warning: up to {100 * unfinished:.3g} % of the fits of a line did not come to their end "
            "(inference.max_steps)",
            file=sys.stderr,
        )
    print(f"cost        {duration(done.seconds)}, with compilation")
    print(f"result      {output}")
    print(f"next        hpcpinn plot {as_typed(output)}")


def _shown(cell: "Mapping[str, ndarray]", number: int, noise: float) -> str:
    if not noise:
        return f"{cell['error_largest'][number]:.1e}"
    ratio, low, high = (cell[name][number] for name in ("ratio", "ratio_low", "ratio_high"))
    return f"{ratio:.3g} ({low:.3g} to {high:.3g}) {100 * cell['coverage'][number]:.0f} %"
