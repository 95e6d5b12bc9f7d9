"""Small heads: cubes of tetrahedra in which a field is known in closed form, as SimNIBS writes them."""

import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import meshio
import numpy as np

from hpcpinn.morphology import Cable, cable_from_swc, read_swc
from hpcpinn.morphology.meshes import morphology_path

Fields = dict[str, Any]


def cube(low: Any, high: Any, cells: int, jiggle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (mm) and tetrahedra of a box: six in each of its cells; nodes inside may be moved at random."""
    axes = [np.linspace(a, b, cells + 1) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    number = np.arange((cells + 1) ** 3).reshape((cells + 1,) * 3)
    tets = []
    for order in permutations(range(3)):  # Kuhn's: from one corner to the opposite one, an axis at a time
        at, corner = [0, 0, 0], []
        for axis in (None, *order):
            if axis is not None:
                at[axis] = 1
            corner.append(number[tuple(slice(s, s + cells) for s in at)].ravel())
        tets.append(np.stack(corner, axis=1))
    steps = (np.asarray(high, float) - low) / cells
    moved = np.random.default_rng(1).uniform(-1.0, 1.0, points.shape) * jiggle * steps
    inner = np.all((points > np.asarray(low) + 0.5 * steps) & (points < np.asarray(high) - 0.5 * steps), axis=1)
    return points + moved * inner[:, None], np.concatenate(tets)


def write_head(
    path: Path,
    points: np.ndarray,
    tets: np.ndarray,
    tags: np.ndarray,
    fields: Fields,
    kind: str = "gmsh22",
    binary: bool = True,
) -> Path:
    """A head with a triangle in front of its tetrahedra, as SimNIBS's have surfaces; fields per tetrahedron."""
    if kind == "simnibs":
        path.write_bytes(as_simnibs(points, tets, tags, fields))
        return path
    cells = [("triangle", tets[:1, :3]), ("tetra", tets)]
    both = [np.r_[1000 + tags[:1]], tags]
    data = {name: [values[:1], values] for name, values in fields.items()}
    labels = {"gmsh:physical": both, "gmsh:geometrical": both}
    entity = np.tile([3, 2], (len(points), 1))  # of format 4: which the nodes belong to
    entity[tets[0, 0]] = [2, 1000 + tags[0]]
    nodes = {"gmsh:dim_tags": entity} if kind == "gmsh" else {}
    meshio.write(str(path), meshio.Mesh(points, cells, nodes, data | labels), file_format=kind, binary=binary)
    if not binary:  # meshio writes numbers as NumPy 2 shows them
        path.write_bytes(re.sub(rb"np\.float64\(([^)]*)\)", rb"\1", path.read_bytes()))
    return path


def as_simnibs(points: np.ndarray, tets: np.ndarray, tags: np.ndarray, fields: Fields) -> bytes:
    """The bytes of SimNIBS's own writer: no line ends before $End, four whole numbers before data."""
    ends = b"$MeshFormat\n2.2 1 8\n" + np.int32(1).tobytes() + b"\n$EndMeshFormat\n$Nodes\n%d\n" % len(points)
    nodes = np.zeros(len(points), [("n", "<i4"), ("x", "<f8", 3)])
    nodes["n"], nodes["x"] = np.arange(1, len(points) + 1), points
    parts = [ends, nodes.tobytes(), b"$EndNodes\n$Elements\n%d\n" % (1 + len(tets))]
    for kind, label, corners, first in ((2, 1000 + tags[:1], tets[:1, :3], 1), (4, tags, tets, 2)):
        number = np.arange(first, first + len(corners))[:, None]
        rows = np.concatenate([number, label[:, None], label[:, None], corners + 1], axis=1)
        parts += [np.array([kind, len(corners), 2], "<i4").tobytes(), rows.astype("<i4").tobytes()]
    parts.append(b"$EndElements\n")
    for name, values in fields.items():
        all_ = np.concatenate([values[:1], values]).reshape(1 + len(tets), -1)
        head = f'$ElementData\n1\n"{name}"\n1\n0\n4\n0\n{all_.shape[1]}\n{len(all_)}\n0\n'
        rows = np.zeros(len(all_), [("n", "<i4"), ("x", "<f8", all_.shape[1])])
        rows["n"], rows["x"] = np.arange(1, len(all_) + 1), all_
        parts += [head.encode(), rows.tobytes(), b"$EndElementData\n"]
    return b"".join(parts)


def head_with(
    path: Path,
    field: Callable[[np.ndarray], np.ndarray],
    around: np.ndarray,
    cells: int = 4,
    margin: float = 0.2,
    **more: Any,
) -> Path:
    """A cube of grey matter around places (mm) in which a field (of places in mm) is constant in every tetrahedron."""
    low, high = around.min(axis=0) - margin, around.max(axis=0) + margin
    points, tets = cube(low, high, cells, jiggle=0.15)
    vectors = field(points[tets].mean(axis=1))
    size = np.linalg.norm(vectors, axis=1)
    return write_head(path, points, tets, np.full(len(tets), 2), {"magnE": size, "E": vectors}, **more)


def cell(name: str = "y_branch") -> Cable:
    return cable_from_swc(read_swc(morphology_path(f"builtin:{name}")))[0]
