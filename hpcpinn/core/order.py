"""What a command is asked for, as a system is handed it: an order to work on, pictures, a validation."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hpcpinn.config.load import Origin
from hpcpinn.errors import InputError
from hpcpinn.progress import ProgressDisplay

if TYPE_CHECKING:
    from hpcpinn.core.system import System
    from hpcpinn.parallel.communicator import Communicator


@dataclass(frozen=True)
class Resumption:
    """What a run is to go on from.

    Attributes:
        checkpoint: Path of the checkpoint.
        or_begins: Whether the run begins where nothing can be gone on from.
    """

    checkpoint: Path
    or_begins: bool = False


@dataclass(frozen=True)
class Order:
    """A description that has been read.

    Attributes:
        system: The system that it is of.
        described: The description, of class ``system.tables``.
        origin: The places where its keys were given.
        file: The job file; None where there is none.
        typed: Words of the command line, by what they are called there (``job``, ``--morphology``, ``--set``).
        resume: The checkpoint to go on from; None for a fresh start.
        wish: Wish to go on from a checkpoint, before it is looked at; None for a fresh start.
    """

    system: "System"
    described: Any
    origin: Origin
    file: Path | None = None
    typed: Mapping[str, Any] = field(default_factory=dict)
    resume: Path | None = None
    wish: Resumption | None = None


class Action(Protocol):
    """What a command does with an order; a module with these functions is one, and is loaded when it is needed.

    Optional: ``judge(order, outcome)``, on every rank at the end: raises where the outcome must not pass for a success.
    """

    def look(self, order: Order) -> None:
        """Finds out before the work starts what cannot be done or written. Serial.

        Raises:
            InputError: Something the user gave cannot be used.
        """

    def work(self, order: Order, communicator: "Communicator", progress: Any) -> Any:
        """Does it, and writes the result. Collective over all ranks."""

    def tell(self, order: Order, outcome: Any) -> None:
        """Prints what came of it; on rank 0."""


def _silent(line: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Drawing:
    """What ``hpcpinn plot`` is asked for.

    Attributes:
        result: The result file.
        folder: The folder for pictures.
        is_named: Whether a person named the folder.
        suffix: The format of pictures: png, pdf or svg.
        times: Times at which to show fields, user units; None for a choice.
        member: The member of a population, by name or number; None for all.
        progress: The display that is told how it goes.
        say: Function that prints a line; it is given what the result holds before anything is drawn.
    """

    result: Path
    folder: Path
    is_named: bool
    suffix: str
    times: Sequence[float] | None
    member: str | None
    progress: ProgressDisplay
    say: Callable[[str], None] = _silent


@dataclass(frozen=True)
class Drawn:
    """What came of a drawing.

    Attributes:
        pictures: The pictures.
        left_out: Reasons why others were not drawn, sentences.
        advice: What else could be drawn, sentences.
    """

    pictures: Sequence[Path]
    left_out: Sequence[str] = ()
    advice: Sequence[str] = ()


@dataclass(frozen=True)
class Checking:
    """What ``hpcpinn validate`` is asked for.

    Attributes:
        result: The result file.
        refinement: The most refinements of a reference.
        patience: The longest refinement that is begun, s.
        progress: The display that is told how it goes.
        peer: The interpreter of another program that solves the same; None where none is asked.
        minutes: The time that it may take.
        say: Function that prints a line; it is given how far references have come.
        is_timed: Whether a reference is looked for that takes the least time for the error of the run.
    """

    result: Path
    refinement: int
    patience: float
    progress: ProgressDisplay
    peer: str | None = None
    minutes: float = math.inf
    say: Callable[[str], None] = _silent
    is_timed: bool = True


def check_choices(kind: str, asked: Drawing) -> None:
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
