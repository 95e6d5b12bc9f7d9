"""A field in the head, from the job file to the voltage: as SimNIBS users have it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.config.inputs import with_digests
from hpcpinn.errors import InputError
from hpcpinn.io import inputs
from hpcpinn.io.read import read
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.physics.stimulation.head.placement import turn
from hpcpinn.systems.cell.build.field import field_of, placement_of, unit_quasipotential
from hpcpinn.systems.cell.build.membrane import compartments_of, membrane_of
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.common.kept_inputs import input_files_of
from hpcpinn.systems.jobs import load_order
from tests.cli import forked
from tests.io import runs
from tests.physics.head.heads import cell, head_with

POSITION, AXIS, AZIMUTH = [-41.0, 12.5, 63.0], [1.0, -2.0, 0.5], 33.0
ROTATION = turn((0.0, 1.0, 0.0), AXIS, AZIMUTH)
VECTOR = ROTATION @ [30.0, 50.0, -20.0]
"""In the head; the numbers are those in the cell's frame."""
PLACEMENT = f"""
[placement]
position = {POSITION}    # mm: where the soma lies
axis = {AXIS}            # where +y of the cell points, out of the cortex
azimuth = {AZIMUTH}
"""
REST = """
[morphology]
file = "builtin:y_branch"

[run]
duration = "0.3 ms"
output = "r.h5"

[window]
kind = "split"
"""
HEAD = "[field]\nfile = 'head.msh'\nmagnitude = 2.0\n"
PLAIN = f"[field]\nmagnitude = {2.0 * 3800.0**0.5!r}\ndirection = [30, 50, -20]\n"


def in_head(xyz, root):
    return np.array(POSITION) + (xyz - root) / 1e3 @ ROTATION.T


def uniform(places):
    return np.tile(VECTOR, (len(places), 1))


def curved(places):
    x, y, z = (places - POSITION).T
    return 100.0 * np.stack([np.sin(2.0 * y), np.cos(1.5 * x) * z, np.exp(0.5 * x - y)], axis=1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a head and a job."""
    monkeypatch.chdir(tmp_path)
    cable = cell()
    head_with(tmp_path / "head.msh", uniform, in_head(cable.xyz.reshape(-1, 3), cable.xyz[0, 0]))
    (tmp_path / "job.toml").write_text(HEAD + PLACEMENT + REST)
    return tmp_path


def test_a_head_drives_a_cell_as_the_same_uniform_field_does(here):
    """With the command that people type, from the file to the voltage in the result."""
    (here / "plain.toml").write_text(PLAIN + REST.replace("r.h5", "plain.h5"))
    for job in ("job.toml", "plain.toml"):
        done = forked.command(["run", job], here, {})
        assert done.returncode == 0, done.stderr
    head, plain = read(here / "r.h5"), read(here / "plain.h5")
    assert np.ptp(head.voltage) > 1.0
    np.testing.assert_allclose(head.voltage, plain.voltage, rtol=0.0, atol=1e-8)
    assert head.config["placement"]["position"] == POSITION  # the map is in the result
    assert forked.command(["check", "r.h5"], here, {}).returncode == 0


def psi_of(job="job.toml", *settings):
    config = load_config(job, settings)
    cells = compartments_of(config, load_cable(config.morphology), membrane_of(config))
    return unit_quasipotential(config, cells), cells


def test_the_quasipotential_is_that_of_the_uniform_field(here):
    psi, cells = psi_of()
    np.testing.assert_allclose(psi, -1e-3 * (cells.xyz - cells.cable.xyz[0, 0]) @ [30.0, 50.0, -20.0], atol=1e-12)


def test_of_a_large_head_what_was_taken_is_kept(here):
    """The vectors along the cell in its own frame: the same potentials, to the last bit, and the same identity."""
    cable = cell()
    head_with(here / "head.msh", curved, in_head(cable.xyz.reshape(-1, 3), cable.xyz[0, 0]))
    order, (before, _) = load_order(Path("job.toml")), psi_of()
    digests = with_digests({"field": ""}, order.described)
    files = replace(input_files_of(order), most=100)
    ResultWriter("kept.h5", SerialCommunicator(), replace(runs.header(1), inputs=files)).close()
    (place,) = inputs.put_back(Path("kept.h5"), Path("put"), {"field.file": "head.msh"}).values()
    shutil.copy(place, "head.msh")
    after, _ = psi_of()
    np.testing.assert_array_equal(after, before)
    assert with_digests({"field": ""}, load_order(Path("job.toml")).described) == digests


def test_the_map_is_in_the_description_and_back_to_a_billionth_of_a_micrometre(here):
    config = load_config("job.toml")
    cable = load_cable(config.morphology)
    stored = type(config).model_validate_json(config.to_json())
    placed, again = placement_of(config, cable), placement_of(stored, cable)
    xyz = cable.xyz.reshape(-1, 3)
    np.testing.assert_array_equal(again.to_head(xyz), placed.to_head(xyz))
    np.testing.assert_allclose(again.to_cell(placed.to_head(xyz)), xyz, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(placed.to_head(xyz), in_head(xyz, cable.xyz[0, 0]), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["placement={}"],
            "placement.position: not given, and the field is known in the head; say where in it",
        ),
        (["placement={position=[1,2,3]}"], "placement.axis: not given; say where the cell's depth axis"),
        (["placement.axis=[0,0,0]"], "placement.axis: axis [0, 0, 0]: give three numbers that are not all zero"),
        (["placement.position=[-41000, 12500, 63000]"], "head.msh: is not known on the whole cell"),
        (["placement.position=[-41000, 12500, 63000]"], "looks like µm and is taken as mm: multiply it by 0.001"),
        (["field.name=magnE"], "field.file: head.msh: field 'magnE' is a magnitude (1 number each)"),
        (["field.tissue=[1, 2]"], "field.file: head.msh: no tetrahedron of tissue 1; there are 2 (field.tissue)"),
        (["field.polar=20"], "field.polar: contradicts field.file = 'head.msh'"),
    ],
)
def test_what_cannot_be_used_is_one_line(here, settings, message):
    with pytest.raises(InputError) as no:
        psi_of("job.toml", *settings)
    assert message in str(no.value) and "\n" not in str(no.value)


def test_a_uniform_field_by_two_angles_is_that_along_its_direction(here):
    (here / "plain.toml").write_text(PLAIN + REST)
    by_angles, cells = psi_of("plain.toml", "field={magnitude=1, polar=90, azimuth=90}")
    np.testing.assert_allclose(by_angles, 1e-3 * (cells.xyz - cells.cable.xyz[0, 0])[:, 2], atol=1e-15)
    for settings, message in (
        (
            "field={magnitude=1, azimuth=90}",
            "field.azimuth: is an angle about +y, and says nothing without",
        ),
        (
            "field={magnitude=1, polar=9, direction=[1,0,0]}",
            "field.direction: contradicts field.polar and field.a",
        ),
        ("field={magnitude=1, polar=181}", "field.polar"),
    ):
        with pytest.raises(InputError) as no:
            load_config("plain.toml", [settings])
        assert message in str(no.value)


def test_an_unusual_size_is_said(here):
    config = load_config("job.toml")
    cable = load_cable(config.morphology)
    with pytest.warns(UserWarning, match=r"head.msh: the largest field on the cell, times field.magnitude: .* kV/m"):
        field_of(config, cable).warn_of_guesses(cable, 1e-3)
    assert json.loads(config.to_json())["field"]["tissue"] == [2]
