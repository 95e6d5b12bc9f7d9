"""From a run description to the cell's cable, and to places on it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpcpinn.domain.partition import refined_for
from hpcpinn.domain.pieces import PieceRule, Pieces, cut_into_pieces
from hpcpinn.errors import InputError, Key, concerning, warn
from hpcpinn.io.geometry import ProbeSite
from hpcpinn.morphology import Cable
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.morphology.sites import Site, parse_site, place
from hpcpinn.morphology.swc import read_swc
from hpcpinn.physics.constants import LUMEN, CalciumConstants
from hpcpinn.systems.cell.build.morphology import how_merged
from hpcpinn.systems.cell.config.schema import MorphologyConfig, PiecesConfig, RunConfig


def cut_cell(given: MorphologyConfig, pieces: PiecesConfig) -> tuple[Cable, tuple[str, ...]]:
    """The pieces of a cell without sources, and the warnings of the file's reader.

    Raises:
        InputError: The file cannot be read.
    """
    tree = read_swc(morphology_path(given.file), units=given.units)
    cable, _ = cable_from_swc(tree, soma=given.soma, **how_merged(given))
    return cut(pieces, cable).cable, tree.warnings


def cut(
    given: PiecesConfig,
    cable: Cable,
    patches: Sequence[tuple[Site, float]] = (),
    ends: Sequence[Site] = (),
    least: int = 1,
) -> Pieces:
    """The pieces of a cable.

    Args:
        given: How it is cut.
        cable: The whole cell.
        patches: Centre and length of every patch.
        ends: Ends that fluxes go through.
        least: Pieces are halved until there are so many: one for every rank.
    """
    rule = PieceRule(given.max_length, given.source_length, given.growth)
    found = cut_into_pieces(cable, list(patches), list(ends), rule)
    if found.cable.n_frusta >= least:
        return found
    finer = float(refined_for(found.cable, least).length.max())
    return cut_into_pieces(cable, list(patches), list(ends), replace(rule, max_length=finer))


def check_organelles(config: RunConfig, cable: Cable) -> None:
    """Refuses an organelle that the cell does not have.

    Raises:
        InputError: There is such a one.
    """
    if config.organelle and np.any(cable.within(LUMEN).radius <= 0.0):
        raise InputError(
            f"{LUMEN!r}: this cell has none, or not everywhere; set morphology.er_fraction, or er_radius",
            ("organelle", 0, "name"),
        )


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
