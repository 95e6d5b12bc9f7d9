"""From a repaired SWC tree to the cable that the solvers share."""

from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np

from hpcpinn.errors import InputError, warn
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import assemble
from hpcpinn.morphology.graph import cable_from_networkx
from hpcpinn.morphology.graph_file import SUFFIX, read_graph
from hpcpinn.morphology.repair import Repair
from hpcpinn.morphology.simplify import simplify
from hpcpinn.morphology.soma import frusta_of
from hpcpinn.morphology.swc import SwcTree, check_units, read_swc
from hpcpinn.wording import as_typed


def cable_from_swc(
    tree: SwcTree,
    *,
    soma: str = "neuron",
    merge_below: float | None = None,
    er_fraction: float = 0.0,
    er_radius: float = 0.0,
) -> tuple[Cable, tuple[Repair, ...]]:
    """Builds the cable of an SWC tree.

    Args:
        tree: The points, from `read_swc`.
        soma: Reading of the soma: "neuron", "arbor" or "literal" (module `soma`).
        merge_below: Frusta in line are fused, and frusta shorter than this (µm) merged into
            their neighbours; length, membrane area and volume of every section stay exact.
            None: every frustum of the file stays.
        er_fraction, er_radius: Endoplasmic reticulum, r_ER = er_fraction · radius + er_radius
            (µm); 0 and 0: none.

    Returns:
        The cable (node 0 is the root) and what was changed on the way from the points. Where the
        file is not read as NEURON would, `warn` says so too.

    Raises:
        InputError: An unknown soma mode or one that cannot read this soma, a cell without
            length, a negative parameter, or a reticulum that does not fit into the cell.
    """
    if merge_below is not None and not 0.0 <= merge_below < np.inf:
        raise InputError(f"merge_below is {merge_below} um; give a length that is not negative")
    frusta, repairs = frusta_of(tree, soma)
    for note in repairs:
        warn(f"{tree.path}: {note}")
    if not frusta:
        raise InputError(f"{tree.path}: all {tree.n_points} points lie at one place; a cell needs some length")
    cable = assemble(frusta)
    if merge_below is not None:
        cable, merged = _simplified(cable, merge_below)
        repairs = (*repairs, *merged)
    return with_reticulum(cable, er_fraction, er_radius), repairs


def cable_from_file(
    path: Path,
    *,
    units: str = "auto",
    soma: str = "neuron",
    merge_below: float | None = None,
    er_fraction: float = 0.0,
    er_radius: float = 0.0,
) -> Cable:
    """The cable of a morphology file as a run takes it; repairs, and units that look wrong, are said.

    Args:
        path: SWC file, or a graph (`graph_file`), which is in µm and whose soma is taken literally.
        units: Unit of an SWC file's coordinates.
        soma: Reading of an SWC file's soma.
        merge_below: Length below which frusta are merged, µm, as in `cable_from_swc`.
        er_fraction, er_radius: Share of the cross-section and radius (µm) of the reticulum, as in `cable_from_swc`; 0
            and 0 leave a graph the reticulum that its nodes have.

    Raises:
        InputError: As `read_swc` and `cable_from_swc`, or as `read_graph` and `cable_from_networkx`.
    """
    if path.suffix.lower() == SUFFIX:
        if units not in ("auto", "um"):
            raise InputError(
                f"{units!r}, but {path} is a graph, which is in um; leave it away", ("morphology", "units")
            )
        return cable_of_graph(read_graph(path), merge_below=merge_below, er_fraction=er_fraction, er_radius=er_radius)
    tree = read_swc(path, units=units)
    check_units(tree)
    if tree.repairs:
        count = "a repair" if len(tree.repairs) == 1 else f"{len(tree.repairs)} repairs, the first"
        warn(f"{tree.path}: read with {count}: {tree.repairs[0]} (hpcpinn inspect {as_typed(tree.path)} shows all)")
    return cable_from_swc(tree, soma=soma, merge_below=merge_below, er_fraction=er_fraction, er_radius=er_radius)[0]


def cable_of_graph(
    graph: nx.Graph, *, merge_below: float | None = None, er_fraction: float = 0.0, er_radius: float = 0.0
) -> Cable:
    """The cable of a networkx graph as a run takes it.

    Args:
        graph: Graph that `cable_from_networkx` reads.
        merge_below, er_fraction, er_radius: Length below which frusta are merged, and share of the reticulum, as in
            `cable_from_file`.

    Raises:
        InputError: As `cable_from_networkx`, or the reticulum does not fit into the cell.
    """
    cable = cable_from_networkx(graph)
    if merge_below is not None:
        cable, _ = _simplified(cable, merge_below)
    return cable if er_fraction == er_radius == 0.0 else with_reticulum(cable, er_fraction, er_radius)


def with_reticulum(cable: Cable, er_fraction: float, er_radius: float) -> Cable:
    """The cable with an endoplasmic reticulum of radius er_fraction · radius + er_radius.

    Raises:
        InputError: A parameter is negative, or the reticulum reaches the membrane somewhere.
    """
    for key, value in (("er_fraction", er_fraction), ("er_radius", er_radius)):
        if not 0.0 <= value < np.inf:
            raise InputError(f"{key} is {value}; give a finite number that is not negative")
    inner = er_fraction * cable.radius + er_radius
    if er_fraction == er_radius == 0.0:
        return replace(cable, er_radius=inner)
    row, end = np.unravel_index(np.argmax(inner - cable.radius), inner.shape)
    if inner[row, end] >= cable.radius[row, end]:
        raise InputError(
            f"er_fraction {er_fraction:g} and er_radius {er_radius:g} um give a reticulum of "
            f"{inner[row, end]:.4g} um where {cable.sections[cable.section[row]].name} has a "
            f"radius of {cable.radius[row, end]:.4g} um; make them smaller",
            ("morphology", "er_radius" if er_radius else "er_fraction"),
        )
    return replace(cable, er_radius=inner)


def _simplified(cable: Cable, merge_below: float) -> tuple[Cable, tuple[Repair, ...]]:
    simple, n_fused, n_merged = simplify(cable, merge_below)
    repairs = []
    if n_fused:
        repairs.append(Repair(0, -1, f"{n_fused} frusta in line with their neighbour were fused"))
    if n_merged:
        repairs.append(
            Repair(
                0,
                -1,
                f"{n_merged} frusta were merged away because they or their neighbour are shorter "
                f"than {merge_below:g} um; length, area and volume of every section are kept",
            )
        )
    return simple, tuple(repairs)
