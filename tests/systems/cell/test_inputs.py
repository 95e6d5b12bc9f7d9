"""A run that goes on: inputs count by their contents, and defaults that follow others do not."""

import json
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import hpcpinn as hp
from hpcpinn.config.inputs import input_names, with_digests
from hpcpinn.core.order import Order
from hpcpinn.errors import InputError, InputWarning, NothingToDoError
from hpcpinn.io import inputs
from hpcpinn.io.inputs import InputFiles
from hpcpinn.io.read import read
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.reference.forcing import VoltageTable
from hpcpinn.systems.cell import CellSystem
from hpcpinn.systems.cell.build.population import members_of
from hpcpinn.systems.cell.build.reference import task_of
from hpcpinn.systems.cell.build.split_cell import describe_split_cell
from hpcpinn.systems.cell.build.taken import taken
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.common.kept_inputs import input_files_of
from hpcpinn.systems.common.resumption import settings_of
from hpcpinn.systems.jobs import load_order
from tests.cli.in_process import hpcpinn
from tests.io import runs

JOB = """
[morphology]
file = "cell.swc"

[voltage]
file = "v.csv"

[run]
duration = 0.5
output = "r.h5"

[network]
features = 16

[window]
tolerance = 0.1
"""
CELL = "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 45 0 0 1 2\n"
VOLTAGE = "time_ms,soma\n0,-65\n0.05,-60\n5,-65\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short run that is at its end."""
    folder = tmp_path_factory.mktemp("short")
    for name, text in {"job.toml": JOB, "cell.swc": CELL, "v.csv": VOLTAGE}.items():
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        hpcpinn("run", "job.toml")
    return folder


