"""Cells side by side: every one of them is what it was alone."""

import numpy as np
import pytest

from hpcpinn.morphology import cable_from_swc, read_swc
from hpcpinn.morphology.compartments import compartments
from hpcpinn.morphology.forest import join_cables, join_compartments, points_of
from hpcpinn.morphology.meshes import morphology_path


@pytest.fixture(scope="module")
def cables():
    names = ("builtin:y_branch", "builtin:pyramidal", "builtin:y_branch")
    return [cable_from_swc(read_swc(morphology_path(name)))[0] for name in names]


def test_cables(cables):
    forest = join_cables(cables)
    assert forest.volume.sum() == pytest.approx(sum(cable.volume.sum() for cable in cables), rel=1e-14)
    first_row = first_node = first_section = 0
    for cable in cables:
        own = forest.take(np.arange(first_row, first_row + cable.n_frusta))
        np.testing.assert_array_equal(own.node - first_node, cable.node)
        np.testing.assert_array_equal(own.section - first_section, cable.section)
        np.testing.assert_array_equal(own.depth, cable.depth)
        here = forest.sections[first_section : first_section + len(cable.sections)]
        assert [s.name for s in here] == [s.name for s in cable.sections]
        for mine, alone in zip(here, cable.sections, strict=True):
            assert mine.parent == (alone.parent + first_section if alone.parent >= 0 else -1)
        first_row += cable.n_frusta
        first_node += cable.n_nodes
        first_section += len(cable.sections)


def test_compartments(cables):
    parts = [compartments(cable, np.full(len(cable.sections), 3)) for cable in cables]
    forest = join_compartments(parts)
    assert forest.count == sum(part.count for part in parts)
    places = points_of(parts, [np.full(part.n_points, number) for number, part in enumerate(parts)])
    within = points_of(parts, [np.arange(part.n_points) for part in parts])
    for number, part in enumerate(parts):
        rows = np.flatnonzero(places == number)
        rows = rows[np.argsort(within[rows])]
        np.testing.assert_array_equal(forest.axial[rows], part.axial)
        np.testing.assert_array_equal(forest.xyz[rows], part.xyz)
        parent = forest.parent[rows]
        np.testing.assert_array_equal(np.where(parent >= 0, within[parent], -1), part.parent)
        assert np.all(places[parent[parent >= 0]] == number)
    assert np.sum(forest.parent < 0) == len(parts)
