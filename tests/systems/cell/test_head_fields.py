"""A field in the head, from the job file to the voltage: as SimNIBS users have it."""

import json
import pickle
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
from hpcpinn.physics.stimulation.head.surface import read_surface
from hpcpinn.systems.cell.build.field import field_of, placement_of, unit_quasipotential
from hpcpinn.systems.cell.build.membrane import compartments_of, membrane_of
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.build.population import members_of
from hpcpinn.systems.cell.build.split_cell import describe_split_cell
from hpcpinn.systems.cell.build.taken import taken
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.common.kept_inputs import input_files_of
from hpcpinn.systems.jobs import load_order
from tests.cli import forked
from tests.io import runs
from tests.physics.head import test_nemo_tms as segments
from tests.physics.head import test_surface as surfaces
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


def test_a_cell_with_its_field_travels_between_ranks(here):
    """The first rank prepares a long run, and sends it to the others."""
    described = describe_split_cell(members_of(load_config("job.toml"))[0])
    received = pickle.loads(pickle.dumps(described))
    np.testing.assert_array_equal(received.psi, described.psi)


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


def simnibs(field, coords="coords.csv"):
    """As get_fields_at_coordinates does, with the numbers that NumPy's savetxt writes."""
    places = np.loadtxt(coords, delimiter=",")
    assert places.shape[1] == 3
    np.savetxt("coords_E.csv", field(places), delimiter=",")
    return places


def locations(here, *more):
    done = forked.command(["locations", "job.toml", "--out", "coords.csv", *more], here, {})
    assert done.returncode == 0, done.stderr
    return done.stdout


AT_LOCATIONS = ("field.file=coords_E.csv", "field.locations=coords.csv")


def image(path, field, low, high, spacing=0.1):
    nibabel = pytest.importorskip("nibabel", reason="pip install 'hpcpinn[tms]'")
    shape = np.ceil((high - low) / spacing).astype(int) + 1
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = low
    vectors = field(voxels.reshape(-1, 3) * spacing + low).reshape(*shape, 3)
    nibabel.save(nibabel.Nifti1Image(vectors, affine), str(path))


def test_one_uniform_field_has_one_quasipotential_whichever_way_it_comes(here):
    """A direction, a mesh, an image, coordinates that SimNIBS was given."""
    (here / "plain.toml").write_text(PLAIN.replace(repr(2.0 * 3800.0**0.5), repr(3800.0**0.5)) + REST)
    plain, cells = psi_of("plain.toml")
    plain = 3800.0**0.5 * plain
    assert np.ptp(plain) > 5.0
    around = in_head(cells.cable.xyz.reshape(-1, 3), cells.cable.xyz[0, 0])
    image("e.nii", uniform, around.min(axis=0) - 0.2, around.max(axis=0) + 0.2)
    locations(here)
    simnibs(uniform)
    for settings in ((), ("field.file=e.nii",), AT_LOCATIONS):
        psi, _ = psi_of("job.toml", *settings)
        np.testing.assert_allclose(psi, plain, rtol=0.0, atol=1e-10, err_msg=str(settings))


def test_the_locations_are_the_places_at_which_a_run_wants_the_field(here):
    said = locations(here)
    assert forked.command(["locations", "job.toml", "--out", "new/folder/c.csv"], here, {}).returncode == 0
    assert (here / "new" / "folder" / "c.csv").read_text() == Path("coords.csv").read_text()
    assert said.startswith("coords.csv: ") and "get_fields_at_coordinates -s coords.csv" in said
    places = np.loadtxt("coords.csv", delimiter=",")
    _, cells = psi_of()
    wanted = in_head(np.unique(cells.cable.xyz.reshape(-1, 3), axis=0), cells.cable.xyz[0, 0])
    assert len(places) == len(wanted)
    np.testing.assert_allclose(places[np.lexsort(places.T)], wanted[np.lexsort(wanted.T)], rtol=0.0, atol=1e-12)
    told = json.loads(locations(here, "--json"))
    assert told["count"] == len(places) and told["unit"] == "mm"
    back = np.array(told["map"]["origin"]) + 1e3 * (places - told["map"]["position"]) @ np.array(
        told["map"]["rotation"]
    )
    np.testing.assert_allclose(in_head(back, cells.cable.xyz[0, 0]), places, atol=1e-12)


