"""From the description that a result keeps to its run as the reference understands it."""

from functools import partial
from typing import Any

import numpy as np
from pydantic import ValidationError

from hpcpinn.config.inputs import files_read
from hpcpinn.errors import InputError
from hpcpinn.io.inputs import restored
from hpcpinn.io.places import check_usable
from hpcpinn.io.read import Result
from hpcpinn.io.schema import REFERENCE_FORMAT
from hpcpinn.io.sidecar import reference_path
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.sites import Site
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.reference.forcing import EndFlux, Forcing, SynapticRelease, VoltageTable
from hpcpinn.reference.mesh import Mesh
from hpcpinn.reference.refinement import Task
from hpcpinn.systems.cell.build.constants import with_given_leak
from hpcpinn.systems.cell.build.coupled import describe_cell
from hpcpinn.systems.cell.build.stimulus import releases_of
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.coupled_setup import WholeCell

_THERE = "the reference goes there: rename the result"


def task_of(result: Result) -> Task:
    """The run of a result as the reference understands it, once it is clear that the reference can be written.

    Raises:
        InputError: The files that the run was made from are gone, or no longer give the cell of the result; or the
            reference would replace one of them, or another file.
    """
    path = reference_path(result.path)
    check_usable(path, files_read(_config(result, result.config)), _THERE, REFERENCE_FORMAT)
    with restored(result.path, result.config) as document:
        config = _config(result, document)
        cell = describe_cell(config, int(result.attributes["ranks"]))
        _check_same_cell(result, cell)
        return reference_task(result, config, cell)


def reference_task(result: Result, config: RunConfig, cell: WholeCell) -> Task:
    """The run as the reference understands it; only places and files are read as the run does."""
    constants = with_given_leak(config, cell.constants)  # the reference balances its own
    unit = constants.time_unit
    return Task(
        cable=result.cable,
        constants=constants,
        forcing=_forcing(config, cell, constants),
        times=result.time * unit,
        parts=result.cells_per_piece,
        points=(result.probes.piece, result.probes.fraction),
        point_times=result.probes.time * unit if result.probes.name else np.zeros(0),
    )


def _forcing(config: RunConfig, cell: WholeCell, k: CalciumConstants) -> Forcing:
    """Voltage, releases and fluxes in the reference's own words."""
    synapses = []
    for synapse, acts in zip(releases_of(config), cell.pieces.release, strict=True):
        duration = k.release_duration if synapse.duration is None else synapse.duration * k.time_unit
        flux = k.j_release if synapse.flux is None else synapse.flux
        patch = tuple((int(piece), 0.0, 1.0) for piece in np.flatnonzero(acts))
        synapses.append(SynapticRelease(patch, synapse.start * k.time_unit, duration, flux))
    ends = []
    for given, node, area in zip(config.flux, cell.flux_nodes, cell.flux_areas, strict=True):
        start = given.start * k.time_unit
        ends.append(EndFlux(node, given.value, start, start + given.duration * k.time_unit, area))
    return Forcing(_voltage(cell), tuple(synapses), tuple(ends))


def _voltage(cell: WholeCell) -> float | VoltageTable:
    source = cell.source
    if not cell.voltage_sites:
        return float(np.asarray(source.values)[0, 0])
    weights = partial(_site_weights, cell, list(cell.voltage_sites))
    return VoltageTable(np.asarray(source.times), np.asarray(source.values), weights)


def _site_weights(cell: WholeCell, sites: list[Site], mesh: Mesh) -> Any:
    return tree_weights(cell.pieces.cable, sites, (mesh.frustum, mesh.middle))


def _config(result: Result, document: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate(document, strict=False)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise InputError(
            f"{result.path}: its run description does not fit this version: {key}: {problem['msg']}; run the job again"
        ) from error


def _check_same_cell(result: Result, cell: WholeCell) -> None:
    now, then = cell.pieces.cable, result.cable
    same = now.n_frusta == then.n_frusta
    same = same and np.array_equal(now.node, then.node) and np.allclose(now.length, then.length, rtol=1e-9)
    same = same and np.allclose(now.radius, then.radius, rtol=1e-9)
    if not same:
        raise InputError(
            f"{result.path}: the morphology file now gives {now.n_frusta} pieces that differ from the "
            f"{then.n_frusta} of the result; restore the file or run the job again"
        )
