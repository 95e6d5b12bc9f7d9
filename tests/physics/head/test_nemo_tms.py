"""Quasipotentials of NeMo-TMS: exact at the segments, exact for a uniform field, of second order otherwise."""

import numpy as np
import pytest

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.morphology.compartments import compartments
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field
from hpcpinn.physics.stimulation.head.nemo_tms import read_segment_potentials
from tests.physics.head.heads import cell

FIELD = uniform_field(140.0, (3.0, -5.0, 2.0))


def curved(xyz):
    """Not the gradient of anything: what is stored is a function on the tree, not in space."""
    x, y, z = np.asarray(xyz).T / 400.0
    return 100.0 * np.stack([np.sin(y), np.cos(x) * z, np.exp(0.5 * x - y)], axis=1)


def segments_of(cable, longest):
    """As NEURON has them: odd numbers per section, and a parent that is the last of the parent section."""
    length = np.bincount(cable.section, cable.length, len(cable.sections))
    cells = compartments(cable, 2 * (length / longest / 2.0).astype(int) + 1)
    parent = []
    for number in range(cells.count):
        own = cells.section[number]
        if number and cells.section[number - 1] == own:
            parent.append(number - 1)
        else:
            above = cable.sections[own].parent
            parent.append(-1 if number == 0 else int(np.flatnonzero(cells.section == max(above, 0))[-1]))
    return cells.xyz[: cells.count], np.array(parent)


def write(folder, places, parent, field, decimals=4, factor=1.0):
    """The two files, with the digits that NeMo-TMS writes; ψ by its rule."""
    places = np.round(places, decimals)
    vectors, psi = field(places), np.zeros(len(places))
    for number, above in enumerate(parent):
        if above >= 0:
            step = places[number] - places[above]
            psi[number] = psi[above] - 1e-3 * 0.5 * (vectors[number] + vectors[above]) @ step
    with (folder / "locs_all_seg.txt").open("w") as file:
        for place, above in zip(factor * places, parent, strict=True):
            shown = " ".join(f"{x:.{decimals}f}" for x in place)
            file.write(
                f"{shown} "
                + (" ".join(f"{x:.{decimals}f}" for x in factor * places[above]) if above >= 0 else "nan nan nan")
            )
            file.write("\n")
    (folder / "quasipotentials.txt").write_text("".join(f"  {value: .7e}\n" for value in psi))
    return places, psi


def read(folder):
    return read_segment_potentials(folder / "quasipotentials.txt", folder / "locs_all_seg.txt")


@pytest.mark.parametrize("name", ["y_branch", "pyramidal"])
def test_a_uniform_field_is_exact_to_the_digits_of_the_files(name, tmp_path):
    cable = cell(name)
    write(tmp_path, *segments_of(cable, 40.0), FIELD)
    exact = quasipotential(cable, FIELD)
    found = read(tmp_path).quasipotential(cable)
    np.testing.assert_allclose(found, exact, rtol=0.0, atol=1e-4 * np.abs(exact).max())
    assert found[cable.node[0, 0]] == 0.0


def test_at_the_segments_the_quasipotential_is_that_of_the_file(tmp_path):
    cable = cell("pyramidal")
    places, psi = write(tmp_path, *segments_of(cable, 25.0), curved)
    found, away = read(tmp_path)._at(places)
    np.testing.assert_allclose(found, psi, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(away, 0.0, atol=1e-9)


def test_between_segments_it_converges_with_their_length(tmp_path):
    """Against the integral along the same tree; the parent rule of NeMo-TMS, at a branch, is of first order."""
    cable = cell("y_branch")
    fine = cable.split([np.linspace(0.0, 1.0, 65)[1:-1]] * cable.n_frusta)
    exact, errors = quasipotential(fine, curved), []
    for longest in (80.0, 20.0, 5.0):
        write(tmp_path, *segments_of(cable, longest), curved)
        errors.append(np.abs(read(tmp_path).quasipotential(fine) - exact).max() / np.abs(exact).max())
    assert np.all(np.log(np.array(errors[:-1]) / errors[1:]) / np.log(4.0) > 0.8), errors
    assert errors[-1] < 0.02


def test_another_cell_or_unit_is_refused(tmp_path):
    cable = cell("y_branch")
    write(tmp_path, *segments_of(cable, 40.0), FIELD, decimals=7, factor=1e-3)
    with pytest.raises(InputError, match="positions of the segments look like mm, .*: multiply them by 1000"):
        read(tmp_path).quasipotential(cable)
    write(tmp_path, *segments_of(cable, 40.0), FIELD)
    with pytest.raises(InputError, match=r"is not of this cell: the place .* µm lies .*; name the files of this morph"):
        read(tmp_path).quasipotential(cell("pyramidal"))
    with pytest.warns(InputWarning, match=r"steepest fall, times field.magnitude: 128473 V/m is outside"):
        read(tmp_path).warn_of_guesses(cable, 1e3)


GOOD = ["0 0 0 nan nan nan", "10 0 0 0 0 0"]


@pytest.mark.parametrize(
    ("psi", "locations", "message"),
    [
        (["0"], GOOD, "quasipotentials.txt: 1 rows, and "),
        (["0", "1 2"], GOOD, "quasipotentials.txt:2: 2 numbers instead of 1; write ψ of one segment, mV"),
        (["0", "one"], GOOD, "quasipotentials.txt:2: 'one' is not all numbers"),
        (["0", "NaN"], GOOD, "quasipotentials.txt:2: ψ is not finite (outside of the head's mesh?)"),
        ([], GOOD, "quasipotentials.txt: no rows of numbers"),
        (
            ["0", "1"],
            ["0 0 0", "10 0 0"],
            "locs_all_seg.txt:1: 3 numbers instead of 6; write x y z of",
        ),
        (["0", "1"], ["0 0 0 nan nan nan", "10 0 0 nan nan nan"], "locs_all_seg.txt: 2 segments without a parent"),
        (["0", "1"], ["0 0 0 nan nan nan", "10 0 0 1 0 0"], "locs_all_seg.txt:2: no segment lies where its parent"),
        (["0", "1"], ["0 0 0 nan nan nan", "nan 0 0 0 0 0"], "locs_all_seg.txt:2: a position is not finite"),
    ],
)
def test_malformed_files_are_one_line(psi, locations, message, tmp_path):
    (tmp_path / "quasipotentials.txt").write_text("\n".join([*psi, ""]))
    (tmp_path / "locs_all_seg.txt").write_text("\n".join([*locations, ""]))
    with pytest.raises(InputError) as no:
        read(tmp_path)
    assert str(no.value).startswith(str(tmp_path)) and message in str(no.value) and "\n" not in str(no.value)


def test_missing_files_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"quasipotentials\.txt: no such quasipotential file"):
        read(tmp_path)
    (tmp_path / "quasipotentials.txt").write_text("0\n1\n")
    with pytest.raises(InputError, match=r"locs_all_seg\.txt: no such segment file; give one as NeMo-TMS writes it"):
        read(tmp_path)
    with pytest.raises(InputError, match='field.locations = "locs_all_seg.txt"'):
        read_segment_potentials(tmp_path / "quasipotentials.txt", None)
