"""``hpcpinn threshold --directions``: thresholds of many cells, waveforms and directions in one table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpcpinn.parallel import stopping
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.systems.cell.build.threshold_maps import Wanted, draw, grouped, thresholds_of
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.threshold import Search
from hpcpinn.systems.cell.threshold_map import Row
from hpcpinn.terminal.progress import make_progress
from hpcpinn.wording import counted


def make_map(config: RunConfig, search: Search, wanted: Wanted, as_json: bool) -> None:
    """Makes a map, writes it and says what came out. Collective over all ranks.

    Raises:
        InputError: Something that was given cannot be used.
        OutputError: The table or its picture cannot be written.
        SolveError: A cell has no rest.
    """
    communicator = make_communicator()
    stopping.keeping(f"what was found stands in {wanted.output}; the same command goes on with it")
    with make_progress(plain_output=as_json or communicator.rank > 0) as progress:
        rows = thresholds_of(config, search, wanted, communicator, progress)
    if communicator.rank == 0:
        assert wanted.output is not None
        picture = wanted.output.with_suffix(".png")
        draw(config, wanted, rows, picture)
        _tell(rows, wanted.output, picture, as_json)
    communicator.barrier()


def _tell(rows: Sequence[Row], output: Path, picture: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"thresholds": [asdict(row) for row in rows]}))
        return
    for (cell, waveform), own in grouped(rows).items():
        found = np.array([row.threshold_V_per_m for row in own])
        there = found[np.isfinite(found)]
        if not len(there):
            print(f"{cell}, {waveform}: no threshold in {counted(len(own), 'direction')} up to the strongest field")
            continue
        easiest = own[int(np.nanargmin(found))]
        print(
            f"{cell}, {waveform}: {there.min():.4g} to {there.max():.4g} V/m, median {np.median(there):.4g} "
            f"({counted(len(own), 'direction')}); easiest along ({easiest.Ex:.3f}, {easiest.Ey:.3f}, {easiest.Ez:.3f})"
            + (f", where the spike starts at {easiest.start}" if easiest.start else "")
        )
    print(f"table: {output}\npicture: {picture}")
