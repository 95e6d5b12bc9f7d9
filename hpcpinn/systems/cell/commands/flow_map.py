"""``hpcpinn flow-map``: the reaction's flow map of split windows, the shipped one or one's own."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hpcpinn.errors import InputError
from hpcpinn.parallel import stopping
from hpcpinn.systems.cell.config.reading import load_with_origin
from hpcpinn.systems.named_job import JOB_HELP, chosen_file
from hpcpinn.terminal.progress import make_progress
from hpcpinn.wording import as_typed, duration

HELP = "Shows or trains the flow map of the reaction, which split windows use."

_UNITS = {
    "b_tot": "µM", "c_o": "µM", "c_rest": "µM", "k_minus": "1/s", "k_plus": "1/(µM s)", "ncx_K": "µM",
    "ncx_max": "µM µm/s", "pmca_K": "µM", "pmca_max": "µM µm/s",
}  # fmt: skip

_COORDINATES = {
    "calcium": ("calcium", "µM"),
    "equilibrium": ("calcium in equilibrium with calbindin", "µM"),
    "quotient": ("calcium over that", ""),
    "step": ("step", "s"),
    "ratio": ("surface over volume", "1/µm"),
}


def show(
    file: Annotated[Path | None, typer.Argument(help="Flow map; the shipped one if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """Shows what a flow map was trained for, where it holds, its size and its measured error."""
    from hpcpinn.parallel.device import prepare  # before JAX is loaded

    prepare()
    from hpcpinn.io.flow_map_file import read_flow_map
    from hpcpinn.timestepping.flow_map_store import SHIPPED

    path = file or SHIPPED
    record = read_flow_map(path)
    layers = [record.layers[0][0].shape[0], *(weight.shape[1] for weight, _ in record.layers)]
    figures: dict[str, Any] = {
        "file": str(path),
        "shipped": file is None,
        "constants": dict(record.constants),
        "box": dict(record.box),
        "layers": layers,
        "parameters": sum(weight.size + bias.size for weight, bias in record.layers),
        "error": dict(record.error),
        "training": dict(record.training),
    }
    if as_json:
        print(json.dumps(figures))
    else:
        _print_figures(figures)


def train(
    job: Annotated[Path | None, typer.Argument(help=f"{JOB_HELP}, with the constants; defaults if left out.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as physics.constants.pmca_K=0.1.", metavar="KEY=VALUE"),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the flow map goes.")] = Path("flow_map.h5"),
    budget: Annotated[
        float | None, typer.Option(help="Minutes that the training may take; until done if left out.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Most steps, in four rounds on fresh states; 1000 if left out.")
    ] = None,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.", metavar="N,N")] = "20,20",
    points: Annotated[int, typer.Option(help="States that are trained on.")] = 8000,
    states: Annotated[int, typer.Option(help="Fresh states that the error is measured on.")] = 500,
    seed: Annotated[int, typer.Option(help="Of weights and states.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """Trains a flow map for other constants, from the equation alone.

    Its error is then measured on fresh random states against a stiff solver at 1e-10. A run takes it
    with --set split.flow_map=FILE.
    """
    widths = _widths(hidden)
    for name, value in (("budget", budget), ("steps", steps), ("points", points), ("states", states)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"--{name} {value}: give a positive number")
    if not 0 <= seed < 2**31:
        raise InputError(f"--seed {seed}: give a number from 0 to {2**31 - 1}")
    if job is not None:
        job = chosen_file(job, "flow-map train", "constants", "default")
    config, origin = load_with_origin(job, list(settings or []))

    from hpcpinn.parallel.device import prepare

    prepare()
    from hpcpinn.systems.cell.build.reaction import flow_map_task
    from hpcpinn.systems.cell.flow_map import train_flow_map
    from hpcpinn.timestepping.flow_map_error import WORST_WANTED
    from hpcpinn.training.flow_map_training import FlowMapTraining, rounds

    usual = FlowMapTraining()
    training = FlowMapTraining(
        widths,
        points,
        steps=rounds(steps) if steps else usual.steps,
        seed=seed,
        chunk=min(usual.chunk, points),
    )
    stopping.keeping(f"nothing is written before the end: {output} is as it was")
    with origin.naming_places(), make_progress(plain_output=as_json) as progress:
        error = train_flow_map(
            flow_map_task(config, job),
            output,
            training,
            budget=60.0 * budget if budget else math.inf,
            states=states,
            progress=progress,
        )
    stopping.keeping(f"{output} is whole")
    show(output, as_json)
    worst = error["calcium"][2]
    if not as_json:
        print(f"use it: hpcpinn run ... --set split.flow_map={as_typed(output)}")
    if worst > WORST_WANTED:
        print(
            f"hpcpinn: warning: {output}: off by {worst:.1e} of calcium at worst, above {WORST_WANTED:g}; "
            "train longer (--budget, --steps) or a larger network (--hidden 24,24)",
            file=sys.stderr,
        )


ACTIONS = (show, train)


def _widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(word) for word in text.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise InputError(f"--hidden {text}: not widths of layers; write --hidden 20,20")
    return widths


def _print_figures(figures: dict[str, Any]) -> None:
    print(f"flow map   {figures['file']}{' (shipped)' if figures['shipped'] else ''}")
    constants = (f"{name} {value:g} {_UNITS.get(name, '')}" for name, value in figures["constants"].items())
    print(f"constants  {', '.join(constants)}")
    label = "box"
    for name, (low, high) in figures["box"].items():
        title, unit = _COORDINATES.get(name, (name, ""))
        print(f"{label:<10} {title} {low:g} to {high:g} {unit}".rstrip())
        label = ""
    sizes = "-".join(map(str, figures["layers"]))
    print(f"network    {sizes}, {figures['parameters']} parameters")
    label = "error"
    for name, (median, most, worst) in figures["error"].items():
        print(f"{label:<10} {name:<10} median {median:.1e}, 95 % {most:.1e}, worst {worst:.1e}")
        label = ""
    training = figures["training"]
    if "seconds" in training:
        print(
            f"training   {duration(training['seconds'])}, {training.get('accepted_steps', '?')} steps on "
            f"{training.get('points', '?')} states, seed {training.get('seed', '?')}"
        )
