"""The sections NEURON's import tool makes of an SWC file (NEURON 9, import3d/read_swc.hoc).

A section is a run of points that follow each other in the order of their ids. It ends where that
order is interrupted, so these rules depend on the numbering and not on the tree alone:

* A point ends its section unless it has exactly one child, which is the next point and of the same
  type. A soma point is not ended by neurites: it goes on where the next point is its soma child,
  unless it is not the root and has several soma children.
* The first point of a neurite on the soma (from the third point of the file on), and a root that is
  no soma, go on where their last child is of their type. Children that are not the next point start
  at that point, and are joined to the start of its section.
* A section starts at its parent point, joined to the end of the parent's section: to the start if
  the parent is the root, to the middle if it lies inside a section of soma points. On a root alone,
  inside a soma and where the soma forks, a neurite of several points is wired instead: it starts at
  its own first point, and what lies between is no cable.
* A root alone, of whatever type, is a cylinder as long as wide, and so are the first three points if
  they are the only soma points and stand for a sphere (NeuroMorpho).
* Sections without length vanish, and what they carry moves to where they were joined.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from hpcpinn.morphology.repair import SOMA, Repair
from hpcpinn.morphology.swc import SwcTree


@dataclass(frozen=True)
class SectionRun:
    """One section.

    Attributes:
        first, stop: Rows of the section's own points, from `first` to before `stop`.
        kind: SWC type.
        parent: Index of the run it is joined to, -1 for the root's.
        at: Place on the parent: 0 start, 0.5 middle, 1 end.
        is_wired: Whether it starts at its own first point instead of the parent's point.
    """

    first: int
    stop: int
    kind: int
    parent: int = -1
    at: float = 0.0
    is_wired: bool = False


@dataclass(frozen=True)
class SectionReading:
    """All sections of a tree, and where they are not NEURON's.

    Attributes:
        runs: The sections in the order of their first points; those without length are kept.
        is_cylinder: Whether the root's section is a cylinder as long as wide around its first point.
        notes: Remarks on points that NEURON would join and the file does not.
    """

    runs: tuple[SectionRun, ...]
    is_cylinder: bool
    notes: tuple[Repair, ...]


def read_as_neuron(tree: SwcTree) -> SectionReading:
    """Cuts a tree into the sections that NEURON makes of it.

    In one case NEURON leaves the file: where the first point of a neurite has no child next to it,
    its section takes in the following point, which belongs elsewhere. There the file is followed,
    and a note says so.
    """
    children = _children(tree)
    is_soma = tree.kind == SOMA
    soma_children = np.bincount(tree.parent[1:][is_soma[1:] & is_soma[tree.parent[1:]]], minlength=tree.n_points)
    is_stem = ~is_soma & is_soma[tree.parent]
    is_stem[:2] = [not is_soma[0], False][: tree.n_points]
    ends = _ends(tree, children, is_stem, soma_children)
    is_sphere = stands_for_sphere(tree)
    if is_sphere:
        ends[:3] = [False, False, True]
    strays = [
        row
        for row in np.flatnonzero(~ends[:-1]).tolist()
        if tree.parent[row + 1] != row and not (is_sphere and row < 2)
    ]
    ends[strays] = True
    starts = np.r_[0, np.flatnonzero(ends[:-1]) + 1]
    stops = np.r_[starts[1:], tree.n_points]
    home = np.repeat(np.arange(len(starts)), stops - starts)
    runs = [SectionRun(0, 1 if is_sphere else int(stops[0]), int(tree.kind[0]))]
    for first, stop in zip(starts[1:].tolist(), stops[1:].tolist(), strict=True):
        up = int(tree.parent[first])
        run = _joined(
            SectionRun(first, stop, int(tree.kind[first]), int(home[up])),
            up,
            runs[home[up]],
            int(soma_children[up]),
            has_several=stop - first > 1 or first in strays,
        )
        if is_stem[up] and first != up + 1 and up not in strays:
            run = replace(run, at=0.0)
        runs.append(run)
    return SectionReading(tuple(runs), runs[0].stop == 1, tuple(_note(tree, row) for row in strays))


def stands_for_sphere(tree: SwcTree) -> bool:
    """Whether the only soma points are the first three, and stand for a sphere (NeuroMorpho).

    Two childless points on the root with its diameter, their distances from it adding up to the
    diameter within 1 %.
    """
    if np.count_nonzero(tree.kind == SOMA) != 3 or not np.all(tree.kind[:3] == SOMA):
        return False
    is_pair = np.all(tree.parent[1:3] == 0) and not np.isin(tree.parent, [1, 2]).any()
    alike = np.all(tree.radius[1:3] == tree.radius[0])
    across = tree.edge_length[1:3].sum() / (2.0 * tree.radius[0])
    return bool(is_pair and alike and abs(across - 1.0) < 0.01)


def _children(tree: SwcTree) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in range(tree.n_points)]
    for row, up in enumerate(tree.parent.tolist()):
        if up >= 0:
            children[up].append(row)
    return children


def _ends(
    tree: SwcTree, children: list[list[int]], is_stem: Bool[ndarray, " n"], soma_children: Int[ndarray, " n"]
) -> Bool[ndarray, " n"]:
    """Whether a section ends at a point."""
    kind = tree.kind.tolist()
    ends = np.ones(tree.n_points, bool)
    for row, below in enumerate(children):
        if not below:
            continue
        if is_stem[row]:
            ends[row] = kind[below[-1]] != kind[row]
        elif kind[row] == SOMA and below[0] == row + 1 and kind[row + 1] == SOMA:
            ends[row] = row != 0 and soma_children[row] > 1
        else:
            ends[row] = below != [row + 1] or kind[row + 1] != kind[row]
    return ends


def _joined(run: SectionRun, up: int, parent: SectionRun, soma_children: int, *, has_several: bool) -> SectionRun:
    """The run with its place on the parent's run, where it is joined through the point `up`."""
    is_neurite = run.kind != SOMA
    if run.parent == 0 and parent.stop == 1 and parent.kind == SOMA and is_neurite:
        return replace(run, at=0.5, is_wired=has_several)
    if up == 0:
        return replace(run, at=0.0, is_wired=is_neurite and soma_children > 1)
    if parent.kind != SOMA:
        return replace(run, at=1.0)
    if up < parent.stop - 1:
        return replace(run, at=0.5, is_wired=is_neurite and has_several)
    return replace(run, at=1.0, is_wired=is_neurite and has_several and soma_children > 1)


def _note(tree: SwcTree, row: int) -> Repair:
    return Repair(
        int(tree.line[row]),
        int(tree.id[row]),
        f"NEURON would join point {tree.id[row + 1]} to it, which the file joins to point "
        f"{tree.id[tree.parent[row + 1]]}: read as the file says",
    )
