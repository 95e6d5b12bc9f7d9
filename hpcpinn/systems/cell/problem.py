"""From a run description to everything a run needs: the cell in pieces, the solver, the drive."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.domain.first_order_window import FirstOrderWindow
from hpcpinn.domain.interfaces import build_interfaces, storage_order
from hpcpinn.domain.newton import NewtonSettings
from hpcpinn.domain.partition import Partition, colour, partition, refined_for
from hpcpinn.domain.pieces import PieceRule, Pieces, cut_into_pieces
from hpcpinn.domain.sampling import Sampler
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.errors import InputError, Key, concerning, warn
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import ResultHeader
from hpcpinn.marching.controller import WindowRule
from hpcpinn.morphology import Cable
from hpcpinn.morphology.build import cable_from_file
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.morphology.sites import Site, parse_site, place
from hpcpinn.networks.trunk import Trunk, make_separable_trunk, make_trunk, split_features
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics import calcium, sources, voltage
from hpcpinn.physics.calcium_system import CalciumSystem
from hpcpinn.physics.constants import PRESETS, Buffer, CalciumConstants, Gate
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.membrane_voltage import solve_voltage, switching_times
from hpcpinn.timestepping.forcing import CalciumDrive, flux_ends
from hpcpinn.training.collocation import CollocationPoints, Grid, feature_table, gauss_grid, grid_points, random_points
from hpcpinn.training.first_order import REMEDIES, FirstOrder
from hpcpinn.training.local import piece_geometry

PIECES_PER_BATCH = 1024
"""Pieces that an accelerator factorises together: some 100 MB of rows."""


@dataclass(frozen=True)
class Cell:
    """The part of a problem that no rank owns: geometry, constants, sources. Host arrays only.

    Attributes:
        constants: With the leak that balances rest.
        pieces: The refined cable with the sources' places.
        source: Membrane voltage.
        voltage_sites: Places of its columns.
        flux_nodes, flux_areas: Node and cross-section of every end flux.
        probes: Recorded points.
    """

    constants: CalciumConstants
    pieces: Pieces
    source: voltage.VoltageSource
    voltage_sites: tuple[Site, ...]
    flux_nodes: tuple[int, ...]
    flux_areas: tuple[float, ...]
    probes: tuple[ProbeSite, ...]


@dataclass(frozen=True)
class Problem:
    """A run on one rank.

    Attributes:
        config: The run description.
        cell: What all ranks share.
        shares: Who computes which pieces.
        local: This rank's pieces as it stores them.
        solver: Solves windows.
        drive: Channels and sources.
        sampler: Output.
        windows: Window lengths.
        stops: Times at which windows end because something switches, and the end of the run.
    """

    config: RunConfig
    cell: Cell
    shares: Partition
    local: Int[np.ndarray, " P"]
    solver: WindowSolver
    drive: CalciumDrive
    sampler: Sampler
    windows: WindowRule
    stops: Float[np.ndarray, " S"]

    @property
    def header(self) -> ResultHeader:
        """What the result file knows before the first frame."""
        return ResultHeader(
            system="cell",
            geometry=Tree(self.cell.pieces.cable, self.shares.owner, self.config.pieces.cells_per_piece),
            fields=recorded.fields_of(self.cell.constants),
            windows=recorded.WINDOWS,
            probes=self.cell.probes,
            config=self.config.to_json(),
            seed=self.config.run.seed,
            dimensionless=self.cell.constants.time_unit == 1.0,
        )


def load_cable(config: RunConfig) -> Cable:
    """The morphology of a run description; repairs of its file are said."""
    chosen = config.morphology
    return cable_from_file(
        morphology_path(chosen.file),
        units=chosen.units,
        soma=chosen.soma,
        merge_below=chosen.merge_below,
        er_fraction=chosen.er_fraction,
        er_radius=chosen.er_radius,
    )


def constants_of(config: RunConfig, source: voltage.VoltageSource | None = None) -> CalciumConstants:
    """The preset with the user's changes; rest is at the first voltage unless stated otherwise."""
    changes = dict(config.physics.changes)
    if "gates" in changes:
        changes["gates"] = tuple(Gate(**gate) for gate in changes["gates"])
    buffers = tuple(Buffer(**given.model_dump()) for given in config.buffer)
    constants = PRESETS[config.physics.preset].replace(**changes, buffers=buffers)
    if "rest_voltage" not in changes:
        first = config.voltage.constant if source is None else float(np.mean(np.asarray(source.values)[0]))
        constants = constants.replace(rest_voltage=first)
    return constants.replace(leak=calcium.checked_leak(constants))


