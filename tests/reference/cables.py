"""Small hand-made cables for tests of the reference."""

import numpy as np

from hpcpinn.morphology.cable import Cable, Section


def branches(
    lengths: list[float],
    radii: list[tuple[float, float]],
    parents: list[int],
    er_radii: list[tuple[float, float]] | None = None,
) -> Cable:
    """Frusta i hanging at the far end of frustum ``parents[i]`` (-1: at the root node)."""
    n = len(lengths)
    tail = [0 if p < 0 else p + 1 for p in parents]
    begin = np.zeros(n)
    for i, p in enumerate(parents):
        begin[i] = 0.0 if p < 0 else begin[p] + lengths[p]
    path = np.stack([begin, begin + lengths], axis=1)
    xyz = np.zeros((n, 2, 3))
    xyz[..., 0] = path
    return Cable(
        sections=tuple(Section(f"dend[{i}]", 3, p) for i, p in enumerate(parents)),
        section=np.arange(n),
        kind=np.full(n, 3),
        node=np.stack([tail, np.arange(1, n + 1)], axis=1),
        start=np.zeros(n),
        length=np.array(lengths, float),
        radius=np.array(radii, float),
        er_radius=np.zeros((n, 2)) if er_radii is None else np.array(er_radii, float),
        xyz=xyz,
        path=path,
        swc_id=np.full(n, -1),
    )


def cylinder(length: float = 2.0, radius: float = 1.0) -> Cable:
    """One frustum."""
    return branches([length], [(radius, radius)], [-1])


def small_tree() -> Cable:
    """Seven tapering frusta: a root with three children, one of them branching again."""
    return branches(
        [10.0, 20.0, 15.0, 8.0, 12.0, 6.0, 9.0],
        [(2.0, 1.5), (1.0, 0.8), (0.7, 0.9), (1.2, 1.0), (0.5, 0.4), (0.6, 0.6), (0.8, 0.5)],
        [-1, 0, 0, 0, 3, 3, -1],
        [(0.5, 0.3), (0.0, 0.0), (0.2, 0.3), (0.1, 0.1), (0.0, 0.1), (0.0, 0.0), (0.3, 0.2)],
    )
