"""``hpcpinn uq``: the whole posterior of constants."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.cli.infer import warn_of_misfit
from hpcpinn.cli.run import overrides_of
from hpcpinn.config import SquareConfig, load_any
from hpcpinn.errors import InputError

if TYPE_CHECKING:
    from hpcpinn.workflows.uq import Uncertainty


def uq(
    job: Annotated[Path, typer.Argument(help="Run description (TOML) with [[parameter]] and [data].")],
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as uq.draws=2000.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Draws from the posterior of constants, beside its Laplace approximation.

    For now on a square (domain.kind = "square"). Chains of the no-U-turn sampler are shared by the
    ranks; chains that do not converge are an error, and nothing is reported. Needs the extra uq.
    """
    config, origin = load_any(job, [*(settings or []), *overrides_of({"run.output": output})])
    if not isinstance(config, SquareConfig):
        raise InputError(
            f"{job}: domain.kind = 'cell': draws are made on squares only; hpcpinn infer gives intervals for cells"
        )

    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    prepare()
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import uq as workflow

    communicator = make_communicator(config.run.transport)
    with origin.naming_places():
        communicator.on_root(workflow.refuse_unusable_places, config, job)
        outcome = workflow.quantify(config, communicator)
    if communicator.rank == 0:
        _print_outcome(outcome, config.run.output)


def _print_outcome(outcome: "Uncertainty", output: str) -> None:
    import numpy as np

    from hpcpinn.io.draws import netcdf_path

    inference, draws, placement = outcome.inference, outcome.draws, outcome.placement
    result = inference.result
    print(f"data        {inference.source}, mean square misfit over noise {inference.misfit:.2f}")
    for i, name in enumerate(result.names):
        low, high = draws.interval()[i]
        truth = f", truth {inference.truth[name]:.4g}" if name in inference.truth else ""
        by_data = "" if result.determined[i] else "; the data alone do not determine it"
        print(
            f"{name:<12}{np.median(draws.together[:, i]):.4g} {result.units[i]}, 95 % {low:.4g} to {high:.4g} "
            f"(Laplace {result.low[i]:.4g} to {result.high[i]:.4g}{truth}){by_data}"
        )
    chains, kept = draws.diverging.shape
    print(
        f"chains      {chains} of {kept} draws, no divergence, R-hat at most {draws.rhat.max():.4f}, effective draws "
        f"at least {draws.ess_bulk.min():.0f} (tails {draws.ess_tail.min():.0f})"
    )
    x, y, t = placement.best
    print(
        f"measure     next at x = {x:.2f} um, y = {y:.2f} um, t = {t:.2f} ms: one more observation there shrinks the "
        f"log-volume by {placement.gain:.4f}"
    )
    print(f"cost        {outcome.seconds_sampling:.1f} s for the chains, with compilation")
    print(f"result      {output}, {netcdf_path(output)}")
    print(f"next        hpcpinn plot {output}")
    warn_of_misfit(inference)
