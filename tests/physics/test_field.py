"""The induced field: quasipotentials in closed form, samples, refusals."""

import numpy as np
import pytest

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.morphology import cable_from_swc, read_swc
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.physics.stimulation.field import (
    SampledField,
    quasipotential,
    read_field,
    uniform_field,
)


@pytest.fixture(scope="module")
def cell():
    return cable_from_swc(read_swc(morphology_path("builtin:pyramidal")))[0]


def node_places(cable):
    """Position of every node, µm."""
    places = np.empty((cable.n_nodes, 3))
    places[cable.node[0, 0]] = cable.xyz[0, 0]
    places[cable.node[:, 1]] = cable.xyz[:, 1]
    return places


def lattice(cable, spacing, field):
    low, high = (edge(cable.xyz.reshape(-1, 3), axis=0) for edge in (np.min, np.max))
    axes = [np.arange(a - spacing, b + 2 * spacing, spacing) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return SampledField(points, field(points))


def test_a_uniform_field_of_100_volts_per_metre_over_a_millimetre_is_100_millivolts(cell):
    psi = quasipotential(cell, uniform_field(100.0, [0.0, 2.0, 0.0]))
    places = node_places(cell)
    np.testing.assert_allclose(psi, -0.1 * (places - places[0])[:, 1], atol=1e-10)


def test_the_direction_is_normalised_and_the_magnitude_may_be_negative():
    np.testing.assert_allclose(uniform_field(-50.0, [3.0, 0.0, 4.0]).vector, (-30.0, 0.0, -40.0))


def test_a_potential_field_gives_back_its_potential(cell):
    """E = −∇Φ with a quadratic Φ: the trapezoidal rule along every frustum is exact."""
    form = np.array([[2e-4, 1e-4, 0.0], [1e-4, -3e-4, 2e-4], [0.0, 2e-4, 1e-4]])

    def field(xyz):
        return -1e3 * (2.0 * xyz @ form + [0.01, 0.02, -0.01])  # mV/µm to V/m

    places = node_places(cell)
    potential = np.einsum("ni,ij,nj->n", places, form, places) + places @ [0.01, 0.02, -0.01]
    np.testing.assert_allclose(quasipotential(cell, field), potential - potential[0], atol=1e-9)


def test_samples_of_a_linear_field_give_it_back_exactly(cell):
    def field(xyz):
        return xyz @ np.array([[0.1, 0.0, 0.02], [0.0, -0.1, 0.0], [0.05, 0.0, 0.1]]) + [80.0, -20.0, 5.0]

    sampled = lattice(cell, 100.0, field)
    np.testing.assert_allclose(quasipotential(cell, sampled), quasipotential(cell, field), atol=1e-9)


def test_a_file_of_samples_at_the_cells_own_points(cell, tmp_path):
    """As users export it: one row per point of the cell, no lattice around it."""
    points = np.unique(cell.xyz.reshape(-1, 3), axis=0)
    vectors = np.tile([10.0, -20.0, 30.0], (len(points), 1))
    rows = "\n".join(",".join(map(repr, row)) for row in np.hstack([points, vectors]).tolist())
    (tmp_path / "e.csv").write_text(f"# made elsewhere\nX, Y, Z, ex, ey, ez\n{rows}\n")
    field = read_field(tmp_path / "e.csv")
    expected = quasipotential(cell, uniform_field(np.sqrt(1400.0), [1.0, -2.0, 3.0]))
    np.testing.assert_allclose(quasipotential(cell, field), expected, atol=1e-9)


def test_one_sample_reaches_20_micrometres():
    field = SampledField(np.zeros((1, 3)), np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(field(np.array([[0.0, 19.9, 0.0]])), [[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match=r"place \(0\.0, 20\.1, 0\.0\) µm lies 20\.1 µm from the nearest"):
        field(np.array([[0.0, 20.1, 0.0], [0.0, 0.0, 0.0]]))


def test_samples_that_do_not_cover_the_cell_are_refused(cell):
    points = np.random.default_rng(0).uniform(-30.0, 30.0, (200, 3))
    field = SampledField(points, np.ones((200, 3)), "small.csv")
    with pytest.raises(InputError, match=r"small\.csv: does not cover the cell: the place \(.*\) µm lies") as no:
        quasipotential(cell, field)
    assert "\n" not in str(no.value) and "sample the whole cell" in str(no.value)


HEADER = "x,y,z,Ex,Ey,Ez\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line is 'nothing'; it must be x,y,z,Ex,Ey,Ez"),
        ("x,y,z,E\n0,0,0,1\n", "the first line is 'x,y,z,E'"),
        (HEADER, "no rows of numbers"),
        (HEADER + "0,0,0,1,2,3\n1,0,0,1,nan,3\n", ":3: Ey is nan; every number must be finite"),
        (HEADER + "0,0,0,1,2\n", ":2: 5 columns instead of 6"),
        (HEADER + "0,0,zero,1,2,3\n", ":2: z is 'zero', which is not a number"),
        (HEADER + "0,0,0,1,2,3\n1,0,0,1,2,3\n0,0,0,1,2,4\n", ":4: the place of line 2 with another field"),
    ],
)
def test_refused_field_files(tmp_path, text, message):
    (tmp_path / "e.csv").write_text(text)
    with pytest.raises(InputError, match=message) as refusal:
        read_field(tmp_path / "e.csv")
    assert str(refusal.value).startswith(str(tmp_path)) and "\n" not in str(refusal.value)


def test_refused_directions_and_files():
    for direction in ([0, 0, 0], [1, 2], [1, np.nan, 0]):
        with pytest.raises(InputError, match="give three numbers that are not all zero"):
            uniform_field(1.0, direction)
    with pytest.raises(InputError, match="field magnitude inf"):
        uniform_field(np.inf, [1, 0, 0])
    with pytest.raises(InputError, match=r"gone\.csv: no such field file; give a CSV file with the columns x,y,z"):
        read_field("gone.csv")


def corners(cable, margin=5.0):
    low, high = cable.xyz.reshape(-1, 3).min(axis=0) - margin, cable.xyz.reshape(-1, 3).max(axis=0) + margin
    return np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)


