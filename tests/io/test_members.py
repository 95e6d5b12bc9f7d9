"""A population in one file: every member is what it would be alone."""

import dataclasses

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.checking import parts_of
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import MemberEntry
from hpcpinn.io.results import ResultWriter
from hpcpinn.morphology.forest import join_cables
from hpcpinn.systems.cell.comparison import validate
from hpcpinn.systems.cell.pictures.gallery import draw_all
from hpcpinn.systems.cell.pictures.population import member_calcium
from tests.io import runs
from tests.io.runs import FIELDS


@pytest.fixture
def result(communicator, tmp_path):
    """Two of the same cell; the second has twice the values of the first."""
    alone = runs.header(1)
    probes = tuple(
        ProbeSite(f"{name}: {p.name}", p.piece + number * runs.N_PIECES, p.fraction)
        for number, name in enumerate(("weak", "strong"))
        for p in alone.probes
    )
    header = dataclasses.replace(
        alone,
        geometry=Tree(join_cables([alone.cable, alone.cable]), np.zeros(2 * runs.N_PIECES, int), runs.CELLS_PER_PIECE),
        probes=probes,
        members=tuple(MemberEntry(name, runs.N_PIECES, f'{{"name": "{name}"}}') for name in ("weak", "strong")),
    )
    with ResultWriter(tmp_path / "population.h5", communicator, header) as writer:
        for time in (0.5, 1.0):
            frames = {name: runs.frame(name, time) for name in FIELDS}
            writer.frame(time, {name: np.concatenate([x, 2 * x]) for name, x in frames.items()})
            samples = {name: runs.samples(name, np.array([time])) for name in FIELDS}
            writer.probes(np.array([time]), {n: np.concatenate([x, 2 * x], axis=1) for n, x in samples.items()})
        writer.windows([runs.window(0)])
    return read(tmp_path / "population.h5")


@pytest.mark.parametrize("which, factor", [(0, 1), ("weak", 1), (1, 2), ("strong", 2)])
def test_a_member_is_a_result_of_its_own(result, which, factor):
    member, alone = result.member(which), runs.y_cable()
    np.testing.assert_array_equal(member.cable.node, alone.node)
    np.testing.assert_array_equal(member.cable.section, alone.section)
    assert member.cable.sections == alone.sections
    np.testing.assert_array_equal(member.cells.piece, np.repeat(np.arange(runs.N_PIECES), runs.CELLS_PER_PIECE))
    assert member.probes.name == ("soma", "tip", "fork")
    np.testing.assert_array_equal(member.probes.piece, [0, 10, 3])
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(member, name)[1], factor * runs.frame(name, 1.0).ravel())
        expected = factor * runs.samples(name, np.array([0.5, 1.0]))
        np.testing.assert_array_equal(getattr(member.probes, name), expected)
    assert member.config == {"name": ("weak", "strong")[factor - 1]}
    assert not member.members


def test_a_member_that_is_not_there(result):
    with pytest.raises(InputError, match="no member 'middle'; it holds 0 'weak', 1 'strong'"):
        result.member("middle")
    with pytest.raises(InputError, match="no member 2"):
        result.member(2)
    with pytest.raises(InputError, match="one cell"):
        result.member(0).member(0)


def test_a_population_is_drawn_and_not_validated(result):
    """What is said to come next can be done."""
    first, *_, following = parts_of(result.path)
    assert "2 frames of 2 members in a population, each a cell on tree" in first.text
    assert f"hpcpinn plot {result.path}" in following.text and "validate" not in following.text
    with pytest.raises(InputError, match=r"population\.h5: holds 2 members of a population, and one cell is validated"):
        validate(result.path)


def test_means_by_member(result, tmp_path):
    found = member_calcium(result)
    np.testing.assert_allclose(found.mean[:, 1], 2 * found.mean[:, 0], rtol=1e-13)
    volume = result.member(0).cells.volume
    np.testing.assert_allclose(found.mean[1, 0], runs.frame("calcium", 1.0).ravel() @ volume / volume.sum(), rtol=1e-13)
    drawn, left_out = draw_all(result, tmp_path / "pictures")
    assert [path.name for path in drawn] == ["population.png"] and not left_out
    with pytest.raises(InputError, match="population"):
        member_calcium(result.member(0))
