"""``hpcpinn plot``: pictures of a run."""

from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.errors import InputError
from hpcpinn.parallel import stopping
from hpcpinn.terminal.progress import make_progress


def plot(
    result: Annotated[Path, typer.Argument(help="Result file of a run, finished or not.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures; RESULT-pictures beside RESULT.h5 if left out.", metavar="DIR"),
    ] = None,
    times: Annotated[
        str | None, typer.Option(help="When to show fields, such as 2.5,10,50.", metavar="T,T,...")
    ] = None,
    member: Annotated[
        str | None,
        typer.Option(help="A member of a population, by its name or number from 0.", metavar="MEMBER"),
    ] = None,
    suffix: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
) -> None:
    """Draws the pictures of a run.

    Of a system of your own: its own pictures, or every field on its geometry. Of a cell
    an overview, the cell coloured by the change of calcium, the voltage on it, kymograph, traces, partition
    (of several ranks), convergence; before
    them, for a long protocol in split windows, one page of all of it. Of a population one page of
    all members; --member draws the pictures of one.
    """
    from hpcpinn.core.order import Drawing
    from hpcpinn.io.names import stem_of
    from hpcpinn.systems.results import draw
    from hpcpinn.terminal.drawn import say_drawn

    if suffix not in ("png", "pdf", "svg"):
        raise InputError(f"--format {suffix}: no such format; use png, pdf or svg")
    folder = out or result.parent / f"{stem_of(result)}-pictures"
    stopping.keeping(f"{folder} has what was drawn, and the same command draws it anew")
    with make_progress() as progress:
        progress.doing("reading the result, and drawing")
        drawn = draw(Drawing(result, folder, out is not None, suffix, _times(times), member, progress, say=print))
    say_drawn(drawn)


def _times(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--times {text}: not numbers with commas between; write --times 2.5,10") from error
