"""``hpcpinn convert``: a result of an older version as this one writes it."""

from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.wording import as_typed


def convert(
    old: Annotated[Path, typer.Argument(help="Result of an older hpcpinn; it is left as it is.")],
    new: Annotated[Path, typer.Argument(help="Result file to write, where there is none yet.")],
) -> None:
    """Writes a result of an older version anew: it can be drawn, read and validated as others.

    A run does not go on from it: checkpoints belong to the version that wrote them.
    """
    from hpcpinn.systems import results

    results.convert(old, new)
    print(f"result    {new}")
    print(f"next      hpcpinn plot {as_typed(new)}  or  hpcpinn validate {as_typed(new)}")
