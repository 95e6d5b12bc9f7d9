"""Small trees of pieces for tests: built from a parent list, nothing read from files."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from hpcpinn.morphology.cable import Cable
from tests.reference.cables import branches


def tree(parents: list[int], lengths: list[float] | None = None) -> Cable:
    """Piece i hangs at the end of piece ``parents[i] < i``, or at the root node for -1."""
    n = len(parents)
    cable = branches([1.0] * n if lengths is None else lengths, [(1.0, 1.0)] * n, parents)
    return replace(cable, swc_id=np.arange(n))


@st.composite
def parent_lists(draw, max_size: int = 40) -> list[int]:
    """Parents of a random tree, from chains to stars."""
    n = draw(st.integers(1, max_size))
    bushiness = draw(st.sampled_from([1, 3, 1000]))
    return [-1] + [draw(st.integers(max(-1, i - bushiness), i - 1)) for i in range(1, n)]
