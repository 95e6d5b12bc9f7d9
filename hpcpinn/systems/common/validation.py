"""``hpcpinn validate`` of a system whose problem has a closed form or another method."""

import json
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.core.order import Checking
from hpcpinn.core.system import System
from hpcpinn.errors import InputError
from hpcpinn.io.read import Result, read
from hpcpinn.io.sidecar import Solution, write_reference
from hpcpinn.parallel.communicator import SerialCommunicator
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


def validate(system: System, asked: Checking) -> list[Difference]:
    """Holds a result against what its problem knows of itself, and says so.

    Raises:
        InputError: There is no such result, it holds no frames, or its problem has nothing to compare with.
        OutputError: The other solutions cannot be kept beside it.
    """
    with asked.progress() as progress:
        progress.doing("reading the result")
        result = read(asked.result)
        if not len(result.time):
            raise InputError(f"{asked.result}: holds no frames; run the job again")
        _, described = stored_description(json.dumps(result.config), str(asked.result))
        problem = system.build(described, SerialCommunicator())
        known = {name: getattr(problem, name) for name in OTHERS if hasattr(problem, name)}
        if not known:
            raise InputError(f"{asked.result}: the system {system.name!r} has no closed form and no reference")
        found = {}
        for name, solve in known.items():
            progress.doing(f"computing {OTHERS[name]}")
            found[name] = _solved(solve, result.time)
    sidecar = write_reference(result, found)
    differences = [
        _difference(result, name, field, np.asarray(values))
        for name, solution in found.items()
        for field, values in solution.fields.items()
    ]
    if asked.as_json:
        print(json.dumps({"result": str(asked.result), "differences": [vars(one) for one in differences]}))
    else:
        _print_report(result, differences, found, sidecar)
    return differences


def _solved(solve: Callable[[ndarray], Mapping[str, ndarray]], times: Float[ndarray, " T"]) -> Solution:
    begun = clock.perf_counter()
    fields = {name: np.asarray(values) for name, values in solve(times).items()}
    return Solution(fields, figures={"seconds": clock.perf_counter() - begun})


def _difference(result: Result, of: str, field: str, wanted: Float[ndarray, "T ..."]) -> Difference:
    missed = result.fields[field] - wanted
    inside = np.isfinite(missed)
    norm = float(np.linalg.norm(wanted[inside]))
    return Difference(
        of, field, float(np.linalg.norm(missed[inside])) / max(norm, 1e-300), float(np.abs(missed[inside]).max())
    )


def _print_report(result: Result, differences: list[Difference], found: Mapping[str, Solution], sidecar: Path) -> None:
    units: dict[str, Any] = {field.name: field.unit for field in result.declared}
    for one in differences:
        unit = f" {units[one.field]}" if units.get(one.field, "1") not in ("", "1") else ""
        print(f"{one.field:<12}{one.relative:.1e} from {OTHERS[one.of]} (relative L2), {one.largest:.1e}{unit} at most")
    for name, solution in found.items():
        print(f"cost        {duration(solution.figures['seconds'])} for {OTHERS[name]}")
    print(f"kept in     {sidecar}")
    print(f"next        hpcpinn plot {as_typed(result.path)}")
