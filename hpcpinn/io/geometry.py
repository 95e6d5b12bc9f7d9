"""What fields live on: a branched tree, a box, a line, or points."""

import h5py

from hpcpinn.io.geometry_base import Geometry, Probe, ProbePoint, ProbeSite, differing
from hpcpinn.io.grids import Box, Line, Points, Subdomains
from hpcpinn.io.tree import PIECE_ARRAYS, Cells, Tree, equal_cells

__all__ = [
    "PIECE_ARRAYS",
    "Box",
    "Cells",
    "Geometry",
    "Line",
    "Points",
    "Probe",
    "ProbePoint",
    "ProbeSite",
    "Subdomains",
    "Tree",
    "differing",
    "equal_cells",
    "geometry_in",
]

GEOMETRIES: dict[str, type[Geometry]] = {kind.kind: kind for kind in (Tree, Box, Line, Points)}


def geometry_in(file: h5py.File) -> Geometry:
    """The geometry of an open result."""
    return GEOMETRIES[str(file.attrs["geometry"])].read(file)
