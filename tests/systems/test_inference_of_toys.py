"""Constants of toy systems from data: what is refused, with its place, and what is warned of."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.io.inference import read_inference
from hpcpinn.io.inputs import put_back
from tests.cli.in_process import hpcpinn

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCPINN_SYSTEMS", os.pathsep.join(str(HERE / f"{name}.py") for name in ("pair", "discharge")))


def job(folder: Path, parameter: str, system: str = "discharge", *, duration: float = 50.0) -> Path:
    """A job that infers a constant from ``data.csv``; its parameter begins on line 5."""
    file = folder / "toy.toml"
    run = f'[run]\noutput = "{folder / "toy.h5"}"\nduration = {duration}\n'
    file.write_text(f'system = "{system}"\n{run}[[parameter]]\n{parameter}\n[data]\nfile = "data.csv"\n')
    return file


def measured(folder: Path, *, tau: float = 10.0, last: float = 30.0) -> Path:
    """A recording of a discharge, almost without noise."""
    t = np.linspace(0.0, last, 40)
    value = -65.0 + 20.0 * np.exp(-t / tau) + 1e-3 * np.random.default_rng(2).standard_normal(40)
    file = folder / "data.csv"
    np.savetxt(file, np.c_[value, t, np.full(40, 1e-3)], delimiter=",", header="value,t,noise", comments="")
    return file


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        (
            'name = "tua"',
            r"toy.toml, line 6: \[\[parameter\]\] number 1, name: 'tua' is no constant that can be inferred; "
            r"did you mean 'tau'\? There are tau, jump, rest",
        ),
        (
            'name = "tau"\nstart = 60',
            r"toy.toml, line 7: .*number 1, start: 60 is not allowed: 'tau' must be at least 0.5 and at most 50",
        ),
        ('name = "tau"\nstart = 0.1', r"line 7: .*start: 0.1 is not allowed: 'tau' must be at least 0.5"),
        (
            'name = "tau"\n\nprior = 51',
            r"line 8: .*number 1, prior: 51 is not allowed: 'tau' must be at least 0.5 and at most 50",
        ),
        ('name = "jump"\nstart = -3', r"line 7: .*number 1, start: jump begins at -3, which has no logarithm"),
        (
            'name = "tau"\n[[parameter]]\nname = "tau"',
            r"line 8: \[\[parameter\]\] number 2, name: 'tau' is learned twice; leave one away",
        ),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_its_place(tmp_path: Path, parameter: str, line: str):
    measured(tmp_path)
    with pytest.raises(InputError, match=line):
        hpcpinn("infer", job(tmp_path, parameter))
    assert not (tmp_path / "toy.h5").exists()


def test_an_estimate_outside_the_bounds_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    measured(tmp_path, tau=80.0)
    hpcpinn("infer", job(tmp_path, 'name = "tau"'))
    told = capsys.readouterr()
    assert "\nbounds      warn: tau = 80 ms, which must be at least 0.5 and at most 50\n" in told.out
    assert "hpcpinn: warning: the most probable tau = 80 ms, which must be at least 0.5 and at most 50: " in told.err
    measured(tmp_path, tau=20.0)
    hpcpinn("infer", tmp_path / "toy.toml")
    told = capsys.readouterr()
    assert "bounds" not in told.out and "warning" not in told.err


def test_an_inference_is_drawn_alike_whatever_its_system_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    import hpcpinn as hp
    from hpcpinn.systems import system_named

    def draw(asked):
        raise AssertionError("only runs are this system's to draw")

    monkeypatch.setattr(system_named("discharge"), "draw", draw, raising=False)
    measured(tmp_path)
    hpcpinn("infer", job(tmp_path, 'name = "tau"'))
    capsys.readouterr()
    hpcpinn("plot", tmp_path / "toy.h5", "--out", tmp_path / "pictures")
    names = {"path.png", "posterior.png", "residuals.png"}
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == names
    assert {picture.path.name for picture in hp.read(tmp_path / "toy.h5").plot().values()} == names
    hpcpinn("run", tmp_path / "toy.toml", "--output", tmp_path / "run.h5")
    with pytest.raises(AssertionError, match="only runs are"):
        hpcpinn("plot", tmp_path / "run.h5")


def test_an_inference_is_not_validated(tmp_path: Path):
    import hpcpinn as hp

    measured(tmp_path)
    hpcpinn("infer", job(tmp_path, 'name = "tau"'))
    line = r"toy.h5: holds an inference, and only runs are validated; hpcpinn plot .*toy.h5 draws its pictures$"
    with pytest.raises(InputError, match=line):
        hpcpinn("validate", tmp_path / "toy.h5")
    with pytest.raises(InputError, match=line):
        hp.validate(tmp_path / "toy.h5")


@pytest.mark.parametrize("system", ["pair", "discharge"])
def test_data_outside_the_run_are_refused_with_their_line(tmp_path: Path, system: str):
    file = measured(tmp_path, last=39.0)
    line = r"data.csv, line 32: t = 30 ms lies outside the run \(0 to 29.5 ms\); leave the row away or change run.durat"
    with pytest.raises(InputError, match=line):
        hpcpinn("infer", job(tmp_path, 'name = "tau"', system, duration=29.5))
    file.write_text("value,t,noise\n1,0,1\n1,-0.5,1\n")
    with pytest.raises(InputError, match="data.csv, line 3: t = -0.5 ms lies outside the run"):
        hpcpinn("infer", job(tmp_path, 'name = "tau"', system))
    assert not (tmp_path / "toy.h5").exists()


def test_the_pair_says_nothing_of_times_that_it_does_not_reach(tmp_path: Path):
    from hpcpinn.parallel.communicator import SerialCommunicator
    from hpcpinn.systems import system_named

    system = system_named("pair")
    problem = system.build(system.tables(run={"duration": 7.0}), SerialCommunicator())
    said = np.asarray(problem.predict(problem.parameters, {"t": np.array([-0.1, 0.0, 7.0, 7.2])}))
    assert np.isfinite(said).tolist() == [False, True, True, False] and said[1] == -1.0


def test_columns_are_named_in_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hpcpinn.parallel.communicator import SerialCommunicator
    from hpcpinn.systems import system_named

    system = system_named("discharge")
    problem = system.build(system.tables(), SerialCommunicator())
    problem.observed = {"t": "ms", "value": "mV"}
    monkeypatch.setattr(system, "build", lambda *arguments: problem, raising=False)
    file, named = job(tmp_path, 'name = "tau"'), "value,t,noise"
    with pytest.raises(InputError, match=f"no such data file; give CSV or HDF5 with {named}$"):
        hpcpinn("infer", file)
    for text in ("t,value,x\n", "t,value\n"):
        (tmp_path / "data.csv").write_text(text)
        with pytest.raises(InputError, match=f"the columns are {named}$"):
            hpcpinn("infer", file)
    file.write_text(file.read_text().replace('file = "data.csv"', ""))
    with pytest.raises(InputError, match="name a file with the columns value, t, noise$"):
        hpcpinn("infer", file)
    problem.observed = {"t": "ms"}
    with pytest.raises(InputError, match="the system 'discharge' observes t and no 'value'"):
        hpcpinn("infer", file)


@pytest.mark.parametrize("by", ["command", "python"])
def test_an_inference_keeps_its_data_and_is_done_again_with_them(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """From another folder, with the data deleted; what is kept is again what was read."""
    import hpcpinn as hp

    written = measured(tmp_path).read_bytes()
    hpcpinn("infer", job(tmp_path, 'name = "tau"'))
    first = read_inference(tmp_path / "toy.h5")
    (tmp_path / "data.csv").unlink()
    monkeypatch.chdir("/")
    gone = r"data\.csv \(data\.file\) is gone: taken as .*toy\.h5 keeps it, from .*/toy\.inputs/0/data\.csv"
    again = {"command": partial(hpcpinn, "infer"), "python": lambda file: hp.load(file).infer()}
    with pytest.warns(InputWarning, match=gone):
        again[by](tmp_path / "toy.toml")
    second = read_inference(tmp_path / "toy.h5")
    np.testing.assert_array_equal(second.estimate, first.estimate)
    assert put_back(tmp_path / "toy.h5", tmp_path)["data.file"].read_bytes() == written
    with pytest.raises(InputError, match=r"dta\.csv"):  # mistyped: that name was never read
        hpcpinn("infer", tmp_path / "toy.toml", "--set", "data.file=dta.csv")
    (tmp_path / "toy.h5").unlink()
    (tmp_path / "toy.inputs" / "0" / "data.csv").unlink()
    with pytest.raises(InputError, match=r"data\.csv"):
        hpcpinn("infer", tmp_path / "toy.toml")
