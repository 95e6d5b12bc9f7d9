"""NEURON's reading of files whose points are numbered in any order, against NEURON itself where it is there."""

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcpinn.errors import InputWarning
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.neuron_sections import read_as_neuron
from hpcpinn.morphology.soma import describe_soma
from hpcpinn.morphology.swc import SwcTree, read_swc
from hpcpinn.systems.cell.inspection import lateral_area
from tests.morphology.swc_text import tree_of, write
from tests.morphology.test_soma import NEURON as UNINTERRUPTED

SPLIT_SOMA = """1 1 0 0 0 5 -1
2 1 0 5 0 5 1
3 3 10 5 0 1 2
4 3 60 5 0 1 3
5 1 0 10 0 5 2
6 1 0 15 0 5 5
"""
ROOT_ALONE = """1 1 0 0 0 1 -1
2 3 0 2 0 1 1
3 3 0 5 0 1 2
4 3 3 5 0 0.5 3
5 1 4 0 0 2 1
6 1 9 0 0 3 5
7 2 9 0 -4 1 6
8 2 12 0 -4 1 7
"""
LEGS = """1 1 0 0 0 4 -1
2 3 0 5 0 1 1
3 3 0 8 0 1 2
4 1 1 0 1 4 1
5 3 -5 0 0 1 1
6 3 -8 0 0 1 5
7 1 0 1 -2 4 1
"""
INTERRUPTED = """1 1 0 0 0 4 -1
2 2 6 0 0 1 1
3 2 10 0 0 1 2
4 4 0 6 0 1 1
5 4 0 9 0 1 4
6 2 20 0 0 0.5 3
7 2 24 3 0 0.5 6
8 4 0 20 0 0.5 5
"""
FORK_ON_SECOND_POINT = """1 1 0 0 0 4 -1
2 3 6 0 0 1 1
3 3 10 0 0 0.5 2
4 3 6 8 0 0.5 2
5 3 6 12 0 0.5 4
"""
STUB = """1 1 0 0 0 4 -1
2 4 0 6 0 1 1
3 3 6 0 0 1 1
4 2 6 9 0 0.5 3
5 2 6 12 0 0.5 4
"""
FORKED_SOMA = """1 1 0 0 0 5 -1
2 1 10 0 0 3 1
3 1 15 0 0 4 2
4 1 20 0 0 2 3
5 1 -8 -6 0 3 1
6 1 -8 6 0 4 1
7 1 -16 12 0 2 6
8 1 15 9 0 2 3
9 3 0 5 0 1 1
10 3 0 15 0 1 9
11 3 15 4 0 1 3
12 3 15 -15 0 1 11
13 3 -16 -12 0 1 5
14 3 10 7 0 1 2
15 3 -24 12 0 1 7
16 3 -24 18 0 1 15
"""
DENDRITE_FIRST = """1 3 0 0 0 1 -1
2 3 9 0 0 1 1
3 1 12 0 0 4 2
4 1 20 0 0 4 3
5 3 -9 0 0 1 1
6 3 12 10 0 1 3
7 3 12 20 0 1 6
8 3 30 0 0 1 4
9 2 -9 5 0 1 5
"""
ROOT_OF_ANOTHER_TYPE = "1 2 0 0 0 2 -1\n2 3 6 0 0 1 1\n3 3 9 0 0 1 2\n4 4 0 7 0 1 1\n5 4 0 9 0 1 4\n"
ON_THE_SOMA_POINT = """1 1 0 0 0 5 -1
2 1 0 8 0 5 1
3 3 0 8 0 1 2
4 3 0 20 0 1 3
5 3 9 20 0 1 4
6 3 -9 20 0 1 4
7 2 0 8 0 1 2
8 2 5 8 0 1 7
"""
WIRED_TO_ONE_POINT = FORKED_SOMA + "17 3 4 4 0 1 1\n18 2 4 9 0 1 17\n19 2 4 19 0 1 18\n"
CASES = {
    "a soma in two runs": SPLIT_SOMA,
    "a root alone": ROOT_ALONE,
    "a root alone with legs": LEGS,
    "interrupted neurites": INTERRUPTED,
    "a fork on the second point": FORK_ON_SECOND_POINT,
    "a first point of another type": STUB,
    "a forked soma": FORKED_SOMA,
    "a soma inside the tree": DENDRITE_FIRST,
    "a root of another type": ROOT_OF_ANOTHER_TYPE,
    "neurites that start on the soma's last point": ON_THE_SOMA_POINT,
    "a wired neurite of one point": WIRED_TO_ONE_POINT,
} | {name: text for name, (text, _) in UNINTERRUPTED.items()}


