"""The bundled cells: grown the same everywhere, as large and as branched as promised."""

from pathlib import Path

import numpy as np
import pytest

from grow_meshes import CELLS
from hpcpinn.errors import InputError
from hpcpinn.morphology import (
    builtin_names,
    builtin_path,
    cable_from_swc,
    morphology_path,
    read_swc,
)
from hpcpinn.morphology.cable import Cable
from synthetic import ball_and_stick, pyramidal_cell, y_branch, y_cable
from tests.morphology.swc_text import tree_of


def grown(folder: Path, text: str) -> Cable:
    return cable_from_swc(tree_of(folder, text))[0]


@pytest.mark.parametrize("name", CELLS)
def test_the_files_are_what_the_script_grows(name: str) -> None:
    assert builtin_path(name).read_text(encoding="utf-8") == CELLS[name]()


@pytest.mark.parametrize("name", CELLS)
def test_the_files_need_no_repair(name: str) -> None:
    tree = read_swc(builtin_path(f"builtin:{name}"))
    assert tree.repairs == () and tree.warnings == ()


def test_names_lead_to_files() -> None:
    assert builtin_names() == sorted(CELLS)
    assert morphology_path("builtin:pyramidal") == builtin_path("pyramidal")
    assert morphology_path("some/cell.swc") == Path("some/cell.swc")
    with pytest.raises(InputError, match="no bundled cell 'piramidal'; did you mean .* there are: ball_and_stick, pyr"):
        builtin_path("builtin:piramidal")
    with pytest.raises(InputError, match="no bundled cell"):
        builtin_path("builtin:../meshes/pyramidal")


def test_ball_and_stick_measures(tmp_path: Path) -> None:
    cable = grown(tmp_path, ball_and_stick(soma_radius=8.0, length=150.0, radius=0.5))
    stick = cable.kind == 3
    np.testing.assert_allclose(cable.length[stick].sum(), 150.0)
    np.testing.assert_allclose(cable.volume[stick].sum(), 150.0 * np.pi * 0.25)
    np.testing.assert_allclose(cable.volume[~stick].sum(), np.pi * 8.0**2 * 16.0)


def test_y_branch_measures(tmp_path: Path) -> None:
    cable = grown(tmp_path, y_branch(lengths=(100.0, 50.0, 80.0), radii=(1.0, 0.6, 0.4)))
    np.testing.assert_allclose(np.bincount(cable.section, weights=cable.length), [100, 50, 80], atol=2e-3)
    tips = cable.radius[[np.flatnonzero(cable.section == k)[-1] for k in range(3)], 1]
    np.testing.assert_array_equal(tips, [1.0, 0.6, 0.4])


def test_y_cable_is_three_cylinders_on_one_node() -> None:
    cable = y_cable(lengths=(200.0, 150.0, 100.0), radii=(1.0, 0.63, 0.5))
    np.testing.assert_array_equal(cable.node, [[0, 1], [1, 2], [1, 3]])
    np.testing.assert_allclose(cable.volume, np.pi * np.array([200.0, 150 * 0.63**2, 100 * 0.25]))
    np.testing.assert_allclose(cable.path, [[0, 200], [200, 350], [200, 300]])


def test_the_pyramidal_cell_is_a_plausible_one(tmp_path: Path) -> None:
    cable = grown(tmp_path, pyramidal_cell())
    assert len(cable.sections) > 100
    assert 2000.0 < cable.length.sum() < 5000.0
    neurites = cable.kind != 1
    assert set(cable.kind.tolist()) == {1, 2, 3, 4}
    assert cable.radius[neurites].min() >= 0.2 and cable.radius[neurites].max() <= 2.0
    assert np.all(cable.length[neurites] >= 1.9), "nothing for merging to do"
    _, leaving = np.unique(cable.node[1:, 0], return_counts=True)
    assert np.sort(leaving)[-2] <= 3, "only the soma carries many branches"


def test_another_seed_grows_another_cell() -> None:
    assert pyramidal_cell(1) != pyramidal_cell(2)


def test_a_misspelt_cell_and_no_name_at_all_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"'pyramidl'; did you mean builtin:pyramidal\? there are: ball"):
        morphology_path("builtin:pyramidl")
    for text in ("", " "):
        with pytest.raises(InputError, match="name of the morphology file is empty; give an SWC file, or builtin:"):
            morphology_path(text)
