"""MorphIO as an oracle: it reads the same cells, with code that has nothing to do with ours."""

import math
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.morphology import builtin_path, cable_from_swc, read_swc
from hpcpinn.systems.cell.inspection import inspect, lateral_area

morphio = pytest.importorskip("morphio", reason="MorphIO is not installed (pip install morphio)")

CELLS = ["rat_ca1_pyramidal_c91662", "rat_l5_pyramidal_with_axon", "mouse_purkinje_p43_6"]


def oracle(path: Path) -> tuple[int, float, float]:
    """Sections, length and lateral area of the neurites, without what joins them to the soma."""
    morphio.set_maximum_warnings(0)
    cell = morphio.Morphology(str(path))
    length = area = 0.0
    for section in cell.iter():
        radius = section.diameters.astype(float) / 2.0
        step = np.linalg.norm(np.diff(section.points.astype(float), axis=0), axis=1)
        length += step.sum()
        area += math.pi * ((radius[1:] + radius[:-1]) * np.hypot(step, np.diff(radius))).sum()
    return len(cell.sections), length, area


def stems(path: Path) -> float:
    """Length of the edges between soma and neurites, which MorphIO leaves out."""
    tree = read_swc(path, units="um")
    return float(tree.edge_length[(tree.kind != 1) & (tree.kind[tree.parent] == 1)].sum())


@pytest.mark.parametrize("name", CELLS)
def test_counts_and_lengths_agree(shared: Path, name: str) -> None:
    path = shared / "morphologies" / f"{name}.swc"
    sections, length, _ = oracle(path)
    ours = inspect(str(path)).figures()
    assert ours["sections"] == sections
    np.testing.assert_allclose(ours["length_um"] - stems(path), length, rtol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_areas_agree(shared: Path, name: str) -> None:
    path = shared / "morphologies" / f"{name}.swc"
    tree = read_swc(path)
    cable, _ = cable_from_swc(tree, soma="literal")
    inner = (tree.kind != 1) & (tree.kind[tree.parent] != 1)
    counted = (cable.kind != 1) & np.isin(cable.swc_id, tree.id[inner])
    # MorphIO leaves out the rings where the radius steps (`step_area`); NEURON counts them
    np.testing.assert_allclose(lateral_area(cable)[counted].sum(), oracle(path)[2], rtol=1e-6)


def test_the_fly_agrees_once_its_types_name_neurites(shared: Path, tmp_path: Path) -> None:
    original = shared / "morphologies" / "fly_t4_flywire_nanometres.swc"
    lines = [line.split() for line in original.read_text().splitlines() if not line.startswith("#")]
    path = tmp_path / "fly.swc"
    path.write_text("\n".join(" ".join([w[0], w[1] if w[1] == "1" else "3", *w[2:]]) for w in lines))
    sections, length, _ = oracle(path)
    ours = inspect(str(original), units="nm").figures()
    assert ours["sections"] == sections
    np.testing.assert_allclose(1e3 * ours["length_um"] - stems(original), length, rtol=1e-5)


def test_the_bundled_cell_agrees() -> None:
    path = builtin_path("pyramidal")
    sections, length, _ = oracle(path)
    ours = inspect("builtin:pyramidal").figures()
    assert ours["sections"] == sections
    np.testing.assert_allclose(ours["length_um"] - stems(path), length, rtol=1e-6)
