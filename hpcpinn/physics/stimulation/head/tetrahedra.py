"""A field that a finite-element solver gives: one vector per tetrahedron of a mesh, made continuous inside each tissue.

At a node the vectors of the tetrahedra around it, of one tissue alone, are fitted by a linear function of their
centres, weighted by their volumes, and the fit is taken at the node (superconvergent patch recovery: O. C. Zienkiewicz,
J. Z. Zhu, Int. J. Numer. Methods Eng. 33 (1992) 1331; SimNIBS interpolates so as well). Within a tetrahedron the field
is linear between its nodes. A field that is linear inside a tissue comes out exactly, also at the tissue's surface,
where an average would be one-sided. Across tissues the field jumps, so nothing is averaged across.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.spatial import KDTree

_INSIDE = -1e-9
"""Least barycentric coordinate of a point that is inside: on a face, round-off decides nothing."""
_LEAST_FITTED = 8
"""Tetrahedra that a linear fit (four unknowns) is made from, at least."""
_LEAST_SPREAD = 0.1
"""Least ratio of the extents of a patch: one that is flatter says nothing of the direction across."""
_MOST_RINGS = 3
"""Rings of neighbours that a patch may grow by."""
_PLACES = 256
"""Places that are looked for together."""
_NEAR = 16
"""Tetrahedra near a place outside among which the nearest is looked for."""


@dataclass(frozen=True)
class Tetrahedra:
    """Tetrahedra of one tissue.

    Attributes:
        points: Nodes of the mesh, mm.
        corners: Nodes of every tetrahedron.
        vectors: Field in every tetrahedron, or, with `is_nodal`, at every node, V/m.
        is_nodal: Whether the field is given at the nodes.
    """

    points: Float[ndarray, "nodes 3"]
    corners: Int[ndarray, "tets 4"]
    vectors: Float[ndarray, "given 3"]
    is_nodal: bool = False

    @cached_property
    def centres(self) -> Float[ndarray, "tets 3"]:
        """The centre of every tetrahedron, mm."""
        centres: Float[ndarray, "tets 3"] = self.points[self.corners].mean(axis=1)
        return centres

    @cached_property
    def volumes(self) -> Float[ndarray, " tets"]:
        """The volume of every tetrahedron, mm³."""
        a, b, c, d = np.moveaxis(self.points[self.corners], 1, 0)
        return np.asarray(np.abs(np.einsum("ni,ni->n", b - a, np.cross(c - a, d - a))) / 6.0)

    @cached_property
    def bounds(self) -> Float[ndarray, "2 3"]:
        """The lowest and the highest coordinates, mm."""
        used = self.points[np.unique(self.corners)]
        return np.stack([used.min(axis=0), used.max(axis=0)])

    @cached_property
    def _around(self) -> sparse.csr_matrix:
        """Which tetrahedra have a node: nodes × tetrahedra."""
        tets = np.repeat(np.arange(len(self.corners)), 4)
        shape = (len(self.points), len(self.corners))
        return sparse.csr_matrix((np.ones(len(tets), np.int8), (self.corners.ravel(), tets)), shape=shape)

    def _overlapping(self, places: Float[ndarray, "n 3"]) -> Int[ndarray, " k"]:
        """Tetrahedra whose boxes meet the box of all places: of a head, few."""
        corner = self.points[self.corners]
        meets = (corner.min(axis=1) <= places.max(axis=0)) & (corner.max(axis=1) >= places.min(axis=0))
        return np.flatnonzero(meets.all(axis=1))

    def containing(self, places: Float[ndarray, "n 3"]) -> tuple[Int[ndarray, " n"], Float[ndarray, "n 4"]]:
        """The tetrahedron around every place, −1 where there is none, and the barycentric coordinates in it."""
        found, weights = np.full(len(places), -1), np.zeros((len(places), 4))
        if not len(places) or not len(own := self._overlapping(places)):
            return found, weights
        centres, corner = self.centres[own], self.points[self.corners[own]]
        reach = float(np.linalg.norm(corner - centres[:, None], axis=2).max()) * (1.0 + 1e-12)
        tree, least = KDTree(centres), np.full(len(places), -np.inf)
        for start in range(0, len(places), _PLACES):
            near = tree.query_ball_point(places[start : start + _PLACES], reach, return_sorted=True)
            point = start + np.repeat(np.arange(len(near)), [len(tets) for tets in near])
            tet = own[np.concatenate([np.asarray(tets, int) for tets in near])]
            shares = self._barycentric(tet, places[point])
            smallest = shares.min(axis=1)
            for k in np.flatnonzero(smallest >= _INSIDE):
                if smallest[k] > least[point[k]]:
                    least[point[k]], found[point[k]], weights[point[k]] = smallest[k], tet[k], shares[k]
        return found, weights

    def _barycentric(self, tets: Int[ndarray, " k"], places: Float[ndarray, "k 3"]) -> Float[ndarray, "k 4"]:
        """The barycentric coordinates of a place in each tetrahedron; far outside for one without volume."""
        corner = self.points[self.corners[tets]]
        edges = np.moveaxis(corner[:, 1:] - corner[:, :1], 1, 2)
        size = np.abs(edges).max(axis=(1, 2))
        is_flat = np.abs(np.linalg.det(edges)) <= 1e-12 * size**3
        edges[is_flat] = np.eye(3)
        inner = np.linalg.solve(edges, (places - corner[:, 0])[..., None])[..., 0]
        shares = np.concatenate([1.0 - inner.sum(axis=1, keepdims=True), inner], axis=1)
        shares[is_flat] = -np.inf
        return shares

    def at_nodes(self, nodes: Int[ndarray, " n"]) -> Float[ndarray, "n 3"]:
        """The field at nodes, recovered from the tetrahedra around them, V/m."""
        if self.is_nodal:
            return np.asarray(self.vectors[nodes])
        return np.array([self._recovered(int(node)) for node in nodes]).reshape(-1, 3)

    def _recovered(self, node: int) -> Float[ndarray, " 3"]:
        around = self._around
        patch = around[node].indices
        for ring in range(_MOST_RINGS + 1):
            offset = self.centres[patch] - self.points[node]
            weight = self.volumes[patch]
            spread = np.linalg.svd((offset - np.average(offset, axis=0)), compute_uv=False)
            if len(patch) >= _LEAST_FITTED and spread[-1] >= _LEAST_SPREAD * spread[0]:
                root = np.sqrt(weight)[:, None]
                size = np.abs(offset).max()
                design = np.concatenate([np.ones((len(patch), 1)), offset / size], axis=1)
                fit = np.linalg.lstsq(root * design, root * self.vectors[patch], rcond=None)[0]
                value: Float[ndarray, " 3"] = fit[0]
                return value
            if ring == _MOST_RINGS:
                break
            larger = np.unique(around[np.unique(self.corners[patch])].indices)
            if len(larger) == len(patch):
                break
            patch = larger
        # A speck of tissue of a few tetrahedra, or a sheet one of them thick: no more than their mean is known.
        own = around[node].indices
        mean: Float[ndarray, " 3"] = np.average(self.vectors[own], axis=0, weights=self.volumes[own])
        return mean

    def at(self, places: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The field at places, V/m; not a number outside."""
        tets, shares = self.containing(places)
        vectors, inside = np.full((len(places), 3), np.nan), np.flatnonzero(tets >= 0)
        vectors[inside] = self._mixed(tets[inside], shares[inside])
        return vectors

    def _mixed(self, tets: Int[ndarray, " n"], shares: Float[ndarray, "n 4"]) -> Float[ndarray, "n 3"]:
        nodes, place = np.unique(self.corners[tets], return_inverse=True)
        values = self.at_nodes(nodes)[place.reshape(-1, 4)]
        return np.asarray(np.einsum("nk,nkd->nd", shares, values))

    def nearest(self, places: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, "n 3"], Float[ndarray, " n"]]:
        """The field at a nearest place inside, and how far that is, mm.

        Barycentric coordinates are clipped in the tetrahedra whose centres are nearest, which ends in a place that is
        as near as any, or nearly so.
        """
        n, k = len(places), min(_NEAR, len(self.corners))
        tets = KDTree(self.centres).query(places, k=[*range(1, k + 1)])[1]
        shares = self._barycentric(tets.ravel(), np.repeat(places, k, axis=0)).clip(0.0)
        shares[shares.sum(axis=1) == 0.0] = 0.25  # one without volume
        shares = (shares / shares.sum(axis=1, keepdims=True)).reshape(n, k, 4)
        inside = np.einsum("nka,nkad->nkd", shares, self.points[self.corners[tets]])
        away = np.linalg.norm(inside - places[:, None], axis=2)
        best, row = away.argmin(axis=1), np.arange(n)
        return self._mixed(tets[row, best], shares[row, best]), away[row, best]


