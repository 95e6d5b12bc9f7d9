"""What a system is to the rest of the house: the protocol, short enough to be read in a minute.

A system is what a person would name as what is solved: a cell, a square, a pair of equations. It is one folder, or one
file, that `hpcpinn.systems` lists. March, results, checkpoints, inference, validation, plots and the command line see
what stands here, and nothing else of it. Optional members are asked for by name; what needs one that is not there is
refused with a line. docs/extend.md shows a whole system.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.config.values import Description

if TYPE_CHECKING:
    from hpcpinn.io.geometry_base import Geometry
    from hpcpinn.io.schema import Variable
    from hpcpinn.marching.controller import WindowRule
    from hpcpinn.parallel.communicator import Communicator

S = TypeVar("S")
D = TypeVar("D")


@dataclass(frozen=True, eq=False)
class Attempt(Generic[S, D]):
    """A window that was solved and not yet judged.

    Attributes:
        length: Length of the window, internal time; it may be another one than was asked for.
        error: Estimate of the window's error, in the measure of ``rule.tolerance``; NaN where the solve failed.
        after: State at the end of the window.
        notes: Figures of the window by name, which a run adds up.
        largest: Figures of the window by name, of which a run keeps the largest.
        why: Reason why the solve failed, in words for a message.
        effort: Share of the work allowed to a window that this one took; above 0.6 the next is no longer.
        reuse: Parts that the next window of the same length may use again; None: nothing.
        is_fresh: Whether nothing that the window before had left was used: where a run goes on that was stopped here,
            no earlier window then need be solved again for ``reuse``.
        inside: The solution, for those who read more out of it than its end.
    """

    length: float
    error: float
    after: S
    notes: Mapping[str, float] = field(default_factory=dict)
    largest: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    effort: float = 0.0
    reuse: Any = None
    is_fresh: bool = False
    inside: D = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Packed:
    """A state as a checkpoint holds it: what makes the same state again, to the last bit.

    Attributes:
        arrays: Arrays by name, one row for each of this rank's `Rows.own`.
        scalars: Values that all ranks share, by name: numbers, text, arrays.
    """

    arrays: Mapping[str, Shaped[ndarray, "..."]] = field(default_factory=dict)
    scalars: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Rows:
    """Which rows of the arrays of a checkpoint are a rank's.

    Attributes:
        own: Numbers of this rank's rows, in the order in which it stores them.
        total: Number of rows of all ranks.
    """

    own: Int[ndarray, " n"] = field(default_factory=lambda: np.zeros(0, int))
    total: int = 0


class Written(NamedTuple):
    """Values at moments, as a result takes them.

    Attributes:
        times: User times, increasing.
        values: Values of this rank's places by name of the field, a row for each time.
    """

    times: Float[ndarray, " n"]
    values: Mapping[str, Float[ndarray, "n ..."]]


@dataclass(frozen=True, eq=False)
class Record:
    """What a problem itself wants written of an accepted window.

    Attributes:
        row: Entries of the columns of windows that are no notes of the attempt, by name.
        sweeps: Rows of `hpcpinn.io.schema.SWEEPS`, by name of the column.
        frames: Frames of the window; None: those that `Problem.times` asks of ``observe``.
        samples: Samples at the probes; None: those that ``sample_times`` asks of ``sample``.
    """

    row: Mapping[str, Any] = field(default_factory=dict)
    sweeps: Sequence[Mapping[str, Any]] = ()
    frames: Written | None = None
    samples: Written | None = None


class Problem(Protocol):
    """What is solved, built from a description; every rank has its own part. States are never changed in place.

    Attributes:
        parameters: Constants that can be traced and learned (`hpcpinn.core.parameters`).
        fields: Quantities that are solved for (`hpcpinn.io.schema.Variable`: name, unit, description).
        geometry: Places that they are solved on, ``Tree``, ``Box``, ``Line`` or ``Points`` (`hpcpinn.io.geometry`).
        rule: Lengths of windows, and the tolerance of their error.
        stops: Internal times at which a window must end, increasing; the last is the end of the run. Empty for a
            stationary problem, which has one attempt, of length 0.
        times: User times at which fields are written, increasing, from 0.

    Optional, what is known besides:

    ``rows``, this rank's `Rows` of packed arrays; ``columns`` of windows (`hpcpinn.io.schema.column`), notes that
    results keep; ``dimensionless``, whether numbers have no units; ``members`` (`hpcpinn.io.layout.MemberEntry`) that
    lie one after the other on the geometry; ``description``, JSON text of the description where `build` has chosen
    what it leaves open; ``settings``, text by key, what states depend on (a checkpoint of others is refused; else
    every table but those of output and inference).

    Optional, places that are written by name, between frames too: ``probes`` (`hpcpinn.io.geometry.Probe`),
    ``sample_times``, user times that increase, and ``sample(attempt, times)``, as ``observe``, at this rank's probes.

    Optional, how it is marched: ``improvement``, what may change the problem on the way
    (`hpcpinn.marching.march.Improvement`); ``cadence`` of its checkpoints (`hpcpinn.marching.run.Cadence`).

    Optional, what is written and said: ``initially()``, fields at time 0 where they are known better than from the
    first window; ``record(step, stats)``, a `Record` of an accepted window (`hpcpinn.marching.march.Step`,
    `hpcpinn.marching.stats.Stats`); ``plan(since, size, free)``, lines with labels for a person before a long run, from
    a user time, whose result takes ``size`` of ``free`` bytes; ``called``, what a person calls its windows, and
    ``detail(stats, step)``, a phrase, for progress; and at the end ``figures(stats)``, by name, and
    ``accuracy(stats)``, or all that came of it, ``verdict(state, stats, result)`` (`hpcpinn.systems.common.verdict`).

    Optional, for others: ``reference(times)`` and ``closed_form(times)``, fields by name as `observe` gives them, by
    another method and by a formula, for validation; ``predict(parameters, at)``, what is seen at places and times
    ``at`` (arrays by name), traced by JAX, for inference.
    """

    @property
    def parameters(self) -> Any: ...
    @property
    def fields(self) -> "tuple[Variable, ...]": ...
    @property
    def geometry(self) -> "Geometry": ...
    @property
    def rule(self) -> "WindowRule": ...
    @property
    def stops(self) -> Float[ndarray, " s"]: ...
    @property
    def times(self) -> Float[ndarray, " T"]: ...

    def start(self) -> Any:
        """The state at time 0: whatever the next window depends on, with an attribute ``time``."""

    def attempt(self, state: Any, length: float, reuse: Any) -> Attempt[Any, Any]:
        """Solves a window. Collective over all ranks.

        Args:
            state: State at the start of the window.
            length: Length of the window, internal time.
            reuse: `Attempt.reuse` of the window before; None at first, after a rejected one and after a checkpoint.
        """

    def observe(self, attempt: Attempt[Any, Any], times: Float[ndarray, " n"]) -> dict[str, Float[ndarray, "n ..."]]:
        """This rank's values of every field at internal times inside a window, counted from its start."""

    def pack(self, state: Any) -> Packed:
        """The state for a checkpoint; `unpack` gives it back, to the last bit."""

    def unpack(self, packed: Packed) -> Any:
        """The state that `pack` packed."""