@pytest.fixture
def never_built(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is built in the folder of the run."""

    def build(*_: object) -> None:
        raise AssertionError("it was built")

    monkeypatch.chdir(finished)
    monkeypatch.setattr(CellSystem, "build", build)


@pytest.mark.usefixtures("never_built")
def test_a_finished_run_is_known_before_anything_is_built():
    with pytest.raises(NothingToDoError, match=r"^r\.h5: already at 0\.5 ms; nothing to do: --set run\.duration"):
        hpcpinn("run", "job.toml", "--resume")


@pytest.mark.usefixtures("never_built")
@pytest.mark.parametrize("change", [("--set", "run.duration=0.7"), ("--set", "network.features=20")])
def test_what_is_not_that_run_is_built(change):
    with pytest.raises(AssertionError, match="it was built"):
        hpcpinn("run", "job.toml", "--resume", *change)


@pytest.mark.parametrize("name", ["v.csv", "cell.swc"])
def test_an_input_that_has_changed_is_named(finished: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished)
    file, key = finished / name, {"v.csv": "voltage.file", "cell.swc": "morphology.file"}[name]
    before = file.read_text()
    file.write_text(before.replace("-60", "-61").replace("45 0 0", "46 0 0"))
    try:
        with pytest.raises(
            InputError, match=rf"fit this run: {name} \({key}\) has changed since the checkpoint; restore"
        ):
            hpcpinn("run", "job.toml", "--resume", "--set", "run.duration=0.7")
    finally:
        file.write_text(before)


def test_a_short_run_goes_on_with_inputs_of_other_names(finished: Path, monkeypatch: pytest.MonkeyPatch):
    """The longest window was the whole run, as nobody had said otherwise."""
    monkeypatch.chdir(finished)
    moved = finished / "elsewhere"
    moved.mkdir()
    (finished / "v.csv").rename(moved / "table.csv")
    hpcpinn("run", "job.toml", "--resume", "--set", "run.duration=0.6", "--set", f"voltage.file={moved}/table.csv")
    run = read("r.h5")
    assert run.complete and run.windows["start"][-1] + run.windows["length"][-1] == pytest.approx(0.6)
    assert np.all(np.diff(run.windows["start"]) > 0)
    (moved / "table.csv").rename(finished / "v.csv")


def test_a_result_needs_no_inputs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From another folder, with a changed file in the place of one and nothing in that of the other."""
    for name in ("job.toml", "r.h5", "r.checkpoint.h5"):
        shutil.copy(finished / name, tmp_path)
    (tmp_path / "v.csv").write_text(VOLTAGE.replace("-60", "40"))
    monkeypatch.chdir(tmp_path)
    run = read("r.h5")
    task = task_of(run)
    assert task.cable.n_frusta == run.cable.n_frusta
    assert isinstance(task.forcing.voltage, VoltageTable)
    np.testing.assert_array_equal(np.unique(task.forcing.voltage.values), [-65.0, -60.0])
    (tmp_path / "v.csv").unlink()
    later = {"run.duration": run.windows["start"][-1] + run.windows["length"][-1] + 0.1}
    with pytest.warns(
        InputWarning, match=r"^cell\.swc \(morphology\.file\) is gone: taken as r\.h5 keeps it, from r\."
    ):
        hp.load("job.toml", later).solve(resume=True)
    assert read("r.h5").complete
    assert (tmp_path / "r.inputs" / "0" / "cell.swc").read_text() == CELL


@pytest.mark.usefixtures("never_built")
def test_the_command_line_puts_inputs_back_too(finished: Path, monkeypatch: pytest.MonkeyPatch):
    found: list[str] = []

    def build(_: object, described: RunConfig, *more: object) -> None:
        found.append(Path(described.voltage.file or "").read_text())
        raise AssertionError("it was built")

    monkeypatch.setattr(CellSystem, "build", build)
    shutil.move("v.csv", "away.csv")
    try:
        with pytest.raises(AssertionError, match="it was built"):
            hpcpinn("run", "job.toml", "--resume", "--set", "run.duration=7")
    finally:
        shutil.move("away.csv", "v.csv")
    assert found == [VOLTAGE]


def test_large_inputs_are_known_by_their_digest(tmp_path: Path):
    small, large, path = tmp_path / "small.csv", tmp_path / "large.csv", tmp_path / "r.h5"
    small.write_text("a" * 100)
    large.write_text("b" * 101)
    files = InputFiles({"x.small": str(small), "x.list.1": str(large)}, most=100, most_needed=100)
    ResultWriter(path, SerialCommunicator(), replace(runs.header(1), inputs=files)).close()
    document = {"x": {"small": str(small), "list": ["", str(large)]}}
    small.unlink()
    with inputs.restored(path, document) as changed:
        assert Path(changed["x"]["small"]).read_text() == "a" * 100
        assert changed["x"]["list"] == document["x"]["list"]
    assert not Path(changed["x"]["small"]).exists()
    large.write_text("c" * 101)
    changed_since = r"large\.csv \(x\.list\.1; .*too large .*\) has changed since the run; restore"
    with pytest.raises(InputError, match=changed_since), inputs.restored(path, document):
        pass
    large.unlink()
    with pytest.raises(InputError, match="is not there; restore it"):
        inputs.put_back(path, tmp_path)


FIELD = """
[field]
file = "f.csv"

[population]
cells = ["cell.swc", "builtin:y_branch"]

[run]
duration = 0.5

[window]
kind = "split"
"""


def test_of_a_large_field_what_was_taken_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same potentials, to the last bit, and the same identity: of what was put back until somebody changes it."""
    monkeypatch.chdir(tmp_path)
    places = product((-300, 0, 33, 500), (-300, 13, 500), (-300, 5, 20, 300))
    samples = [f"{x},{y},{z},{100 + x + y * z / 7},{y / 3},{z + x / 9}" for x, y, z in places]
    for name, text in {"job.toml": FIELD, "cell.swc": CELL, "f.csv": "\n".join(["x,y,z,Ex,Ey,Ez", *samples])}.items():
        (tmp_path / name).write_text(text)

    def loaded() -> tuple[Order, list[np.ndarray]]:
        order = load_order(Path("job.toml"))
        members = [describe_split_cell(one) for one in members_of(order.described)]
        return order, [member.psi for member in members if member.psi is not None]

    order, before = loaded()
    digests = with_digests({"field": ""}, order.described)
    files = replace(input_files_of(order), most=100)
    ResultWriter("r.h5", SerialCommunicator(), replace(runs.header(1), inputs=files)).close()
    (field,) = (one for one in files.read().files if one.key == "field.file")
    assert field.start >= 0 and not field.is_whole
    shutil.move("f.csv", "large.csv")
    (place,) = inputs.put_back(Path("r.h5"), Path("put"), {"field.file": "f.csv"}).values()
    shutil.copy(place, "f.csv")
    order, after = loaded()
    assert len(after) == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert with_digests({"field": ""}, order.described) == digests
    Path("f.csv").write_text(place.read_text().replace("\n", "\n0,0,1,2,3,4\n", 2))
    assert with_digests({"field": ""}, order.described) != digests
    shutil.move("large.csv", "f.csv")
    assert with_digests({"field": ""}, order.described) == digests


def test_of_what_is_learned_a_large_field_is_needed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Constants of the cable move the places at which it is taken."""
    monkeypatch.chdir(tmp_path)
    learned = "\n[[parameter]]\nname = 'cable.R_i'\n[data]\nfile = 'd.csv'\n"
    (tmp_path / "job.toml").write_text(FIELD.partition("[population]")[0] + learned)
    assert taken(load_order(Path("job.toml")).described, "field.file") is None


def test_what_is_needed_whole_is_kept_whole_longer(tmp_path: Path):
    table, path = tmp_path / "v.csv", tmp_path / "r.h5"
    table.write_text("b" * 101)
    files = InputFiles({"voltage.file": str(table)}, most=100, most_needed=101)
    ResultWriter(path, SerialCommunicator(), replace(runs.header(1), inputs=files)).close()
    table.unlink()
    assert inputs.put_back(path, tmp_path / "put")["voltage.file"].read_text() == "b" * 101


SETS = """
[field]
file = "f.csv"

[population]
cells = ["cell.swc", "builtin:y_branch"]

[[population.parameters]]
set = {"field.file" = "g.csv", "cable.R_i" = 150.0}

[[population.parameters]]
set = {"field.magnitude" = 2.0}

[run]
duration = 0.5

[window]
kind = "split"
"""


@pytest.fixture
def with_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder beside that of a job whose sets of parameters name a file."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    field = "x,y,z,Ex,Ey,Ez\n" + "\n".join(f"{x},{y},{z},1,0,0" for x, y, z in product((-500, 500), repeat=3))
    for name, text in {"job.toml": SETS, "cell.swc": CELL, "f.csv": field, "g.csv": field + "\n0,0,0,2,0,0"}.items():
        (folder / name).write_text(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return elsewhere


def test_files_within_sets_of_parameters_are_inputs(with_sets: Path):
    """Beside the job, known by their contents, kept and put back."""
    order = load_order(Path("../jobs/job.toml"))
    key = "population.parameters.0.set.field.file"
    names = {name: file for name, file in input_names(order.described).items() if name.startswith("population.p")}
    assert names == {key: "../jobs/g.csv"}
    settings = with_digests(settings_of(order), order.described)
    assert settings[f"file {key}"].endswith(" ../jobs/g.csv") and "g.csv" not in settings["population.parameters"]
    ResultWriter("r.h5", SerialCommunicator(), replace(runs.header(1), inputs=input_files_of(order))).close()
    shutil.move("../jobs/g.csv", "moved.csv")
    with inputs.restored(Path("r.h5"), json.loads(order.described.to_json())) as document:
        changed = document["population"]["parameters"][0]["set"]
        assert set(changed) == {"field.file", "cable.R_i"}
        assert Path(changed["field.file"]).read_text() == Path("moved.csv").read_text()
    moved = load_order(Path("../jobs/job.toml"), [f"{key}=moved.csv"])
    assert input_names(moved.described)[key] == "moved.csv"
    assert (
        with_digests(settings_of(moved), moved.described)[f"file {key}"].split()[0]
        == settings[f"file {key}"].split()[0]
    )


@pytest.mark.parametrize("key", ["population.cells.0", "population.parameters.0.set.field.file", "field.file"])
def test_a_result_replaces_no_input_wherever_it_is_named(with_sets: Path, key: str):
    order = load_order(Path("../jobs/job.toml"))
    place = Path(input_names(order.described)[key]).resolve()
    before = place.read_bytes()
    with pytest.raises(InputError, match=rf"is the (cell|field) file \({re.escape(key)}\), which would be lost"):
        hpcpinn("run", "../jobs/job.toml", "--output", place)
    assert place.read_bytes() == before
