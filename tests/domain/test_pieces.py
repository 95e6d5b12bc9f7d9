"""Cutting a cable: nothing is lost, patches are exact, lengths follow the size field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.domain.patches import patch_around
from hpcpinn.domain.pieces import PLATEAU, PieceRule, Pieces, cut_into_pieces
from hpcpinn.errors import InputError
from hpcpinn.morphology import cable_from_swc, read_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.meshes import builtin_path
from hpcpinn.morphology.repair import SOMA
from hpcpinn.morphology.sites import Site, parse_site
from tests.domain.trees import parent_lists, tree
from tests.training.systems import cable

RULE = PieceRule(max_length=10.0, source_length=0.5, growth=2.0)


def straight(length: float = 100.0, radius: tuple[float, float] = (1.0, 1.0)) -> Cable:
    return cable([(0, 1)], [length], [radius])


@settings(max_examples=40, deadline=None)
@given(
    parents=parent_lists(8),
    seed=st.integers(0, 999),
    growth=st.sampled_from([1.2, 2.0, 4.0]),
    position=st.floats(0.0, 1.0),
    patch=st.floats(0.1, 30.0),
)
def test_nothing_is_lost(parents, seed, growth, position, patch) -> None:
    draw = np.random.default_rng(seed)
    n = len(parents)
    base = tree(parents, list(draw.uniform(0.5, 40.0, n)))
    radius = draw.uniform(0.1, 2.0, (n, 2))
    whole = Cable(**{**vars(base), "radius": radius, "er_radius": 0.5 * radius})
    site = Site(int(draw.integers(n)), position, "here")
    pieces = cut_into_pieces(whole, [(site, patch)], [], PieceRule(10.0, 0.5, growth))
    for amount in ("length", "membrane", "volume"):
        kept = np.bincount(pieces.parent, weights=getattr(pieces.cable, amount), minlength=n)
        np.testing.assert_allclose(kept, getattr(whole, amount), rtol=1e-12)
    refined = pieces.cable
    assert refined.length.max() <= 10.0 * (1 + 1e-9)
    assert refined.length.min() > 0.0
    assert (np.diff(pieces.parent) >= 0).all()
    ratio = refined.radius.max(axis=1) / refined.radius.min(axis=1)
    assert ratio.max() <= 2.0 * (1 + 1e-3)
    # As much cable takes part as was asked for, or all there is; nothing outside is nearer than anything inside.
    assert set(pieces.release[0]) <= {0.0, 1.0}
    assert pieces.release[0] @ refined.length == pytest.approx(min(patch, whole.length.sum()), rel=1e-9)
    farthest, nearest = distances(whole, site, pieces)
    inside = pieces.release[0] > 0.0
    assert farthest[inside].max() <= nearest[~inside].min(initial=np.inf) + 1e-9


def distances(whole: Cable, site: Site, pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Farthest and nearest distance of every piece from a site, along the tree, by walking it."""
    refined = pieces.cable
    neighbours: dict[int, list[tuple[int, float]]] = {}
    for (tail, head), length in zip(refined.node.tolist(), refined.length.tolist(), strict=True):
        neighbours.setdefault(tail, []).append((head, length))
        neighbours.setdefault(head, []).append((tail, length))
    at = whole.start[site.frustum] + site.fraction * whole.length[site.frustum]
    away = {}
    queue = []
    for piece in np.flatnonzero(pieces.parent == site.frustum):
        for node, s in zip(refined.node[piece].tolist(), (0.0, refined.length[piece]), strict=True):
            queue.append((node, abs(refined.start[piece] + s - at)))
    while queue:
        node, distance = queue.pop()
        if distance < away.get(node, np.inf):
            away[node] = distance
            queue += [(other, distance + length) for other, length in neighbours[node]]
    ends = np.array([[away[node] for node in pair] for pair in refined.node.tolist()])
    holds = np.isclose(ends.sum(axis=1), refined.length)  # the piece of the site itself
    return ends.max(axis=1), np.where(holds, 0.0, ends.min(axis=1))


@pytest.mark.parametrize(("centre", "first", "last"), [(0.5, 49.0, 51.0), (0.0, 0.0, 2.0), (1.0, 98.0, 100.0)])
def test_a_patch_is_covered_exactly_and_lies_within_its_section(centre, first, last) -> None:
    pieces = cut_into_pieces(straight(), [(Site(0, centre, "here"), 2.0)], [], RULE)
    inside = pieces.release[0] > 0.0
    start, end = pieces.cable.start, pieces.cable.start + pieces.cable.length
    assert start[inside].min() == pytest.approx(first, abs=1e-9)
    assert end[inside].max() == pytest.approx(last, abs=1e-9)
    assert pieces.cable.length[inside].sum() == pytest.approx(2.0, abs=1e-9)
    assert set(pieces.release[0]) == {0.0, 1.0}


def test_a_patch_longer_than_its_section_goes_on_across_the_fork() -> None:
    whole = cable([(0, 1), (1, 2), (1, 3), (3, 4)], [3.0, 50.0, 1.0, 50.0], [(1.0, 1.0)] * 4)
    pieces = cut_into_pieces(whole, [(Site(0, 0.5, "here"), 12.0)], [], RULE)
    # 1.5 on either side of the site fill the first; the fork leads on to 4.5 of each branch, one of them of two parts.
    taken = np.bincount(pieces.parent, weights=pieces.release[0] * pieces.cable.length)
    np.testing.assert_allclose(taken, [3.0, 4.5, 1.0, 3.5], rtol=1e-12)
    assert set(pieces.release[0]) == {0.0, 1.0}


