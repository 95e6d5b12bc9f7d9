"""Reads the field of a gmsh mesh (`.msh`), as SimNIBS writes it: vectors per tetrahedron, labels of tissues, mm."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.head.gmsh import FARTHEST, TETRAHEDRON, GmshMesh, read_gmsh
from hpcpinn.physics.stimulation.head.tetrahedra import Tetrahedra, TetrahedralField

GREY_MATTER = 2
"""The label of grey matter's tetrahedra in SimNIBS; 1 is white matter, 3 cerebrospinal fluid."""

_LABELS_SHOWN = 10
"""Labels of tissues that a message lists."""
_MAGNITUDES = ("magnE", "normE", "E_norm", "E_magn")
"""Names that SimNIBS has given to the magnitude of the field."""
_HOW = "in SimNIBS, fields = 'eE' (or 'vector E' among the simulation options) writes the vectors"


def read_mesh_field(path: str | Path, name: str = "E", tissues: Sequence[int] = (GREY_MATTER,)) -> TetrahedralField:
    """The field that a mesh holds for its tetrahedra, or for its nodes.

    Args:
        path: The mesh; coordinates in mm.
        name: Name of the field: vectors in V/m.
        tissues: Labels of the tissues in which the field is wanted, the one that counts first where they meet.

    Raises:
        InputError: No mesh, one that is cut short, without tetrahedra, labels, such a tissue or such a field; a field
            of magnitudes, or one that is not finite; meshio is wanted and not installed. One line with the place.
    """
    mesh = read_gmsh(Path(path))
    if TETRAHEDRON not in mesh.elements:
        found = ", ".join(sorted(mesh.elements)) or "nothing"
        raise InputError(f"{path}: no tetrahedra (4 nodes each) in it, but {found}; give the mesh of the head's volume")
    if not np.all(np.abs(mesh.points) < FARTHEST):
        raise InputError(f"{path}: a node's coordinate is not finite, or farther than any head; write the mesh again")
    tets = mesh.elements[TETRAHEDRON]
    if not tets.tags.any():
        raise InputError(
            f"{path}: its tetrahedra have no labels of tissues (element tags), so nothing tells which are grey matter; "
            "write the mesh with them, as SimNIBS does"
        )
    vectors, is_nodal = _vectors(path, mesh, name)
    chosen = {}
    for tissue in tissues:
        own = tets.tags == tissue
        if not own.any():
            there = ", ".join(map(str, np.unique(tets.tags)[:20]))
            raise InputError(f"{path}: no tetrahedron of tissue {tissue}; there are {there} (field.tissue)")
        used = np.unique(tets.corners[own]) if is_nodal else np.flatnonzero(own)
        _check_finite(path, name, vectors[used], used, "node" if is_nodal else "tetrahedron", tissue)
        chosen[tissue] = Tetrahedra(mesh.points, tets.corners[own], vectors if is_nodal else vectors[own], is_nodal)
    others = np.setdiff1d(tets.tags, tissues)[:_LABELS_SHOWN]
    return TetrahedralField(str(path), chosen, tuple(others.tolist()))


def _vectors(path: str | Path, mesh: GmshMesh, name: str) -> tuple[Float[ndarray, "given 3"], bool]:
    """The field per tetrahedron, or per node where it is given so."""
    of_tetrahedra = mesh.elements[TETRAHEDRON].data
    for data, is_nodal in ((of_tetrahedra, False), (mesh.data, True)):
        if name in data and data[name].shape[1] == 3:
            return data[name], is_nodal
    raise InputError(f"{path}: {_missing(name, {**mesh.data, **of_tetrahedra})}")


def _missing(name: str, data: Mapping[str, Float[ndarray, "n d"]]) -> str:
    """Why there are no vectors of a name, and where there are some."""
    vectors = [key for key, values in data.items() if values.shape[1] == 3]
    advice = f"the vectors are in {_one_of(vectors)}: set field.name" if vectors else _HOW
    if name in data:
        per = data[name].shape[1]
        kind = "is a magnitude" if per == 1 else "holds no vectors"
        return f"field {name!r} {kind} ({per} number{'s' if per > 1 else ''} each), and a direction is needed; {advice}"
    magnitudes = [key for key in _MAGNITUDES if key in data]
    if magnitudes and not vectors:
        return f"no field {name!r}, only its magnitude ({_one_of(magnitudes)}), and a direction is needed; {_HOW}"
    there = _one_of(list(data)) if data else "no field at all"
    return f"no field {name!r} (field.name); it holds {there}; {advice}"


def _one_of(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:10])


def _check_finite(
    path: str | Path, name: str, vectors: Float[ndarray, "k 3"], which: Int[ndarray, " k"], what: str, tissue: int
) -> None:
    bad: Bool[ndarray, " k"] = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise InputError(
            f"{path}: field {name!r} is not finite in {int(bad.sum())} of {len(bad)} {_PLURAL[what]} of tissue "
            f"{tissue}, first in {what} {int(which[np.argmax(bad)]) + 1}; solve for it again"
        )


_PLURAL = {"node": "nodes", "tetrahedron": "tetrahedra"}
