"""Going on from a checkpoint: which one, and can it be used?"""

from pathlib import Path

from hpcpinn.core.order import Resumption
from hpcpinn.errors import InputError, warn
from hpcpinn.io import checkpoint


def checkpoint_for(wish: Resumption, output: Path) -> Path | None:
    """The checkpoint that a run goes on from: the last one, or the one before it where that is damaged. Serial.

    Args:
        wish: Wish of who started the run.
        output: Path of the result.

    Returns:
        Its path; None where the run begins.

    Raises:
        InputError: Neither can be used, or the result is gone that they belong to.
    """
    last = wish.checkpoint
    there = [path for path in (last, checkpoint.previous_path(last)) if path.is_file()]
    if not there:
        if wish.or_begins:
            return None
        raise InputError(f"--resume: no checkpoint {last}; use --resume auto to start afresh then")
    if not output.exists():
        gone = f"--resume: {there[0]} is there, but the result {output} is gone"
        if wish.or_begins:
            warn(f"{gone}: the run begins anew")
            return None
        raise InputError(f"{gone}; restore it, or start without --resume")
    wrong: InputError | None = None
    for path in there:
        try:
            checkpoint.check(path)
        except InputError as error:
            wrong = wrong or error
            continue
        if path != last:
            warn(f"{last} is {'damaged' if last.is_file() else 'gone'}: goes on from the one before it, {path}")
        return path
    assert wrong is not None
    raise wrong