class Ours:
    """A cable as sections: length, area, corners (x, y, z, diameter) and the nodes where others are joined."""

    def __init__(self, cable: Cable) -> None:
        self.cable = cable
        self.rows = {s.name: np.flatnonzero(cable.section == k) for k, s in enumerate(cable.sections)}
        self.back = self.rows.pop("soma[0]b", None)

    def all_rows(self, name: str) -> np.ndarray:
        is_cylinder = name == "soma[0]" and self.back is not None
        return np.r_[self.back, self.rows[name]] if is_cylinder else self.rows[name]

    def node(self, name: str, at: float) -> int:
        """The node at the start (0), in the middle (0.5) or at the end (1) of a section."""
        rows, node = self.rows[name], self.cable.node
        if name == "soma[0]" and self.back is not None:
            return int({0.0: node[self.back[-1], 1], 0.5: node[rows[0], 0], 1.0: node[rows[-1], 1]}[at])
        reached = np.r_[0.0, np.cumsum(self.cable.length[rows])]
        k = int(np.argmin(np.abs(reached - at * reached[-1])))
        assert abs(reached[k] - at * reached[-1]) <= 1e-9 * reached[-1]
        return int(np.r_[node[rows[0], 0], node[rows, 1]][k])

    def frusta(self, name: str) -> np.ndarray:
        """Both ends (x, y, z, diameter) of every frustum of the file; what was cut in its middle is whole."""
        rows, cable = self.all_rows(name), self.cable
        ends = np.concatenate([cable.xyz[rows], 2.0 * cable.radius[rows][:, :, None]], axis=2)
        if name == "soma[0]" and self.back is not None:
            ends[0] = ends[0, ::-1]
            return ends
        cut = np.flatnonzero((cable.swc_id[rows] == -1) & (cable.kind[rows] == 1))
        ends[cut, 1] = ends[cut + 1, 1]
        return np.delete(ends, cut + 1, axis=0)

    def place(self, name: str) -> tuple[int, ...]:
        return (int(self.cable.node[self.rows[name][0], 0]),)


def check_same(tree: SwcTree, theirs: list[dict[str, Any]]) -> None:
    """Every section of NEURON is ours, and ours are no more."""
    cable, _ = cable_from_swc(tree, soma="neuron")
    ours = Ours(cable)
    known = {re.sub(r"^dend_(\d+)", r"type\1", s["name"]): s for s in theirs}
    assert set(ours.rows) == set(known)
    area = lateral_area(cable)
    for name, section in known.items():
        points = np.array(section["points"])
        pairs = np.stack([points[:-1], points[1:]], axis=1)
        flat = np.all(pairs[:, 0, :3] == pairs[:, 1, :3], axis=1)
        rows, scale = ours.all_rows(name), 1.0 + np.abs(points).max()
        np.testing.assert_allclose(
            cable.length[rows].sum(), section["length"], rtol=1e-6, atol=1e-6 * scale, err_msg=name
        )
        rings = math.pi / 4.0 * np.abs(pairs[flat, 0, 3] ** 2 - pairs[flat, 1, 3] ** 2).sum()
        np.testing.assert_allclose(
            area[rows].sum() + rings, section["area"], rtol=1e-5, atol=1e-5 * scale, err_msg=name
        )
        frusta = ours.frusta(name)
        is_sphere = name == "soma[0]" and ours.back is not None and np.count_nonzero(tree.kind == 1) == 3
        if is_sphere:  # NEURON draws it along x, we along the three points
            frusta[:, :, :3] = pairs[:, :, :3]
        np.testing.assert_allclose(frusta, pairs[~flat], atol=1e-6 * scale, err_msg=name)
        if section["parent"] is not None:
            parent = re.sub(r"^dend_(\d+)", r"type\1", section["parent"])
            assert ours.place(name) == (ours.node(parent, section["at"]),), name


def lengths(cable: Cable) -> dict[str, float]:
    ours = Ours(cable)
    return {name: float(cable.length[ours.all_rows(name)].sum()) for name in ours.rows}


