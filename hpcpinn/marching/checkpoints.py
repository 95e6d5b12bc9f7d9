"""Where a march stands, kept in a checkpoint and taken from it to the last bit, on any number of ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from hpcpinn.core.system import Packed, Problem, Rows
from hpcpinn.io import checkpoint
from hpcpinn.marching.controller import Plan, first_plan
from hpcpinn.marching.march import Improvement, Lineage
from hpcpinn.marching.stats import Stats

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

OF_MARCH = "march_"
"""Begins the names of what the march itself keeps."""

_LENGTHS, _BEGUN = "lineage_lengths", "lineage_begun_"
"""Names of what it keeps of a lineage: the lengths of its windows, and the state at its start, packed."""

Q = TypeVar("Q", bound=Problem)


@dataclass(frozen=True, eq=False)
class Reached(Generic[Q]):
    """Where a march stands.

    Attributes:
        problem: What is solved, as the last improvement left it.
        state: State at the end of the last window.
        plan: Length of the next window.
        stats: Figures that have been counted.
        lineage: Windows whose last one left something for the next; None where the next begins with nothing.
    """

    problem: Q
    state: Any
    plan: Plan
    stats: Stats
    lineage: Lineage | None = None


def at_start(problem: Q) -> Reached[Q]:
    """A march that has not begun. Collective over all ranks."""
    return Reached(problem, problem.start(), first_plan(problem.rule), Stats())


def save(
    path: Path,
    communicator: "Communicator",
    reached: Reached[Q],
    settings: Mapping[str, str],
    improvement: Improvement[Q] | None = None,
) -> None:
    """Replaces a checkpoint. Collective over all ranks.

    Args:
        path: The checkpoint.
        communicator: All ranks.
        reached: State of the march, and what belongs to it.
        settings: What states depend on, key by key, as `hpcpinn.io.checkpoint.fingerprint` makes it.
        improvement: What has changed the problem on the way.

    Raises:
        OutputError: On all ranks; an older checkpoint stays as it was.
    """
    problem = reached.problem
    packed, rows, arrays = problem.pack(reached.state), _rows(problem), dict[str, Any]()
    of_march: dict[str, Any] = {"plan_length": reached.plan.length, **reached.stats.scalars()}
    if improvement is not None:
        of_march |= {f"improvement_{name}": value for name, value in improvement.scalars(problem).items()}
    if reached.lineage is not None:
        begun = problem.pack(reached.lineage.state)
        of_march |= {
            _LENGTHS: np.array(reached.lineage.lengths),
            **{_BEGUN + n: value for n, value in begun.scalars.items()},
        }
        arrays = {OF_MARCH + _BEGUN + name: value for name, value in begun.arrays.items()}
    checkpoint.save(
        path,
        communicator,
        rows.own,
        rows.total,
        {**packed.arrays, **arrays},
        {**packed.scalars, **{OF_MARCH + name: value for name, value in of_march.items()}},
        settings,
    )


def load(
    path: Path,
    communicator: "Communicator",
    problem: Q,
    settings: Mapping[str, str],
    improvement: Improvement[Q] | None = None,
) -> Reached[Q]:
    """Where the march of a checkpoint stood. Collective over all ranks.

    Args:
        path: The checkpoint.
        communicator: All ranks, which may be others than those that wrote it.
        problem: Problem as it is built from its description.
        settings: Values that states depend on, of this description, as in `save`.
        improvement: Improvement as at the start of a run; takes up what the checkpoint has kept.

    Raises:
        InputError: The checkpoint cannot be used for this problem.
    """
    packed, of_march = _loaded(path, communicator, problem, settings)
    if improvement is not None:
        problem = improvement.restored(problem, _named("improvement_", of_march.scalars))
    state, lineage = problem.unpack(packed), None
    if _LENGTHS in of_march.scalars:
        begun = Packed(_named(_BEGUN, of_march.arrays), _named(_BEGUN, of_march.scalars))
        lineage = Lineage(problem.unpack(begun), tuple(of_march.scalars[_LENGTHS].tolist()))
    return Reached(
        problem, state, Plan(float(of_march.scalars["plan_length"])), Stats.restored(of_march.scalars), lineage
    )


def state_in(path: Path, communicator: "Communicator", problem: Q, settings: Mapping[str, str]) -> Any:
    """The state of a checkpoint alone, of a problem as it is. Collective over all ranks.

    Raises:
        InputError: As `load`.
    """
    packed, _ = _loaded(path, communicator, problem, settings)
    return problem.unpack(packed)


def _loaded(
    path: Path, communicator: "Communicator", problem: Problem, settings: Mapping[str, str]
) -> tuple[Packed, Packed]:
    """What was packed, and what the march keeps."""
    arrays, scalars = checkpoint.load(path, communicator, _rows(problem).own, settings)
    of_march = Packed(_named(OF_MARCH, arrays), _named(OF_MARCH, scalars))
    return Packed(_without(OF_MARCH, arrays), _without(OF_MARCH, scalars)), of_march


def _rows(problem: Problem) -> Rows:
    rows: Rows | None = getattr(problem, "rows", None)
    return rows or Rows()


def _named(prefix: str, scalars: Mapping[str, Any]) -> dict[str, Any]:
    """Those whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in scalars.items() if name.startswith(prefix)}


def _without(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those whose names begin otherwise."""
    return {name: value for name, value in values.items() if not name.startswith(prefix)}
