"""From a run description and what a map is to hold to its table and its picture."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.inputs import digest_of, input_names, without_names
from hpcpinn.errors import InputError
from hpcpinn.morphology import Cable
from hpcpinn.morphology.directions import evenly_spread
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.stimulation.directions import read_directions
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.build.threshold import series_of
from hpcpinn.systems.cell.config.reading import with_changes
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.threshold import Search
from hpcpinn.systems.cell.threshold_file import ThresholdFile
from hpcpinn.systems.cell.threshold_map import Row, map_thresholds

_READ = ("morphology", "axon", "field", "stimulation", "clamp", "channels", "cable")
"""Tables of a description that a threshold depends on."""


@dataclass(frozen=True)
class Wanted:
    """What a map of thresholds is to hold.

    Attributes:
        directions: Number of directions, evenly spread, a file of them, or the vectors; None: that of the job.
        cells: Files of cells; that of the job where there is none.
        waveforms: Names or files of waveforms; that of the job where there is none.
        output: Table that is written, and gone on with where it was begun; None: none.
    """

    directions: int | str | Path | Sequence[Sequence[float]] | None = None
    cells: tuple[str, ...] = ()
    waveforms: tuple[str, ...] = ()
    output: Path | None = None

    def __post_init__(self) -> None:
        if self.output is not None and self.output.suffix.lower() != ".csv":
            raise InputError(f"output {self.output}: a table of thresholds is a CSV file; end its name with .csv")

    def vectors(self, config: RunConfig) -> Float[ndarray, "n 3"]:
        """Unit vectors of the directions.

        Raises:
            InputError: A number, a file or a vector that is none.
        """
        match self.directions:
            case None:
                found = np.array([config.field.direction], float)
            case int() as count:
                found = evenly_spread(count)
            case str() | Path() as file:
                found = read_directions(Path(file))
            case given:
                found = np.asarray(given, float)
        size = np.linalg.norm(found, axis=-1, keepdims=True)
        if found.ndim != 2 or found.shape[1] != 3 or not np.all(np.isfinite(found)) or not np.all(size > 0.0):
            raise InputError("directions: give a number of them, a CSV file, or three finite numbers for each")
        unit: Float[ndarray, "n 3"] = found / size
        return unit

    def files(self, config: RunConfig) -> dict[str, str]:
        """Files of the cells by name."""
        return {Path(file.removeprefix("builtin:")).stem: file for file in self.cells or (config.morphology.file,)}


def thresholds_of(
    config: RunConfig,
    search: Search,
    wanted: Wanted,
    communicator: Communicator,
    progress: ProgressDisplay = NO_PROGRESS,
) -> list[Row]:
    """Searches every threshold of a map, and writes its table. Collective over all ranks.

    Raises:
        InputError: Something that was given cannot be used.
        OutputError: The table cannot be written.
        SolveError: A cell has no rest.
    """
    along = wanted.vectors(config)
    series = series_of(config, search, wanted.cells, wanted.waveforms)
    file, known = None, []
    if wanted.output is not None:
        file = ThresholdFile(wanted.output, settings_digest(config, search, along, wanted.cells, wanted.waveforms))
        known = communicator.on_root(file.known)
        communicator.on_root(file.begin, known)
    seen = len(known)
    progress.doing("searching thresholds", len(series) * len(along), "thresholds")
    progress.done(seen)

    def add(rows: Sequence[Row]) -> None:
        nonlocal seen
        seen += len(rows)
        progress.done(seen)
        if file is not None:
            file.add(rows)

    rows = map_thresholds(series, along, search, communicator, known, add)
    if file is not None:
        communicator.on_root(file.begin, rows)  # in order
    return rows


def settings_digest(
    config: RunConfig, search: Search, directions: Float[ndarray, "n 3"], files: Sequence[str], waveforms: Sequence[str]
) -> str:
    """What identifies a table: the description, by contents of its files, the search, and what is searched over."""
    unread = {
        "run",
        "probe",
        "network",
        "training",
        "schwarz",
        "window",
        "split",
        "uq",
        "inference",
        "data",
        "parameter",
    }
    described = without_names(config.model_dump(mode="json", exclude=unread), RunConfig)
    named = [*input_names(config).values(), *files, *(name for name in waveforms if Path(name).suffix)]
    digests = {name: digest_of(Path(name).expanduser()) for name in named}
    what: dict[str, Any] = {
        "description": described,
        "files": sorted(map(str, digests.values())),
        "cells": [Path(file).name for file in files],
        "waveforms": list(waveforms),
        "directions": np.round(directions, 12).tolist(),
        "search": [search.site, search.highest, search.tolerance, search.longest_wait],
    }
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=12).hexdigest()


def grouped(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by cell and waveform."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.cell, row.waveform), []).append(row)
    return groups


def draw(config: RunConfig, wanted: Wanted, rows: Sequence[Row], picture: Path) -> None:
    """Draws the maps into a picture file.

    Raises:
        OutputError: It cannot be written.
    """
    from hpcpinn.systems.cell.pictures.thresholds import draw_maps

    read: dict[str, Cable] = {
        name: cable_of(with_changes(config, {"morphology.file": file}, "threshold"))
        for name, file in wanted.files(config).items()
    }
    maps: dict[str, list[dict[str, Any]]] = {}
    cables = {}
    for (cell, waveform), own in grouped(rows).items():
        title = f"{cell}, {waveform}"
        maps[title], cables[title] = [asdict(row) for row in own], read[cell]
    draw_maps(picture, maps, cables)