def test_a_soma_in_two_runs_of_numbers(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, SPLIT_SOMA)
    cable, notes = cable_from_swc(tree)
    ours = Ours(cable)
    assert notes == ()
    assert lengths(cable) == pytest.approx({"soma[0]": 5.0, "soma[1]": 10.0, "dend[0]": 60.0})
    assert lateral_area(cable).sum() == pytest.approx(848.23, abs=5e-3)
    assert ours.place("soma[1]") == ours.place("dend[0]") == (ours.node("soma[0]", 1.0),)
    np.testing.assert_array_equal(ours.frusta("dend[0]")[0], [[0, 5, 0, 2], [10, 5, 0, 2]])
    assert describe_soma(tree, "neuron") == (
        "4 points, 2 sections by NEURON's rules: soma[0] 5 um, soma[1] 10 um on soma[0](1)"
    )


def test_a_root_alone_is_a_cylinder_that_carries_the_rest_of_the_soma_on_its_end(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, ROOT_ALONE)
    cable, _ = cable_from_swc(tree)
    ours = Ours(cable)
    assert lengths(cable) == pytest.approx({"soma[0]": 2.0, "soma[1]": 9.0, "dend[0]": 6.0, "axon[0]": 7.0})
    assert ours.place("soma[1]") == (ours.node("soma[0]", 0.0),)
    assert ours.place("dend[0]") == (ours.node("soma[0]", 0.5),)
    assert describe_soma(tree, "neuron") == (
        "3 points, 2 sections by NEURON's rules: soma[0] a cylinder with length = diameter = 2 um, "
        "soma[1] 9 um on soma[0](0)"
    )


def test_a_split_soma_has_the_membrane_of_neuron(tmp_path: Path) -> None:
    """Of the class of NeuroM's split_soma_two_neurites: without the cylinder of the root it was 91.7 um2."""
    cable, _ = cable_from_swc(tree_of(tmp_path, LEGS))
    assert lateral_area(cable)[cable.kind == 1].sum() == pytest.approx(292.8, abs=0.05)
    assert lengths(cable) == pytest.approx(
        {"soma[0]": 8.0, "soma[1]": math.sqrt(2.0), "soma[2]": math.sqrt(5.0), "dend[0]": 3.0, "dend[1]": 3.0}
    )


def test_interrupted_neurites_have_more_sections(tmp_path: Path) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, INTERRUPTED))
    assert lengths(cable) == pytest.approx(
        {"soma[0]": 8.0, "axon[0]": 4.0, "axon[1]": 15.0, "apic[0]": 3.0, "apic[1]": 11.0}
    )


def test_a_forked_soma_is_read(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, FORKED_SOMA)
    assert describe_soma(tree, "neuron").startswith("8 points, 5 sections by NEURON's rules: soma[0] 15 um")
    assert describe_soma(tree, "literal") == "8 points, a tree of frusta"
    literal, _ = cable_from_swc(tree, soma="arbor")
    assert literal.n_frusta == tree.n_points - 1


def test_where_neuron_leaves_the_file_the_file_is_followed_and_it_is_said(tmp_path: Path) -> None:
    text = "1 1 0 0 0 5 -1\n2 3 6 0 0 1 1\n3 3 0 6 0 1 1\n4 3 -6 0 0 1 1\n5 3 -16 0 0 1 4\n6 3 0 16 0 1 3\n"
    tree = tree_of(tmp_path, text)
    with pytest.warns(InputWarning, match=r"cell\.swc: line 3, point 3: NEURON would join point 4"):
        cable, (note,) = cable_from_swc(tree)
    assert (note.line, note.swc_id) == (3, 3)
    assert "NEURON would join point 4 to it, which the file joins to point 1" in note.text
    assert cable.length.sum() == pytest.approx(10 + 6 + 10 + 10)  # 6 -> 3 is 10 um, wired at point 3


def neuron_python() -> str | None:
    """An interpreter with NEURON: the one that HPCPINN_NEURON_PYTHON names, or this one."""
    named = os.environ.get("HPCPINN_NEURON_PYTHON")
    return named or (sys.executable if importlib.util.find_spec("neuron") else None)


needs_neuron = pytest.mark.skipif(
    neuron_python() is None,
    reason="NEURON is not installed (pip install 'neuron>=9', or name an interpreter in HPCPINN_NEURON_PYTHON)",
)


