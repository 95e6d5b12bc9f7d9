"""networkx in and out, with Jaxley's attributes.

Nodes carry ``id`` (the SWC type), ``x``, ``y``, ``z``, ``r`` and ``p`` (the parent node, -1 at the
root); edges run from parent to child and carry ``l``, their length. All in µm.
"""

import math
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import ROOT, SECOND_HALF, Frustum, assemble
from hpcpinn.morphology.limits import LONGEST, THICKEST, THINNEST

SHORTEST = 1e-5
"""Edges up to this length join two points at one place (Jaxley writes no shorter ones)."""

ATTRIBUTES = ("id", "x", "y", "z", "r")

OTHER_NAMES = {"id": "type", "r": "radius"}
"""What two of the attributes may be called as well."""


def cable_to_networkx(cable: Cable) -> nx.DiGraph:
    """Writes a cable as a graph of points.

    Where a frustum starts with another radius or at another position than its parent ends (a
    step of the radius, a wire to the soma), a point of its own follows on an edge of length 0.
    The radius of the endoplasmic reticulum is the node attribute ``er``, the name of the section
    ``section``.
    """
    graph = nx.DiGraph()
    point_at: dict[tuple[int, tuple[float, ...]], int] = {}
    end_of: dict[int, int] = {}

    def add(f: int, point: tuple[float, ...], parent: int, length: float) -> int:
        name: int = graph.number_of_nodes() + 1
        radius, er, x, y, z = map(float, point)
        section = cable.sections[cable.section[f]].name
        graph.add_node(name, id=int(cable.kind[f]), x=x, y=y, z=z, r=radius, p=parent, er=er, section=section)
        if parent != -1:
            graph.add_edge(parent, name, l=float(length))
        return name

    for f in range(cable.n_frusta):
        tail, head = map(int, cable.node[f])
        start, end = ((cable.radius[f, side], cable.er_radius[f, side], *cable.xyz[f, side]) for side in (0, 1))
        if tail not in end_of:  # the root
            end_of[tail] = point_at[tail, start] = add(f, start, -1, 0.0)
        if (tail, start) not in point_at:
            point_at[tail, start] = add(f, start, end_of[tail], 0.0)
        end_of[head] = point_at[head, end] = add(f, end, point_at[tail, start], cable.length[f])
    return graph


def cable_from_networkx(graph: nx.Graph) -> Cable:
    """Reads a graph of points: every edge longer than `SHORTEST` becomes one frustum.

    The soma is taken literally, as the graph has it. Sections are those that the nodes name
    (``section``, as `cable_to_networkx` writes them) or else the unbranched runs of one type,
    numbered in the order of the graph's nodes.

    Args:
        graph: A tree; edges from parent to child, or undirected with the root marked ``p=-1``.
            Nodes need ``id`` (or ``type``), ``x``, ``y``, ``z``, ``r`` (or ``radius``), and may have ``er``;
            an edge without ``l`` is as long as its ends are apart.

    Raises:
        InputError: The graph is no tree, has no clear root, or an attribute is missing or not a
            finite number.
    """
    graph = _renamed(graph)
    _check(graph)
    root = _root(graph)
    order = {name: position for position, name in enumerate(graph, start=1)}
    node = {root: ROOT}
    frusta: list[Frustum] = []
    named: list[str | None] = []
    for parent, child in nx.dfs_edges(graph.to_undirected(as_view=True), root):
        length = _length(graph, parent, child)
        if length <= SHORTEST:
            node[child] = node[parent]
            continue
        node[child] = order[child]
        ends = [graph.nodes[parent], graph.nodes[child]]
        named.append(ends[1].get("section"))
        frusta.append(
            Frustum(
                tail=node[parent],
                head=node[child],
                xyz=np.array([[float(end[axis]) for axis in "xyz"] for end in ends]),
                radius=(float(ends[0]["r"]), float(ends[1]["r"])),
                length=length,
                kind=int(ends[1]["id"]),
                swc_id=child if isinstance(child, int) else -1,
                order=order[child],
                er_radius=(float(ends[0].get("er", 0.0)), float(ends[1].get("er", 0.0))),
            )
        )
    if not frusta:
        raise InputError("the graph has no edge of any length; a cell needs at least one")
    return assemble(_with_named_sections(frusta, named))


