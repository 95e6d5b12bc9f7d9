"""The members of a population are spelled out, and shared among ranks."""

import numpy as np
import pytest

from hpcpinn.domain.member_shares import share_members
from hpcpinn.errors import InputError
from hpcpinn.systems.cell.build.population import members_of
from hpcpinn.systems.cell.config.reading import load_config
from tests.domain.trees import tree

BASE = ['window.kind="split"', "field.magnitude=100.0"]


def test_every_combination_once():
    config = load_config(None, [
        *BASE, "population.magnitudes=[100.0, 200.0]", "population.directions=[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]",
        'population.parameters=[{set={"cable.R_i"=150.0}}, {name="dense", set={"channels.apical"="passive"}}]',
    ])  # fmt: skip
    members = members_of(config)
    assert len(members) == len({member.name for member in members}) == 8
    assert members[0].name == "100 V/m, along 0 1 0, R_i 150.0"
    assert members[-1].name == "200 V/m, along 1 0 0, dense"
    assert (members[0].config.cable.R_i, members[-1].config.cable.R_i) == (150.0, 100.0)
    assert members[-1].config.channels.apical == "passive"
    assert members[-1].config.field.direction == (1.0, 0.0, 0.0)
    assert {m.config.field.magnitude for m in members} == {100.0, 200.0}


def test_one_cell_is_no_population():
    config = load_config(None, BASE)
    (member,) = members_of(config)
    assert member.name == "" and member.config is config


def test_files_start_at_the_job(tmp_path):
    (tmp_path / "job.toml").write_text(
        '[window]\nkind = "split"\n[population]\ncells = ["a.swc", "builtin:y_branch"]\n'
    )
    members = members_of(load_config(tmp_path / "job.toml"))
    assert [m.name for m in members] == ["a", "y_branch"]
    assert [m.config.morphology.file for m in members] == [str(tmp_path / "a.swc"), "builtin:y_branch"]


@pytest.mark.parametrize("given, said", [
    ('population.parameters=[{set={"run.duration"=5.0}}]', r"'run.duration' is one for all members"),
    ('population.parameters=[{set={"cable.Ri"=5.0}}]', r"'cable.Ri' .* did you mean 'cable.R_i'"),
    ('population.parameters=[{set={"cable.R_i"=-5.0}}]', r"member 'R_i -5.0'.*cable.R_i"),
    ("population.magnitudes=[1.0, 1.0]", r"two members are called '1 V/m'"),
])  # fmt: skip
def test_what_members_cannot_be(given, said):
    with pytest.raises(InputError, match=said):
        members_of(load_config(None, [*BASE, given]))


@pytest.mark.parametrize("more, said", [
    (["population.magnitudes=[1.0]"], "split windows"),
    (['window.kind="split"', "population.magnitudes=[1.0]"], "set field.magnitude"),
])  # fmt: skip
def test_populations_that_contradict_the_run(more, said):
    with pytest.raises(InputError, match=said):
        load_config(None, more)


@pytest.mark.parametrize("sizes, n", [([5, 3, 8, 4], 2), ([5, 3, 8, 4], 4), ([12, 4], 4), ([7], 3)])
def test_every_rank_has_work(sizes, n):
    """Whole cells where there are enough of them, else every rank within one cell."""
    owners = share_members([tree(list(range(-1, size - 1))) for size in sizes], n)
    assert sorted(np.unique(np.concatenate(owners))) == list(range(n))
    per_member = [set(owner.tolist()) for owner in owners]
    if len(sizes) >= n:
        assert all(len(ranks) == 1 for ranks in per_member)
    else:
        assert sum(map(len, per_member)) == n
        load = np.bincount(np.concatenate(owners))
        assert load.max() <= 1.5 * load.mean()
