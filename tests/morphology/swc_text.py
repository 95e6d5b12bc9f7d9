"""SWC files for tests: hand-written ones, and random ones for property tests."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from hpcpinn.morphology.swc import SwcTree, read_swc


def write(folder: Path, text: str, name: str = "cell.swc") -> Path:
    """Writes a file byte by byte: line ends stay as they are given."""
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def tree_of(folder: Path, text: str, **options: str) -> SwcTree:
    """Reads hand-written SWC lines."""
    return read_swc(write(folder, text), **options)


@dataclass(frozen=True)
class RandomCell:
    """A tree with known answers, and one of the many files that describe it.

    Attributes:
        parent: Row of the parent, -1 for the root (row 0); rows are in order of their ids.
        ids, kind, xyz, radius: One per row.
        text: The file: lines shuffled, ids with gaps, odd blanks, comments and line ends.
    """

    parent: list[int]
    ids: list[int]
    kind: list[int]
    xyz: np.ndarray
    radius: np.ndarray
    text: str


@st.composite
def random_cells(draw: st.DrawFn, *, max_points: int = 25, soma: bool = True) -> RandomCell:
    """Trees of neurites on a one-point soma (or on a root of type 3), as awkward files."""
    n = draw(st.integers(2, max_points))
    parent = [-1] + [draw(st.integers(max(0, row - 4), row - 1)) for row in range(1, n)]
    if soma:  # at least one neurite must have length of its own besides the stem
        kind = [1] + [draw(st.sampled_from([2, 3, 4])) if p == 0 else 0 for p in parent[1:]]
    else:
        kind = [3] + [0] * (n - 1)
    for row in range(1, n):
        kind[row] = kind[row] or kind[parent[row]]
    ids = sorted(draw(st.sets(st.integers(0, 10 * n), min_size=n, max_size=n)))
    coordinate = st.integers(-4000, 4000).map(lambda value: value / 8.0)  # exact in decimal and binary
    xyz = np.array(draw(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=n, max_size=n)))
    xyz[:, 0] += 1000.0 * np.arange(n)  # no two points at one place
    radius = np.array(draw(st.lists(st.integers(1, 40), min_size=n, max_size=n))) / 8.0
    gap = draw(st.sampled_from([" ", "   ", "\t"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [
        gap.join(
            ["", str(ids[row]), str(kind[row]), *(repr(float(v)) for v in xyz[row]), repr(float(radius[row]))]
            + [str(ids[parent[row]]) if row else "-1"]
        )
        for row in range(n)
    ]
    lines = draw(st.permutations(lines))
    lines.insert(draw(st.integers(0, n)), "# a comment, with 1 2 3 numbers")
    lines.insert(draw(st.integers(0, n)), "")
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return RandomCell(parent, ids, kind, xyz, radius, mark + end.join(lines) + end)