def describe_cell(config: RunConfig, n_ranks: int = 1, cable: Cable | None = None) -> Cell:
    """Reads all files that a run description names and finds every place on the cell. Serial.

    Args:
        cable: Geometry to take instead of the morphology file's.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    cable = load_cable(config) if cable is None else cable
    source = None
    unit = PRESETS[config.physics.preset].time_unit
    if config.physics.constants.time_unit is not None:
        unit = config.physics.constants.time_unit
    if config.voltage.file is not None:
        source = voltage_of_file(config, unit)
        if config.voltage.period is not None:
            source = voltage.repeated(source, config.voltage.period * unit, config.run.duration * unit)
    elif config.solves_voltage:
        source = solve_voltage(config, cable, unit)
    constants = constants_of(config, source)
    source = source or voltage.constant_voltage(config.voltage.constant)

    patches, flux_sites = places_of_sources(config, cable, constants)
    patches = [patch for patch, synapse in zip(patches, config.synapse, strict=True) for _ in synapse.onsets]
    rule = PieceRule(config.pieces.max_length, config.pieces.source_length, config.pieces.growth)
    pieces = cut_into_pieces(cable, patches, flux_sites, rule)
    if pieces.cable.n_frusta < n_ranks:
        finer = refined_for(pieces.cable, n_ranks)
        rule = PieceRule(float(finer.length.max()), rule.source_length, rule.growth)
        pieces = cut_into_pieces(cable, patches, flux_sites, rule)

    refined = pieces.cable
    ends = ends_of_fluxes(flux_sites, cable, refined)
    return Cell(
        constants=constants,
        pieces=pieces,
        source=source,
        voltage_sites=tuple(voltage.resolve_sites(source, lambda text: parse_site(text, refined))),
        flux_nodes=tuple(int(refined.node[piece, end]) for piece, end, _ in ends),
        flux_areas=tuple(area for _, _, area in ends),
        probes=probe_sites(config, refined),
    )


def voltage_of_file(config: RunConfig, unit: float) -> voltage.VoltageSource:
    """The table of a run description; it covers the run, or its period.

    Args:
        config: With `voltage.file`.
        unit: Internal time per user time.

    Raises:
        InputError: The file cannot be used, or is too short.
    """
    source = voltage.read_voltage(Path(config.voltage.file or ""), time_unit=unit)
    if config.voltage.period is None:
        voltage.check_covers(source, config.run.duration * unit)
    else:
        voltage.check_period(source, config.voltage.period * unit)
    return source


def places_of_sources(
    config: RunConfig, cable: Cable, constants: CalciumConstants
) -> tuple[list[tuple[Site, float]], list[Site]]:
    """Centre and length of the patch of every synapse, and the end of every flux.

    Raises:
        InputError: A place that the cell does not have, or a flux that is not at a free end.
    """
    patches, ends = [], []
    for number, synapse in enumerate(config.synapse):
        length = constants.release_patch if synapse.patch is None else synapse.patch
        with concerning("synapse", number, "site"):
            patches.append((parse_site(synapse.site, cable), length))
        key: Key = ("physics", "constants", "release_patch") if synapse.patch is None else ("synapse", number, "patch")
        _warn_of_cut(length, float(cable.length.sum()), key)
    for number, flux in enumerate(config.flux):
        with concerning("flux", number, "site"):
            ends.append(free_end(parse_site(flux.site, cable), cable))
    return patches, ends


def _warn_of_cut(length: float, most: float, key: Key) -> None:
    """Says what becomes of a patch that is longer than its cell."""
    if length > most * (1.0 + 1e-9):
        warn(
            f"{length:g} µm, but the cell is {most:.4g} µm of cable: all of it takes part, at the flux density that "
            f"was asked for, and {100.0 * most / length:.3g} % of that length",
            key,
        )


def ends_of_fluxes(sites: list[Site], cable: Cable, pieces: Cable) -> list[tuple[int, int, float]]:
    """Piece, its end (0 or 1) and the cross-section there (µm²) of every flux, from its place on the cable."""
    area = np.pi * (pieces.radius**2 - pieces.er_radius**2)
    found = []
    for site in sites:
        node = int(cable.node[site.frustum, round(site.fraction)])
        piece, end = np.argwhere(pieces.node == node)[0]
        found.append((int(piece), int(end), float(area[piece, end])))
    return found


def probe_sites(config: RunConfig, pieces: Cable) -> tuple[ProbeSite, ...]:
    """The probes of a run description; the soma (or root) and the synapses where it names none."""
    wanted = [(probe.label, probe.site) for probe in config.probe]
    if not wanted:
        has_soma = bool(np.any(pieces.kind == 1))
        wanted = [("soma", "soma")] if has_soma else []
        wanted += [(synapse.site, synapse.site) for synapse in config.synapse]
    found = []
    for number, (name, text) in enumerate(wanted):
        with concerning("probe", number, "site"):
            site = parse_site(text, pieces)
        found.append(ProbeSite(name, int(site.frustum), float(site.fraction)))
    return tuple(found)


AT_AN_END = 1e-3
"""A place this near to the end of its section, as a share of its length, is the end."""


def free_end(site: Site, cable: Cable) -> Site:
    """The free end that a site names.

    A section (``dend[3]``), ``soma``, ``root`` and tips stand for the free end of theirs; a position
    (``dend[3](1)``, a point, a coordinate) must be one.

    Raises:
        InputError: The section has no free end, or the position is none.
    """
    degree = np.bincount(cable.node.ravel())
    kind = cable.kind[site.frustum]
    own = cable.section == cable.section[site.frustum]
    # The soma may be several sections: any of its ends will do.
    same = cable.kind == 1 if kind == 1 else own
    rows, ends = np.nonzero(same[:, None] & (degree[cable.node] == 1))
    if not len(rows):
        raise InputError(f"site '{site.name}': its section has no free end; name a tip (tip:apic) or the soma")
    here = cable.path[site.frustum] @ np.array([1.0 - site.fraction, site.fraction])
    away = np.abs(cable.path[rows, ends] - here)
    elsewhere = ~own[rows]
    nearest = np.lexsort((away, elsewhere))[0]
    found = Site(int(rows[nearest]), float(ends[nearest]), site.name)
    has_position = "(" in site.name or site.name.startswith(("point:", "xyz:"))
    if has_position and (elsewhere[nearest] or away[nearest] > AT_AN_END * float(cable.length[own].sum())):
        section, _, (x, y, z) = place(found, cable)
        raise InputError(
            f"site '{site.name}': no free end, and a flux goes through one; the nearest is that of {section}, at "
            f"({x:.1f}, {y:.1f}, {z:.1f}) um: write {section} without a position, or tip:TYPE"
        )
    return found


def build_problem(config: RunConfig, communicator: Communicator, cable: Cable | None = None) -> Problem:
    """Sets up a run. Collective over all ranks.

    Args:
        config: The run description.
        communicator: All ranks.
        cable: Geometry to take instead of the morphology file's.

    Raises:
        InputError: On all ranks, if anything the user gave cannot be used.
    """
    cell = communicator.on_root(describe_cell, config, communicator.size, cable)
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
        releases=sources.releases(config.releases, k),
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
    windows = window_rule(config, unit)
    stops = np.append(sources.breakpoints([drive.releases, drive.fluxes], end), end)
    if config.solves_voltage:
        stops = _without_near_ones(np.union1d(stops, unit * switching_times(config)))
    return Problem(config, cell, shares, local, solver, drive, sampler, windows, stops)


def window_rule(config: RunConfig, unit: float) -> WindowRule:
    """Lengths and tolerance of coupled windows.

    Args:
        config: The run description.
        unit: Internal time per user time.
    """
    return WindowRule(
        first=config.window.first * unit,
        shortest=config.window.shortest * unit,
        longest=config.window.longest * unit,
        tolerance=config.window.tolerance,
        unit=unit,
        remedy=REMEDIES.get(config.training.trainer, "use more network.features"),
    )


def coupled_solver(
    config: RunConfig,
    k: CalciumConstants,
    pieces: Cable,
    owner: Int[np.ndarray, " F"],
    communicator: Communicator,
) -> tuple[WindowSolver, Int[np.ndarray, " P"]]:
    """What solves coupled windows on this rank's pieces, and these as it stores them. Not collective.

    Args:
        config: The run description.
        k: Constants, with the leak that balances rest.
        pieces: Of the whole tree.
        owner: Rank of every piece.
        communicator: All ranks.
    """
    colours = colour(pieces)
    local = storage_order(owner, colours, communicator.rank)
    mine = pieces.take(local)

    chosen, training = config.network, config.training
    n_space, n_time = split_features(chosen.features)
    make: Callable[..., Trunk] = partial(make_trunk, chosen.features)
    if chosen.trunk == "separable":
        make = partial(make_separable_trunk, n_space, n_time)
    trunk = make(
        seed=config.run.seed,
        layers=chosen.layers,
        activation=chosen.activation,
        scale=(chosen.scale, chosen.scale),
    )
    grid = gauss_grid(training.points_space or n_space + 2, training.points_time or n_time + 2)
    table = feature_table(trunk, grid, collocation_points(config, grid))
    geometry = piece_geometry(mine, table.grid.space)
    solver = window_solver(
        config,
        equation=CalciumSystem(k),
        table=table,
        geometry=geometry,
        interfaces=build_interfaces(pieces, owner, colours, communicator.rank, config.schwarz.transmission),
        communicator=communicator,
        sweeping=SweepSettings(
            n_red=int(np.sum(colours[local] == 0)),
            order=config.schwarz.order,
            acceleration=config.schwarz.chosen_acceleration,
            tolerance=config.schwarz.jump_tolerance,
            max_sweeps=config.schwarz.max_sweeps,
            most_per_window=2 * config.schwarz.max_sweeps,
        ),
    )
    return solver, local


def _without_near_ones(stops: Float[np.ndarray, " S"]) -> Float[np.ndarray, " s"]:
    """Of times that only rounding keeps apart the last: the end of the run stays exact."""
    kept: Float[np.ndarray, " s"] = stops[np.append(np.diff(stops) > 1e-9 * stops[-1], True)]
    return kept


def collocation_points(config: RunConfig, grid: Grid) -> CollocationPoints:
    """Where the equation is asked to hold: the grid's nodes, or as many random points."""
    if config.training.collocation == "random":
        return random_points(grid, len(grid.weight), config.run.seed)
    return grid_points(grid)


def window_solver(config: RunConfig, **common: Any) -> WindowSolver:
    """The solver that a run description asks for.

    Args:
        common: The attributes of `WindowSolver`.
    """
    training = config.training
    adaptive = training.collocation == "residual-adaptive"
    if training.trainer in ("adam", "lbfgs"):
        return FirstOrderWindow(
            **common,
            optimiser=FirstOrder(training.trainer, training.learning_rate, decay=training.steps),
            alpha=training.alpha,
            steps=training.steps,
            adaptive=adaptive,
        )
    newton = NewtonSettings(training.newton_tolerance, training.newton_max)
    batch = None if jax.default_backend() == "cpu" else PIECES_PER_BATCH
    return CoupledWindow(**common, newton=newton, batch=batch, adaptive=adaptive)


def site_weights(cell: Cell, piece: Int[np.ndarray, " n"], fraction: Float[np.ndarray, " n"]) -> voltage.SiteWeights:
    """Voltage weights at places on the pieces."""
    if not cell.voltage_sites:
        return voltage.uniform_weights(len(piece))
    matrix = tree_weights(cell.pieces.cable, list(cell.voltage_sites), (piece, fraction))
    return voltage.compact_weights(matrix)
