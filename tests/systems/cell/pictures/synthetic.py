"""Results made by hand for pictures."""

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hpcpinn.io import Result, read
from hpcpinn.io.read import Probes
from hpcpinn.io.results import ResultWriter
from hpcpinn.systems.cell.config.schema import RunConfig
from tests.io import runs

Recorded = TypeVar("Recorded", Result, Probes)


def run_of(
    communicator, folder: Path, *, windows: int = 4, complete: bool = True, name: str = "run.h5", **tables: Any
) -> Result:
    """Windows of 1 ms of a small Y with two frames each, and a run description with some tables."""
    given = {"run": {"duration": 6.0}} | tables
    config = RunConfig.model_validate(given).to_json()
    header = dataclasses.replace(runs.header(1), config=config)
    writer = ResultWriter(folder / name, communicator, header)
    for index in range(windows):
        runs.write_window(writer, index)
    writer.close(complete=complete)
    return read(folder / name)


def with_fields(recorded: Recorded, **values: np.ndarray) -> Recorded:
    """The same with other values of some fields."""
    return dataclasses.replace(recorded, fields=recorded.fields | values)


def with_calcium(result: Result, calcium: np.ndarray, *, probes: bool = True) -> Result:
    """The same with other calcium; probes at rest unless told otherwise."""
    if probes:
        rest = np.full_like(result.probes.calcium, float(calcium[0, 0]))
        result = dataclasses.replace(result, probes=with_fields(result.probes, calcium=rest))
    return with_fields(result, calcium=calcium)


def config_of(**tables: Any) -> dict[str, Any]:
    """A whole run description as a result holds it."""
    return json.loads(RunConfig.model_validate(tables).to_json())
