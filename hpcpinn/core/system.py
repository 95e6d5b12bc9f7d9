"""What a system is to the rest of the house: the protocol, short enough to be read in a minute.

A system is what a person would name as what is solved: a cell, a square, a pair of equations. It is one folder, or one
file, that `hpcpinn.systems` lists. March, results, checkpoints, inference, validation, plots and the command line see
what stands here, and nothing else of it. Optional members are asked for by name; what needs one that is not there is
refused with a line. docs/extend.md shows a whole system.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hpcpinn.config.values import Description

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

    from hpcpinn.marching.controller import WindowRule
    from hpcpinn.parallel.communicator import Communicator

State = Any
"""All that the next window depends on, as a system likes to hold it: arrays, pytrees, objects."""


@dataclass(frozen=True)
class Field:
    """A quantity that is solved for, on the geometry of its problem.

    Attributes:
        name: Its name in results, pictures and messages.
        unit: The unit of its values, such as ``uM``; ``1`` for none.
    """

    name: str
    unit: str


@dataclass(frozen=True)
class Attempt:
    """A window that has been solved, and not yet been accepted.

    Attributes:
        length: The window's length, in the problem's time.
        error: The error estimate, in the measure of ``rule.tolerance``; nan where the window could not be solved.
        after: The state at the window's end.
        notes: Numbers worth a column in the result: steps, sweeps, jumps.
        why: What went wrong, for the message of a run that ends there; empty where nothing did.
        inside: Whatever `Problem.observe` needs to know of the window's inside.
    """

    length: float
    error: float
    after: State
    notes: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    inside: Any = None


@dataclass(frozen=True)
class Packed:
    """A state as a checkpoint holds it, bit by bit.

    Attributes:
        arrays: This rank's rows of every array.
        scalars: Plain values, the same on every rank.
    """

    arrays: Mapping[str, "ndarray"]
    scalars: Mapping[str, float | int | str | bool] = field(default_factory=dict)


class Problem(Protocol):
    """What is solved, built from a description; every rank has its own part.

    Attributes:
        parameters: Constants that can be traced and learned: a pytree.
        fields: Quantities that are solved for.
        geometry: The places that they are solved on, as results hold them: a tree, a box, a line, points.
        rule: Lengths of windows, and the tolerance of their error.
        stops: Times at which a window must end, increasing; the last is the end of the run. Empty for a stationary
            problem, which has one attempt, of length 0.
        times: Times at which fields are written, increasing, from 0.

    Optional: ``reference(times)`` and ``closed_form(times)``, fields by name as `observe` gives them, by another method
    and by a formula, for validation; ``predict(parameters, at)``, what is seen at places and times ``at`` (arrays by
    name), pure and traced by JAX, for inference.
    """

    parameters: Any
    fields: tuple[Field, ...]
    geometry: Any
    rule: "WindowRule"
    stops: "Float[ndarray, ' s']"
    times: "Float[ndarray, ' T']"

    def start(self) -> State:
        """The state at time 0."""

    def attempt(self, state: State, length: float, reuse: bool) -> Attempt:
        """Solves a window. Collective over all ranks.

        Args:
            state: The state at its start, which stays as it is.
            length: Its length.
            reuse: Whether it is as long as the last one, whose factors may serve again.
        """

    def observe(self, attempt: Attempt, times: "Float[ndarray, ' n']") -> "dict[str, Float[ndarray, 'n ...']]":
        """This rank's rows of every field at times inside an accepted window, counted from its start."""

    def pack(self, state: State) -> Packed:
        """The state for a checkpoint; `unpack` gives it back bit by bit."""

    def unpack(self, packed: Packed) -> State:
        """The state that `pack` packed."""


class System(Protocol):
    """What the registry lists; light to import, and JAX is not loaded before `build`.

    Attributes:
        name: The name that a description says: ``system = "name"``.
        summary: What is solved, in a line.
        tables: The class of its descriptions; they have a table ``run`` with ``output`` and ``transport``.

    Optional, for descriptions: what tables cannot say, ``conflicts``, ``idle`` and more
    (`hpcpinn.config.reading.Reading`).

    Optional, for the command line: ``actions`` by command (``run``, ``infer``, ``uq``, ``study``), each a
    `hpcpinn.core.order.Action` or the name of the module that is one; ``commands`` of its own by name, each a function
    for typer, or the module with it, or that module's name; ``draw(drawing)``, pictures of a result, which gives a
    `hpcpinn.core.order.Drawn`; ``validate(checking)``, a result held against others, which gives an outcome with
    ``figures()`` for JSON, and ``tell_validation(outcome, checking)``, which prints it.

    Optional, for Python: ``front``, what ``import hpcpinn as hp`` offers of it, each name with ``module:name`` or the
    object itself.
    """

    name: str
    summary: str
    tables: type[Description]

    def build(self, described: Any, communicator: "Communicator") -> Problem:
        """What a description means. Collective over all ranks."""