def test_samples_that_enclose_the_cell_or_are_its_points_need_no_word(cell, recwarn):
    vectors = np.tile([50.0, 0.0, 0.0], (8, 1))
    SampledField(corners(cell), vectors).warn_of_guesses(cell)
    points = np.unique(cell.xyz.reshape(-1, 3), axis=0)
    SampledField(points, np.tile([50.0, 0.0, 0.0], (len(points), 1))).warn_of_guesses(cell)
    uniform_field(100.0, [1, 0, 0]).warn_of_guesses(cell)
    assert not recwarn.list


def test_places_outside_of_all_samples_are_said_with_their_number_sections_and_distance(tmp_path):
    cable = cable_from_swc(read_swc(morphology_path("builtin:y_branch")))[0]
    places = corners(cable)
    high = cable.xyz[..., 1].max()
    places[:, 1] = np.minimum(places[:, 1], high - 12.0)  # the upper end sticks out
    near = places[np.argmin(np.abs(places[:, 1] - high))]
    places = np.vstack([places, [*cable.xyz.reshape(-1, 3)[np.argmax(cable.xyz[..., 1].ravel())] - [0.0, 15.0, 0.0]]])
    with pytest.warns(InputWarning) as said:
        SampledField(places, np.tile([50.0, 0.0, 0.0], (len(places), 1)), "e.csv").warn_of_guesses(cable)
    line = str(said[0].message)
    out = int(np.sum(cable.xyz[..., 1] > near[1]))
    assert line.startswith(f"e.csv: the samples do not enclose the cell: at {out} of {2 * cable.n_frusta} ends")
    ends = cable.xyz.reshape(-1, 3)
    away = np.linalg.norm(ends[:, None] - places, axis=2).min(axis=1)[ends[:, 1] > near[1]].max()
    assert f"nearest sample, up to {away:.3g} µm away; sample a volume around the cell" in line
    top = cable.sections[cable.section[np.argmax(cable.xyz[:, 1, 1])]].name
    assert f"({top}" in line or f", {top}" in line


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (np.zeros((1, 3)), "are one place"),
        (np.linspace(-20.0, 20.0, 5)[:, None] * [1.0, 0.0, 0.0], "lie on a line"),
        (np.array([[x, y, 0.0] for x in (-20, 0, 20) for y in (-20, 0, 20)]), "lie in a plane"),
        (np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]), "lie in a plane"),
    ],
    ids=["point", "line", "plane", "triangle"],
)
def test_samples_without_volume_are_said(steps, said):
    cable = cable_from_swc(read_swc(morphology_path("builtin:y_branch")))[0]
    places = steps + [0.0, 0.0, 3.0]
    field = SampledField(places, np.tile([50.0, 0.0, 0.0], (len(places), 1)), "e.csv")
    count = 2 * cable.n_frusta
    with pytest.warns(InputWarning, match=f"e.csv: the samples {said}: at {count} of {count} ends"):
        field.warn_of_guesses(cable)


def test_samples_in_another_unit_are_said():
    cable = cable_from_swc(read_swc(morphology_path("builtin:pyramidal")))[0]
    field = SampledField(corners(cable) * 1e-3, np.tile([50.0, 0.0, 0.0], (8, 1)), "e.csv")
    with pytest.raises(InputError, match="positions in mm would be multiplied by 1000"):
        field(cable.xyz.reshape(-1, 3))
    weak = SampledField(corners(cable), np.tile([0.1, 0.0, 0.0], (8, 1)), "e.csv")
    with pytest.warns(InputWarning, match="the largest sample, .* 0.1 V/m is outside .* kV/m or V/mm: write 100"):
        weak.warn_of_guesses(cable)
    with pytest.warns(InputWarning, match="write 200"):
        weak.warn_of_guesses(cable, 2.0)
