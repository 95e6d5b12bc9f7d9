"""One cell of a long run as its run description has it: geometry, membrane, field, and what drives it.

Host arrays only, the same on every rank; who computes what is decided later.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.io.geometry import ProbeSite
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.networks.trunk import split_features
from hpcpinn.systems.cell.build.constants import constants_of, first_of
from hpcpinn.systems.cell.build.field import peak_quasipotential
from hpcpinn.systems.cell.build.geometry import (
    check_organelles,
    cut,
    ends_of_fluxes,
    places_of_sources,
    probe_sites,
)
from hpcpinn.systems.cell.build.long_drive import cell_sources
from hpcpinn.systems.cell.build.membrane import (
    Membrane,
    clamped_compartments,
    compartments_of,
    membrane_of,
)
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.build.population import Member
from hpcpinn.systems.cell.build.regions import Coating, places_of_compartments
from hpcpinn.systems.cell.build.voltage import given_voltage
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.config.settings import output_cells
from hpcpinn.systems.cell.split_points import SplitPoints, cell_points, node_points
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.given_voltage import GivenVoltage
from hpcpinn.timestepping.releases import CellSources


@dataclass(frozen=True)
class SplitCell:
    """One member of a long run.

    Attributes:
        name: Empty where there is one.
        config: Run description of the cell.
        pieces: Pieces, the rows of the result.
        cells: One frustum per output cell, piece after piece.
        points: Points where calcium is followed: these cells, or the nodes of networks on the pieces.
        compartments: Compartments of the voltage.
        membrane: Constants of its membrane.
        coating: Membrane of every compartment.
        psi: Quasipotential of the field's peak at the points of the compartments, mV; None without a field.
        clamped: Compartment of every clamp.
        to_cells: Weights of the compartments at every point, (N, P), rows add up to one.
        nearest_piece: Piece that holds the centre of every compartment.
        first_voltage: First voltage of a file, mean over its sites, mV; None where it is constant or solved.
        given: Voltage of a file on the compartments, or constant there; None where it is solved.
        releases: What synapses and fluxes bring to points; None without any.
        probes: Recorded places.
    """

    name: str
    config: RunConfig
    pieces: Cable
    cells: Cable
    points: SplitPoints
    compartments: Compartments
    membrane: Membrane
    coating: Coating
    psi: Float[ndarray, " points"] | None
    clamped: tuple[int, ...]
    to_cells: sparse.csr_matrix
    nearest_piece: Int[ndarray, " P"]
    first_voltage: float | None
    given: GivenVoltage | None
    releases: CellSources | None
    probes: tuple[ProbeSite, ...]


def describe_split_cell(member: Member, least_pieces: int = 1) -> SplitCell:
    """Reads the files of a member and finds every place on its cell. Serial.

    Args:
        member: Member of the run.
        least_pieces: Pieces are halved until there are so many: one for every rank.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    config = member.config
    cable, membrane = cable_of(config), membrane_of(config)
    check_organelles(config, cable)
    compartments = compartments_of(config, cable, membrane)
    source, given = (None, None) if config.solves_voltage else given_voltage(config, compartments)
    first = first_of(source)
    constants = constants_of(config, first)
    patches, ends = places_of_sources(config, cable, constants)
    found = cut(config.pieces, cable, patches, ends, least_pieces)
    pieces, per = found.cable, output_cells(config)
    cells = pieces.split([np.arange(1, per) / per] * pieces.n_frusta)
    probes = probe_sites(config, pieces)
    if config.by_networks:
        points = node_points(pieces, split_nodes(config), per, probes, constants.volumes)
    else:
        points = cell_points(cell_grid(cells, constants.volumes), per, probes)
    sites = [parse_site(site.name, pieces) for site in compartments.sites]
    return SplitCell(
        name=member.name,
        config=config,
        pieces=pieces,
        cells=cells,
        points=points,
        compartments=compartments,
        membrane=membrane,
        coating=membrane.coat(cable, places_of_compartments(compartments), member.config.morphology.file),
        psi=None
        if membrane.field.magnitude is None
        else peak_quasipotential(config, compartments, membrane.field.magnitude),
        clamped=clamped_compartments(config, compartments, cable),
        to_cells=sparse.csr_matrix(tree_weights(pieces, sites, points.places)),
        nearest_piece=np.array([site.frustum for site in sites], int),
        first_voltage=first,
        given=given,
        releases=cell_sources(
            config,
            constants,
            points.per_piece,
            points.volume * points.ratio,
            found.release,
            ends_of_fluxes(ends, cable, pieces),
        ),
        probes=probes,
    )


def split_nodes(config: RunConfig) -> int:
    """Nodes of networks on a piece, the same as in coupled windows with these settings."""
    return config.training.points_space or split_features(config.network.features)[0] + 2
