"""networkx in and out: Jaxley's attributes, and the same cable back."""

from dataclasses import fields
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given

from hpcpinn.errors import InputError
from hpcpinn.morphology import builtin_path, read_swc
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.graph import cable_from_networkx, cable_to_networkx
from tests.morphology.swc_text import RandomCell, random_cells, tree_of
from tests.morphology.test_soma import CHAIN
from tests.morphology.test_swc import SAME_FOLDER


def same_cable(one: Cable, other: Cable) -> None:
    for field in fields(Cable):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "sections":
            assert a == b
        elif field.name != "swc_id":
            np.testing.assert_allclose(a, b, atol=1e-9, err_msg=field.name)


@SAME_FOLDER
@given(cell=random_cells())
def test_there_and_back(tmp_path: Path, cell: RandomCell) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, cell.text, units="um"), er_fraction=0.3)
    graph = cable_to_networkx(cable)
    assert nx.is_arborescence(graph)
    back = cable_from_networkx(graph)
    assert {s.name for s in back.sections} == {s.name for s in cable.sections}
    for quantity in ("length", "membrane", "volume"):
        np.testing.assert_allclose(getattr(back, quantity).sum(), getattr(cable, quantity).sum(), rtol=1e-12)
    # number for number once the types stand in the order in which sections are stored
    same_cable(cable_from_networkx(cable_to_networkx(back)), back)


@pytest.mark.parametrize("soma", ["neuron", "literal"])
def test_steps_wires_and_the_soma_survive(tmp_path: Path, soma: str) -> None:
    step = CHAIN + "12 2 0 30 0 0.2 11\n13 2 0 44 0 0.2 12\n"
    cable, _ = cable_from_swc(tree_of(tmp_path, step), soma=soma)
    same_cable(cable_from_networkx(cable_to_networkx(cable)), cable)


def test_the_pyramidal_cell_survives() -> None:
    cable, _ = cable_from_swc(read_swc(builtin_path("pyramidal")), merge_below=1.0, er_radius=0.05)
    same_cable(cable_from_networkx(cable_to_networkx(cable)), cable)


def fork() -> nx.DiGraph:
    graph = nx.DiGraph()
    for name, kind, x, y, r, parent in [
        (1, 1, 0.0, 0.0, 5.0, -1),
        (2, 3, 10.0, 0.0, 1.0, 1),
        (3, 3, 20.0, 5.0, 1.0, 2),
        (4, 4, 20.0, -5.0, 0.5, 2),
    ]:
        graph.add_node(name, id=kind, x=x, y=y, z=0.0, r=r, p=parent)
        if parent > 0:
            graph.add_edge(parent, name, l=12.0)
    return graph


def test_attributes_are_those_of_jaxley() -> None:
    cable = cable_from_networkx(fork())
    assert [s.name for s in cable.sections] == ["dend[0]", "dend[1]", "apic[0]"]
    np.testing.assert_array_equal(cable.length, 12.0)  # l rules, not the distance of the points
    np.testing.assert_array_equal(cable.radius, [[5, 1], [1, 1], [1, 0.5]])
    assert cable.swc_id.tolist() == [2, 3, 4]
    graph = cable_to_networkx(cable)
    assert {"id", "x", "y", "z", "r", "p"} <= set(graph.nodes[1])
    assert graph.nodes[1]["p"] == -1 and graph.nodes[2]["p"] == 1
    assert graph.edges[1, 2]["l"] == 12.0


def test_an_edge_without_length_is_as_long_as_its_ends_are_apart() -> None:
    graph = fork()
    del graph.edges[2, 3]["l"]
    np.testing.assert_allclose(cable_from_networkx(graph).length, [12, np.sqrt(125), 12])


def test_an_undirected_graph_starts_at_its_marked_root() -> None:
    same_cable(cable_from_networkx(fork().to_undirected()), cable_from_networkx(fork()))


def _without(key: str) -> nx.DiGraph:
    graph = fork()
    del graph.nodes[3][key]
    return graph


def _with(key: str, value: float) -> nx.DiGraph:
    graph = fork()
    graph.nodes[3][key] = value
    return graph


@pytest.mark.parametrize(
    "graph, words",
    [
        (nx.DiGraph(), "the graph is empty"),
        (_without("r"), "node 3 has no attribute 'r'"),
        (_with("x", float("nan")), "node 3: x is nan"),
        (_with("r", 0.0), "node 3: radius r is 0.0"),
        (nx.compose(fork(), nx.DiGraph([(3, 4)])), "it has a circle"),
        (nx.DiGraph([(1, 2), (3, 4)]), "it falls into 2 parts"),
        (fork().reverse(), "2 roots instead of one"),
    ],
)
def test_a_graph_that_is_no_cell_is_refused(graph: nx.DiGraph, words: str) -> None:
    with pytest.raises(InputError, match=words):
        cable_from_networkx(graph)
