"""What a system brings for those who describe a job: parts of a description, verbs, and what stands for a whole job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Part(Protocol):
    """What is solved on, or by which equations: something that knows what it adds to a run description.

    Optional: ``beside()``, objects by the dotted key under which a description names a file of each (`Beside`).
    """

    def tables(self) -> dict[str, Any]:
        """Tables of keys."""


class Beside(Protocol):
    """An object of Python that a description names as a file: it is written beside a job, or beside a result."""

    def write(self, beside: Path) -> Path:
        """Writes it, and says where.

        Args:
            beside: The job file or the result.

        Raises:
            OutputError: It cannot be written.
        """


@dataclass(frozen=True)
class Verb:
    """A function of the front door: ``hp.NAME(on, ...)`` and ``job.NAME(...)`` in Python.

    Attributes:
        work: The function ``(order, communicator, progress, *, ...)``, or ``module:function``; collective over all
            ranks. Its keyword arguments are NAME's own, all others describe the job.
        taken: Tables of keys that are taken where nothing is said of them.
    """

    work: Callable[..., Any] | str
    taken: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Bare(Protocol):
    """How a system takes what stands in the place of a whole job, such as the file of a cell.

    Attributes:
        kind: The name of such a thing, with its article: ``a cell``.
        key: The dotted key of a description that holds it.
        base: The name of the bundled job that it is put into.
        accepted: The words of a refusal that name such things: ``for a cell give ...``.
    """

    kind: str
    key: str
    base: str
    accepted: str

    def is_one(self, typed: Path) -> bool:
        """Whether a word of the command line is such a thing, there or not."""

    def part(self, given: Any) -> Part | None:
        """The part of a description that a thing in Python is; None where it is none."""
