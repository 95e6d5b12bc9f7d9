"""Small trees of pieces for tests: built from a parent list, nothing read from files."""

import numpy as np
from hypothesis import strategies as st

from hpcpinn.morphology.cable import Cable, Section


def tree(parents: list[int], lengths: list[float] | None = None) -> Cable:
    """Piece i hangs at the end of piece ``parents[i] < i``, or at the root node for -1."""
    n = len(parents)
    length = np.ones(n) if lengths is None else np.asarray(lengths, float)
    tail = np.array([0 if p < 0 else p + 1 for p in parents], int)
    begin = np.zeros(n)
    for i, p in enumerate(parents):
        begin[i] = 0.0 if p < 0 else begin[p] + length[p]
    path = np.stack([begin, begin + length], axis=1)
    return Cable(
        sections=tuple(Section(f"dend[{i}]", 3, p) for i, p in enumerate(parents)),
        section=np.arange(n),
        kind=np.full(n, 3),
        node=np.stack([tail, np.arange(1, n + 1)], axis=1),
        start=np.zeros(n),
        length=length,
        radius=np.ones((n, 2)),
        er_radius=np.zeros((n, 2)),
        xyz=np.zeros((n, 2, 3)),
        path=path,
        swc_id=np.arange(n),
    )


@st.composite
def parent_lists(draw, max_size: int = 40) -> list[int]:
    """Parents of a random tree, from chains to stars."""
    n = draw(st.integers(1, max_size))
    bushiness = draw(st.sampled_from([1, 3, 1000]))
    return [-1] + [draw(st.integers(max(-1, i - bushiness), i - 1)) for i in range(1, n)]
