"""Surfaces of a cortex: where a place lies on one, and which way is out.

Read are gmsh (`.msh`, triangles with a label, as SimNIBS's 1002), GIFTI (`.gii`) and FreeSurfer's surfaces through
nibabel, and what meshio knows (`.stl`, `.ply`, `.off`, `.vtk`). All in mm. FreeSurfer stores its surfaces around the
middle of its volume; the file says how far that is from the scanner's origin, and this is added.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.config.inputs import is_taken
from hpcpinn.errors import InputError, lacking, warn
from hpcpinn.files import check_regular
from hpcpinn.physics.csv_rows import columns_of
from hpcpinn.physics.stimulation.head.gmsh import FARTHEST, TRIANGLE, read_gmsh

_FAR = 5.0
"""mm: a place that is meant to be on a surface is nearer."""
_CORNERS = ("x", "y", "z")
_BY_MESHIO = (".stl", ".ply", ".off", ".vtk", ".vtu", ".obj")
_OTHER_UNITS = (("µm", 1e-3), ("m", 1e3), ("cm", 10.0))
"""Units that mm are mistaken for, and what they are worth in mm."""


@dataclass(frozen=True)
class Surface:
    """Triangles, ordered by the right hand about what is outwards.

    Attributes:
        source: The file, for messages.
        points: Corners, mm.
        triangles: Corners of every triangle.
    """

    source: str
    points: Float[ndarray, "n 3"]
    triangles: Int[ndarray, "t 3"]

    def foot(self, place: Float[ndarray, " 3"]) -> tuple[Float[ndarray, " 3"], Float[ndarray, " 3"]]:
        """The nearest place of the surface, mm, and the normal there, outwards and of length 1.

        Raises:
            InputError: The place is far away, and another unit would bring it near.
        """
        a, b, c = np.moveaxis(self.points[self.triangles], 1, 0)
        nearest = nearest_in_triangles(place, a, b, c)
        away = np.linalg.norm(nearest - place, axis=1)
        best = int(away.argmin())
        if away[best] > _FAR:
            self._say_far(place, float(away[best]))
        normal = np.cross(b[best] - a[best], c[best] - a[best])
        return nearest[best], self._outwards() * normal / np.linalg.norm(normal)

    def taken_at(self, place: Float[ndarray, " 3"]) -> str:
        """The triangle that is nearest to a place, as a small file that `read_surface` takes for the whole."""
        a, b, c = np.moveaxis(self.points[self.triangles], 1, 0)
        best = int(np.linalg.norm(nearest_in_triangles(place, a, b, c) - place, axis=1).argmin())
        corners = self.points[self.triangles[best]][:: int(self._outwards())].tolist()
        return "\n".join([",".join(_CORNERS), *(",".join(map(repr, one)) for one in corners), ""])

    def _outwards(self) -> float:
        """−1 for a closed surface whose triangles are ordered the other way, else 1."""
        edges = np.concatenate([self.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        _, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
        if not np.all(count == 2):
            return 1.0
        a, b, c = np.moveaxis(self.points[self.triangles] - self.points.mean(axis=0), 1, 0)
        return -1.0 if np.einsum("ti,ti->", a, np.cross(b, c)) < 0.0 else 1.0

    def _say_far(self, place: Float[ndarray, " 3"], away: float) -> None:
        low, high = self.points.min(axis=0) - _FAR, self.points.max(axis=0) + _FAR
        for unit, factor in _OTHER_UNITS:
            if np.all(low <= factor * place) and np.all(factor * place <= high):
                raise InputError(
                    f"{self.source}: placement.position lies {away:.4g} mm from it, and looks like {unit}; mm are "
                    f"meant: multiply it by {factor:g}"
                )
        warn(f"{self.source}: placement.position lies {away:.3g} mm from it; the nearest place of it is taken")


def nearest_in_triangles(
    place: Float[ndarray, " 3"], a: Float[ndarray, "t 3"], b: Float[ndarray, "t 3"], c: Float[ndarray, "t 3"]
) -> Float[ndarray, "t 3"]:
    """The place of every triangle that is nearest to a place: inside it, or on an edge.

    Args:
        place: The place.
        a: First corner of every triangle.
        b: Second corner.
        c: Third corner.
    """
    candidates = [_on_edge(place, *edge) for edge in ((a, b), (b, c), (c, a))]
    normal = np.cross(b - a, c - a)
    square = np.maximum(np.einsum("ti,ti->t", normal, normal), 1e-300)
    flat = place - (np.einsum("ti,ti->t", place - a, normal) / square)[:, None] * normal
    shares = [np.einsum("ti,ti->t", np.cross(e - s, flat - s), normal) for s, e in ((a, b), (b, c), (c, a))]
    is_inside = np.all(np.stack(shares) >= 0.0, axis=0)
    distance = np.stack([np.linalg.norm(one - place, axis=1) for one in candidates])
    edge = np.stack(candidates)[distance.argmin(axis=0), np.arange(len(a))]
    return np.asarray(np.where(is_inside[:, None], flat, edge))


def _on_edge(place: Float[ndarray, " 3"], a: Float[ndarray, "t 3"], b: Float[ndarray, "t 3"]) -> Float[ndarray, "t 3"]:
    along = b - a
    square = np.maximum(np.einsum("ti,ti->t", along, along), 1e-300)
    share = (np.einsum("ti,ti->t", place - a, along) / square).clip(0.0, 1.0)
    return np.asarray(a + share[:, None] * along)


def read_surface(path: Path, tag: int) -> Surface:
    """A surface, mm.

    Args:
        path: The file.
        tag: Label of the triangles, in a gmsh file.

    Raises:
        InputError: No file, a damaged one, or no triangles; a library is not installed. One line with the place.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a surface (.msh, .gii, .stl, or one of FreeSurfer)")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such surface file; give one (.msh, .gii, .stl, or one of FreeSurfer)")
    suffix = path.suffix.lower()
    if is_taken(path):
        rows = [numbers for _, numbers in columns_of(path, _CORNERS, "surface")]
        return Surface(str(path), np.reshape(rows, (-1, 3)), np.arange(len(rows)).reshape(-1, 3))
    if suffix == ".msh":
        points, triangles = _of_gmsh(path, tag)
    elif suffix == ".gii":
        points, triangles = _guarded(path, "nibabel", "GIFTI", _of_gifti)
    elif suffix in _BY_MESHIO:
        points, triangles = _guarded(path, "meshio", "a surface", _by_meshio)
    else:
        points, triangles = _guarded(path, "nibabel", "a surface of FreeSurfer", _of_freesurfer)
    used = points[np.unique(triangles)] if len(triangles) else points[:0]
    if not len(triangles) or not np.all(np.abs(used) < FARTHEST):
        raise InputError(
            f"{path}: no triangles, or a corner that is not finite or farther than any head; write the surface again"
        )
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    has_area = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0.0
    if not has_area.any():
        raise InputError(f"{path}: its triangles have no area; write the surface again")
    return Surface(str(path), points, triangles[has_area])


