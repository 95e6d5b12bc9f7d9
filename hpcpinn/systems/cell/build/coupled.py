"""From a run description to everything a run needs: the cell in pieces, the solver, the drive."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float

from hpcpinn.domain.partition import partition
from hpcpinn.domain.sampling import Sampler
from hpcpinn.io.geometry import Tree
from hpcpinn.morphology import Cable
from hpcpinn.morphology.sites import parse_site
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics import sources, voltage
from hpcpinn.systems.cell.build.constants import constants_of, first_of
from hpcpinn.systems.cell.build.geometry import (
    check_organelles,
    cut,
    ends_of_fluxes,
    places_of_sources,
    probe_sites,
)
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.build.run_spec import run_spec
from hpcpinn.systems.cell.build.stimulus import releases_of, switching_times
from hpcpinn.systems.cell.build.voltage import source_of
from hpcpinn.systems.cell.build.windows import coupled_solver, window_rule
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.coupled_run import CoupledRun
from hpcpinn.systems.cell.coupled_setup import CoupledSetup, SampledVoltage, WholeCell, site_weights
from hpcpinn.systems.cell.exchange_cost import measured_exchange
from hpcpinn.systems.cell.trunk_training import OPTIMISER, TrunkTraining
from hpcpinn.timestepping.forcing import CalciumDrive, flux_ends


def describe_cell(
    config: RunConfig, n_ranks: int = 1, cable: Cable | None = None, values: Mapping[str, float] | None = None
) -> WholeCell:
    """Reads all files that a run description names and finds every place on the cell. Serial.

    Args:
        config: The run description.
        n_ranks: Number of ranks: there are as many pieces, at least.
        cable: Geometry to take instead of the morphology file's.
        values: Values of constants by name; those by which windows and pieces are laid, and those of the voltage, take
            the place of the description's.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    cable = cable_of(config) if cable is None else cable
    check_organelles(config, cable)
    source = source_of(config, cable, values)
    constants = constants_of(config, first_of(source), values)
    source = source or voltage.constant_voltage(config.voltage.constant)
    patches, flux_sites = places_of_sources(config, cable, constants)
    patches = [patch for patch, synapse in zip(patches, config.synapse, strict=True) for _ in synapse.onsets]
    pieces = cut(config.pieces, cable, patches, flux_sites, n_ranks)
    refined = pieces.cable
    ends = ends_of_fluxes(flux_sites, cable, refined)
    return WholeCell(
        constants=constants,
        pieces=pieces,
        source=source,
        voltage_sites=tuple(voltage.resolve_sites(source, lambda text: parse_site(text, refined))),
        flux_nodes=tuple(int(refined.node[piece, end]) for piece, end, _ in ends),
        flux_areas=tuple(area for _, _, area in ends),
        probes=probe_sites(config, refined),
    )


def coupled_run(config: RunConfig, communicator: Communicator) -> CoupledRun:
    """The run of a description, with what trains its trunk where it asks for that. Collective over all ranks.

    Raises:
        InputError: On all ranks, if anything the user gave cannot be used.
    """
    setup = coupled_setup(config, communicator)
    training = TrunkTraining.of_trainer(config.training.trainer, OPTIMISER)
    return CoupledRun(setup, communicator, measured_exchange(setup, communicator), training)


def coupled_setup(
    config: RunConfig,
    communicator: Communicator,
    cable: Cable | None = None,
    values: Mapping[str, float] | None = None,
) -> CoupledSetup:
    """What a run is made of. Collective over all ranks.

    Args:
        config: The run description.
        communicator: All ranks.
        cable: Geometry to take instead of the morphology file's.
        values: Values of constants by name, as in `describe_cell`.

    Raises:
        InputError: On all ranks, if anything the user gave cannot be used.
    """
    cell = communicator.on_root(describe_cell, config, communicator.size, cable, values)
    refined, k = cell.pieces.cable, cell.constants
    shares = partition(refined, np.ones(refined.n_frusta), communicator.size)
    solver, local = coupled_solver(config, k, refined, shares.owner, communicator)
    mine, table = refined.take(local), solver.table
    fraction = np.tile((table.grid.space + 1.0) / 2.0, (len(local), 1))
    drive = CalciumDrive(
        constants=k,
        grid=table.grid,
        check_space=solver.checks[0],
        check_time=solver.checks[1],
        geometry=solver.geometry,
        source=cell.source,
        weights=site_weights(cell, np.repeat(local, fraction.shape[1]), fraction.ravel()),
        releases=sources.releases(releases_of(config), k),
        release_share=jax.device_put(
            np.repeat(cell.pieces.release[:, local].T[:, None], len(table.grid.space), axis=1)
        ),
        fluxes=sources.end_fluxes(config.flux, k),
        flux_end=flux_ends(mine.node, list(cell.flux_nodes), list(cell.flux_areas)),
    )
    where = {int(piece): row for row, piece in enumerate(local)}
    probes = [p for p in cell.probes if p.piece in where]
    sampler = Sampler(
        equation=solver.equation,
        trunk=table.trunk,
        pieces=mine,
        cells_per_piece=config.pieces.cells_per_piece,
        probe_piece=np.array([where[p.piece] for p in probes], int),
        probe_xi=np.array([2.0 * p.fraction - 1.0 for p in probes]),
    )
    unit, end = k.time_unit, config.run.duration * k.time_unit
    stops = np.append(sources.breakpoints([drive.releases, drive.fluxes], end), end)
    if config.solves_voltage:
        stops = _without_near_ones(np.union1d(stops, unit * switching_times(config)))
    return CoupledSetup(
        spec=run_spec(config, refined),
        cell=cell,
        geometry=Tree(refined, shares.owner, config.pieces.cells_per_piece),
        local=local,
        solver=solver,
        drive=drive,
        sampler=sampler,
        voltage=SampledVoltage(cell, local, config.pieces.cells_per_piece),
        windows=window_rule(config, unit),
        stops=stops,
    )


def _without_near_ones(stops: Float[np.ndarray, " S"]) -> Float[np.ndarray, " s"]:
    """Of times that only rounding keeps apart the last: the end of the run stays exact."""
    kept: Float[np.ndarray, " s"] = stops[np.append(np.diff(stops) > 1e-9 * stops[-1], True)]
    return kept
