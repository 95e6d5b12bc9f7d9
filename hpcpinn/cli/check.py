"""``hpcpinn check``: whether a result is whole, and what can be done with it."""

from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.errors import InputError


def check(
    result: Annotated[Path, typer.Argument(help="Result of a run, or another file of hpcpinn.")],
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Seal a file as it is that has no seal: an older hpcpinn wrote it, or another program changed it.",
        ),
    ] = False,
) -> None:
    """Says whether a file is whole, complete and of this version, and what can be done with it.

    Of a run also its checkpoint, the one before it, who is writing it now, and what lies beside it. Ends with exit
    code 2 where something cannot be used.
    """
    from rich.console import Console

    from hpcpinn.io import checking
    from hpcpinn.terminal.lines import print_verdict

    if accept:
        checking.accept(result)
    parts = checking.parts_of(result)
    print_verdict([(part.label, part.text) for part in parts], Console(highlight=False, markup=False))
    wrong = [part.label for part in parts if part.is_bad]
    if wrong:
        raise InputError(f"{result}: cannot be used: {', '.join(wrong)} (above)")
