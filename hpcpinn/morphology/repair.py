"""What the reader changed in a file, and the changes themselves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

SOMA = 1
FORK = 5
END = 6


@dataclass(frozen=True)
class Repair:
    """One change made to what the user gave.

    Attributes:
        line: Line of the file, 0 where the change belongs to no single line.
        swc_id: SWC point id, -1 where the change belongs to no single point.
        text: What was found and what was done.
    """

    line: int
    swc_id: int
    text: str

    def __str__(self) -> str:
        place = f"line {self.line}, point {self.swc_id}: " if self.line else ""
        return place + self.text


def inherit_radii(
    radius: Float[ndarray, " n"], parent: Int[ndarray, " n"], kind: Int[ndarray, " n"]
) -> Float[ndarray, " n"]:
    """Fills radii that are not positive from the nearest good point of the same neurite.

    The parent is asked first, then the children. Soma and neurites never inherit from each
    other: a dendrite as thick as the soma, or the reverse, would be worse than a refusal.

    Args:
        radius: Radii, some of them zero or negative.
        parent: Row of the parent of every point, -1 at the root; parents come first.
        kind: SWC types.

    Returns:
        The radii; still not positive where no good point can be reached.
    """
    filled = radius.copy()
    children = np.flatnonzero(parent >= 0)
    alike = (kind == SOMA) == (kind[parent] == SOMA)

    def take_from_parents() -> None:
        for row in children:
            if filled[row] <= 0.0 and alike[row]:
                filled[row] = filled[parent[row]]

    take_from_parents()
    for row in children[::-1]:
        if filled[parent[row]] <= 0.0 and alike[row]:
            filled[parent[row]] = filled[row]
    take_from_parents()  # siblings of what the children gave
    return filled


def marks_structure(kind: Int[ndarray, " n"], parent: Int[ndarray, " n"]) -> bool:
    """Whether types 5 and 6 of this file say "fork" and "end" instead of naming a neurite.

    The first SWC definition used them so, and some exporters still do. They are taken for
    marks when every 5 is a branch point and every 6 an end.
    """
    n_children = np.bincount(parent[parent >= 0], minlength=len(kind))
    forks, ends = kind == FORK, kind == END
    if not (forks.any() or ends.any()):
        return False
    return bool(np.all(n_children[forks] > 1) and np.all(n_children[ends] == 0))


def inherit_kinds(kind: Int[ndarray, " n"], parent: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
    """Gives points marked "fork" or "end" the type of the neurite they lie on.

    The type comes from the parent; a mark directly on the soma takes that of its first
    unmarked child, or 0 (undefined) where there is none.
    """
    filled = kind.copy()
    marked = (kind == FORK) | (kind == END)
    for row in np.flatnonzero(marked):
        up = parent[row]
        if up >= 0 and filled[up] != SOMA:
            filled[row] = filled[up]
            continue
        below = np.flatnonzero((parent == row) & ~marked)
        filled[row] = kind[below[0]] if len(below) else 0
    return filled