def test_a_curved_field_at_the_locations_is_that_of_the_places(here):
    locations(here)
    simnibs(curved)
    config = load_config("job.toml", AT_LOCATIONS)
    cells = compartments_of(config, load_cable(config.morphology), membrane_of(config))
    xyz = cells.cable.xyz.reshape(-1, 3)
    wanted = curved(in_head(xyz, cells.cable.xyz[0, 0])) @ ROTATION
    np.testing.assert_allclose(field_of(config, cells.cable)(xyz), wanted, rtol=0.0, atol=1e-9)


def without(places):
    vectors = uniform(places)
    vectors[3:5] = np.nan
    return vectors


def test_places_without_a_vector_are_named_or_take_the_nearest(here):
    locations(here)
    places = simnibs(without)
    where = ", ".join(f"{value:.4g}" for value in places[3])
    with pytest.raises(InputError) as no:
        psi_of("job.toml", *AT_LOCATIONS)
    assert (
        f"coords_E.csv: 2 of {len(places)} rows hold no vector (nan: outside of the mesh), the first is row 4, at"
        in str(no.value)
    )
    assert f"({where}) mm; change [placement], or take the nearest known field there: field.outside" in str(no.value)
    with pytest.warns(UserWarning, match=rf"2 of {len(places)} rows hold no vector .*: the field there is that of the"):
        nearest, _ = psi_of("job.toml", *AT_LOCATIONS, "field.outside=nearest")
    np.testing.assert_allclose(nearest, psi_of()[0], atol=1e-10)


def scaled(factor):
    places = np.loadtxt("coords.csv", delimiter=",")
    np.savetxt("coords.csv", factor * places, delimiter=",")


def write_rows(name, rows):
    Path(name).write_text("\n".join([*rows, ""]))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            lambda: scaled(1e3),
            AT_LOCATIONS,
            "coords.csv: its coordinates look like µm",
        ),
        (
            lambda: scaled(1e-3),
            AT_LOCATIONS,
            "coords.csv: its coordinates look like m",
        ),
        (
            lambda: None,
            AT_LOCATIONS[:1],
            "holds vectors without places, as get_fields_at_coordinates writes",
        ),
        (lambda: write_rows("coords_E.csv", ["1", "2"]), AT_LOCATIONS, "coords_E.csv: one column: a magnitude"),
        (lambda: write_rows("coords_E.csv", ["1,2,3"]), AT_LOCATIONS, "coords_E.csv: 1 rows, and coords.csv has"),
        (
            lambda: write_rows("coords_E.csv", ["1,2", "3,4"]),
            AT_LOCATIONS,
            "coords_E.csv: 2 columns; without",
        ),
        (lambda: write_rows("coords_E.csv", ["1,2,3", "1,2"]), AT_LOCATIONS, "coords_E.csv:2: 2 columns, and 3"),
        (
            lambda: write_rows("coords_E.csv", ["1,2,3", "1,2,x"]),
            AT_LOCATIONS,
            "coords_E.csv:2: column 3 is 'x'",
        ),
        (
            lambda: write_rows("coords.csv", ["1,2", "3,4"]),
            AT_LOCATIONS,
            "coords.csv: 2 columns; coordinates are x",
        ),
        (lambda: write_rows("coords.csv", ["1,2,nan"]), AT_LOCATIONS, "coords.csv: row 1: a coordinate is not finite"),
        (lambda: Path("coords.csv").unlink(), AT_LOCATIONS, "coords.csv: no such coordinates file"),
        (
            lambda: None,
            (*AT_LOCATIONS, "placement.azimuth=80"),
            "hpcpinn locations: cell, [cable] or",
        ),
        (lambda: None, (*AT_LOCATIONS, "placement={}"), "placement.position: not given"),
    ],
)
def test_vectors_and_places_that_do_not_go_together_are_one_line(here, change, settings, message):
    locations(here)
    simnibs(uniform)
    change()
    with pytest.raises(InputError) as no:
        psi_of("job.toml", *settings)
    assert message in str(no.value) and "\n" not in str(no.value)


def test_quasipotentials_of_nemo_tms_are_those_of_the_field_that_they_come_from(here):
    """Without a place in the head: NeMo-TMS has been there."""
    cable = cell()
    segments.write(here, *segments.segments_of(cable, 30.0), lambda xyz: np.tile([30.0, 50.0, -20.0], (len(xyz), 1)))
    files = ("field.file=quasipotentials.txt", "field.locations=locs_all_seg.txt", "placement={}")
    psi, cells = psi_of("job.toml", *files)
    exact = -1e-3 * (cells.xyz - cells.cable.xyz[0, 0]) @ [30.0, 50.0, -20.0]
    np.testing.assert_allclose(psi, exact, rtol=0.0, atol=1e-4 * np.abs(exact).max())


