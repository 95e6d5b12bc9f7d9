"""Patches of cable around a site: all that is no farther from it along the tree than makes up a given length.

A patch goes the same way in all directions, across forks; where a branch ends it goes farther along the others.
It is as long as the cell at most. A neurite that hangs on the middle of the soma begins where its own first point
lies, not in the middle: a small patch on the soma stays there.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.repair import SOMA
from hpcpinn.morphology.sites import Site


@dataclass(frozen=True)
class Reach:
    """How far every frustum is from a site, along the tree.

    The frustum of the site counts as two parts, one on each side of it.

    Attributes:
        site: The site.
        near: Distance of the nearer end of every frustum, µm; of the site's own 0. Infinite on another tree.
        from_tail: Whether the nearer end is the tail.
        length: Lengths of the frusta, µm, (F,).
    """

    site: Site
    near: Float[np.ndarray, " F"]
    from_tail: Bool[np.ndarray, " F"]
    length: Float[np.ndarray, " F"]

    @classmethod
    def of(cls, cable: Cable, site: Site) -> "Reach":
        """The distances of a cable's frusta."""
        wire = wires(cable)
        graph = sparse.coo_array((cable.length + wire, tuple(cable.node.T)), shape=(cable.n_nodes,) * 2)
        from_ends = dijkstra(graph.tocsr(), directed=False, indices=cable.node[site.frustum])
        along = cable.length[site.frustum] * np.array([site.fraction, 1.0 - site.fraction])
        along[0] += wire[site.frustum]
        ends = np.min(from_ends + along[:, None], axis=0)[cable.node]
        ends[:, 0] += wire
        near = ends.min(axis=1)
        near[site.frustum] = 0.0
        return cls(site, near, ends[:, 0] <= ends[:, 1], cable.length)

    def _parts(self) -> tuple[Float[np.ndarray, " parts"], Float[np.ndarray, " parts"]]:
        """Nearer end and length of all that can be covered, the site's frustum as two."""
        own, x = self.site.frustum, self.site.fraction
        length = np.append(self.length, (1.0 - x) * self.length[own])
        length[own] *= x
        here = np.isfinite(self.near)
        return np.append(self.near[here], 0.0), length[np.append(here, True)]

    @property
    def total(self) -> float:
        """Length of all cable that the site is on, µm."""
        return float(self._parts()[1].sum())

    def courses(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Distances, and the length of all cable within each: linear in between."""
        near, length = self._parts()
        distance = np.unique(np.concatenate([near, near + length]))
        # Both sorted sums instead of a table of all parts at all distances.
        begun, ended = np.sort(near), np.sort(near + length)
        sums = [np.append(0.0, np.cumsum(x)) for x in (begun, ended)]
        counts = [np.searchsorted(x, distance, side="right") for x in (begun, ended)]
        within = [count * distance - total[count] for count, total in zip(counts, sums, strict=True)]
        return distance, np.maximum.accumulate(within[0] - within[1])


def wires(cable: Cable) -> Float[np.ndarray, " F"]:
    """From the soma to where the neurites that hang on it begin, µm; 0 for all other frusta.

    Such a wire is no cable and has no length for what diffuses or flows.
    """
    place: dict[int, Float[np.ndarray, " 3"]] = {}
    for (tail, head), (begin, end) in zip(
        cable.node[cable.kind == SOMA].tolist(), cable.xyz[cable.kind == SOMA], strict=True
    ):
        place.setdefault(tail, begin)
        place[head] = end
    found = np.zeros(cable.n_frusta)
    for f in np.flatnonzero(cable.kind != SOMA):
        if (at := place.get(int(cable.node[f, 0]))) is not None:
            found[f] = np.linalg.norm(cable.xyz[f, 0] - at)
    return found


@dataclass(frozen=True)
class Patch:
    """A patch on a cable.

    Attributes:
        first, last: Shares of every frustum at which the patch begins and ends, (F,); the same where it does not reach.
        start, span: Arc length within its section at which every frustum starts, and its length, µm.
        length: Length of the whole patch, µm.
    """

    first: Float[np.ndarray, " F"]
    last: Float[np.ndarray, " F"]
    start: Float[np.ndarray, " F"]
    span: Float[np.ndarray, " F"]
    length: float

    def cuts(self, frustum: int) -> list[float]:
        """Where the edges of the patch cut a frustum."""
        first, last = self.first[frustum], self.last[frustum]
        return [float(cut) for cut in (first, last) if 1e-9 < cut < 1.0 - 1e-9 and first < last]

    def covers(self, pieces: Cable, parent: Int[np.ndarray, " f"]) -> Bool[np.ndarray, " f"]:
        """Whether pieces of the cable, cut at the edges, are part of the patch.

        Args:
            pieces: The pieces.
            parent: Frustum that each is cut from.
        """
        middle = (pieces.start + 0.5 * pieces.length - self.start[parent]) / self.span[parent]
        covered: Bool[np.ndarray, " f"] = (middle > self.first[parent]) & (middle < self.last[parent])
        return covered


def patch_around(cable: Cable, site: Site, length: float) -> Patch:
    """The patch of the given length around a site, or the whole tree where that is shorter.

    Raises:
        InputError: The length is not positive.
    """
    if length <= 0.0:
        raise InputError(f"synapse at {site.name}: patch of {length:g} µm; give a positive length")
    reach = Reach.of(cable, site)
    distance, within = reach.courses()
    radius = float(np.interp(length, within, distance))
    covered = np.clip(radius - reach.near, 0.0, cable.length) / cable.length
    first = np.where(reach.from_tail, 0.0, 1.0 - covered)
    last = np.where(reach.from_tail, covered, 1.0)
    own, x, share = site.frustum, site.fraction, radius / cable.length[site.frustum]
    first[own], last[own] = max(x - share, 0.0), min(x + share, 1.0)
    return Patch(first, last, cable.start, cable.length, min(length, float(within[-1])))


_DEGREE = 3
"""Of the Legendre polynomials through which an edge of a patch is seen."""


def _legendre(x: Float[Array, "..."]) -> list[Float[Array, "..."]]:
    """P_0 to P_{_DEGREE + 1}."""
    found = [jnp.ones_like(x), x]
    for n in range(1, _DEGREE + 1):
        found.append(((2 * n + 1) * x * found[n] - n * found[n - 1]) / (n + 1))
    return found


@dataclass(frozen=True)
class PatchPlace:
    """Where a patch lies, for shares of pieces that are a smooth function of its length.

    On a piece that an edge of the patch cuts, the jump is seen through its first Legendre polynomials: as much
    of it as features of the piece can see, whose amount and place are right.

    Attributes:
        reach: Distances of all frusta of the cable from the site.
        pieces: Pieces whose shares are wanted, (P,).
    """

    reach: Reach
    pieces: Int[np.ndarray, " P"]

    @classmethod
    def around(cls, cable: Cable, site: Site, pieces: Int[np.ndarray, " P"]) -> "PatchPlace":
        """The place of a patch around a site.

        Args:
            cable: The refined cable.
            site: Site on the cable.
            pieces: Pieces whose shares are wanted, (P,).
        """
        return cls(Reach.of(cable, site), np.asarray(pieces, int))

    def shares(self, length: Float[Array, ""] | float, nodes: Float[np.ndarray, " X"]) -> Float[Array, "P X"]:
        """How much the patch acts at places of every piece, between 0 and 1 but for the edges. Traceable.

        Where an edge of the patch is one of a piece, the derivative acts in this piece, in the next or in both: by
        their moments it is the same.

        Args:
            length: Length of the patch, µm.
            nodes: Places ξ in every piece, of which the quadrature is Gauss'.
        """
        distance, within = self.reach.courses()
        radius = jnp.interp(length, within, distance)
        ends = self._ends(radius)
        below = _legendre(ends)
        shape = _legendre(jnp.asarray(nodes))
        covered = 0.5 * (ends[1] - ends[0])[:, None] * jnp.ones(len(nodes))
        for n in range(1, _DEGREE + 1):
            # ∫ P_n = (P_{n+1} − P_{n−1})/(2n + 1), and P_n has the square norm 2/(2n + 1).
            moment = 0.5 * jnp.diff(below[n + 1] - below[n - 1], axis=0)[0]
            covered = covered + moment[:, None] * shape[n]
        return covered

    def _ends(self, radius: Float[Array, ""]) -> Float[Array, "2 P"]:
        """Where the patch begins and ends on every piece, ξ; the same where it does not reach."""
        near, length = self.reach.near[self.pieces], self.reach.length[self.pieces]
        from_tail, own = self.reach.from_tail[self.pieces], self.pieces == self.reach.site.frustum
        covered = 2.0 * jnp.clip(radius - near, 0.0, length) / length
        centre, half = 2.0 * self.reach.site.fraction - 1.0, 2.0 * radius / length
        first = jnp.where(own, jnp.maximum(centre - half, -1.0), jnp.where(from_tail, -1.0, 1.0 - covered))
        last = jnp.where(own, jnp.minimum(centre + half, 1.0), jnp.where(from_tail, covered - 1.0, 1.0))
        return jnp.stack([first, last])