def read_by_neuron(folder: Path, files: list[Path]) -> dict[str, Any]:
    """What NEURON makes of files, in one process of its own."""
    (folder / "list").write_text("\n".join(map(str, files)))
    subprocess.run(
        [str(neuron_python()), str(Path(__file__).with_name("neuron_sections_of.py")), "list", "out.json"],
        cwd=folder, check=True, timeout=600, capture_output=True, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    return json.loads((folder / "out.json").read_text())


def random_file(rng: np.random.Generator) -> str:
    """A tree of somata and neurites numbered in any order that puts parents first."""
    n = int(rng.integers(2, 16))
    straight, same, soma = rng.choice([0.3, 0.6, 0.9]), rng.choice([0.7, 0.95]), rng.choice([0.1, 0.5])
    parent = [-1] + [k - 1 if rng.random() < straight else int(rng.integers(0, k)) for k in range(1, n)]
    kind = [1 if rng.random() < 0.85 else 3]
    for k in range(1, n):
        stays = rng.random() < (soma if kind[parent[k]] == 1 else same)
        kind.append(kind[parent[k]] if stays else int(rng.choice([2, 3, 4, 7])))
    xyz = np.cumsum(np.ones((n, 3)), axis=0) * 8.0 + rng.integers(-30, 30, (n, 3)) / 8.0
    radius = rng.integers(1, 30, n) / 8.0
    for k in range(1, n):
        if rng.random() < 0.08:
            xyz[k] = xyz[parent[k]]
    order, waiting = [], [0]
    while waiting:
        row = waiting.pop(int(rng.integers(len(waiting))) if rng.random() < 0.4 else -1)
        order.append(row)
        waiting.extend(k for k in range(1, n) if parent[k] == row)
    ids = np.cumsum(rng.integers(1, 4, n))
    of = {row: int(ids[place]) for place, row in enumerate(order)} | {-1: -1}
    return "".join(
        f"{of[k]} {kind[k]} {xyz[k, 0]} {xyz[k, 1]} {xyz[k, 2]} {radius[k]} {of[parent[k]]}\n" for k in order
    )


@needs_neuron
@pytest.mark.slow
def test_sections_by_hand_are_those_of_neuron(tmp_path: Path) -> None:
    files = [write(tmp_path, text, f"{k}.swc") for k, text in enumerate(CASES.values())]
    found = read_by_neuron(tmp_path, files)
    for file in files:
        check_same(read_swc(file, units="um"), found[str(file)])


@needs_neuron
@pytest.mark.slow
def test_sections_of_random_trees_are_those_of_neuron(tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    files = [write(tmp_path, random_file(rng), f"{k}.swc") for k in range(600)]
    found = read_by_neuron(tmp_path, files)
    agreed = strayed = 0
    for file in files:
        tree, theirs = read_swc(file, units="um"), found[str(file)]
        if min(section["length"] for section in theirs) < 1e-6:
            continue  # NEURON keeps a root's section without length (1e-9 um): no frustum here
        if read_as_neuron(tree).notes:
            strayed += 1
            assert has_edge_of_its_own(tree, theirs), file
            continue
        check_same(tree, theirs)
        agreed += 1
    assert agreed > 400 and strayed > 10


def has_edge_of_its_own(tree: SwcTree, theirs: list[dict[str, Any]]) -> bool:
    """Whether NEURON drew an edge between two points that the file does not join."""
    rows_at: dict[tuple[float, ...], set[int]] = {}
    for row, point in enumerate(tree.xyz.tolist()):
        rows_at.setdefault(tuple(point), set()).add(row)
    for section in theirs:
        points = [tuple(point[:3]) for point in section["points"]]
        for one, other in zip(points[:-1], points[1:], strict=True):
            ends = rows_at.get(one, set()), rows_at.get(other, set())
            joined = any(tree.parent[row] in ends[0] for row in ends[1])
            if all(ends) and one != other and not joined:
                return True
    return False


@needs_neuron
@pytest.mark.slow
def test_sections_of_real_cells_are_those_of_neuron(tmp_path: Path, shared: Path) -> None:
    folder = shared / "morphologies"
    files = [
        folder / f"{name}.swc"
        for name in (
            "rat_l5_pyramidal_with_axon",
            "rat_ca1_pyramidal_c91662",
            "mouse_purkinje_p43_6",
            "human_l23_pyramidal_aberra",
        )
    ]
    found = read_by_neuron(tmp_path, files)
    for file in files:
        check_same(read_swc(file, units="um"), found[str(file)])