def test_a_cell_below_a_surface_lies_along_its_normal(here):
    points, triangles = surfaces.sphere()
    surfaces.gifti(here / "s.gii", points, triangles)
    out = np.array([0.6, 0.0, 0.8])
    above = surfaces.CENTRE + (surfaces.RADIUS + 1.0) * out
    settings = [f"placement={{position={above.tolist()}, surface='s.gii', depth=1.5, azimuth=20}}"]
    config = load_config("job.toml", settings)
    placed = placement_of(config, cell())
    (foot,) = placed.to_head(np.array([cell().xyz[0, 0] + [0.0, 1500.0, 0.0]]))  # up along +y
    nearest, normal = read_surface(Path("s.gii"), 0).foot(above)
    np.testing.assert_allclose(foot, nearest, atol=1e-12)
    np.testing.assert_allclose(placed.rotation @ [0.0, 1.0, 0.0], normal, atol=1e-14)
    assert normal @ out > 0.99
    digests = with_digests({"placement": ""}, config)
    assert set(digests) == {"placement", "file placement.surface"}  # a run that goes on knows another surface
    for settings, message in (
        (
            "placement={position=[0,0,0], axis=[0,0,1], depth=1}",
            "placement.depth: is of a surface; give",
        ),
        ("placement={position=[0,0,0], surface='no.gii'}", "placement.surface: no.gii: no such surface file"),
    ):
        with pytest.raises(InputError) as no:
            placement_of(load_config("job.toml", [settings]), cell())
        assert message in str(no.value)


def test_of_a_large_surface_the_triangle_above_the_cell_is_kept(here):
    surfaces.gifti(here / "s.gii", *surfaces.sphere())
    place = [*(surfaces.CENTRE + surfaces.RADIUS * np.array([0.6, 0.0, 0.8])).tolist()]
    (here / "job.toml").write_text(HEAD + f"[placement]\nposition = {place}\nsurface = 's.gii'\ndepth = 1.5\n" + REST)
    order = load_order(Path("job.toml"))
    before = placement_of(order.described, cell())
    head_with(here / "head.msh", uniform, before.to_head(cell().xyz.reshape(-1, 3)))
    files = replace(input_files_of(order), most=100)
    ResultWriter("kept.h5", SerialCommunicator(), replace(runs.header(1), inputs=files)).close()
    (place,) = inputs.put_back(Path("kept.h5"), Path("put"), {"placement.surface": "s.gii"}).values()
    assert place.stat().st_size < 400
    shutil.copy(place, "s.gii")
    after = placement_of(load_order(Path("job.toml")).described, cell())
    np.testing.assert_array_equal(after.position, before.position)
    np.testing.assert_array_equal(after.rotation, before.rotation)


def test_members_of_a_population_may_be_turned_about_their_axis(here):
    """One head, one place, several azimuths: ψ of each is that of its own frame."""
    cable = cell()
    head_with(here / "head.msh", uniform, in_head(cable.xyz.reshape(-1, 3), cable.xyz[0, 0]), margin=1.0)
    text = (
        HEAD
        + PLACEMENT
        + REST
        + "".join(f"[[population.parameters]]\nset = {{'placement.azimuth' = {azimuth}.0}}\n" for azimuth in (0, 90))
    )
    (here / "job.toml").write_text(text)
    for member, azimuth in zip(members_of(load_config("job.toml")), (0.0, 90.0), strict=True):
        described = describe_split_cell(member)
        in_cell = turn((0.0, 1.0, 0.0), AXIS, azimuth).T @ VECTOR
        cells = described.compartments
        exact = -2e-3 * (cells.xyz - cells.cable.xyz[0, 0]) @ in_cell
        np.testing.assert_allclose(described.psi, exact, atol=1e-11)
    assert taken(load_order(Path("job.toml")).described, "field.file") is None  # each sees other vectors at a place


def test_an_unusual_size_is_said(here):
    config = load_config("job.toml")
    cable = load_cable(config.morphology)
    with pytest.warns(UserWarning, match=r"head.msh: the largest field on the cell, times field.magnitude: .* kV/m"):
        field_of(config, cable).warn_of_guesses(cable, 1e-3)
    assert json.loads(config.to_json())["field"]["tissue"] == [2]
