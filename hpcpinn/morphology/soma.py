"""How the soma of an SWC file becomes frusta: as NEURON, Arbor or the file itself says.

SWC does not say how to read a soma, and simulators differ. ``neuron``: the sections that NEURON's
import tool makes of the whole file, whose rules (module `neuron_sections`) depend on the order of
the points' ids: a root alone is a cylinder as long as wide, neurites on it and inside a soma start
at their own first point and are joined by a wire without length. ``arbor``: every point and its
parent make a frustum, and a soma needs two points at least. ``literal``: the same, and one point is
then just where neurites meet. These two do not depend on the order of the points.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology.frusta import ROOT, SECOND_HALF, Frustum, kind_name
from hpcpinn.morphology.neuron_sections import SectionReading, read_as_neuron, stands_for_sphere
from hpcpinn.morphology.repair import SOMA, Repair
from hpcpinn.morphology.swc import SwcTree
from hpcpinn.wording import counted

SOMA_MODES = ("neuron", "arbor", "literal")

_MOST_DESCRIBED = 4
"""Sections of a soma that are described one by one."""


def frusta_of(tree: SwcTree, soma: str) -> tuple[list[Frustum], tuple[Repair, ...]]:
    """All frusta of a tree, the soma read as `soma` says, and where that is not the mode's reading.

    Args:
        tree: The points.
        soma: One of ``SOMA_MODES``.

    Raises:
        InputError: An unknown mode, or a soma that the mode cannot read.
    """
    if soma not in SOMA_MODES:
        raise InputError(f"soma is '{soma}'; use one of {', '.join(SOMA_MODES)}")
    if soma == "neuron":
        reading = read_as_neuron(tree)
        return _as_neuron(tree, reading), reading.notes
    if tree.n_points == 1:
        raise InputError(f"{tree.place(0)}: a single point makes no frustum; use soma 'neuron' (a cylinder)")
    if soma == "arbor" and np.count_nonzero(soma_points(tree)) == 1:
        raise InputError(
            f"{tree.place(0)}: Arbor reads no soma of one point; use soma 'neuron' (a cylinder) "
            "or 'literal' (no soma of its own)"
        )
    return _edges(tree), ()


def soma_points(tree: SwcTree) -> Bool[ndarray, " n"]:
    """The soma: points of type 1 joined to a root of type 1 by points of type 1."""
    in_soma: Bool[ndarray, " n"] = tree.kind == SOMA
    for row in range(1, tree.n_points):
        in_soma[row] &= in_soma[tree.parent[row]]
    return in_soma


def describe_soma(tree: SwcTree, soma: str) -> str:
    """The soma in words: how many points, and what they were read as."""
    in_soma = tree.kind == SOMA
    count = int(np.count_nonzero(in_soma))
    points = counted(count, "point")
    if count == 0:
        return "none"
    if soma == "neuron":
        return f"{points}, {_sections_in_words(tree, count)}"
    if count == 1:
        return f"{points}, no frustum of its own"
    per_point = np.bincount(tree.parent[1:][in_soma[1:]], minlength=tree.n_points)
    per_point[1:] += in_soma[1:] & in_soma[tree.parent[1:]]
    return f"{points}, a {'tree' if np.any(per_point[in_soma] > 2) else 'chain'} of frusta"


def _sections_in_words(tree: SwcTree, count: int) -> str:
    """What NEURON makes of the soma: a cylinder, a chain, or several sections and where they are joined."""
    reading = read_as_neuron(tree)
    cylinder = f"a cylinder with length = diameter = {2.0 * tree.radius[0]:.6g} um"
    lengths = {
        index: _length(tree, run.first, run.stop, joined=run.parent >= 0)
        for index, run in enumerate(reading.runs)
        if run.kind == SOMA
    }
    if reading.is_cylinder and 0 in lengths:
        lengths[0] = 2.0 * float(tree.radius[0])
    kept = [index for index, length in lengths.items() if length > 0.0]
    if not kept:
        return "all at one place: no frustum"
    if len(kept) == 1:
        what = "a chain of frusta" if count > 1 else "one frustum"
        return cylinder if reading.is_cylinder and kept == [0] else f"{what}, {lengths[kept[0]]:.6g} um long"
    number = {index: place for place, index in enumerate(kept)}
    words = []
    for index in kept[:_MOST_DESCRIBED]:
        run = reading.runs[index]
        name = f"soma[{number[index]}]"
        if index == 0:
            words.append(f"{name} {cylinder if reading.is_cylinder else f'{lengths[0]:.6g} um'}")
        else:
            on = "a " + kind_name(reading.runs[run.parent].kind)
            on = f"soma[{number[run.parent]}]" if run.parent in number else on
            words.append(f"{name} {lengths[index]:.6g} um on {on}({run.at:g})")
    more = f" and {len(kept) - _MOST_DESCRIBED} more" if len(kept) > _MOST_DESCRIBED else ""
    return f"{len(kept)} sections by NEURON's rules: {', '.join(words)}{more}"


def _length(tree: SwcTree, first: int, stop: int, *, joined: bool) -> float:
    return float(tree.edge_length[first if joined else first + 1 : stop].sum())


def _edges(tree: SwcTree) -> list[Frustum]:
    """The frustum between every point and its parent, as the file has it.

    Points on top of their parent share its node and make no frustum.
    """
    length = tree.edge_length
    node = list(range(tree.n_points))
    edges = []
    for row in range(1, tree.n_points):
        up = int(tree.parent[row])
        if length[row] == 0.0:
            node[row] = node[up]
        else:
            edges.append(_edge(tree, row, node[up], row))
    return edges


def _edge(tree: SwcTree, row: int, tail: int, head: int) -> Frustum:
    up = int(tree.parent[row])
    return Frustum(
        tail=tail,
        head=head,
        xyz=tree.xyz[[up, row]],
        radius=(float(tree.radius[up]), float(tree.radius[row])),
        length=float(tree.edge_length[row]),
        kind=int(tree.kind[row]),
        swc_id=int(tree.id[row]),
        order=row,
    )


def _as_neuron(tree: SwcTree, reading: SectionReading) -> list[Frustum]:
    """The frusta of all sections, each of which knows its section."""
    is_split = {run.parent for run in reading.runs if run.at == 0.5}
    joints: list[dict[float, int]] = []  # node at the start, in the middle and at the end of every section
    frusta: list[Frustum] = []
    for index, run in enumerate(reading.runs):
        start = ROOT if run.parent < 0 else joints[run.parent][run.at]
        if index == 0 and reading.is_cylinder:
            body, places = _cylinder(tree)
        else:
            body = _section(tree, reading, index, start)
            end = body[-1].head if body else start
            places = {0.0: start, 0.5: start, 1.0: end}
            if index in is_split and body:
                body, places[0.5] = _cut_in_the_middle(body)
        frusta.extend(body)
        joints.append(places)
    return frusta


def _section(tree: SwcTree, reading: SectionReading, index: int, start: int) -> list[Frustum]:
    """The frusta of one section from its node `start` on; edges without length make none."""
    run = reading.runs[index]
    body: list[Frustum] = []
    node = start
    for row in range(run.first + (run.is_wired or run.parent < 0), run.stop):
        if tree.edge_length[row] == 0.0:
            continue
        edge = replace(_edge(tree, row, node, row), kind=run.kind, section=index)
        if row == run.first and run.kind != SOMA and reading.runs[run.parent].kind == SOMA:
            own = edge.radius[1]
            edge = replace(edge, radius=(own, own))
        body.append(edge)
        node = row
    return body


def _cylinder(tree: SwcTree) -> tuple[list[Frustum], dict[float, int]]:
    """A cylinder around the root, as long as it is wide, and the nodes at its ends and middle.

    Of a soma: two halves that start at the root in its middle. A root of another type carries
    everything on its start, so there the two halves follow each other from that start on.
    """
    radius, kind = float(tree.radius[0]), int(tree.kind[0])
    across = radius * _soma_axis(tree)
    corners = tree.xyz[0] + across * np.array([[-1.0], [0.0], [1.0]])
    if kind != SOMA:
        return (
            [
                Frustum(
                    tail=-half,  # the root, then a node where no point of the file lies
                    head=-1 - half,
                    xyz=corners[half : half + 2],
                    radius=(radius, radius),
                    length=radius,
                    kind=kind,
                    swc_id=-1 if half else int(tree.id[0]),
                    order=half - 2,
                    section=0,
                )
                for half in (0, 1)
            ],
            {0.0: ROOT, 0.5: -1, 1.0: -2},
        )
    halves = [
        Frustum(
            tail=ROOT,
            head=-1 - half,  # no point of the file lies there
            xyz=corners[[1, 2 - 2 * half]],
            radius=(radius, radius),
            length=radius,
            kind=SOMA,
            swc_id=int(tree.id[0]) if half == 0 else -1,
            order=half - 2,
            section=SECOND_HALF if half else 0,
        )
        for half in (0, 1)
    ]
    return halves, {0.0: -2, 0.5: ROOT, 1.0: -1}


def _soma_axis(tree: SwcTree) -> Float[ndarray, " 3"]:
    """Direction of the cylinder: through the three points of a sphere, along x for one point.

    NEURON draws both along x; in an electric field the direction that the file gives is the better one.
    """
    if not stands_for_sphere(tree):
        return np.array([1.0, 0.0, 0.0])
    across = tree.xyz[2] - tree.xyz[1]
    normal: Float[ndarray, " 3"] = across / np.linalg.norm(across)
    return normal


def _cut_in_the_middle(chain: list[Frustum]) -> tuple[list[Frustum], int]:
    """The chain with a node at half its length, and that node."""
    ends = np.cumsum([edge.length for edge in chain])
    half = 0.5 * ends[-1]
    k = int(np.searchsorted(ends, half * (1.0 - 1e-9)))
    edge, left = chain[k], half - (ends[k] - chain[k].length)
    if left >= edge.length * (1.0 - 1e-9):
        return chain, edge.head
    f = float(left / edge.length)
    node = -3 - edge.order  # -1 and -2 are the ends of a cylinder
    point = (1.0 - f) * edge.xyz[0] + f * edge.xyz[1]
    radius = (1.0 - f) * edge.radius[0] + f * edge.radius[1]
    before = replace(
        edge,
        head=node,
        xyz=np.stack([edge.xyz[0], point]),
        radius=(edge.radius[0], radius),
        length=f * edge.length,
        swc_id=-1,
    )
    after = replace(
        edge,
        tail=node,
        xyz=np.stack([point, edge.xyz[1]]),
        radius=(radius, edge.radius[1]),
        length=(1.0 - f) * edge.length,
    )
    return [*chain[:k], before, after, *chain[k + 1 :]], node
