"""Values known at a few sites, wanted everywhere on the tree."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import splu

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.sites import Site

NEGLIGIBLE = 1e-13
"""Weights below this are round-off of the solve, not shares of a site."""

DIGITS = 9
"""Decimals of a site's fraction that count: sites closer than that are one place."""


def tree_weights(
    cable: Cable,
    sites: list[Site],
    points: tuple[Int[ndarray, " n"], Float[ndarray, " n"]],
) -> csr_array:
    """Weights that carry values from sites to points along the tree, never through space.

    Between two sites the value is linear in arc length; beyond the last site it is constant; at
    a junction without a site it is the harmonic value: what a network of wires with resistance
    proportional to length would carry (Laplace on the tree). The weights of a point add up to
    1 and none is negative, so nothing leaves the range of the values given.

    Args:
        cable: The cable.
        sites: Sites where values are known; no two at one place.
        points: Points where values are wanted: frusta and fractions on them, (n,).

    Returns:
        Sparse matrix, points × sites.

    Raises:
        InputError: No site, or two sites at the same place.
    """
    if not sites:
        raise InputError("values on a tree need at least one site; give one")
    cuts, site_cuts = _cuts(cable, sites)
    pieces = cable.split(cuts)
    first_piece = np.r_[0, np.cumsum([len(c) + 1 for c in cuts])]
    known = _site_nodes(pieces, first_piece, sites, site_cuts)
    at_node = _node_weights(pieces, known)

    piece, local = _on_pieces(cuts, points)
    tail, head = pieces.node[piece].T
    weights = diags_array(1.0 - local) @ at_node[tail] + diags_array(local) @ at_node[head]
    return csr_array(weights)


def _on_pieces(
    cuts: list[Float[ndarray, " k"]], points: tuple[Int[ndarray, " n"], Float[ndarray, " n"]]
) -> tuple[Int[ndarray, " n"], Float[ndarray, " n"]]:
    """Pieces of the cut cable on which points of the whole one lie, and the fractions there."""
    frustum, fraction = (np.asarray(part) for part in points)
    low = np.concatenate([np.r_[0.0, c] for c in cuts])
    high = np.concatenate([np.r_[c, 1.0] for c in cuts])
    owner = np.repeat(np.arange(len(cuts)), [len(c) + 1 for c in cuts])
    after = np.searchsorted(owner + low, frustum + fraction, side="right")
    last = np.searchsorted(owner, frustum, side="right")  # a frustum's end is not the next one's start
    piece = np.minimum(after, last) - 1
    return piece, np.clip((fraction - low[piece]) / (high - low)[piece], 0.0, 1.0)


def _cuts(cable: Cable, sites: list[Site]) -> tuple[list[Float[ndarray, " k"]], list[int]]:
    """Fractions at which sites lie inside frusta, and for every site the number of its cut there.

    The number counts the cuts before the site: 0 at the start of the frustum, one more than
    there are cuts at its end.
    """
    inside: list[list[float]] = [[] for _ in range(cable.n_frusta)]
    fractions = [round(site.fraction, DIGITS) for site in sites]
    for site, fraction in zip(sites, fractions, strict=True):
        if 0.0 < fraction < 1.0:
            inside[site.frustum].append(fraction)
    cuts = [np.unique(np.array(some)) for some in inside]
    numbers = [
        0 if fraction <= 0.0 else int(np.searchsorted(cuts[site.frustum], fraction)) + 1
        for site, fraction in zip(sites, fractions, strict=True)
    ]
    return cuts, numbers


def _site_nodes(
    pieces: Cable, first_piece: Int[ndarray, " F"], sites: list[Site], site_cuts: list[int]
) -> Int[ndarray, " n_sites"]:
    nodes: dict[int, Site] = {}
    for site, number in zip(sites, site_cuts, strict=True):
        first = first_piece[site.frustum]
        node = int(pieces.node[first, 0] if number == 0 else pieces.node[first + number - 1, 1])
        if node in nodes:
            raise InputError(f"sites '{nodes[node].name}' and '{site.name}' are one place; drop one of them")
        nodes[node] = site
    return np.array(list(nodes))


def _node_weights(pieces: Cable, known: Int[ndarray, " n_sites"]) -> csr_array:
    """Harmonic weights at every node, Dirichlet at the known ones: nodes × sites."""
    n = pieces.n_nodes
    tail, head = pieces.node.T
    conductance = 1.0 / pieces.length
    laplacian = csr_array(
        coo_array(
            (
                np.concatenate([conductance, conductance, -conductance, -conductance]),
                (np.concatenate([tail, head, tail, head]), np.concatenate([tail, head, head, tail])),
            ),
            shape=(n, n),
        )
    )
    free = np.setdiff1d(np.arange(n), known)
    weights = np.zeros((len(free), len(known)))
    if len(free):
        inner = laplacian[free]
        weights = splu(inner[:, free].tocsc()).solve(-inner[:, known].toarray())
        weights[np.abs(weights) < NEGLIGIBLE] = 0.0
        weights /= weights.sum(axis=1, keepdims=True)
    i, j = np.nonzero(weights)
    rows = np.concatenate([known, free[i]])
    columns = np.concatenate([np.arange(len(known)), j])
    values = np.concatenate([np.ones(len(known)), weights[i, j]])
    return csr_array(coo_array((values, (rows, columns)), shape=(n, len(known))))
