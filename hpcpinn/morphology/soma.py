"""How the soma of an SWC file becomes frusta: as NEURON, Arbor or the file itself says.

SWC does not say how to read a soma, and simulators differ. ``neuron``: one point, or the three
points of NeuroMorpho, are a cylinder as long as wide whose middle is the root, and neurites
start at their own first point, joined to that middle by a wire without length; a soma of more
points is a chain of frusta. ``arbor``: every point and its parent make a frustum, and a soma
needs two points at least. ``literal``: the same, and one point is then just where neurites meet.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology.frusta import ROOT, Frustum
from hpcpinn.morphology.repair import SOMA
from hpcpinn.morphology.swc import SwcTree

SOMA_MODES = ("neuron", "arbor", "literal")


def frusta_of(tree: SwcTree, soma: str) -> list[Frustum]:
    """All frusta of a tree, the soma read as `soma` says.

    Args:
        tree: The points.
        soma: One of ``SOMA_MODES``.

    Raises:
        InputError: An unknown mode, or a soma that the mode cannot read.
    """
    if soma not in SOMA_MODES:
        raise InputError(f"soma is '{soma}'; use one of {', '.join(SOMA_MODES)}")
    if tree.n_points == 1 and soma != "neuron":
        raise InputError(f"{tree.place(0)}: a single point makes no frustum; use soma 'neuron' (a cylinder)")
    in_soma = soma_points(tree)
    if soma == "arbor" and np.count_nonzero(in_soma) == 1:
        raise InputError(
            f"{tree.place(0)}: Arbor reads no soma of one point; use soma 'neuron' (a cylinder) "
            "or 'literal' (no soma of its own)"
        )
    if soma == "neuron" and in_soma[0]:
        return _as_neuron(tree, in_soma)
    return _edges(tree)


def soma_points(tree: SwcTree) -> Bool[ndarray, " n"]:
    """The soma: points of type 1 joined to a root of type 1 by points of type 1."""
    in_soma = tree.kind == SOMA
    for row in range(1, tree.n_points):
        in_soma[row] &= in_soma[tree.parent[row]]
    return in_soma


def is_cylinder(tree: SwcTree) -> bool:
    """Whether NEURON draws this soma as one cylinder, as long as it is wide.

    True for one point, and for three points that stand for a sphere (NeuroMorpho): two leaves
    on the root, the same diameter, distances to the root adding up to it within 1 %.
    """
    in_soma = soma_points(tree)
    rows = np.flatnonzero(in_soma)
    if len(rows) == 1:
        return True
    if len(rows) != 3:
        return False
    leaves = rows[1:]
    on_root = np.all(tree.parent[leaves] == 0) and not np.isin(tree.parent, leaves).any()
    alike = np.all(tree.radius[leaves] == tree.radius[0])
    across = tree.edge_length[leaves].sum() / (2.0 * tree.radius[0])
    return bool(on_root and alike and abs(across - 1.0) < 0.01)


def describe_soma(tree: SwcTree, soma: str) -> str:
    """The soma in words: how many points, and what they were read as."""
    count = int(np.count_nonzero(soma_points(tree)))
    points = f"{count} point{'s' if count != 1 else ''}"
    if count == 0:
        return "none"
    if soma == "neuron" and is_cylinder(tree):
        return f"{points}, a cylinder with length = diameter = {2.0 * tree.radius[0]:.6g} um"
    if count == 1:
        return f"{points}, no frustum of its own"
    return f"{points}, a chain of frusta"


def _edges(tree: SwcTree, wired: dict[int, int] | None = None) -> list[Frustum]:
    """The frustum between every point and its parent, as the file has it.

    Points on top of their parent share its node and make no frustum.

    Args:
        tree: The points.
        wired: Points that are joined to a node by a wire instead, and that node.
    """
    wired = wired or {}
    length = tree.edge_length
    node = list(range(tree.n_points))
    edges = []
    for row in range(1, tree.n_points):
        up = int(tree.parent[row])
        if row in wired:
            node[row] = wired[row]
        elif length[row] == 0.0:
            node[row] = node[up]
        else:
            edges.append(
                Frustum(
                    tail=node[up],
                    head=row,
                    xyz=tree.xyz[[up, row]],
                    radius=(float(tree.radius[up]), float(tree.radius[row])),
                    length=float(length[row]),
                    kind=int(tree.kind[row]),
                    swc_id=int(tree.id[row]),
                    order=row,
                )
            )
    return edges


def _as_neuron(tree: SwcTree, in_soma: Bool[ndarray, " n"]) -> list[Frustum]:
    """The frusta of a tree whose root is a soma, as NEURON's import tool reads it.

    A neurite of several points on the cylinder, or inside a chain of soma points, is wired: it
    starts at its own first point. Elsewhere its first frustum starts at the soma point, with
    the radius of its own first point.
    """
    soma_children = np.bincount(tree.parent[1:][in_soma[1:]], minlength=tree.n_points)
    has_children = np.bincount(tree.parent[1:], minlength=tree.n_points) > 0
    stems = [row for row in range(tree.n_points) if not in_soma[row] and in_soma[tree.parent[row]]]
    if is_cylinder(tree):
        body, joint = _cylinder(tree), {0: ROOT}
        keeps_gap = {0}
    else:
        inner = {int(row) for row in np.flatnonzero(in_soma[1:] & (soma_children[1:] > 0)) + 1}
        body, joint = _chain([e for e in _edges(tree) if in_soma[e.order]], tree, inner)
        keeps_gap = inner | ({0} if soma_children[0] > 1 else set())
    wired = {
        row: joint.get(up, up)
        for row in stems
        if (up := int(tree.parent[row])) in keeps_gap and has_children[row]
    }
    limbs = [edge for edge in _edges(tree, wired) if not in_soma[edge.order]]
    for position, edge in enumerate(limbs):
        up = int(tree.parent[edge.order])
        if in_soma[up]:
            own = edge.radius[1]
            limbs[position] = replace(edge, tail=joint.get(up, edge.tail), radius=(own, own))
    return body + limbs


def _cylinder(tree: SwcTree) -> list[Frustum]:
    """Two halves of a cylinder, as long as it is wide, starting at the root in its middle."""
    radius = float(tree.radius[0])
    return [
        Frustum(
            tail=ROOT,
            head=-1 - half,  # no point of the file lies there
            xyz=np.stack([tree.xyz[0], tree.xyz[0] + sign * radius * _soma_axis(tree)]),
            radius=(radius, radius),
            length=radius,
            kind=SOMA,
            swc_id=int(tree.id[0]) if half == 0 else -1,
            order=half - 2,
        )
        for half, sign in enumerate((1.0, -1.0))
    ]


def _soma_axis(tree: SwcTree) -> Float[ndarray, " 3"]:
    """Direction of the cylinder: through the three points, along x for one point."""
    in_soma = np.flatnonzero(soma_points(tree))
    if len(in_soma) == 1:
        return np.array([1.0, 0.0, 0.0])
    across = tree.xyz[in_soma[2]] - tree.xyz[in_soma[1]]
    return across / np.linalg.norm(across)


def _chain(edges: list[Frustum], tree: SwcTree, inner: set[int]) -> tuple[list[Frustum], dict[int, int]]:
    """A soma of several points, and the node at half its length for what hangs on its inside.

    Args:
        edges: The frusta of the soma, in file order.
        tree: The points.
        inner: Soma points that are neither the root nor an end.

    Returns:
        The frusta, cut where the middle falls inside one, and the node for every inner point.
    """
    leg: dict[int, int] = {}
    for edge in edges:
        up = int(tree.parent[edge.order])
        leg[edge.order] = leg.get(up, edge.order)
    joint: dict[int, int] = {}
    body: list[Frustum] = []
    for first in dict.fromkeys(leg.values()):
        part = [edge for edge in edges if leg[edge.order] == first]
        hung = [row for row in inner if leg.get(row) == first]
        if hung:
            part, middle = _cut_in_the_middle(part)
            joint |= dict.fromkeys(hung, middle)
        body.extend(part)
    return body, joint


def _cut_in_the_middle(chain: list[Frustum]) -> tuple[list[Frustum], int]:
    """The chain with a node at half its length, and that node."""
    ends = np.cumsum([edge.length for edge in chain])
    half = 0.5 * ends[-1]
    k = int(np.searchsorted(ends, half * (1.0 - 1e-9)))
    edge, left = chain[k], half - (ends[k] - chain[k].length)
    if left >= edge.length * (1.0 - 1e-9):
        return chain, edge.head
    f = float(left / edge.length)
    node = -1 - edge.order
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