def _renamed(graph: nx.Graph) -> nx.Graph:
    """The graph with the attributes called as here; itself where they are already."""
    lacking = [
        (node, own, other)
        for node, given in graph.nodes(data=True)
        for own, other in OTHER_NAMES.items()
        if own not in given and other in given
    ]
    if not lacking:
        return graph
    graph = graph.copy()
    for node, own, other in lacking:
        graph.nodes[node][own] = graph.nodes[node][other]
    return graph


def _with_named_sections(frusta: list[Frustum], names: list[str | None]) -> list[Frustum]:
    """The frusta with the sections that nodes name, as they are where a name is missing or no chain."""
    number = {name: k for k, name in enumerate(dict.fromkeys(names))} | {"soma[0]b": SECOND_HALF}
    if None in number:
        return frusta
    named = [replace(f, section=number[name]) for f, name in zip(frusta, names, strict=True)]
    tails = {(f.section, f.tail) for f in named}
    heads = {(f.section, f.head) for f in named}
    starts = [section for section, _ in tails - heads]
    is_chain = len(tails) == len(named) and len(starts) == len(set(starts))
    kinds = {(f.section, f.kind) for f in named}
    return named if is_chain and len(kinds) == len(starts) else frusta


def _check(graph: nx.Graph) -> None:
    if graph.number_of_nodes() == 0:
        raise InputError("the graph is empty; give a tree of points")
    undirected = graph.to_undirected(as_view=True)
    if not nx.is_tree(undirected):
        parts = nx.number_connected_components(undirected)
        what = f"falls into {parts} parts" if parts > 1 else "has a circle"
        raise InputError(f"the graph is not a tree: it {what}; keep one connected tree")
    for name, attributes in graph.nodes(data=True):
        for key in ATTRIBUTES:
            value = attributes.get(key)
            if value is None:
                raise InputError(f"node {name} has no attribute '{key}'; nodes need {', '.join(ATTRIBUTES)}")
            if not math.isfinite(value):
                raise InputError(f"node {name}: {key} is {value}; give a finite number")
        if attributes["r"] <= 0.0:
            raise InputError(f"node {name}: radius r is {attributes['r']}; give a positive one")
        if not THINNEST <= attributes["r"] <= THICKEST:
            raise InputError(
                f"node {name}: radius r is {attributes['r']:g} um; no cell is thinner than {THINNEST:g} um or "
                f"thicker than {THICKEST:g} um"
            )


def _root(graph: nx.Graph) -> Any:
    if graph.is_directed():
        roots = [name for name, degree in graph.in_degree() if degree == 0]
    else:
        roots = [name for name, parent in graph.nodes(data="p") if parent == -1]
    if len(roots) != 1:
        raise InputError(
            f"the graph has {len(roots)} roots instead of one; direct the edges from parent to child, "
            "or mark the root of an undirected graph with p=-1"
        )
    return roots[0]


def _length(graph: nx.Graph, parent: Any, child: Any) -> float:
    length = graph.edges[parent, child].get("l")
    if length is None:
        one, other = graph.nodes[parent], graph.nodes[child]
        length = math.dist([one[axis] for axis in "xyz"], [other[axis] for axis in "xyz"])
    if not (math.isfinite(length) and length >= 0.0):
        raise InputError(f"edge {parent}-{child}: l is {length}; give a length that is not negative")
    if length > LONGEST:
        raise InputError(f"edge {parent}-{child}: l is {length:g} um, longer than any cell ({LONGEST:g} um)")
    return float(length)
