"""From a run description to a cell in a field whose strength is tried."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpcpinn.errors import InputError, concerning, warn
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.axon import STUB, axon_length
from hpcpinn.systems.cell.build.membrane import clamped_compartments, driven_cable
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.build.stimulus import stimulus_of
from hpcpinn.systems.cell.config.reading import with_changes
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.threshold import HIGHEST, Search, Trial
from hpcpinn.systems.cell.threshold_map import MapTask


def highest_for(config: RunConfig) -> float:
    """Where a search ends if nobody says where: `HIGHEST`, or twice the strongest field of the job, V/m."""
    strengths: list[float] = [config.field.magnitude or 0.0, *config.population.magnitudes]
    return max(HIGHEST, *(2.0 * abs(one) for one in strengths))


def trial_of(config: RunConfig, cable: Cable, search: Search) -> Trial:
    """The cell of a run description; clamps of the job act as they are.

    Args:
        config: Run description with a field; its magnitude is not read, only its direction or file.
        cable: The whole cell.
        search: Place, and bounds of the search.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    driven = driven_cable(config, cable, {"field.magnitude": 1.0})
    cells = driven.compartments
    compartment = None
    if not search.is_anywhere:
        with concerning(search.argument("site")):
            compartment = cells.nearest(parse_site(search.site, cable), cable)
    _warn_of_clamps(config, clamped_compartments(config, cells, cable), compartment, search)
    _warn_of_stub(config, cable)
    unit = "V/m" if config.field.file is None else "times the sampled field"
    steps = driven.steps_until(driven.onset + search.longest_wait)
    return Trial(driven, driven.equation.resting_state(), steps, compartment, unit)


def _warn_of_stub(config: RunConfig, cable: Cable) -> None:
    """Says so where a cell has no axon, or a stub of one."""
    kinds = {kind: name for kind, name in config.channels.types.items() if name != config.channels.other}
    there = axon_length(cable) + float(cable.length[np.isin(cable.kind, [int(kind) for kind in kinds])].sum())
    if there < STUB:
        what = "has no axon" if there == 0.0 else f"has a stub of an axon ({there:.0f} um)"
        warn(
            f"{config.morphology.file} {what}: fields of stimulators fire axons; axon.length grows one, and "
            "axon.myelinate makes nodes and myelin of it",
            ("axon", "length"),
        )


def _warn_of_clamps(config: RunConfig, where: Sequence[int], compartment: int | None, search: Search) -> None:
    """Says so before anything is tried where a clamp may fire the place that the field is to fire."""
    over = config.stimulation.start + search.longest_wait
    for number, at in enumerate(where):
        clamp = config.clamp[number]
        if compartment in (None, at) and clamp.start < over and clamp.current > 0.0:
            place = "there" if compartment is not None else "anywhere"
            warn(
                f"acts at {clamp.site} while a spike is looked for {place}; to leave it out, {search.without_clamps}",
                ("clamp", number, "site"),
            )


def series_of(config: RunConfig, search: Search, cells: Sequence[str], waveforms: Sequence[str]) -> list[MapTask]:
    """Every cell with every waveform, each in a uniform field that is turned; nothing is read yet.

    Args:
        config: Run description with a uniform field.
        search: Place, and bounds of the searches.
        cells: Files of cells; that of the description where there is none.
        waveforms: Names or files of waveforms; that of the description where there is none.

    Raises:
        InputError: The field is sampled, or a value is wrong.
    """
    if config.field.file is not None:
        raise InputError(f"{config.field.file!r} has its own directions; many need a uniform field", ("field", "file"))
    found = []
    for cell in cells or [config.morphology.file]:
        for waveform in waveforms or [""]:
            changes: dict[str, Any] = {"morphology.file": cell}
            changes |= {"stimulation.waveform": waveform} if waveform else {}
            own = with_changes(config, changes, "threshold")
            name = Path(stimulus_of(own).waveform.name).stem
            found.append(MapTask(Path(cell.removeprefix("builtin:")).stem, name, partial(_trial, own, search)))
    return found


def _trial(config: RunConfig, search: Search) -> Trial:
    return trial_of(config, cable_of(config), search)
