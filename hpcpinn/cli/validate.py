"""``hpcpinn validate``: a result against others that solve the same."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.core.order import Checking
from hpcpinn.errors import InputError
from hpcpinn.parallel import stopping
from hpcpinn.systems import all_systems, offered
from hpcpinn.terminal.progress import make_progress

_PEER_MINUTES = 30.0
"""After which DeepXDE's training ends, where nothing else is said."""


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
    timing: Annotated[
        bool, typer.Option(help="Find out how long the reference takes at equal error: up to half of the time.")
    ] = True,
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
    """Compares a run with others that solve the same.

    A cell with finite volumes, the independent reference, refined until it no longer moves: errors, calcium
    balance and the time of both at equal error. A square with the closed form, with finite differences and,
    if it is named, with DeepXDE. A system of your own with its reference and closed form.
    """
    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    minutes = _minutes(deepxde, deepxde_minutes)
    prepare()
    from hpcpinn.io.storage import format_of
    from hpcpinn.systems.results import check_run, system_of_result

    check_run(result)
    system = system_of_result(result)
    with_peer = [one.name for one in all_systems() if getattr(one, "peer", None)]
    if deepxde is not None and system.name not in with_peer and format_of(result) is not None:  # else the file is wrong
        raise InputError(f"--deepxde {deepxde}: {result} is no run on a {' or '.join(with_peer)}; leave it away")
    stopping.keeping(f"nothing is written before the end: {result} is as it was")
    with make_progress(plain_output=as_json) as progress:
        asked = Checking(result, refinement, patience, progress, deepxde, minutes, _say, timing)
        outcome = offered(system, "validate")(asked)
    if as_json:
        print(json.dumps(outcome.figures()))
    else:
        offered(system, "tell_validation")(outcome, asked)


def _say(line: str) -> None:
    print(f"hpcpinn: {line}", file=sys.stderr)


def _minutes(deepxde: str | None, given: float | None) -> float:
    if given is None:
        return _PEER_MINUTES
    if deepxde is None:
        raise InputError(f"--deepxde-minutes {given:g}: nothing is trained without --deepxde PYTHON; name it as well")
    if not 0.0 < given < math.inf:
        raise InputError(f"--deepxde-minutes {given:g}: is no time to train in; use more than 0, such as 30")
    return given
