"""The SWC reader: a checked, repaired table of points, parents first.

What is repaired is reported; what cannot be repaired is refused with its line and the reason.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology import repair
from hpcpinn.morphology.limits import (
    LARGEST_NUMBER,
    LONGEST,
    SHORTEST,
    SMALLEST_NUMBER,
    THICKEST,
    THINNEST,
)
from hpcpinn.morphology.repair import SOMA, Repair
from hpcpinn.morphology.swc_lines import SwcLines, SwcPoint, read_lines
from hpcpinn.morphology.swc_units import suspect_unit
from hpcpinn.units import length_per_unit, plain_mu


@dataclass(frozen=True)
class SwcTree:
    """The points of an SWC file after repairs; one tree, parents before children.

    Rows are in the order of the ids, as NEURON has them, or depth-first where some parent has a
    larger id than its child. All n points of the file are kept, those on their parent too.

    Attributes:
        path: The file.
        id: SWC ids.
        kind: SWC types (1 soma, 2 axon, 3 basal, 4 apical, others custom, 0 undefined).
        xyz: Positions, µm.
        radius: Radii, µm, all positive.
        parent: Row (not id) of the parent, -1 for the root, which is row 0.
        line: Line in the file.
        unit: Unit the lengths of the file were taken for: "um", "nm", "8nm".
        suspected_unit: What the file seems to be written in if that is another unit; "unknown" where
            its header names one without a size.
        repairs: What was changed.
        warnings: What the user should know and decide.
    """

    path: str
    id: Int[ndarray, " n"]
    kind: Int[ndarray, " n"]
    xyz: Float[ndarray, "n 3"]
    radius: Float[ndarray, " n"]
    parent: Int[ndarray, " n"]
    line: Int[ndarray, " n"]
    unit: str = "um"
    suspected_unit: str | None = None
    repairs: tuple[Repair, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def n_points(self) -> int:
        return len(self.id)

    @cached_property
    def edge_length(self) -> Float[ndarray, " n"]:
        """Distance of every point to its parent, µm; 0 for the root."""
        step = self.xyz - self.xyz[self.parent]
        step[self.parent < 0] = 0.0
        distance: Float[ndarray, " n"] = np.sqrt(np.sum(step**2, axis=1))
        return distance

    def place(self, row: int) -> str:
        """``file:line`` of a point, for messages."""
        return f"{self.path}:{self.line[row]}"


def read_swc(path: str | Path, *, units: str = "auto") -> SwcTree:
    """Reads an SWC file, repairs what can be repaired and refuses the rest.

    Repaired and reported: radii that are zero, negative or below `limits.THINNEST` (taken from the
    neighbours on the same neurite), types 5 and 6 that only mark forks and ends, points on top of their parent
    (kept: the radius may step there; the edge carries no cable). Accepted without a word: ids
    in any order and with gaps, children before parents, comments, CRLF, a byte-order mark.

    Args:
        path: The file.
        units: Unit of the file, with a number where it is a multiple: "nm", "8nm", "0.25um". "auto"
            reads micrometres, as SWC prescribes, and warns when header or size speak for another
            unit: nothing is converted that was not asked for.

    Returns:
        The tree, lengths in µm.

    Raises:
        InputError: Unreadable, empty or malformed file; duplicate ids; a parent that does not
            exist; a cycle; no root or several; radii beyond repair; sizes that no cell has.
    """
    scale = 1.0 if units == "auto" else length_per_unit(units)
    lines = read_lines(path)
    _check_duplicates(lines, path)
    _check_parents(lines, path)
    _check_extent(lines, path)
    points, parent = _ordered(lines.points, path)
    tree = SwcTree(
        path=str(path),
        id=np.array([p.id for p in points]),
        kind=np.array([p.kind for p in points]),
        xyz=np.array([p.xyz for p in points], float),
        radius=np.array([p.radius for p in points], float),
        parent=parent,
        line=np.array([p.line for p in points]),
        unit="um" if units == "auto" else plain_mu(units),
    )
    _check_lone_point(tree)
    tree = _with_structure_marks_repaired(tree)
    if units == "auto":
        tree = suspect_unit(tree, lines.comments)
    if tree.suspected_unit is None:
        _check_lengths(tree, scale, thickest=THICKEST if units == "auto" else LONGEST)
    thinnest = THINNEST / scale if tree.suspected_unit is None else SMALLEST_NUMBER
    tree = _with_radii_repaired(tree, thinnest)
    tree = _with_zero_edges_reported(_with_round_off_removed(tree, SHORTEST / scale))
    return replace(tree, xyz=tree.xyz * scale, radius=tree.radius * scale)


def check_units(tree: SwcTree) -> None:
    """Stops a computation on a cell that is written in another unit than it was read in.

    Raises:
        InputError: The file seems to be in nanometres or metres and no unit was named.
    """
    if tree.suspected_unit:
        raise InputError(f"{tree.path}: {tree.warnings[0]}")


def _check_duplicates(lines: SwcLines, path: str | Path) -> None:
    first: dict[int, int] = {}
    for point in lines.points:
        if point.id in first:
            raise InputError(
                f"{path}:{point.line}: id {point.id} was already given on line "
                f"{first[point.id]}; give every point its own id"
            )
        first[point.id] = point.line


def _check_extent(lines: SwcLines, path: str | Path) -> None:
    for point in lines.points:
        for name, value in zip(("x", "y", "z", "radius"), (*point.xyz, point.radius), strict=True):
            if abs(value) > LARGEST_NUMBER:
                raise InputError(
                    f"{path}:{point.line}: {name} of point {point.id} is {value:g}, larger than any cell; give it in um"
                )


def _check_parents(lines: SwcLines, path: str | Path) -> None:
    ids = {point.id for point in lines.points}
    for point in lines.points:
        if point.parent < 0 or point.parent in ids:
            continue
        hidden = lines.commented_out.get(point.parent)
        fix = (
            f"line {hidden} has it commented out; restore it or name another parent"
            if hidden
            else "name an existing point, or -1 if this is the root"
        )
        raise InputError(
            f"{path}:{point.line}: point {point.id} has parent {point.parent}, which does not exist; {fix}"
        )


def _ordered(points: tuple[SwcPoint, ...], path: str | Path) -> tuple[list[SwcPoint], Int[ndarray, " n"]]:
    """Points, parents first, with the row of each parent; refuses what is not one tree."""
    roots = [point for point in points if point.parent < 0]
    if len(roots) > 1:
        _check_roots(roots, points, path)
    by_id = {point.id: point for point in points}
    sorted_ids = sorted(by_id)
    if not roots or any(by_id[id_].parent >= id_ for id_ in sorted_ids):
        sorted_ids = _depth_first(roots, points)
    if len(sorted_ids) < len(points):
        reached = set(sorted_ids)
        _check_cycle([point for point in points if point.id not in reached], by_id, path)
    row = {id_: k for k, id_ in enumerate(sorted_ids)}
    ordered = [by_id[id_] for id_ in sorted_ids]
    return ordered, np.array([row.get(point.parent, -1) for point in ordered])


def _check_roots(roots: list[SwcPoint], points: tuple[SwcPoint, ...], path: str | Path) -> None:
    """Names the roots, and which tree has the soma: the others are cut off, or cells of their own."""
    kind = {point.id: point.kind for point in points}
    trees = {root.line: _depth_first([root], points) for root in roots}
    with_soma = [line for line, tree in trees.items() if any(kind[id_] == SOMA for id_ in tree)]
    places = ", ".join(str(root.line) for root in roots[:5])
    more = f" and {len(roots) - 5} more" if len(roots) > 5 else ""
    if len(with_soma) == 1:
        size = len(trees[with_soma[0]])
        fix = (
            f"the tree of line {with_soma[0]} has the soma and {size} of the {len(points)} points; "
            "join the others to it by naming parents, or leave them out"
        )
    else:
        somata = f"{len(with_soma)} trees have a soma" if with_soma else "no tree has a soma"
        fix = f"{somata}; keep one tree per file or join them by naming parents"
    cut_off = roots[0].line if with_soma == [roots[1].line] else roots[1].line
    raise InputError(f"{path}:{cut_off}: {len(roots)} roots (parent -1) on lines {places}{more}; {fix}")


def _depth_first(roots: list[SwcPoint], points: tuple[SwcPoint, ...]) -> list[int]:
    """Ids that can be reached from the roots, parents first, siblings by id."""
    children: dict[int, list[int]] = {}
    for point in points:
        children.setdefault(point.parent, []).append(point.id)
    ordered: list[int] = []
    waiting = [point.id for point in roots]
    while waiting:
        ordered.append(waiting.pop())
        waiting.extend(sorted(children.get(ordered[-1], []), reverse=True))
    return ordered


def _check_cycle(unreached: list[SwcPoint], by_id: dict[int, SwcPoint], path: str | Path) -> None:
    cycle = _cycle(unreached, by_id)
    chain = " -> ".join(str(point.id) for point in cycle[:6])
    chain += " -> ..." if len(cycle) > 6 else f" -> {cycle[0].id}"
    raise InputError(
        f"{path}:{cycle[0].line}: the parents run in a circle: {chain}; "
        "give one of these points a parent nearer to the soma"
    )


def _cycle(unreached: list[SwcPoint], by_id: dict[int, SwcPoint]) -> list[SwcPoint]:
    """One circle of parents, starting at its first line; every unreached point leads to one."""
    seen: dict[int, int] = {}
    trail: list[SwcPoint] = []
    point = unreached[0]
    while point.id not in seen:
        seen[point.id] = len(trail)
        trail.append(point)
        point = by_id[point.parent]
    circle = trail[seen[point.id] :]
    first = min(range(len(circle)), key=lambda k: circle[k].line)
    return circle[first:] + circle[:first]


def _check_lone_point(tree: SwcTree) -> None:
    if tree.n_points == 1 and tree.kind[0] != SOMA:
        raise InputError(
            f"{tree.place(0)}: the only point is of type {tree.kind[0]}; "
            "one point makes a cell only if it is a soma (type 1)"
        )


def _with_structure_marks_repaired(tree: SwcTree) -> SwcTree:
    if not repair.marks_structure(tree.kind, tree.parent):
        return tree
    kind = repair.inherit_kinds(tree.kind, tree.parent)
    changed = np.count_nonzero(kind != tree.kind)
    note = Repair(0, -1, f"types 5 and 6 only mark forks and ends: {changed} points take the type"
                  " of their neurite")  # fmt: skip
    return replace(tree, kind=kind, repairs=(*tree.repairs, note))


def _check_lengths(tree: SwcTree, scale: float, thickest: float) -> None:
    """Refuses coordinates beyond `LONGEST` and radii beyond `thickest` (µm); `scale` is µm per unit."""
    limits = ((np.abs(tree.xyz).max(axis=1), LONGEST, "a coordinate"), (tree.radius, thickest, "the radius"))
    for values, limit, name in limits:
        beyond = np.flatnonzero(values * scale > limit)
        if len(beyond):
            row = beyond[np.argmin(tree.line[beyond])]
            raise InputError(
                f"{tree.place(row)}: {name} of point {tree.id[row]} is {values[row] * scale:g} um, beyond any "
                f"cell ({limit:g} um); correct it, or name the unit of the file with --units"
            )


def _with_radii_repaired(tree: SwcTree, thinnest: float) -> SwcTree:
    """Radii below `thinnest`, in the unit of the file, count as none."""
    bad = np.flatnonzero(tree.radius < thinnest)
    radius = repair.inherit_radii(np.where(tree.radius < thinnest, 0.0, tree.radius), tree.parent, tree.kind)
    hopeless = bad[radius[bad] <= 0.0]
    if len(hopeless):
        row = hopeless[np.argmin(tree.line[hopeless])]
        where = "soma" if tree.kind[row] == SOMA else "neurite"
        usable = "a positive one" if tree.radius[row] <= 0.0 else f"one above {THINNEST:g} um"
        raise InputError(
            f"{tree.place(row)}: radius {tree.radius[row]:g} of point {tree.id[row]}, and no point "
            f"of its {where} has {usable} to take instead; give a positive radius"
            + (f", or correct --units {tree.unit}" if tree.unit != "um" and tree.radius[row] > 0.0 else "")
        )
    notes = tuple(
        Repair(
            int(tree.line[row]),
            int(tree.id[row]),
            f"radius {tree.radius[row]:g}{_too_thin(tree.radius[row])} replaced by {radius[row]:g} from a neighbour",
        )
        for row in bad
    )
    return replace(tree, radius=radius, repairs=tree.repairs + notes)


def _too_thin(radius: float) -> str:
    return f" (thinner than {THINNEST:g} um)" if radius > 0.0 else ""


def _with_round_off_removed(tree: SwcTree, shortest: float) -> SwcTree:
    """Points nearer to their parent than `shortest`, in the unit of the file, are put on it."""
    xyz = tree.xyz.copy()
    step = np.abs(xyz - xyz[tree.parent]).max(axis=1)
    step[tree.parent < 0] = 0.0
    if not np.any((step > 0.0) & (step < shortest)):
        return tree
    for row in range(1, tree.n_points):
        up = tree.parent[row]
        if np.abs(xyz[row] - xyz[up]).max() < shortest:
            xyz[row] = xyz[up]
    return replace(tree, xyz=xyz)


def _with_zero_edges_reported(tree: SwcTree) -> SwcTree:
    on_parent = np.flatnonzero((tree.edge_length == 0.0) & (tree.parent >= 0))
    notes = tuple(
        Repair(
            int(tree.line[row]),
            int(tree.id[row]),
            f"lies on its parent {tree.id[tree.parent[row]]}: the edge of length zero is left out"
            + _step(tree.radius[tree.parent[row]], tree.radius[row]),
        )
        for row in on_parent
    )
    return replace(tree, repairs=tree.repairs + notes)


def _step(before: float, after: float) -> str:
    return "" if before == after else f", the step of the radius {before:g} -> {after:g} stays"
