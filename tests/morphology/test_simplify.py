"""Merging: fewer frusta, and not a micrometre, square or cube of the cell lost."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import Frustum, assemble
from hpcpinn.morphology.simplify import BEND_TOLERANCE, RADIUS_MARGIN, simplify
from hpcpinn.morphology.swc import read_swc
from tests.morphology.swc_text import RandomCell, random_cells, tree_of
from tests.morphology.test_swc import SAME_FOLDER


def chain(lengths: list[float], radii: list[tuple[float, float]]) -> Cable:
    """One straight dendrite along x."""
    x = np.r_[0.0, np.cumsum(lengths)]
    return assemble(
        [
            Frustum(
                tail=k,
                head=k + 1,
                xyz=np.array([[x[k], 0.0, 0.0], [x[k + 1], 0.0, 0.0]]),
                radius=radii[k],
                length=length,
                kind=3,
                swc_id=k + 2,
                order=k,
            )
            for k, length in enumerate(lengths)
        ]
    )


def per_section(cable: Cable) -> np.ndarray:
    n = len(cable.sections)
    sums = (cable.length, cable.membrane, cable.volume)
    return np.stack([np.bincount(cable.section, weights=v, minlength=n) for v in sums])


def same_skeleton(one: Cable, other: Cable) -> None:
    """Section ends, where they are and what hangs on them, agree."""
    assert one.sections == other.sections
    for k in range(len(one.sections)):
        a, b = np.flatnonzero(one.section == k), np.flatnonzero(other.section == k)
        np.testing.assert_array_equal(one.xyz[[a[0], a[-1]], [0, 1]], other.xyz[[b[0], b[-1]], [0, 1]])
        np.testing.assert_allclose(one.path[[a[0], a[-1]], [0, 1]], other.path[[b[0], b[-1]], [0, 1]])


@settings(deadline=None)
@given(
    lengths=st.lists(st.floats(0.05, 4.0), min_size=1, max_size=12),
    radii=st.lists(st.floats(0.1, 2.0), min_size=13, max_size=13),
    shorter_than=st.floats(0.0, 3.0),
)
def test_length_area_and_volume_stay_exact(lengths: list[float], radii: list[float], shorter_than: float) -> None:
    cable = chain(lengths, [(radii[k], radii[k + 1]) for k in range(len(lengths))])
    simple, n_fused, n_merged = simplify(cable, shorter_than)
    np.testing.assert_allclose(per_section(simple), per_section(cable), rtol=1e-12)
    assert simple.n_frusta == cable.n_frusta - n_fused - n_merged
    assert simple.radius.min() >= min(radii) / RADIUS_MARGIN * (1 - 1e-12)
    assert simple.radius.max() <= max(radii) * RADIUS_MARGIN * (1 + 1e-12)
    np.testing.assert_allclose(simple.start, np.cumsum(np.r_[0, simple.length[:-1]]))
    np.testing.assert_array_equal(simple.node, np.stack([range(simple.n_frusta), range(1, simple.n_frusta + 1)], 1))
    same_skeleton(simple, cable)


@SAME_FOLDER
@given(cell=random_cells(), shorter_than=st.floats(0.0, 3000.0))
def test_whole_trees_keep_every_section(tmp_path: Path, cell: RandomCell, shorter_than: float) -> None:
    tree = tree_of(tmp_path, cell.text, units="um")
    whole, _ = cable_from_swc(tree)
    simple, _ = cable_from_swc(tree, merge_below=shorter_than)
    np.testing.assert_allclose(per_section(simple), per_section(whole), rtol=1e-10)
    same_skeleton(simple, whole)
    assert sorted(np.unique(simple.node)) == list(range(simple.n_nodes))


def test_a_merged_frustum_is_the_one_with_the_same_three_integrals() -> None:
    simple, n_fused, n_merged = simplify(chain([0.5, 0.4], [(1.0, 0.9), (0.9, 0.85)]), 1.0)
    assert (n_fused, n_merged, simple.n_frusta) == (0, 1, 1)
    (start, end), length = simple.radius[0], 0.9
    np.testing.assert_allclose(start + end, 2 * (0.5 * 0.95 + 0.4 * 0.875) / length)
    mean_square = (0.5 * (1 + 0.9 + 0.81) + 0.4 * (0.81 + 0.9 * 0.85 + 0.85**2)) / 3 / length
    np.testing.assert_allclose((start**2 + start * end + end**2) / 3, mean_square)
    assert start > end, "the chain narrows, and so does the frustum"


def test_a_chain_that_widens_gives_a_frustum_that_widens() -> None:
    simple, _, _ = simplify(chain([0.5, 0.4], [(0.85, 0.9), (0.9, 1.0)]), 1.0)
    assert simple.radius[0, 0] < simple.radius[0, 1]


def test_frusta_in_line_are_fused_whatever_their_length() -> None:
    simple, n_fused, n_merged = simplify(chain([8.0, 4.0, 12.0], [(2, 1.5), (1.5, 1.25), (1.25, 0.5)]), 0.0)
    assert (n_fused, n_merged) == (2, 0)
    np.testing.assert_allclose(simple.radius, [[2.0, 0.5]])
    assert simple.swc_id.tolist() == [4]


def test_a_bend_is_not_fused_away() -> None:
    cable = chain([10.0, 10.0], [(1, 1), (1, 1)])
    for height, fused in ((0.9 * BEND_TOLERANCE, 1), (1.1 * BEND_TOLERANCE, 0)):
        cable.xyz[0, 1] = cable.xyz[1, 0] = [10.0, height, 0.0]
        assert simplify(cable, 0.0)[1] == fused


def test_a_step_of_the_radius_is_not_smeared_out() -> None:
    cable = chain([0.5, 0.5], [(1.0, 1.0), (0.4, 0.4)])
    simple, _, n_merged = simplify(cable, 1.0)
    assert n_merged == 0
    np.testing.assert_array_equal(simple.radius, cable.radius)


def test_a_section_shorter_than_the_limit_stays(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        "1 3 0 0 0 1 -1\n2 3 9 0 0 1 1\n3 3 9.5 0 0 1 2\n4 3 20 5 0 1 3\n5 3 20 -5 0 1 3\n6 3 20 1 0 1 2\n",
    )
    cable, repairs = cable_from_swc(tree, merge_below=1.0)
    assert len(cable.sections) == 5 and cable.n_frusta == 5
    np.testing.assert_allclose(cable.length.min(), 0.5)
    assert repairs == ()


def test_nothing_is_merged_across_a_neurite_on_the_soma(tmp_path: Path) -> None:
    text = "1 1 0 0 0 5 -1\n2 1 0 0.4 0 5 1\n3 1 0 0.8 0 5 2\n4 3 6 0.4 0 1 2\n5 3 16 0.4 0 1 4\n"
    cable, _ = cable_from_swc(tree_of(tmp_path, text), merge_below=1.0)
    stem = np.flatnonzero(cable.kind == 3)[0]
    assert np.count_nonzero(cable.kind == 1) == 2
    assert cable.node[stem, 0] == cable.node[0, 1] == cable.node[1, 0]


def test_what_was_done_is_reported(tmp_path: Path) -> None:
    text = "1 3 0 0 0 1 -1\n2 3 9 0 0 1 1\n3 3 20 0 0 1 2\n4 3 20.5 0 0 0.9 3\n"
    cable, repairs = cable_from_swc(tree_of(tmp_path, text), merge_below=1.0)
    assert cable.n_frusta == 1
    assert [repair.text.split()[0] for repair in repairs] == ["1", "1"]
    assert "fused" in repairs[0].text and "merged" in repairs[1].text
    with pytest.raises(InputError, match="merge_below is -1"):
        cable_from_swc(tree_of(tmp_path, text), merge_below=-1.0)


@pytest.mark.parametrize("name", ["rat_l5_pyramidal_with_axon", "mouse_purkinje_p43_6"])
def test_real_cells_lose_frusta_and_nothing_else(shared: Path, name: str) -> None:
    tree = read_swc(shared / "morphologies" / f"{name}.swc")
    whole, _ = cable_from_swc(tree)
    simple, _ = cable_from_swc(tree, merge_below=1.0)
    np.testing.assert_allclose(per_section(simple), per_section(whole), rtol=1e-12)
    same_skeleton(simple, whole)
    assert simple.n_frusta < 0.85 * whole.n_frusta
    alone = np.bincount(simple.section)[simple.section] == 1
    neighbours = np.abs(np.diff(simple.radius.mean(axis=1)))
    for row in np.flatnonzero((simple.length < 1.0) & ~alone):  # only where the radius steps
        assert max(neighbours[max(row - 1, 0) : row + 1]) > 0.1 * simple.radius[row].mean()
