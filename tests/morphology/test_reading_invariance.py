"""What a cell measures does not depend on how its file numbers the points, where it says so, and never on the frame."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.compartments import compartments, d_lambda_counts
from tests.morphology.swc_text import tree_of
from tests.morphology.test_neuron_sections import CASES, random_file


def renumbered(text: str, rng: np.random.Generator) -> str:
    """The same tree with its points in another order, parents first."""
    rows = [line.split() for line in text.splitlines()]
    waiting, order = [row for row in rows if row[6] == "-1"], []
    while waiting:
        row = waiting.pop(int(rng.integers(len(waiting))))
        order.append(row)
        waiting.extend(child for child in rows if child[6] == row[0])
    number = {row[0]: str(k + 1) for k, row in enumerate(order)} | {"-1": "-1"}
    return "".join(" ".join([number[row[0]], *row[1:6], number[row[6]]]) + "\n" for row in order)


def frusta(cable: Cable) -> np.ndarray:
    """Ends, radii, type and way to the root of every frustum, sorted."""
    rows = np.column_stack([cable.xyz.reshape(-1, 6), cable.radius, cable.kind, cable.path])
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("soma", ["literal", "arbor"])
@pytest.mark.parametrize("seed", range(6))
def test_frusta_do_not_depend_on_the_numbering_in_modes_that_say_so(tmp_path: Path, soma: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = CASES["a forked soma"] if seed == 0 else "1 1 -9 0 0 2 -1\n2 1 -9 9 0 2 1\n" + moved(random_file(rng))
    one, _ = cable_from_swc(tree_of(tmp_path, text, units="um"), soma=soma)
    other, _ = cable_from_swc(tree_of(tmp_path, renumbered(text, rng), units="um"), soma=soma)
    np.testing.assert_allclose(frusta(other), frusta(one), atol=1e-9)


def moved(text: str) -> str:
    """The tree with its root hung on point 2, ids from 3 on."""
    rows = [line.split() for line in text.splitlines()]
    up = {row[0]: str(int(row[0]) + 2) for row in rows} | {"-1": "2"}
    return "".join(" ".join([up[row[0]], *row[1:6], up[row[6]]]) + "\n" for row in rows)


@pytest.mark.parametrize("case", CASES)
def test_a_cell_measures_the_same_in_any_frame(tmp_path: Path, case: str) -> None:
    """Turned and shifted, all lengths, areas and joints stay; only the axis of a root alone is always x."""
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    tree = tree_of(tmp_path, CASES[case], units="um")
    rows = zip(tree.id, tree.kind, tree.xyz @ turn.T + [3.0, -700.0, 20.0], tree.radius, tree.parent, strict=True)
    text = "".join(
        f"{i} {kind} {' '.join(map(repr, map(float, xyz)))} {radius} {tree.id[up] if up >= 0 else -1}\n"
        for i, kind, xyz, radius, up in rows
    )
    one, _ = cable_from_swc(tree)
    other, _ = cable_from_swc(tree_of(tmp_path, text, units="um"))
    assert other.sections == one.sections
    np.testing.assert_array_equal(other.node, one.node)
    for name in ("length", "radius", "path"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_compartments_of_every_reading_keep_its_membrane_and_are_one_tree(tmp_path: Path, case: str) -> None:
    cable, _ = cable_from_swc(tree_of(tmp_path, CASES[case]))
    cells = compartments(cable, d_lambda_counts(cable, 150.0, 1.0, fraction=0.01))
    assert cells.area.sum() == pytest.approx(cable.membrane.sum(), rel=1e-12)
    assert np.count_nonzero(cells.parent < 0) == 1
    assert np.all(cells.axial[cells.parent >= 0] > 0.0)
