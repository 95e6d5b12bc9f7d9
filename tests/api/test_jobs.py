"""Jobs in Python: the tables of the run description, their words, and job files there and back."""

import inspect
import runpy
from pathlib import Path

import numpy as np
import pytest

import hpcpinn as hp
from hpcpinn.config.jobs import bundled_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: hp.Synapse("tip", start=-1.0), "hpcpinn.Synapse: start: -1.0 is not allowed: must be greater"),
        (lambda: hp.Synapse("tip", 1.0, flx=3.0), "hpcpinn.Synapse: flx: unknown key; did you mean 'flux'?"),
        (lambda: hp.Synapse("tip"), "hpcpinn.Synapse: start: missing; it has no default"),
        (lambda: hp.Synapse("tip", 1.0, 2.0), "3 values without a name; site and start can be given so"),
        (lambda: hp.Synapse("tip", 1.0, start=2.0), "start is given twice, by position and by name"),
        (lambda: hp.Synapse("tip", "1 fortnight"), "start: '1 fortnight' is not a number followed by one of us, ms"),
        (lambda: hp.Calcium(pmca=1.0), "hpcpinn.Calcium: constants.pmca: unknown key; did you mean 'pmca_K'?"),
        (lambda: hp.Calcium("physical"), "hpcpinn.Calcium: preset: 'physical' is not one of 'physical-N'"),
        (lambda: hp.Voltage(0.07), "hpcpinn.Voltage: constant: 0.07: mV are expected, and this looks like V"),
        (lambda: hp.Field(1.0, (0.0, 1.0)), "hpcpinn.Field: direction: expected three numbers"),
        (lambda: hp.Job("builtin:y_branch", durtion=1.0), "job: durtion: unknown; did you mean 'duration'?"),
        (lambda: hp.Job("builtin:y_branch", window={"knd": 1}), "job: window.knd: unknown key; did you mean 'kind'?"),
        (
            lambda: hp.Job("builtin:y_branch", synapses=[hp.Synapse("tip", 1.0), {"site": "tip", "start": -1.0}]),
            "job: [[synapse]] number 2, start: -1.0 is not allowed",
        ),
        (
            lambda: hp.Job("builtin:y_branch", hp.Calcium("seed"), clamps=[hp.Clamp("soma", 1.0, 1.0, 0.5)]),
            "job: physics.preset: 'seed' is dimensionless, but a clamp is not",
        ),
        (lambda: hp.load("y_branch", {"run.duration": -1}), "changes: run.duration: -1 is not allowed"),
        (lambda: hp.load("y_branch", {"synapse.4.start": 1}), "changes: synapse has 1 entries, counted from 0"),
        (lambda: hp.load("y_brnch"), "did you mean the bundled job y_branch?"),
        (lambda: hp.solve(hp.load("y_branch"), duration=2.0), "duration beside a job"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(make, words):
    with pytest.raises(hp.InputError) as error:
        make()
    assert words in str(error.value) and "\n" not in str(error.value)


def test_files_are_named_with_their_lines(tmp_path):
    job = tmp_path / "job.toml"
    job.write_text('[run]\nduration = 5.0\n\n[[synapse]]\nsite = "tip"\nstart = -2\n')
    with pytest.raises(hp.InputError, match=r"job\.toml, line 6: \[\[synapse\]\] number 1, start: -2 is not allowed"):
        hp.load(job)


def test_values_of_other_libraries_are_taken():
    field = hp.Field(np.float32(2000.0), direction=np.array([0.0, 0.0, 1.0]), file=Path("field.csv"))
    assert field.given == {"magnitude": 2000.0, "direction": [0.0, 0.0, 1.0], "file": "field.csv"}
    assert hp.Voltage(Path("v.csv")).given == {"file": "v.csv"} and hp.Voltage(-60.0).given == {"constant": -60.0}
    assert hp.Stimulation("10Hz", start="2 s").start == 2000.0


def test_signatures_are_those_of_the_tables():
    told = str(inspect.signature(hp.Synapse))
    assert told.startswith("(site: str, start: float | str, *, flux: float | None = None, duration: float | str | None")
    assert "pmca_max: float | None = None" in str(inspect.signature(hp.Calcium))


def test_signatures_for_type_checkers_are_current():
    written = runpy.run_path(str(ROOT / "scripts" / "describe_api.py"))
    for place, text in written["pages"]().items():
        assert text == place.read_text(), "run scripts/describe_api.py"


def test_what_does_nothing_is_warned_of():
    with pytest.warns(hp.InputWarning, match=r"job: \[\[synapse\]\] number 1, flux: 0 .* the release does nothing"):
        hp.Job("builtin:y_branch", synapses=[hp.Synapse("tip", 1.0, flux=0.0)])


def test_the_result_has_the_numbers_of_a_changed_job():
    job = hp.load("y_branch")
    longer = job.replace({"run.duration": "20 ms", "synapse.0.start": 3.0})
    assert longer.config.run.duration == 20.0 and longer.config.synapse[0].start == 3.0
    assert job.config.run.duration == 10.0 and longer != job and job == hp.load("y_branch")


@pytest.mark.filterwarnings("ignore::hpcpinn.InputWarning")
@pytest.mark.parametrize("name", bundled_names())
def test_bundled_jobs_survive_being_written(name, tmp_path):
    job = hp.load(name)
    job.to_toml(tmp_path / "again.toml")
    assert hp.load(tmp_path / "again.toml") == job


def test_jobs_survive_being_written_into_other_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = hp.Job(
        "cells/a.swc",
        hp.Calcium("physical-L", pmca_max=12.0),
        voltage=hp.Voltage("v.csv"),
        synapses=[hp.Synapse("tip", 1.0, count=3, interval=2.0), hp.Synapse("root", "1 s")],
        fluxes=[hp.Flux("soma", 2.0)],
        learn=["D_c", hp.Learned("ncx_max", start=30.0)],
        data=hp.Traces(sites=["soma"], truth={"vdcc_density": {"dend": 3.0}}),
        window={"tolerance": 1e-2},
        duration="2 s",
        output="out.h5",
    )  # fmt: skip
    for place in ("job.toml", "deep/er/job.toml"):
        job.to_toml(place)
        assert hp.load(place) == job
    assert '[[synapse]]\nsite = "tip"' in Path("job.toml").read_text()
    assert 'file = "../../cells/a.swc"' in Path("deep/er/job.toml").read_text()
    assert job.to_toml() == Path("job.toml").read_text()


def test_a_graph_is_written_beside_its_job(tmp_path):
    graph = hp.Cell("builtin:pyramidal", merge_below=0.0).to_networkx()
    job = hp.Job(hp.Cell(graph, merge_below=2.0), duration=1.0)
    with pytest.raises(hp.InputError, match="name the job's file"):
        job.to_toml()
    job.to_toml(tmp_path / "job.toml")
    again = hp.Cell(hp.load(tmp_path / "job.toml").config.morphology.file, merge_below=2.0).cable
    wanted = hp.Cell("builtin:pyramidal", merge_below=2.0).cable
    for name in ("length", "radius", "xyz", "node", "section"):
        assert np.array_equal(getattr(again, name), getattr(wanted, name)), name


def test_graphs_that_are_none_are_refused(tmp_path):
    file = tmp_path / "cell.json"
    for text, words in (("{", "is not JSON"), ("[1]", "holds no graph"), ('{"nodes": 3}', "holds no graph")):
        file.write_text(text)
        with pytest.raises(hp.InputError, match=words):
            hp.Cell(file).cable  # noqa: B018
    with pytest.raises(hp.InputError, match="no such|cannot be read"):
        hp.Cell(tmp_path / "gone.json").cable  # noqa: B018
    hp.Job(hp.Cell(hp.Cell("builtin:y_branch").to_networkx())).to_toml(tmp_path / "job.toml")
    with pytest.raises(hp.InputError, match="is a graph, which is in um"):
        hp.Cell(tmp_path / "job.cell.json", units="nm").cable  # noqa: B018
