"""What every picture says of itself: which result it shows, and whether that came to its end."""

from dataclasses import dataclass

from hpcpinn.io import Result
from hpcpinn.wording import unit_for

_PER_INCH = 17.0
"""Characters of a heading that fit in an inch."""


@dataclass(frozen=True)
class Heading:
    """The line above a picture.

    Attributes:
        of: Result, and member where it is one of a population.
        partial: Words for an unfinished run, such as ``partial: 12.3 of 50 ms``; empty for one that came to its end.
    """

    of: str
    partial: str = ""

    def __str__(self) -> str:
        return " – ".join(filter(None, [self.of, self.partial]))

    def fitting(self, width: float) -> str:
        """The line, the name shortened in its middle where it would not fit into so many inches."""
        room = int(_PER_INCH * width) - len(self.partial) - (3 if self.partial else 0)
        return str(Heading(abridged(self.of, max(room, 12)), self.partial))


def heading_of(result: Result) -> Heading:
    """The heading of the pictures of a run."""
    member = result.attributes.get("member")
    of = result.path.name if member is None else f"{result.path.name}, member {member}"
    if result.complete:
        return Heading(of)
    duration, unit = result.config.get("run", {}).get("duration"), result.units.get("time", "")
    return Heading(of, partial(_reached(result), duration, unit))


def _reached(result: Result) -> float:
    """User time of the last frame or window."""
    windows = result.windows
    return float(max([0.0, *result.time[-1:], *(windows["start"] + windows["length"])[-1:]]))


def partial(reached: float, duration: float | None, unit: str) -> str:
    """How far a run has come: ``partial: 12.3 of 50 ms``.

    Args:
        reached: User time of the last that is recorded.
        duration: Duration of the whole run; None where that is not known.
        unit: ``ms``, or empty for a dimensionless run.
    """
    if unit == "ms":
        worth, unit = unit_for(max(reached, duration or 0.0))
        reached, duration = reached / worth, duration and duration / worth
    of = f" of {duration:.4g}" if duration else ""
    return f"partial: {reached:.3g}{of} {unit}".rstrip()


def abridged(name: str, most: int) -> str:
    """A name of at most so many characters, its middle left out where it is longer."""
    if len(name) <= most:
        return name
    kept = most - 1
    return f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