Triangles = tuple[Float[ndarray, "n 3"], Int[ndarray, "t 3"]]


def _of_gmsh(path: Path, tag: int) -> Triangles:
    mesh = read_gmsh(path, "surface")
    if TRIANGLE not in mesh.elements:
        raise InputError(f"{path}: no triangles in it; give the mesh of the head, with its surfaces")
    own = mesh.elements[TRIANGLE].tags == tag
    if not own.any():
        there = ", ".join(map(str, np.unique(mesh.elements[TRIANGLE].tags)[:20]))
        raise InputError(f"{path}: no triangle of label {tag}; there are {there} (placement.surface_tag)")
    return mesh.points, mesh.elements[TRIANGLE].corners[own]


def _of_gifti(path: Path, nibabel: Any) -> Triangles:
    image = nibabel.load(str(path))
    points, triangles = (image.agg_data(kind) for kind in ("pointset", "triangle"))
    return np.asarray(points, float).reshape(-1, 3), np.asarray(triangles, int).reshape(-1, 3)


def _by_meshio(path: Path, meshio: Any) -> Triangles:
    mesh = meshio.read(str(path))
    found = [np.asarray(block.data) for block in mesh.cells if block.type == TRIANGLE]
    triangles = np.concatenate(found) if found else np.zeros((0, 3))
    return np.asarray(mesh.points, float).reshape(-1, 3), triangles.astype(int)


def _of_freesurfer(path: Path, nibabel: Any) -> Triangles:
    points, triangles, told = nibabel.freesurfer.read_geometry(str(path), read_metadata=True)
    if "cras" not in told:
        raise ValueError("it does not say where the middle of its volume lies, cras")
    return np.asarray(points, float) + np.asarray(told["cras"], float), np.asarray(triangles, int)


def _guarded(path: Path, library: str, what: str, read: Callable[[Path, Any], Triangles]) -> Triangles:
    import contextlib
    import importlib
    import io
    import warnings

    try:
        module = importlib.import_module(library)
    except ImportError:
        raise lacking(f"reading {path.name}", [library], "tms") from None
    try:
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            points, triangles = read(path, module)
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}; make it readable") from None
    except (Exception, SystemExit) as error:  # whatever their parsers run into; meshio leaves the process
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as {what} ({reason}); it is damaged, copy or write it again"
        ) from None
    if len(triangles) and (triangles.min() < 0 or triangles.max() >= len(points)):
        raise InputError(f"{path}: a triangle has a corner that is not there; it is damaged, copy or write it again")
    return points, triangles
