"""Sizes that no cell has: repaired and reported, or refused, so that every measure of a cell is a positive number."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.graph import cable_from_networkx
from hpcpinn.morphology.swc import read_swc
from tests.morphology.swc_text import tree_of

THIN = "1 1 0 0 0 5 -1\n2 3 10 0 0 1 1\n3 3 20 0 0 1e-200 2\n4 3 30 5 0 1e-300 3\n5 3 30 -5 0 1e-5 3\n"


def test_radii_thinner_than_an_atom_are_taken_from_neighbours_and_reported(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, THIN)
    assert tree.radius.tolist() == [5, 1, 1, 1, 1]
    assert [(r.line, r.swc_id) for r in tree.repairs] == [(3, 3), (4, 4), (5, 5)]
    assert "radius 1e-200 (thinner than 0.0001 um) replaced by 1" in tree.repairs[0].text


def test_the_reported_file(shared: Path) -> None:
    path = shared / "cases" / "16" / "thin.swc"
    if not path.exists():
        pytest.skip("shared/cases is not here")
    cable, _ = cable_from_swc(read_swc(path), merge_below=1.0)
    assert np.all(cable.volume > 1.0)


@pytest.mark.parametrize(
    "text, units, words",
    [
        ("1 1 0 0 0 5 -1\n2 3 9 0 0 1e-9 1\n", "um", r":2: radius 1e-09 of point 2.* one above 0.0001 um"),
        ("1 1 0 0 0 5 -1\n2 3 9 0 0 1e-2 1\n", "nm", r":2: radius 0.01 of point 2.* one above 0.0001 um"),
        (
            "1 1 0 0 0 5 -1\n2 3 9 0 0 1 1\n3 3 2e8 0 0 1 2\n",
            "um",
            r":3: a coordinate of point 3 is 2e\+08 um, beyond",
        ),
        (
            "1 1 0 0 0 5 -1\n2 3 9 0 0 1 1\n3 3 2e3 0 0 1 2\n",
            "m",
            r":3: a coordinate of point 3 is 2e\+09 um, beyond",
        ),
        (
            "1 1 0 0 0 5 -1\n2 3 9 0 0 1e6 1\n3 3 19 0 0 1 2\n",
            "auto",
            r":2: the radius of point 2 is 1e\+06 um, beyond",
        ),
    ],
)
def test_what_no_cell_has_is_refused_with_its_line(tmp_path: Path, text: str, units: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tree_of(tmp_path, text, units=units)


@pytest.mark.parametrize("step", ["1e-300", "1e-160", "1e-10"])
def test_points_apart_by_round_off_lie_on_their_parent(tmp_path: Path, step: str) -> None:
    tree = tree_of(tmp_path, f"1 3 0 0 0 1 -1\n2 3 {step} 0 0 1 1\n3 3 9 0 0 1 2\n4 3 9 {step} 0 2 3\n5 3 9 20 0 2 4\n")
    assert tree.edge_length.tolist() == [0, 0, 9, 0, 20]
    assert [(r.line, "of length zero" in r.text) for r in tree.repairs] == [(2, True), (4, True)]


def test_edges_of_a_tenth_of_a_nanometre_stay(tmp_path: Path) -> None:
    """The TREES toolbox writes such edges, and NEURON keeps them."""
    tree = tree_of(tmp_path, "1 1 0 0 0 5 -1\n2 1 0 1e-4 0 5 1\n3 3 9 0 0 1 2\n4 3 19 0 0 1 3\n")
    assert tree.repairs == () and tree.edge_length[1] == pytest.approx(1e-4)


_SIZES = [0, -3, -4, -8, -9, -10, -100, -160, -300, 3, 6, 8, 29]


@settings(
    deadline=None,
    # most random cells are refused, by chance 50 before the tenth is taken: that says nothing of the reader
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
    max_examples=200,
)
@given(data=st.data(), n=st.integers(2, 7), units=st.sampled_from(["auto", "um", "nm", "8nm", "m"]))
def test_every_measure_of_a_cell_that_is_taken_is_positive_and_finite(
    tmp_path: Path, data: st.DataObject, n: int, units: str
) -> None:
    def number() -> float:
        return data.draw(st.floats(0.1, 9.0)) * 10.0 ** data.draw(st.sampled_from([*[0] * 12, *_SIZES]))

    rows = [
        (
            row + 1,
            1 if row == 0 else data.draw(st.sampled_from([1, 3])),
            number(),
            number(),
            number(),
            number(),
            row or -1,
        )
        for row in range(n)
    ]
    try:
        tree = tree_of(tmp_path, "".join(" ".join(map(repr, row)) + "\n" for row in rows), units=units)
        cables = [
            cable_from_swc(tree, soma=soma, merge_below=merge_below)[0]
            for soma in ("neuron", "literal")
            for merge_below in (None, 1.0)
        ]
    except InputError:
        assume(False)
    for cable in cables:
        along = cable.length / (np.pi * cable.radius.prod(axis=1))
        measures = [cable.volume, cable.membrane, cable.length, cable.radius.ravel(), along, 1.0 / along]
        assert all(np.all(np.isfinite(m)) and np.all(m > 0.0) for m in measures)


@pytest.mark.parametrize(
    "radius, length, words",
    [
        (1e-200, 5.0, "r is 1e-200 um; no cell is thinner"),
        (1e9, 5.0, "no cell is thinner"),
        (1.0, 1e30, "longer than any"),
    ],
)
def test_graphs_have_the_same_limits(radius: float, length: float, words: str) -> None:
    graph = nx.DiGraph()
    graph.add_node(1, id=3, x=0.0, y=0.0, z=0.0, r=radius)
    graph.add_node(2, id=3, x=5.0, y=0.0, z=0.0, r=1.0)
    graph.add_edge(1, 2, l=length)
    with pytest.raises(InputError, match=words):
        cable_from_networkx(graph)
