"""``hpcpinn validate`` of a system whose problem has a closed form or another method."""

import json
import math
import time as clock
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.core.order import Checking
from hpcpinn.core.system import System
from hpcpinn.errors import InputError
from hpcpinn.io.inputs import restored
from hpcpinn.io.read import Result, read
from hpcpinn.io.sidecar import Solution, write_reference
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.contract import blamed, built, wrong_frames
from hpcpinn.systems.jobs import stored_description
from hpcpinn.wording import as_typed, duration

OTHERS: Mapping[str, str] = {"closed_form": "the closed form", "reference": "the reference"}
"""Members of a problem that solve it otherwise, and what a person calls them."""


@dataclass(frozen=True)
class Difference:
    """How far a field of a result is from another solution.

    Attributes:
        of: Member of the problem that the other solution is from.
        field: The field.
        relative: L2 difference over all frames and places, over the L2 norm of the other.
        largest: Largest difference, in the unit of the field.
    """

    of: str
    field: str
    relative: float
    largest: float


@dataclass(frozen=True)
class Compared:
    """A result held against what its problem knows of itself.

    Attributes:
        result: The result.
        differences: Differences of every field from every other solution.
        seconds: Wall time of every other solution, s, by the member of the problem.
        sidecar: The file that keeps the other solutions.
    """

    result: Result
    differences: tuple[Difference, ...]
    seconds: Mapping[str, float]
    sidecar: Path

    def figures(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"result": str(self.result.path), "differences": [asdict(one) for one in self.differences]}


def validate(system: System, asked: Checking) -> Compared:
    """Holds a result against what its problem knows of itself.

    Raises:
        InputError: There is no such result, it holds no frames, or its problem has nothing to compare with.
        OutputError: The other solutions cannot be kept beside it.
    """
    asked.progress.doing("reading the result")
    result = read(asked.result)
    if not len(result.time):
        raise InputError(f"{asked.result}: holds no frames; run the job again")
    with restored(asked.result, result.config) as document:
        _, described = stored_description(json.dumps(document), str(asked.result))
        problem = built(system, described, SerialCommunicator())
    known = {name: getattr(problem, name) for name in OTHERS if hasattr(problem, name)}
    if not known:
        raise InputError(f"{asked.result}: the system {system.name!r} has no closed form and no reference")
    found, seconds = {}, {}
    for name, solve in known.items():
        asked.progress.doing(f"computing {OTHERS[name]}")
        begun = clock.perf_counter()
        values = solve(result.time)
        seconds[name] = clock.perf_counter() - begun
        wrong = wrong_frames(values, list(result.fields), len(result.time), math.prod(problem.geometry.shape))
        if wrong is not None:
            raise InputError(f"{blamed(system, problem)}: {name} gives {wrong}")
        found[name] = Solution(
            {field: np.reshape(of_field, result.fields[field].shape) for field, of_field in values.items()}
        )
    sidecar = write_reference(result, found)
    differences = [
        _difference(result, name, field, values)
        for name, solution in found.items()
        for field, values in solution.fields.items()
    ]
    return Compared(result, tuple(differences), seconds, sidecar)


def tell_validation(system: System, outcome: Compared, asked: Checking) -> None:
    """Prints how far the result is from every other solution."""
    units = {field.name: field.unit for field in outcome.result.declared}
    for one in outcome.differences:
        unit = f" {units[one.field]}".rstrip()
        print(f"{one.field:<12}{one.relative:.1e} from {OTHERS[one.of]} (relative L2), {one.largest:.1e}{unit} at most")
    for name, seconds in outcome.seconds.items():
        print(f"cost        {duration(seconds)} for {OTHERS[name]}")
    print(f"kept in     {outcome.sidecar}")
    print(f"next        hpcpinn plot {as_typed(outcome.result.path)}")


def _difference(result: Result, of: str, field: str, wanted: Float[ndarray, "T ..."]) -> Difference:
    missed = result.fields[field] - wanted
    inside = np.isfinite(missed)
    norm = float(np.linalg.norm(wanted[inside]))
    return Difference(
        of, field, float(np.linalg.norm(missed[inside])) / max(norm, 1e-300), float(np.abs(missed[inside]).max())
    )
