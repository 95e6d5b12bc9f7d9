"""``hpcpinn validate``: a result against the independent reference."""

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.cli.progress import make_progress
from hpcpinn.errors import InputError
from hpcpinn.wording import as_typed, biology, counted, duration

if TYPE_CHECKING:
    from hpcpinn.reference.refinement import Settled
    from hpcpinn.workflows.square_validate import SquareValidation
    from hpcpinn.workflows.validate import Validation

_SQUARE_GRIDS = 3
"""Finite-difference grids on a square, at most."""
_PEER_MINUTES = 30.0
"""After which DeepXDE's training ends, where nothing else is said."""
_MOST_ROWS = 10
"""Frames listed in the table; ``--json`` gives all."""


def validate(
    result: Annotated[Path, typer.Argument(help="Result file of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    refinement: Annotated[int, typer.Option(help="How often the reference may be refined.", min=1, max=12)] = 8,
    patience: Annotated[
        float,
        typer.Option(
            help="Begin no refinement that would go on for longer without news, in seconds of computing: other work "
            "on the machine does not count.",
            min=0.0,
        ),
    ] = 300.0,
    deepxde: Annotated[
        str | None,
        typer.Option(
            help="DeepXDE as a third check of a square: a Python that can import deepxde and torch.",
            metavar="PYTHON",
        ),
    ] = None,
    deepxde_minutes: Annotated[
        float | None,
        typer.Option(help=f"When DeepXDE's training ends; {_PEER_MINUTES:g} if left out.", metavar="MINUTES"),
    ] = None,
) -> None:
    """Compares a run with finite volumes.

    The independent reference is refined until it no longer moves; errors, calcium balance and the
    time of both at equal error. A run on a square: with the closed form, with finite differences
    and, if it is named, with DeepXDE.
    """
    from hpcpinn.io.square import is_square
    from hpcpinn.io.storage import format_of
    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    minutes = _minutes(deepxde, deepxde_minutes)
    prepare()
    if is_square(result):
        _validate_square(result, min(refinement, _SQUARE_GRIDS), as_json, deepxde, minutes)
        return
    if deepxde is not None and format_of(result) is not None:  # else the file itself is what is wrong
        raise InputError(f"--deepxde {deepxde}: {result} is no run on a square; leave it away")
    from hpcpinn.workflows.validate import validate as hold_against_reference

    with make_progress(plain_output=as_json) as progress:
        outcome = hold_against_reference(
            result, refinement=refinement, patience=patience, watch=_say_level, progress=progress
        )
    if outcome.unsettled:
        ended = len(outcome.settled.meshes) == refinement
        more = f"raise --refinement ({refinement})" if ended else f"raise --patience ({patience:g})"
        print(
            f"hpcpinn: warning: the reference still moved when it was last refined: {outcome.unsettled}; to know it "
            f"better, {more}",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps(outcome.figures()))
    else:
        _print_report(outcome)


def _minutes(deepxde: str | None, given: float | None) -> float:
    if given is None:
        return _PEER_MINUTES
    if deepxde is None:
        raise InputError(f"--deepxde-minutes {given:g}: nothing is trained without --deepxde PYTHON; name it as well")
    if not 0.0 < given < math.inf:
        raise InputError(f"--deepxde-minutes {given:g}: is no time to train in; use more than 0, such as 30")
    return given


def _validate_square(result: Path, grids: int, as_json: bool, deepxde: str | None, minutes: float) -> None:
    from hpcpinn.reference.deepxde_peer import Training
    from hpcpinn.workflows.square_validate import Level, Peer, validate_square

    def say(level: Level) -> None:
        print(
            f"hpcpinn: finite differences on {level.cells[0]} x {level.cells[1]} cells in {duration(level.seconds)}: "
            f"{level.error:.1e} from the closed form",
            file=sys.stderr,
        )

    peer = None if deepxde is None else Peer(deepxde, Training(limit=60.0 * minutes))
    with make_progress(plain_output=as_json) as progress:
        outcome = validate_square(result, refinement=grids, peer=peer, watch=say, progress=progress)
    if as_json:
        print(json.dumps(outcome.figures()))
    else:
        _print_square(outcome, asked=peer is not None)


def _print_square(outcome: "SquareValidation", *, asked: bool) -> None:
    """The report, where DeepXDE was asked just now or not."""
    finest, worst = outcome.levels[-1], outcome.result.time[outcome.frame_error.argmax()]
    figures = {
        "relative L2 error, all frames": f"{outcome.error_exact:.2e} against the closed form",
        "largest in a frame": f"{outcome.frame_error.max():.2e} at {biology(worst, 6)}",
        "largest error at a point": f"{outcome.error_exact_max:.2e} uM",
        "finite differences, all frames": f"{finest.error:.2e} against the closed form "
        f"({finest.cells[0]} x {finest.cells[1]} cells, {duration(finest.seconds)})",
        "ours against finite differences": f"{outcome.error_difference:.2e}",
    }
    run, ranks = outcome.peer, outcome.result.attributes["ranks"]
    if run is not None:
        when = "" if asked else ", in an earlier validation"
        figures["DeepXDE, all frames"] = (
            f"{outcome.error_peer:.2e} against the closed form ({run.adam} of {run.settings['adam']} steps of Adam, "
            f"{run.lbfgs} of {run.settings['lbfgs']} of L-BFGS, {duration(run.seconds)} on {run.device}{when})"
        )
    figures |= {
        "this run": f"{duration(outcome.seconds_ours)} on {counted(int(ranks), 'rank')}, compilation included",
        "others kept in": str(outcome.sidecar),
        "error": outcome.accuracy.words,
    }
    print(f"{outcome.result.path}: to {biology(float(outcome.result.time[-1]))}")
    for name, value in figures.items():
        print(f"{name:<36}{value}")
    print(f"next: hpcpinn plot {as_typed(outcome.result.path)}")


def _say_level(settled: "Settled") -> None:
    print(
        f"hpcpinn: reference with {2 * settled.finest.cells.sum()} cells in {duration(settled.finest.seconds)}, "
        f"moved by {settled.movement[0]:.1e} (calcium), {settled.movement[1]:.1e} (calbindin)",
        file=sys.stderr,
    )


def _moment(time: float, unit: str) -> str:
    return biology(time) if unit == "ms" else f"{time:.4g} {unit}".rstrip()


def _print_report(outcome: "Validation") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    from hpcpinn.workflows.verdict import judgement, lines_of

    settled, result = outcome.settled, outcome.result
    unit = result.units.get("time", "")
    units = ("ms", "uM") if unit else ("", "")
    end = _moment(float(result.time[-1]), unit)
    console.print(f"{result.path}: {counted(result.cable.n_frusta, 'piece')}, to {end}", markup=False)
    ranks = result.attributes["ranks"]
    figures = {
        "relative L2 error of c - c_rest": f"{settled.error[0]:.2e}",
        "relative L2 error of b": f"{settled.error[1]:.2e}",
        "calcium balance": f"{_balance(outcome)} (reference {outcome.balance_reference:.1e})",
        "seconds, this run": f"{outcome.seconds_ours:.2f} on {counted(int(ranks), 'rank')} "
        f"({outcome.seconds_first:.2f} in the first window, compilation included)",
        "seconds, reference at equal error": _price(outcome),
        "reference kept in": str(outcome.sidecar),
        "error": judgement(outcome.accuracy[0], outcome.of_run.cells if outcome.of_run else (), units[1]),
        "": outcome.accuracy[1].words,
    }
    if outcome.of_run is not None:
        said = lines_of(outcome.of_run, "", *units)
        figures |= {label: text for label, text in said if label in ("fired", "calcium")}
    if outcome.unsettled:
        figures["unsolved"] = f"the reference still moves: {outcome.unsettled}"
    if not result.complete:
        figures["unsolved"] = f"what follows {_moment(float(result.time[-1]), unit)}: the run is not complete"
    for name, value in figures.items():
        console.print(f"{name:<36}{value}", markup=False)
    table = Table(box=None, pad_edge=False)
    console.print("frame by frame, c over its excursion in the frame, b over b:")
    for heading in (f"time {unit}".strip(), "error c", "error b"):
        table.add_column(heading, justify="right")
    count = len(outcome.time)
    step = max(1, -(-(count - 1) // _MOST_ROWS))
    for i in range(count - 1, 0, -step)[::-1]:
        table.add_row(f"{outcome.time[i]:g}", f"{outcome.error_c[i]:.1e}", f"{outcome.error_b[i]:.1e}")
    console.print(table)
    console.print(f"next: hpcpinn plot {as_typed(result.path)}")


def _balance(outcome: "Validation") -> str:
    return "not measured in split windows" if outcome.balance is None else f"{outcome.balance:.1e}"


def _price(outcome: "Validation") -> str:
    price = outcome.price
    if price is None:
        return f"not reached; last refinement {outcome.seconds_reference:.2f}"
    return (
        f"{price.seconds:.2f} ({price.method} mesh, {price.cells} cells, tolerance {price.tolerance:.0e}, "
        f"errors {price.error[0]:.1e} and {price.error[1]:.1e})"
    )