def test_a_patch_on_the_soma_stays_there_until_it_reaches_where_neurites_begin() -> None:
    """A sphere of radius 8; six neurites hang on its middle, whose first points lie on its surface."""
    whole, _ = cable_from_swc(read_swc(builtin_path("pyramidal")))
    root = parse_site("root", whole)
    for length, soma, neurites in ((1.0, 1.0, 0.0), (12.0, 12.0, 0.0), (22.0, 16.0, 6.0)):
        patch = patch_around(whole, root, length)
        taken = (patch.last - patch.first) * whole.length
        assert taken[whole.kind == SOMA].sum() == pytest.approx(soma, abs=1e-3)
        assert taken[whole.kind != SOMA].sum() == pytest.approx(neurites, abs=1e-3)


def test_a_patch_longer_than_the_cell_is_all_of_it_and_needs_no_short_pieces() -> None:
    whole = cable([(0, 1), (1, 2), (1, 3)], [30.0, 50.0, 40.0], [(1.0, 1.0)] * 3)
    pieces = cut_into_pieces(whole, [(Site(1, 0.2, "here"), 500.0)], [], RULE)
    assert np.all(pieces.release == 1.0)
    assert pieces.cable.n_frusta == 12


def test_two_patches_that_overlap_keep_their_own_extents() -> None:
    sites = [(Site(0, 0.5, "one"), 2.0), (Site(0, 0.51, "two"), 4.0)]
    pieces = cut_into_pieces(straight(), sites, [], RULE)
    assert [(row * pieces.cable.length).sum() for row in pieces.release] == pytest.approx([2.0, 4.0])
    middle = pieces.cable.start + pieces.cable.length / 2
    for row, (first, last) in zip(pieces.release, [(49.0, 51.0), (49.0, 53.0)], strict=True):
        assert np.array_equal(row > 0.0, (middle > first) & (middle < last))


@pytest.mark.parametrize("growth", [1.5, 2.0, 3.0])
def test_lengths_grow_from_a_patch_as_the_rule_says(growth: float) -> None:
    """The finest on the patch and on the plateau around it, then in proportion to the distance."""
    rule = PieceRule(10.0, 0.5, growth)
    pieces = cut_into_pieces(straight(200.0), [(Site(0, 0.5, "here"), 2.0)], [], rule).cable
    start, end = pieces.start, pieces.start + pieces.length
    # Farthest place of a piece from an edge of the patch [99, 101]: the most that is allowed on it.
    outside = np.maximum(99.0 - start, end - 101.0)
    inside = outside <= 1e-9
    away = np.where(inside, np.minimum(end - 99.0, 101.0 - start), outside - PLATEAU)
    allowed = np.minimum(0.5 + (growth - 1.0) * np.maximum(away, 0.0), 10.0)
    assert (pieces.length <= allowed * (1 + 1e-6)).all()
    assert sum((outside > 1e-9) & (outside <= PLATEAU)) >= 4  # on both sides together
    assert pieces.length.max() > 5.0  # long where nothing happens
    neighbours = pieces.length[1:] / pieces.length[:-1]
    assert np.maximum(neighbours, 1 / neighbours).max() <= np.exp(growth - 1.0) * 1.1


def test_pieces_are_short_where_the_radius_jumps_and_at_given_fluxes_only() -> None:
    whole = cable([(0, 1), (1, 2), (2, 3)], [60.0] * 3, [(1.0, 1.0), (1.0, 1.0), (0.4, 0.4)])
    pieces = cut_into_pieces(whole, [], [Site(0, 0.0, "end")], RULE)
    at = {(f, end): [] for f in range(3) for end in (0, 1)}
    for f in range(3):
        rows = np.flatnonzero(pieces.parent == f)
        at[f, 0], at[f, 1] = pieces.cable.length[rows[0]], pieces.cable.length[rows[-1]]
    assert at[0, 0] <= 1.0  # the flux
    assert at[1, 1] <= 1.0 and at[2, 0] <= 1.0  # the jump
    assert min(at[0, 1], at[1, 0], at[2, 1]) > 5.0


def test_a_weak_jump_is_cut_more_coarsely_than_a_strong_one() -> None:
    def finest(ratio: float) -> float:
        whole = cable([(0, 1), (1, 2)], [60.0] * 2, [(1.0, 1.0), (ratio, ratio)])
        return float(cut_into_pieces(whole, [], [], RULE).cable.length.min())

    assert finest(3.0) < 1.0 < finest(1.1) < finest(1.0)


@pytest.mark.parametrize("radius", [(0.1, 0.8), (3.0, 0.05)])
def test_the_radius_of_a_piece_changes_by_a_factor_of_two_at_most(radius) -> None:
    pieces = cut_into_pieces(straight(8.0, radius), [], [], RULE).cable
    ratio = pieces.radius.max(axis=1) / pieces.radius.min(axis=1)
    assert ratio.max() <= 2.0 * (1 + 1e-3)
    assert len(ratio) <= np.ceil(np.log2(max(radius) / min(radius))) + 1.0 + 8.0  # and no more than needed


def test_pieces_without_number_are_refused() -> None:
    with pytest.raises(InputError, match="pieces of 1e-09 µm on 49.5 µm of cable are more than 1e"):
        cut_into_pieces(straight(), [(Site(0, 0.5, "here"), 1.0)], [], PieceRule(10.0, 1e-9, 2.0))


def test_a_patch_that_is_lost_in_rounding_is_refused() -> None:
    with pytest.raises(InputError, match="a patch of 1e-300 µm is nothing here"):
        cut_into_pieces(straight(), [(Site(0, 0.5, "here"), 1e-300)], [], RULE)


def test_a_patch_without_length_is_refused() -> None:
    with pytest.raises(InputError, match="patch of 0 µm"):
        cut_into_pieces(straight(), [(Site(0, 0.5, "dend[0]"), 0.0)], [], RULE)