@dataclass(frozen=True)
class TetrahedralField:
    """A field in some tissues of a mesh.

    Attributes:
        source: The file, for messages.
        tissues: Tetrahedra by tissue, in the order in which a place is looked for.
        others: Labels of the tissues that the mesh has besides.
    """

    source: str
    tissues: dict[int, Tetrahedra]
    others: tuple[int, ...] = ()

    @property
    def region(self) -> str:
        """The tissues, in words."""
        names, others = (", ".join(map(str, labels)) for labels in (self.tissues, self.others))
        there = f"; there are also {others}" if others else ""
        return f"{'tissue' if len(self.tissues) == 1 else 'tissues'} {names} (field.tissue{there})"

    @property
    def bounds(self) -> Float[ndarray, "2 3"]:
        """The lowest and the highest coordinates of the tissues, mm."""
        each = np.stack([one.bounds for one in self.tissues.values()])
        return np.stack([each[:, 0].min(axis=0), each[:, 1].max(axis=0)])

    def at(self, places: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The vectors at places, V/m, those of the first tissue that holds each; not a number outside of all."""
        vectors = np.full((len(places), 3), np.nan)
        missing: Bool[ndarray, " n"] = np.ones(len(places), bool)
        for tissue in self.tissues.values():
            vectors[missing] = tissue.at(places[missing])
            missing = np.isnan(vectors).any(axis=1)
        return vectors

    def nearest(self, places: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, "n 3"], Float[ndarray, " n"]]:
        """The vectors at the nearest places inside, and how far these are, mm."""
        found = [tissue.nearest(places) for tissue in self.tissues.values()]
        away = np.stack([one for _, one in found])
        first, row = away.argmin(axis=0), np.arange(len(places))
        return np.stack([one for one, _ in found])[first, row], away[first, row]
