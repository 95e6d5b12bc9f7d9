"""Other solutions of a run, kept beside its result: ``run.h5`` → ``run.reference.h5``.

Every solution has values of fields where and when the result has them; `hpcpinn.io.schema` says where they lie.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import OutputError
from hpcpinn.io import datasets, storage
from hpcpinn.io.names import beside
from hpcpinn.io.read import Result
from hpcpinn.io.schema import REFERENCE_FORMAT as FORMAT
from hpcpinn.io.schema import REFERENCE_FORMAT_VERSION as FORMAT_VERSION
from hpcpinn.io.schema import SOLUTION, SOLUTIONS, Dataset

FINITE_VOLUMES = "finite_volumes"
"""Name of the independent reference on a tree."""
EXACT, FINITE_DIFFERENCE, DEEPXDE = "exact", "finite_difference", "deepxde"
"""Names of solutions on a box: the closed form, and two other programs."""


@dataclass(frozen=True)
class Solution:
    """What another solver found.

    Attributes:
        fields: Values by field, in the frames of the result.
        probes: Values by field at the probes of the result.
        figures: Figures of the other solver's work, for JSON.
    """

    fields: Mapping[str, Float[ndarray, "T ..."]]
    probes: Mapping[str, Float[ndarray, "Tp P"]] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """Solutions to hold a result against.

    Attributes:
        time: User times of the frames.
        probe_time: User times of the samples of probes.
        solutions: Solutions by who found them, such as ``finite_volumes`` or ``exact``.
    """

    time: Float[ndarray, " T"]
    probe_time: Float[ndarray, " Tp"]
    solutions: Mapping[str, Solution]

    def __getitem__(self, name: str) -> Solution:
        return self.solutions[name]

    def __contains__(self, name: str) -> bool:
        return name in self.solutions


def reference_path(result: str | Path) -> Path:
    """Where the reference of a result lies."""
    return beside(result, "reference.h5")


def write_reference(result: Result, solutions: Mapping[str, Solution]) -> Path:
    """Keeps other solutions beside the result that they belong to. Serial.

    Returns:
        The path of the file.

    Raises:
        OutputError: It cannot be written.
    """
    path, has_units = reference_path(result.path), "time" in result.units
    times = {"time": result.time, "probes/time": result.probes.time}
    try:
        with storage.replacing(path) as file:
            datasets.write_origin(file, FORMAT, FORMAT_VERSION)
            file.attrs["result_created"] = result.attributes["created"]
            datasets.write(file, SOLUTIONS, times, has_units=has_units)
            for name, solution in solutions.items():
                file.create_group(f"solutions/{name}").attrs["figures"] = json.dumps(dict(solution.figures))
                for kept, group in ((solution.fields, ""), (solution.probes, "probes/")):
                    for declared in result.declared:
                        placed = f"solutions/{name}/{group}{declared.name}"
                        entry = Dataset(placed, "", SOLUTION.what, declared.unit)
                        datasets.write(file, [entry], {placed: kept.get(declared.name)}, has_units=has_units)
    except OSError as error:
        raise OutputError(f"{path}: cannot write the reference: {' '.join(str(error).split())}") from error
    return path


def read_reference(result: Result) -> Reference | None:
    """The other solutions of a result; None if there are none, or they belong to an earlier run.

    Raises:
        InputError: The file is damaged or of another version.
    """
    path = reference_path(result.path)
    if not path.is_file():
        return None
    with storage.open_existing(path, FORMAT, FORMAT_VERSION) as file:
        if file.attrs["result_created"] != result.attributes["created"]:
            return None
        solutions = {name: _solution(group) for name, group in file["solutions"].items()}
        return Reference(file["time"][:], file["probes/time"][:], solutions)


def _solution(group: h5py.Group) -> Solution:
    fields = {name: np.asarray(values[:]) for name, values in group.items() if isinstance(values, h5py.Dataset)}
    probes = {name: np.asarray(values[:]) for name, values in group.get("probes", {}).items()}
    return Solution(fields, probes, json.loads(group.attrs["figures"]))