class System(Protocol):
    """What the registry lists; light to import, and JAX is not loaded before `build`.

    Attributes:
        name: The name that a description says: ``system = "name"``.
        summary: Line that says what is solved.
        tables: The class of its descriptions; ``run`` is a `hpcpinn.config.shared.RunTable` or has its keys.

    Optional, for descriptions: what tables cannot say, ``conflicts``, ``idle`` and more
    (`hpcpinn.config.reading.Reading`); ``settings(described)``, those of `Problem` where its problem has some, as far
    as they are known before it is built, with the duration of the run, so that a finished run is known at once;
    ``taken(described, key)``, or ``module:function``, a small text file (with comments after #) that serves a run in
    the place of the large one that a key names, None where it needs all of that: results keep it; ``former``, functions
    (or ``module:function``) that read results of version 1 (`hpcpinn.io.former.Former`), by their format.

    Optional, for Python: ``front``, what ``import hpcpinn as hp`` offers of it, objects or ``module:object`` by name;
    ``verbs`` by name (`hpcpinn.core.front.Verb`); ``bare``, what stands for a whole job (`hpcpinn.core.front.Bare`, or
    ``module:object``); ``on(described, beside)``, what a description is solved on, given objects by their files' keys.

    Optional, for the command line: ``actions`` by command (``run``, ``infer``, ``uq``, ``study``), each a
    `hpcpinn.core.order.Action` or the name of the module that is one; ``commands`` of its own by name, each a function
    for typer, or the module with it, or that module's name; ``draw(drawing)``, pictures of a result, and
    ``validate(checking)``, a result held against others, or each as ``module:function``.
    """

    name: str
    summary: str
    tables: type[Description]

    def build(self, described: Any, communicator: "Communicator") -> Problem:
        """What a description means. Collective over all ranks."""
