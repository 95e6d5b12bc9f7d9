"""What `hpcpinn plot` says of the pictures that it drew, and of choices that there are none to make."""

from collections.abc import Sequence
from pathlib import Path

from hpcpinn.core.order import Drawing
from hpcpinn.errors import InputError


def refuse_choices(kind: str, asked: Drawing) -> None:
    """Raises where a time or a member is chosen of what has none.

    Args:
        kind: What it is, such as "a study".
        asked: What was asked for.

    Raises:
        InputError: It is.
    """
    times = None if asked.times is None else ",".join(f"{time:g}" for time in asked.times)
    for flag, given in (("--times", times), ("--member", asked.member)):
        if given is not None:
            raise InputError(f"{flag} {given}: {kind} has none to choose from; leave it away")


def say_drawn(drawn: Sequence[Path], left_out: Sequence[str] = ()) -> None:
    """Prints which pictures were drawn, and why others were not."""
    for picture in drawn:
        print(f"picture: {picture}")
    for reason in left_out:
        print(reason)
